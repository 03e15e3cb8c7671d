"""The little language: runtime expressions, templates, conditions, criteria and selectors, read once and evaluated."""
