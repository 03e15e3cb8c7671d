"""What becomes of a run that is stopped from outside, and what it is told while its request waits for a turn."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from msgspec import structs

from treadle.drivers.durable import Recorder
from treadle.drivers.outcome import choices
from treadle.drivers.run import Clock, Interruption, interrupted, unsent
from treadle.engine.effects import SendHttp
from treadle.engine.interpreter import Run
from treadle.engine.journal import Queued


class Waiter:
    """A run whose request may have to wait: it says so, and a gentle stop ends the wait.

    Args:
        run: the run.
        notice: is told of a wait that is worth it.
        clock: tells the time.
        interruption: may stop the run.
    """

    __slots__ = ("_clock", "_interruption", "_notice", "_run")

    def __init__(
        self, run: Run, notice: Callable[[Queued], None], clock: Clock, interruption: Interruption | None
    ) -> None:
        self._run = run
        self._notice = notice
        self._clock = clock
        self._interruption = interruption

    def told(self, why: str, seconds: float | None = None) -> None:
        """Take that the request waits, for what, and how long if that is known."""
        step_id = next((effect.step_id for effect in self._run.pending()), "")
        self._notice(Queued(self._clock.now(), step_id, why, seconds))

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Have a gentle stop end what is in the block: none of the request was sent."""
        if self._interruption is None:
            yield
        else:
            with self._interruption.breaking():
                yield


WAITER: ContextVar[Waiter | None] = ContextVar("treadle-waiter", default=None)
"""Who is told what happens to the request of the present task; asked only where one has to wait."""


@contextmanager
def waiting_as(waiter: Waiter) -> Iterator[None]:
    """Make a run the one that is told."""
    token = WAITER.set(waiter)
    try:
        yield
    finally:
        WAITER.reset(token)


async def stopped(
    run: Run, recorder: Recorder, interruption: Interruption, broken: BaseException | None, now: float, *, durable: bool
) -> None:
    """End a run that was interrupted for those who wait for it; its journal goes on from where it stands.

    One that a journal keeps is interrupted, or in doubt where a request that is not idempotent was under way; else it is
    cancelled. An announcement of what was not sent is taken back.

    Args:
        run: the run; nothing happens where it has an outcome.
        recorder: takes its records.
        interruption: what stopped it.
        broken: the CancelledError that came of it, or None in a pause.
        now: seconds since the epoch.
        durable: it has a journal.
    """
    if run.outcome is not None:
        return
    kept = durable and not interruption.for_good
    failure = interrupted(run, interruption.reason or "interrupted", broken, kept=kept)
    if not kept:
        await recorder.append(run.stop("cancelled", failure, now))
        return
    begun = broken is not None and not unsent(broken)
    effect = next(iter(run.pending()), None)
    in_doubt = run.in_doubt is not None or (begun and isinstance(effect, SendHttp) and not effect.idempotent)
    if not begun:
        await recorder.append(run.withdraw(now))
    if in_doubt and run.step.reconcile is None:
        failure = structs.replace(failure, hint=choices(run.run_id))
    await recorder.append(run.stop("in-doubt" if in_doubt else "interrupted", failure, now), written=False)
