"""What becomes of a run that is stopped from outside, and what it is told while its request waits for a turn."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

from msgspec import structs

from treadle.drivers.durable import Recorder
from treadle.drivers.outcome import choices
from treadle.drivers.run import Clock, Interruption, interrupted, unsent
from treadle.engine.effects import SendHttp
from treadle.engine.interpreter import Run
from treadle.engine.journal import Queued
from treadle.errors import JournalFailed


class Waiter:
    """A run whose request may have to wait: it says so, and a gentle stop ends the wait.

    As a context manager it is who is told of what the present task waits for.

    Args:
        run: the run.
        notice: is told of a wait that is worth it.
        clock: tells the time.
        interruption: may stop the run.
    """

    __slots__ = ("_clock", "_interruption", "_notice", "_outer", "_run", "_task")

    def __init__(
        self, run: Run, notice: Callable[[Queued], None], clock: Clock, interruption: Interruption | None
    ) -> None:
        self._run = run
        self._notice = notice
        self._clock = clock
        self._interruption = interruption
        self._task: asyncio.Task[Any] | None = None
        self._outer: Waiter | None = None

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        self._outer = _WAITERS.get(self._task)
        _WAITERS[self._task] = self

    def __exit__(self, *_error: object) -> None:
        del _WAITERS[self._task]
        if self._outer is not None:
            _WAITERS[self._task] = self._outer

    def told(self, why: str, seconds: float | None = None) -> None:
        """Take that the request waits, for what, and how long if that is known."""
        pending = self._run.pending()
        step_id = pending[0].step_id if pending else ""
        self._notice(Queued(self._clock.now(), step_id, why, seconds))

    def waiting(self) -> AbstractContextManager[None]:
        """Have a gentle stop end what is in the block: none of the request was sent."""
        return nullcontext() if self._interruption is None else self._interruption.breaking()


_WAITERS: dict["asyncio.Task[Any] | None", Waiter] = {}
"""Who is told of the requests of a task. A context variable would do, but each timer of a connection keeps a copy of the
context, and with it the run that happened to be on."""


def present_waiter() -> Waiter | None:
    """Give who is told what happens to the request of the present task; asked only where one has to wait."""
    return _WAITERS.get(asyncio.current_task())


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
        with interruption.outlasted():
            await recorder.append(run.stop("cancelled", failure, now))
        return
    begun = broken is not None and not unsent(broken)
    effect = next(iter(run.pending()), None)
    in_doubt = run.in_doubt is not None or (begun and isinstance(effect, SendHttp) and not effect.idempotent)
    if not begun:
        with interruption.outlasted():
            await recorder.append(run.withdraw(now))
    if in_doubt and run.step.reconcile is None:
        failure = structs.replace(failure, hint=choices(run.run_id))
    await recorder.append(run.stop("in-doubt" if in_doubt else "interrupted", failure, now), written=False)


async def left(run: Run, recorder: Recorder, broken: BaseException, now: float) -> None:
    """Take back what a run announced and did not send, where its task was cancelled by whoever waits for it.

    Args:
        run: the run.
        recorder: takes its records; where they cannot be written, the run is in doubt, as its journal says.
        broken: the CancelledError.
        now: seconds since the epoch.
    """
    if recorder.is_durable and run.outcome is None and unsent(broken):
        with suppress(JournalFailed):
            await recorder.append(run.withdraw(now))
