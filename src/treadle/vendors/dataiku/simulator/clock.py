"""The two clocks of a served world. Both give epoch seconds; the state machine itself has none."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """What the server asks of a clock."""

    def now(self) -> float:
        """Give the simulated time, in seconds since the epoch; it never goes back."""

    def request(self) -> None:
        """Hear that a request came in. Called once for each, before it is answered."""

    def advance(self, seconds: float) -> None:
        """Jump ahead by so many simulated seconds; a negative number is a ValueError."""


class RealClock:
    """The wall clock from now on, `speed` times as fast."""

    def __init__(self, speed: float = 1.0) -> None:
        if not speed > 0:
            raise ValueError(f"the speed of a clock must be above zero, not {speed}")
        self._speed = speed
        self._origin = time.time()
        # The wall clock may be set back while we serve; only its start is taken from it.
        self._started = time.monotonic()

    def now(self) -> float:
        """Give the time since the start, stretched, upon the epoch time of the start."""
        return self._origin + (time.monotonic() - self._started) * self._speed

    def request(self) -> None:
        """Requests do not move a real clock."""

    def advance(self, seconds: float) -> None:
        """Jump ahead, and go on from there."""
        _forward(seconds)
        self._origin += seconds


class VirtualClock:
    """Moves when it is told to, and by `tick` seconds with each request, so that a polling client makes progress without sleeping.

    May be advanced from another thread than the one that serves.
    """

    def __init__(self, start: float = 1_460_732_252.101, tick: float = 0.0) -> None:
        _forward(tick)
        self._now = start
        self._tick = tick
        self._lock = threading.Lock()

    def now(self) -> float:
        """Give the time; reading does not move it."""
        with self._lock:
            return self._now

    def request(self) -> None:
        """Move on by one tick."""
        self.advance(self._tick)

    def advance(self, seconds: float) -> None:
        """Move on."""
        _forward(seconds)
        with self._lock:
            self._now += seconds


def _forward(seconds: float) -> None:
    if not seconds >= 0:
        raise ValueError(f"time does not go back: {seconds}")
