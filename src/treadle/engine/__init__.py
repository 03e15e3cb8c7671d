"""The engine: a compiled program, and a run of it as a pure state machine. No I/O, no clock, no randomness."""
