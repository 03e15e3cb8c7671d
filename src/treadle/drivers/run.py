"""The one loop that drives a run, and the protocols of what it needs: a performer of effects, a clock, a journal."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from treadle.engine.effects import Effect, Result, SendHttp, Sleep, Slept
from treadle.engine.interpreter import Outcome, Run
from treadle.engine.journal import Failure, Record
from treadle.errors import EffectFailed

Append = Callable[[list[Record]], Awaitable[None]]
"""Takes the records of one turn, in their order; they are safe when it returns."""
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
        """Wait that long."""
        await asyncio.sleep(seconds)


async def drive(
    run: Run, performer: Performer, append: Append, clock: Clock, *, timeout: float | None = None
) -> Outcome:
    """Drive a run from where it stands to its outcome.

    Args:
        run: the run, new or resumed.
        performer: performs its requests.
        append: takes the records of each turn before the next effect starts.
        clock: tells the time and waits.
        timeout: seconds for the whole run, or None.
    """
    if not run.pending() and run.outcome is None:
        await append(run.begin(clock.now()))
    deadline = None if timeout is None else clock.now() + timeout
    while effects := run.pending():
        effect = effects[0]  # a run asks for one thing at a time until steps can wait for messages
        if deadline is not None and clock.now() >= deadline:
            await append(run.stop(*_overdue(effect, timeout or 0.0, begun=False), clock.now()))
            break
        if deadline is not None:
            result = await _in_time(effect, performer, clock, deadline)
        else:
            result = await _perform(effect, performer, clock)
        if isinstance(result, TimeoutError):
            await append(run.stop(*_overdue(effect, timeout or 0.0, begun=not unsent(result)), clock.now()))
        else:
            await append(run.deliver(effect.id, result, clock.now()))
    if run.outcome is None:
        raise AssertionError("a run with nothing pending has an outcome")
    return run.outcome


async def _in_time(effect: Effect, performer: Performer, clock: Clock, deadline: float) -> Result | TimeoutError:
    """Perform an effect, or give the error where the run's deadline comes first."""
    left = deadline - clock.now()
    if isinstance(effect, Sleep):
        # Known beforehand: waiting for a pause that cannot end in time would only cost time.
        if effect.seconds * (1 - effect.jitter) >= left:
            await clock.sleep(max(0.0, left))
            return TimeoutError()
        return await _perform(effect, performer, clock)
    try:
        async with asyncio.timeout(left):
            return await _perform(effect, performer, clock)
    except TimeoutError as error:
        return error


def unsent(error: BaseException) -> bool:
    """Say whether a request was cancelled, or was late, before any of it was sent."""
    cancelled = error if isinstance(error, asyncio.CancelledError) else error.__cause__
    return isinstance(cancelled, asyncio.CancelledError) and UNSENT in cancelled.args


def _perform(effect: Effect, performer: Performer, clock: Clock) -> Awaitable[Result]:
    return _pause(effect, clock) if isinstance(effect, Sleep) else performer.send(effect)


async def _pause(effect: Sleep, clock: Clock) -> Slept:
    spread = 1 + effect.jitter * (2 * random.random() - 1)  # noqa: S311 - spreads load, guards nothing
    await clock.sleep(effect.seconds * spread)
    return Slept()


def interrupted(run: Run, reason: str, error: BaseException | None = None) -> Failure:
    """Say what a run was at when it was interrupted; `error` is the CancelledError that came of it."""
    effect = next(iter(run.pending()), None)
    step_id = effect.step_id if effect is not None else None
    message = reason if step_id is None else f"{reason} at step '{step_id}'"
    begun = error is None or not unsent(error)
    if begun and isinstance(effect, SendHttp) and not effect.idempotent:
        message += f"; {effect.request.method} {effect.request.url} was under way and may have taken effect"
    return Failure("interrupted", message, step_id, "what was started on the server goes on there")


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
