"""How loops are paced: a step that is entered again by `goto` with no other delay on the way round waits first."""

from datetime import UTC
from email.utils import parsedate_to_datetime
from math import inf

from msgspec import Struct

from treadle.engine.program import Poll
from treadle.engine.snapshot import PaceSnapshot

Place = tuple[int, int]
"""A step of a run: the index of its workflow in the program, and its own index."""
JITTER = 0.1
"""How far a poll's pause may be off either way, as a share of it (semantics: pacing)."""
_NOTHING = PaceSnapshot(0)


class _Entered(Struct, gc=False):
    """What is remembered of a step: after how many pauses it was entered, its next pause, and since when a loop goes on."""

    seen: int
    next: float
    since: float


class Pace:
    """What a run remembers of its loops: pauses so far, and for each step when it was entered and its next pause.

    Args:
        interval: the first pause where a step does not say another; 0 is none.
        max_interval: the longest one it grows to.
        kept: what an earlier process remembered.
    """

    __slots__ = ("_entered", "_interval", "_max_interval", "_pauses")

    def __init__(self, interval: float, max_interval: float, kept: PaceSnapshot = _NOTHING) -> None:
        self._interval = interval
        self._max_interval = max_interval
        self._pauses = kept.pauses
        self._entered: dict[Place, _Entered] = {} if kept is _NOTHING else _entered(kept)

    def snapshot(self) -> PaceSnapshot:
        """Give what is remembered, as data."""
        entered = self._entered.items()
        return PaceSnapshot(
            self._pauses,
            tuple([(*place, step.seen) for place, step in entered]),
            tuple([(*place, step.next) for place, step in entered]),
            tuple([(*place, step.since) for place, step in entered]),
        )

    def slept(self) -> None:
        """Note that a pause is over, wherever on the way round it was."""
        self._pauses += 1

    def went_round(self, inner: "Pace") -> None:
        """Note that a workflow which was called on the way round made pauses of its own."""
        if inner._pauses:  # noqa: SLF001 - of this class
            self._pauses += 1

    def enter(self, step: Place, poll: Poll, now: float, *, by_goto: bool, left: float = inf) -> float | None:
        """Give the seconds to pause before the step at that place, or None where it may go on at once.

        `left` are the seconds that the workflow has: where they are too few to wait first, it is looked at once.
        """
        interval = self._interval if poll.interval is None else poll.interval
        known = self._entered.get(step)
        waits = by_goto and known is not None and known.seen == self._pauses
        if known is None or not by_goto:
            known = self._entered[step] = _Entered(self._pauses, interval, now)
            waits = poll.wait_first and interval * (1 + JITTER) < min(
                left, inf if poll.timeout is None else poll.timeout
            )
        pause = None
        if waits and interval > 0:
            longest = self._max_interval if poll.max_interval is None else poll.max_interval
            pause = known.next
            # The maximum bounds the growth; an interval that was asked for is never shortened by it.
            known.next = max(min(pause * poll.backoff, longest), interval)
        # The pause that is about to be made counts as one before this entry.
        known.seen = self._pauses + (pause is not None)
        return pause

    def left(self, step: Place, poll: Poll, now: float) -> float:
        """Give the seconds that a loop through this step may still go on, as the document allows."""
        if poll.timeout is None or step not in self._entered:
            return inf
        return poll.timeout - (now - self._entered[step].since)


def _entered(kept: PaceSnapshot) -> dict[Place, _Entered]:
    pauses = {(flow, step): pause for flow, step, pause in kept.next}
    since = {(flow, step): since for flow, step, since in kept.since}
    return {(flow, step): _Entered(seen, pauses[flow, step], since[flow, step]) for flow, step, seen in kept.seen}


def retry_after_seconds(value: str | None, now: float) -> float | None:
    """Read a Retry-After field (RFC 9110 section 10.2.3): seconds, or a date, seen from `now` (seconds since the epoch).

    None where there is none, or none that can be read.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
        # The obsolete forms do not name their zone; it is GMT as well (RFC 9110 section 5.6.7).
        return max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now)
    except (ValueError, TypeError):
        return None
