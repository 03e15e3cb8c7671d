"""The one loop that drives a run, and the protocols of what it needs: a performer of effects, a clock, a journal."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from treadle.engine.effects import Effect, Result, SendHttp, Sleep, Slept
from treadle.engine.interpreter import Outcome, Run
from treadle.engine.journal import Failure, Record
from treadle.errors import EffectFailed

Append = Callable[[list[Record]], Awaitable[None]]
"""Takes the records of one turn, in their order; they are safe when it returns.

Whoever is cancelled meanwhile has not begun the effect that comes after them: its CancelledError carries UNSENT.
"""
GRAIN = 0.2
"""Seconds from one moment at which longer pauses end to the next."""
COARSE = 2.0
"""Seconds from which on a pause is a longer one."""
UNSENT = "nothing was sent"
"""What a CancelledError carries that ended a request before any of it was sent."""


class Clock(Protocol):
    """Time as a driver has it."""

    def now(self) -> float:
        """Give the seconds since the epoch."""

    async def sleep(self, seconds: float) -> None:
        """Wait that long."""


class Performer(Protocol):
    """Performs requests; never raises for what a server or a network does, that is a result."""

    async def send(self, effect: SendHttp) -> Result:
        """Send one request and bring its answer, or why there is none."""


class SystemClock:
    """The clock of this machine."""

    def now(self) -> float:
        """Give the seconds since the epoch."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait that long, or a little longer: see `together`."""
        await asyncio.sleep(together(asyncio.get_running_loop().time(), seconds))


def together(now: float, seconds: float) -> float:
    """Give how long to wait from now on, so that the pauses of many runs end at the same moments, `GRAIN` apart.

    A process that wakes up for each run of hundreds spends a fifth of its time on waking up. A pause is never shorter than
    was asked for; one below `COARSE` is left as it is.
    """
    return seconds if seconds < COARSE else seconds + -(now + seconds) % GRAIN


class Interruption:
    """A way to stop one run from outside: at once, or gently where nothing is broken by it.

    Attributes:
        reason: why it is to stop, in words for people; None as long as nobody asked.
        gently: no request is to be broken by it.
        for_good: the run is to be cancelled; else it is only interrupted, and what its journal has can be resumed.
        is_pausing: the run is where nothing is broken by a stop.
    """

    __slots__ = ("_cancelled_before", "_cancels", "_task", "for_good", "gently", "is_pausing", "reason")

    def __init__(self) -> None:
        self.reason: str | None = None
        self.gently = False
        self.for_good = False
        self._task: asyncio.Task[Any] | None = None
        self._cancels = 0
        self._cancelled_before = 0
        self.is_pausing = False

    def attach(self) -> None:
        """Make the current task the one that is stopped."""
        self._task = asyncio.current_task()
        self._cancelled_before = 0 if self._task is None else self._task.cancelling()

    async def detach(self) -> None:
        """Have the task be stopped no more, also by what was asked for just now."""
        self._task = None
        if self._cancels:
            with self.outlasted():
                await asyncio.sleep(0)

    def breakable(self, clock: Clock) -> Clock:
        """Give a clock in whose pauses a gentle stop takes place, as nothing is broken by it there."""
        return _BreakableClock(clock, self)

    def request(self, reason: str, *, gently: bool = False, for_good: bool = False) -> None:
        """Stop the run; call it on the run's event loop. Gently means in a pause, or when the present answer is there."""
        self.reason = reason
        self.gently = gently
        self.for_good = for_good
        if self._task is not None and (self.is_pausing or not gently):
            self._cancels += self._task.cancel()

    def take_back(self) -> bool:
        """Take back the cancellations of a stop, with which the current task goes on; say whether there were no others."""
        task = asyncio.current_task()
        if self.reason is None or task is None:
            return False
        for _ in range(self._cancels):
            task.uncancel()
        self._cancels = 0
        return task.cancelling() <= self._cancelled_before

    async def pause(self, pause: Awaitable[Result | TimeoutError]) -> Result | TimeoutError | None:
        """Wait for a pause, or give None where the run is to stop."""
        with self.outlasted(), self.breaking():
            return await pause
        return None

    def outlasted(self) -> "_Outlasted":
        """Have the task go on after the block where a stop cancels it in there."""
        return _Outlasted(self)

    async def sleep(self, clock: Clock, seconds: float) -> None:
        """Wait by a clock; a stop ends the wait."""
        with self.breaking():
            await clock.sleep(seconds)

    def breaking(self) -> AbstractContextManager[None]:
        """Have a gentle stop end what is waited for in the block: nothing is broken by it."""
        return _Breaking(self)


class _Breaking:
    __slots__ = ("_interruption",)

    def __init__(self, interruption: Interruption) -> None:
        self._interruption = interruption

    def __enter__(self) -> None:
        self._interruption.is_pausing = True

    def __exit__(self, *_error: object) -> None:
        self._interruption.is_pausing = False


class _Outlasted:
    __slots__ = ("_interruption",)

    def __init__(self, interruption: Interruption) -> None:
        self._interruption = interruption

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> bool:
        return kind is asyncio.CancelledError and self._interruption.take_back()


class _BreakableClock:
    __slots__ = ("_clock", "_interruption")

    def __init__(self, clock: Clock, interruption: Interruption) -> None:
        self._clock = clock
        self._interruption = interruption

    def now(self) -> float:
        return self._clock.now()

    async def sleep(self, seconds: float) -> None:
        await self._interruption.sleep(self._clock, seconds)


async def drive(
    run: Run,
    performer: Performer,
    append: Append,
    clock: Clock,
    *,
    timeout: float | None = None,
    interruption: Interruption | None = None,
) -> Outcome | None:
    """Drive a run from where it stands to its outcome, or give None where it was interrupted in a pause.

    Args:
        run: the run, new or resumed.
        performer: performs its requests.
        append: takes the records of each turn before the next effect starts.
        clock: tells the time and waits.
        timeout: seconds for the whole run, from now on, or None.
        interruption: may stop it gently.
    """
    if not run.pending() and run.outcome is None:
        await append(run.begin(clock.now()))
    if run.unwritten:
        await append(run.take_unwritten())
    deadline = None if timeout is None else clock.now() + timeout
    while effects := run.pending():
        if interruption is not None and interruption.reason is not None:
            await asyncio.sleep(0)  # a stop that is not gentle cancels the task: that must come out here
            return None
        effect = effects[0]  # a run asks for one thing at a time until steps can wait for messages
        if deadline is not None and clock.now() >= deadline:
            await append(run.stop(*_overdue(effect, timeout or 0.0, begun=False), clock.now()))
            break
        work = _perform(run, effect, performer, clock, deadline)
        result: Result | TimeoutError
        if interruption is None or isinstance(effect, SendHttp):
            result = await work
        else:
            paused = await interruption.pause(work)
            if paused is None or interruption.reason is not None:
                return None
            result = paused
        if isinstance(result, TimeoutError):
            await append(run.stop(*_overdue(effect, timeout or 0.0, begun=not unsent(result)), clock.now()))
        else:
            await append(run.deliver(effect.id, result, clock.now()))
    if run.outcome is None:
        raise AssertionError("a run with nothing pending has an outcome")
    return run.outcome


def _perform(
    run: Run, effect: Effect, performer: Performer, clock: Clock, deadline: float | None
) -> Awaitable[Result | TimeoutError]:
    """Perform an effect, or give the error where the run's deadline comes first."""
    if not isinstance(effect, SendHttp):
        return _pause(effect, run.since, clock, deadline)
    return performer.send(effect) if deadline is None else _in_time(performer.send(effect), deadline - clock.now())


async def _in_time(work: Awaitable[Result], left: float) -> Result | TimeoutError:
    try:
        async with asyncio.timeout(left):
            return await work
    except TimeoutError as error:
        return error


def unsent(error: BaseException) -> bool:
    """Say whether a request was cancelled, or was late, before any of it was sent."""
    cancelled = error if isinstance(error, asyncio.CancelledError) else error.__cause__
    return isinstance(cancelled, asyncio.CancelledError) and UNSENT in cancelled.args


async def _pause(effect: Sleep, since: float, clock: Clock, deadline: float | None) -> Slept | TimeoutError:
    """Wait until the pause is over that was asked for then; of a resumed run, most of it may be."""
    now = clock.now()
    gone = max(0.0, now - since)  # a clock that was put back makes no pause longer
    if deadline is not None and effect.seconds * (1 - effect.jitter) - gone >= deadline - now:
        # Known beforehand: waiting for a pause that cannot end in time would only cost time.
        await clock.sleep(max(0.0, deadline - now))
        return TimeoutError()
    spread = 1 + effect.jitter * (2 * random.random() - 1)  # noqa: S311 - spreads load, guards nothing
    await clock.sleep(max(0.0, effect.seconds * spread - gone))
    return Slept()


def interrupted(run: Run, reason: str, error: BaseException | None = None, *, kept: bool) -> Failure:
    """Say what a run was at when it was interrupted, and how to go on where a journal has it `kept`.

    `error` is the CancelledError that came of it, or None in a pause.
    """
    effect = next(iter(run.pending()), None)
    step_id = effect.step_id if effect is not None else None
    message = reason if step_id is None else f"{reason} at step '{step_id}'"
    begun = error is not None and not unsent(error)  # without one, nothing was under way
    if begun and isinstance(effect, SendHttp) and not effect.idempotent:
        message += f"; {effect.request.method} {effect.request.url} was under way and may have taken effect"
    hint = (
        f"go on with it: treadle runs resume {run.run_id}" if kept else "what was started on the server goes on there"
    )
    return Failure("interrupted", message, step_id, hint)


def departed(run: Run, error: EffectFailed) -> Failure:
    """Say at which step a run asked for something else than what was recorded."""
    effect = next(iter(run.pending()), None)
    if effect is None:
        return Failure("replay", error.message, None, error.hint)
    return Failure("replay", f"step '{effect.step_id}': {error.message}", effect.step_id, error.hint)


def _overdue(effect: Effect, timeout: float, *, begun: bool = True) -> tuple[str, Failure]:
    message = f"the run did not end within {timeout:g} s; it was at step '{effect.step_id}'"
    if begun and isinstance(effect, SendHttp) and not effect.idempotent:
        message += f", and {effect.request.method} {effect.request.url} was under way: it may have taken effect"
        return "in-doubt", Failure("in-doubt", message, effect.step_id, "find out whether the request took effect")
    return "limited", Failure("timeout", message, effect.step_id, "what was started on the server goes on there")
