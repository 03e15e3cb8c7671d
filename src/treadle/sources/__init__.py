"""API descriptions read into one neutral Operation, and operations with arguments into HTTP requests."""
