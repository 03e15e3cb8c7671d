"""Benchmarks: every figure is a ratio to a named baseline that is measured beside it, in the same run."""
