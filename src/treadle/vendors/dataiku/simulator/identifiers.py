"""Identifiers as DSS makes them: a time of day in words, '2016-04-15-16-57-32-101'."""

from __future__ import annotations

from datetime import datetime, tzinfo


class Identifiers:
    """Gives each identifier once. Two in one millisecond: the later one takes the next free millisecond."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._taken: set[int] = set()
        # Where to look first, so that thousands in one millisecond of a virtual clock do not search all over again.
        self._next: dict[int, int] = {}

    def at(self, millisecond: int) -> str:
        """Give a new identifier for something that begins at this epoch millisecond."""
        free = self._next.get(millisecond, millisecond)
        while free in self._taken:
            free += 1
        self._taken.add(free)
        self._next[millisecond] = free + 1
        second, rest = divmod(free, 1000)
        return f"{datetime.fromtimestamp(second, tz=self._zone):%Y-%m-%d-%H-%M-%S}-{rest:03d}"
