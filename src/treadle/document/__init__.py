"""Text to typed model: reading YAML and JSON, the Objects of the specification, and building one from the other."""
