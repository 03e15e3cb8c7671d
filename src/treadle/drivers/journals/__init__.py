"""Journals: where the records of durable runs are kept, and who drives which run. The protocol, and two that keep to it."""
