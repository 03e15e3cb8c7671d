"""The public conformance suite: what an Arazzo runner must send, when, and how it must end. README.md says how to use it.

Needs Python 3.11 and PyYAML, and nothing of Treadle.
"""
