"""A Dataiku DSS that is not one: the scenario part of its public REST API, with time that can be steered.

Nothing is re-exported, so that reading a configuration does not import the HTTP server. Look in `server` (serve, running),
`clock` (RealClock, VirtualClock), `config` (read, read_file, default), `description` (what a world is made of) and `world`
(the state machine). This package knows nothing of Treadle's engine: it is an independent witness.
"""
