"""Durable runs as people handle them: found by the beginning of an id, shown, cancelled, forgotten, taken over."""

import math
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

from msgspec import structs

from treadle.drivers.journals.protocol import Entry, Journal, Kept
from treadle.drivers.run import Clock
from treadle.drivers.timeline import events, history_of, in_doubt, shown_records
from treadle.engine.journal import Failure, Record, RunEnded, Stopped, Waiting
from treadle.engine.report import step_entries, timestamp
from treadle.engine.rewound import before
from treadle.errors import RunRefused

STATUSES = ("running", "waiting", "interrupted", "in-doubt", "succeeded", "failed", "limited", "cancelled")
ENDED = ("succeeded", "failed", "limited", "cancelled")
"""The statuses of runs that nothing is left to do about."""
LEFT = ("interrupted", "in-doubt")
"""The statuses of runs that wait for somebody to resume them."""
LOOK_EVERY = 0.2
"""Seconds between two looks at a run that somebody else drives."""
CANCEL_WITHIN = 2.0
"""Seconds to wait until whoever drives a run has cancelled it."""


def new_id() -> str:
    """Give an id for a run."""
    return f"{random.getrandbits(64):016x}"  # guards nothing, and is asked for often


async def found(journal: Journal, beginning: str) -> Entry:
    """Give the run whose id begins so.

    Raises:
        RunRefused: there is none, or more than one.
    """
    if not beginning:  # what a script has whose variable is not set; it fits every run
        raise RunRefused(
            "no run was named", hint="give its id, or the beginning of that; `treadle runs list` shows them"
        )
    fitting = [entry for entry in await journal.entries() if entry.run_id.startswith(beginning)]
    exact = [entry for entry in fitting if entry.run_id == beginning]
    if len(exact or fitting) == 1:
        return (exact or fitting)[0]
    hint = "`treadle runs list` shows those that it has"
    if not fitting:
        raise RunRefused(f"the journal has no run '{beginning}'", hint=hint)
    raise RunRefused(f"{len(fitting)} runs have an id that begins with '{beginning}'", hint="give more of it")


async def listed(journal: Journal, statuses: Sequence[str] = (), workflow_id: str | None = None) -> list[Entry]:
    """Give the runs of those statuses and that workflow, the latest first; without either, all."""
    return [
        entry
        for entry in await journal.entries()
        if (not statuses or entry.status in statuses) and workflow_id in (None, entry.workflow_id)
    ]


def as_json(entry: Entry) -> dict[str, Any]:
    """Give a run of a list as a JSON value; times by RFC 3339."""
    return {
        "runId": entry.run_id,
        "workflowId": entry.workflow_id,
        "status": entry.status,
        "startedAt": timestamp(entry.began),
        "stepId": entry.step_id,
        "waitsUntil": None if entry.until is None else timestamp(entry.until),
        "updatedAt": timestamp(entry.updated),
        "endedAt": None if entry.ended is None else timestamp(entry.ended),
    }


def shown(entry: Entry, kept: Kept) -> dict[str, Any]:
    """Give all that can be said of a run without its secrets, as a JSON value."""
    history = history_of(kept.records)
    waiting = next((record for record in reversed(kept.records) if isinstance(record, Waiting)), None)
    waits = [] if entry.until is None else [_wait(entry, waiting)]
    ended = history.ended
    error = None if ended is None or ended.error is None else ended.error
    return {
        **as_json(entry),
        "inputs": kept.start.inputs,
        "secretInputs": kept.start.secrets,
        "options": kept.start.options,
        "waits": waits,
        "inDoubt": in_doubt(kept) if entry.status == "in-doubt" else [],
        "steps": step_entries(history),
        "timeline": events(kept.records),
        "outputs": {} if ended is None else ended.outputs,
        "error": None
        if error is None
        else {"kind": error.kind, "stepId": error.step_id, "message": error.message, "hint": error.hint},
    }


def _wait(entry: Entry, waiting: Waiting | None) -> dict[str, Any]:
    until = None if entry.until is None else timestamp(entry.until)
    return {"stepId": entry.step_id, "until": until, "reason": None if waiting is None else waiting.reason}


async def cancel(journal: Journal, run_id: str, clock: Clock) -> bool:
    """Cancel a run: ask whoever drives it, and wait a little until that is done; else end it here.

    Gives False where it still waits for the answer to the request that is under way.

    Raises:
        RunRefused: it has ended already.
    """
    entry = await found(journal, run_id)
    if entry.ended is not None:
        hint = f"to end the doubt: treadle runs resume {run_id} --in-doubt fail" if entry.status == "in-doubt" else None
        raise RunRefused(f"run '{run_id}' has ended already: {entry.status}", hint=hint)
    if entry.status in LEFT:
        await journal.claim(run_id)
        failure = Failure("cancelled", _said_of(entry), entry.step_id)
        now = clock.now()
        await journal.append(run_id, (Stopped(now, "cancelled", failure), RunEnded(now, "cancelled", {}, failure)))
        await journal.release(run_id)
        return True
    await journal.cancel(run_id)
    due = clock.now() + CANCEL_WITHIN
    while clock.now() < due:
        await clock.sleep(LOOK_EVERY)
        if (await found(journal, run_id)).ended is not None:
            return True
    return False


def _said_of(entry: Entry) -> str:
    where = "" if entry.step_id is None else f" at step '{entry.step_id}'"
    doubt = "; a request that was under way may have taken effect" if entry.status == "in-doubt" else ""
    return f"cancelled{where} while nobody drove it{doubt}"


async def forget(journal: Journal, ended_before: float) -> AsyncIterator[str]:
    """Delete the runs that ended before that moment, and whose end leaves nothing to do; give the id of each that is."""
    for entry in await journal.entries():
        if entry.status in ENDED and entry.ended is not None and entry.ended < ended_before:
            with suppress(RunRefused):  # somebody has just deleted it, or looks at it again
                await journal.delete(entry.run_id)
                yield entry.run_id


async def following(journal: Journal, run_id: str, clock: Clock, *, follow: bool) -> AsyncIterator[Record]:
    """Give the records of a run that people are shown, and with `follow` further ones until nobody drives it."""
    last: Record | None = None
    while True:
        driven = (await found(journal, run_id)).status in ("running", "waiting")
        kept = (await journal.read(run_id)).records
        at = next((number for number in range(len(kept) - 1, -1, -1) if kept[number] == last), -1)
        # Where a checkpoint has taken the place of what was read last, it tells what came since.
        after = 0.0 if last is None else last.at if at < 0 else math.inf
        for record in shown_records(kept[at + 1 :], after=after):
            yield record
        last = kept[-1] if kept else last
        if not follow or not driven:
            return
        await clock.sleep(LOOK_EVERY)


def taken_over(kept: Kept, step_id: str | None, run_id: str, now: float) -> Kept:
    """Give a new run that starts as another did; with a step, one that has done what that one did before the step.

    Raises:
        RunRefused: the other run did not come to that step.
    """
    start = structs.replace(kept.start, run_id=run_id, began=now)
    if step_id is None:
        return Kept(start, ())
    records = before(kept.records, step_id, kept.start.program, run_id, now)
    if records is None:
        raise _not_come_to(kept, step_id)
    return Kept(start, records)


def _not_come_to(kept: Kept, step_id: str) -> RunRefused:
    """Say why a new run cannot begin with a step, and with which it can."""
    run_id = kept.start.run_id
    places = [(caller, step) for caller, _, step in history_of(kept.records).steps]
    within = next((caller for caller, step in places if caller and f"{caller}/{step}" == step_id), None)
    from_the_start = "start it from the beginning: leave --from out"
    if within is not None:
        message = f"run '{run_id}' came to step '{step_id}', but what its workflow had done before is no longer kept"
        outer = within.partition("/")[0]
        return RunRefused(message, hint=f"begin with the step that calls it: --from {outer}")
    if ("", step_id) in places:
        message = f"run '{run_id}' came to step '{step_id}', but in a workflow that another one took the place of"
        return RunRefused(message, hint=from_the_start)
    came = sorted({step for caller, step in places if not caller})
    hint = f"it came to: {', '.join(came)}" if came else from_the_start
    return RunRefused(f"run '{run_id}' did not come to a step '{step_id}'", hint=hint)
