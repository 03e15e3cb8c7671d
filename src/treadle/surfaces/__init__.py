"""Words and buttons over the layers below; no decisions."""
