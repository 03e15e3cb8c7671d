"""Durable runs as people and scripts read them: lists, one run, its log; and the ends of runs."""

import sys
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from treadle.diagnostics import printable
from treadle.drivers import runs
from treadle.drivers.journals.place import state_file
from treadle.drivers.journals.protocol import GIVEN
from treadle.drivers.kept import told as credentials_from
from treadle.drivers.run import SystemClock
from treadle.drivers.timeline import event, shown_records
from treadle.engine.secrets import Secrets
from treadle.errors import RunRefused, TreadleError
from treadle.expressions.words import shortened
from treadle.surfaces.report import PlainProgress, counted, json_line
from treadle.surfaces.running import at_this_place, nothing_sent, print_value
from treadle.surfaces.streams import say, tell

if TYPE_CHECKING:
    from treadle.drivers.journals.protocol import Entry, Journal

_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))
_HEADINGS = ("RUN", "STATUS", "AGE", "WORKFLOW", "STEP", "INPUTS")
_WIDTH = 60
"""How many characters of its inputs are shown of a run in a list."""


@asynccontextmanager
async def opened(state: str | None) -> AsyncIterator["Journal"]:
    """Open the journal; one that is not there is as good as an empty one, and is not made."""
    from treadle.drivers.journals.memory import MemoryJournal  # noqa: PLC0415
    from treadle.drivers.journals.sqlite import SqliteJournal  # noqa: PLC0415

    path = state_file(state)
    is_there = path.exists()
    with nothing_sent():
        journal = SqliteJournal(path) if is_there else MemoryJournal()
    try:
        yield journal
    except RunRefused as error:
        error.hint = error.hint if is_there else f"there is no journal {path}; --state PATH names one"
        raise
    finally:
        await journal.close()


async def show_list(
    state: str | None, status: tuple[str, ...], workflow: str | None, limit: int | None, *, json: bool
) -> int:
    """List runs."""
    async with opened(state) as journal:
        entries = (await runs.listed(journal, status, workflow))[:limit]
        inputs = await journal.inputs([entry.run_id for entry in entries])
    if json:
        print_value([{**runs.as_json(entry), "inputs": inputs.get(entry.run_id, {})} for entry in entries])
        return 0
    now = time.time()
    rows = [_HEADINGS, *((*_row(entry, now), _about(inputs.get(entry.run_id, {}))) for entry in entries)]
    if entries:
        _print_table(rows)
    else:
        tell(say, "no runs" if state is None or state_file(state).exists() else f"no runs: there is no journal {state}")
    return 0


def _row(entry: "Entry", now: float) -> tuple[str, ...]:
    step = entry.step_id or ""
    if entry.status == "waiting" and entry.until is not None:
        step += f" (for {age(max(0.0, entry.until - now))})"
    return entry.run_id, entry.status, age(now - entry.began), entry.workflow_id, step


def _about(inputs: dict[str, Any]) -> str:
    """Tell runs of one workflow from each other: by the inputs that are short."""
    told = {name: value for name, value in inputs.items() if isinstance(value, str | int | float)}
    words = [f"{name}={value if isinstance(value, str) else json_line(value)}" for name, value in told.items()]
    return shortened(" ".join(words), _WIDTH)


def _print_table(rows: Iterable[tuple[str, ...]]) -> None:
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    sys.stdout.flush()


def age(seconds: float) -> str:
    """Write a length of time in its largest unit: `12m`, `3d`."""
    size, unit = next((entry for entry in _UNITS if seconds >= entry[0]), _UNITS[-1])
    return f"{max(0, int(seconds // size))}{unit}"


async def show_run(run: str, state: str | None, *, json: bool) -> int:
    """Show one run."""
    async with opened(state) as journal:
        entry = await runs.found(journal, run)
        kept = await journal.read(entry.run_id)
    told = runs.shown(entry, kept)
    if json:
        print_value(told)
        return 0
    for line in _lines(told, state):
        print(printable(line))
    _print_records(kept.records)
    sys.stdout.flush()
    return 0


def _lines(told: dict[str, Any], state: str | None) -> Iterable[str]:
    go_on = at_this_place(f"to go on: treadle runs resume {told['runId']}", state)
    yield f"run {told['runId']}: {told['status']}"
    yield f"workflow {told['workflowId']}, started {told['startedAt']}"
    for name, value in told["inputs"].items():
        yield f"input {name}: {json_line(value)}"
    for name, origin in told["secretInputs"].items():
        yield f"input {name}: secret, from {origin}"
    for name, origin in credentials_from(told["options"].get("credentials", {})).items():
        yield f"credential {name}: {'to be given again' if origin == GIVEN else f'from {origin}'}"
    for wait in told["waits"]:
        yield f"waits at step '{wait['stepId']}' until {wait['until']} ({wait['reason']})"
    for doubt in told["inDoubt"]:
        request = doubt["request"] or {"method": "a request", "url": "of that step"}
        yield f"in doubt: step '{doubt['stepId']}', {request['method']} {request['url']}, since {doubt['since']}"
        way = "--in-doubt retry|skip=JSON|fail" if not doubt["rule"] else "(a rule of the document finds out)"
        yield f"  {go_on} {way}"
    if told["status"] == "interrupted":
        yield go_on
    if told["outputs"]:
        yield f"outputs: {json_line(told['outputs'])}"
    if told["error"]:
        yield f"error: {told['error']['message']}"
    yield ""


def _print_records(records: Any) -> None:
    view = PlainProgress(sys.stdout, Secrets(), verbose=True)
    for record in shown_records(records):
        view.show(record)


async def show_logs(run: str, state: str | None, *, follow: bool, json: bool) -> int:
    """Show what happened in a run, and what happens."""
    view = PlainProgress(sys.stdout, Secrets(), verbose=True)
    async with opened(state) as journal:
        entry = await runs.found(journal, run)
        async for record in runs.following(journal, entry.run_id, SystemClock(), follow=follow):
            if json:
                print(json_line(event(record)), flush=True)
            else:
                view.show(record)
    return 0


async def cancel_runs(run: tuple[str, ...], state: str | None) -> int:
    """Cancel runs."""
    async with opened(state) as journal:
        for entry in await _named(journal, run):
            done = await runs.cancel(journal, entry.run_id, SystemClock())
            said = "cancelled" if done else "will be cancelled when its request under way has its answer"
            if entry.status == "in-doubt":
                said += f"; whether the request of step '{entry.step_id}' took effect is not known"
            tell(say, f"run {entry.run_id}: {said}")
    return 0


async def delete_runs(run: tuple[str, ...], keep: float | None, state: str | None) -> int:
    """Delete runs, and old ones."""
    if not run and keep is None:
        raise RunRefused("nothing was named to be deleted", hint="name runs, or say how long they are kept: --keep 30d")
    async with opened(state) as journal:
        deleted = 0
        try:
            for entry in await _named(journal, run):
                await journal.delete(entry.run_id)
                deleted += 1
            if keep is not None:
                async for _ in runs.forget(journal, time.time() - keep):
                    deleted += 1
        except TreadleError:
            if deleted:
                tell(say, f"{counted(deleted, 'run')} deleted")
            raise
    tell(say, f"{counted(deleted, 'run')} deleted")
    return 0


async def _named(journal: "Journal", beginnings: tuple[str, ...]) -> "list[Entry]":
    """Give the runs that are named, each once."""
    return list({entry.run_id: entry for entry in [await runs.found(journal, each) for each in beginnings]}.values())
