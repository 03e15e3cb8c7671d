"""Everything that touches the world: the loop that drives a run, HTTP, files, time."""
