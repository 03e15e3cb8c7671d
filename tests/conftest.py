"""Makes `tests/` importable, so that every test module can say `from loader import cases`."""
