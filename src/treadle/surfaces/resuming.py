"""Runs that go on: one is shown like a new run, of several each has a line as it ends."""

import asyncio
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct, structs

from treadle.api import Runner
from treadle.drivers import runs
from treadle.drivers.run import Interruption
from treadle.drivers.settings import Options
from treadle.drivers.transport import preload
from treadle.errors import JournalFailed, RunRefused, TreadleError
from treadle.surfaces.guard import EXIT_FAILED, EXIT_INVALID
from treadle.surfaces.inputs import given_inputs
from treadle.surfaces.report import counted, write_error
from treadle.surfaces.reportfile import report_file, write_report
from treadle.surfaces.runlist import opened
from treadle.surfaces.running import (
    at_this_place,
    exit_code,
    forget_old,
    print_value,
    show_outcome,
    stopping,
    watched,
)
from treadle.surfaces.streams import colour, say, tell

if TYPE_CHECKING:
    from treadle.api import Outcome
    from treadle.drivers.journals.protocol import Entry, Journal, Kept

_FROM_BEST_TO_WORST = (0, 3, 1, 4, 2, 130, 143)


class Wish(Struct, frozen=True):
    """What somebody wants of runs; fields as the options of the commands."""

    runs: tuple[str, ...]
    secrets: dict[str, Any]
    state: str | None
    report: Path | None
    proxy: str | None
    keep: float | None
    as_json: bool
    quiet: bool
    verbose: bool
    in_doubt: str | dict[str, Any] | None = None
    step: str | None = None


def wished(
    run: str | tuple[str, ...],
    given: tuple[str, ...],
    in_doubt: str | None = None,
    **options: Any,
) -> Wish:
    """Read the options of a command.

    Raises:
        RunRefused: one makes no sense.
    """
    named = (run,) if isinstance(run, str) else run
    options["as_json"] = options.pop("json")
    options["report"] = report_file(options["report"])
    return Wish(named, given_inputs(given, None).values, in_doubt=_choice(in_doubt), **options)


def _choice(text: str | None) -> str | dict[str, Any] | None:
    if text is None or text in ("retry", "fail"):
        return text
    way, _, rest = text.partition("=")
    hint = 'retry, fail, or skip={"output": "value"}'
    if way != "skip":
        raise RunRefused(f"--in-doubt '{text}' is no way to go on", hint=hint)
    try:
        outputs = msgspec.json.decode(rest or "{}", type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise RunRefused(f"--in-doubt skip: what follows '=' is no JSON object: {error}", hint=hint) from error
    return outputs


class _Runners:
    """One Runner for all runs of the same options, over one journal."""

    def __init__(self, journal: "Journal", proxy: str | None, stack: AsyncExitStack) -> None:
        self._journal = journal
        self._proxy = proxy
        self._stack = stack
        self._known: dict[bytes, Runner] = {}
        if proxy is None:
            preload()

    async def of(self, kept: "Kept") -> Runner:
        """Give the Runner for a run."""
        key = msgspec.json.encode(kept.start.options)
        if key not in self._known:
            options = structs.replace(msgspec.convert(kept.start.options, Options), proxy=self._proxy)
            self._known[key] = await self._stack.enter_async_context(Runner(journal=self._journal, options=options))
        return self._known[key]


async def resume(wish: Wish) -> int:
    """Go on with runs."""
    async with opened(wish.state) as journal, AsyncExitStack() as stack:
        if not wish.runs:
            entries = await runs.listed(journal, runs.LEFT)
        else:
            entries = list({e.run_id: e for e in [await runs.found(journal, each) for each in wish.runs]}.values())
        runners = _Runners(journal, wish.proxy, stack)
        if len(wish.runs) == 1:
            return await _one(wish, journal, runners, entries[0])
        if not entries:
            tell(say, "no runs to resume")
        return await _several(wish, journal, runners, entries)


async def retry(wish: Wish) -> int:
    """Make a new run of what a run has done before a step."""
    async with opened(wish.state) as journal, AsyncExitStack() as stack:
        entry = await runs.found(journal, wish.runs[0])
        return await _one(wish, journal, _Runners(journal, wish.proxy, stack), entry, anew=True)


async def _one(wish: Wish, journal: "Journal", runners: _Runners, entry: "Entry", *, anew: bool = False) -> int:
    kept = await journal.read(entry.run_id)
    _refuse_others(wish.secrets, kept.start.secrets)
    runner = await runners.of(kept)
    interruption = Interruption()
    with (
        stopping([interruption], kept=True) as received,
        watched(verbose=wish.verbose, quiet=wish.quiet) as observe,
    ):
        if anew:
            outcome = await runner.retry(
                entry.run_id, wish.step, wish.secrets, observe=observe, interruption=interruption
            )
        else:
            outcome = await runner.resume(
                entry.run_id, wish.secrets, in_doubt=wish.in_doubt, observe=observe, interruption=interruption
            )
    show_outcome(outcome, wish.state, wish.report, as_json=wish.as_json)
    if wish.keep is not None:
        await forget_old(runner, wish.keep)
    return exit_code(outcome, received)


def _refuse_others(given: Mapping[str, Any], secret: Mapping[str, str]) -> None:
    other = next((name for name in given if name not in secret), None)
    if other is not None:
        message = f"input '{other}' cannot be given again: the run keeps the one it began with"
        hint = f"its secret inputs are: {', '.join(secret)}" if secret else "it has no secret inputs"
        raise RunRefused(message, hint=hint)


async def _several(wish: Wish, journal: "Journal", runners: _Runners, entries: "list[Entry]") -> int:
    kept = [await journal.read(entry.run_id) for entry in entries]
    _refuse_others(wish.secrets, {name: origin for each in kept for name, origin in each.start.secrets.items()})
    interruptions = [Interruption() for _ in entries]
    with stopping(interruptions, kept=True) as received:
        lines = [
            _line(wish, journal, await runners.of(each), entry, interruption)
            for each, entry, interruption in zip(kept, entries, interruptions, strict=True)
        ]
        ended = await asyncio.gather(*lines)
    reports = [found.report() for found in ended if not isinstance(found, int)]
    if wish.report is not None:
        write_report(wish.report, reports)
    print_value(reports if wish.as_json else {report["runId"]: report["outputs"] for report in reports})
    if wish.keep is not None and kept:
        await forget_old(await runners.of(kept[0]), wish.keep)
    codes = [found if isinstance(found, int) else exit_code(found, received) for found in ended]
    if not wish.quiet and entries:
        tell(say, f"{counted(len(reports), 'run')} resumed")
    return max(codes, key=_FROM_BEST_TO_WORST.index, default=0)


async def _line(
    wish: Wish, journal: "Journal", runner: Runner, entry: "Entry", interruption: Interruption
) -> "Outcome | int":
    """Go on with one of several runs; gives its exit code where it could not."""
    try:
        outcome = await runner.resume(entry.run_id, wish.secrets, in_doubt=wish.in_doubt, interruption=interruption)
    except RunRefused as error:
        if not wish.runs and (await runs.found(journal, entry.run_id)).status not in runs.LEFT:
            return 0  # somebody else was faster
        return _said(entry, error, EXIT_INVALID)
    except JournalFailed as error:
        return _said(entry, error, EXIT_FAILED)
    except TreadleError as error:
        return _said(entry, error, EXIT_INVALID)
    if outcome.error is not None:
        hint = at_this_place(outcome.error.hint, wish.state)
        tell(say, f"run {entry.run_id}: {outcome.status}: {outcome.error.message}{f' ({hint})' if hint else ''}")
    elif not wish.quiet:
        tell(say, f"run {entry.run_id}: {outcome.status}")
    return outcome


def _said(entry: "Entry", error: TreadleError, code: int) -> int:
    tell(say, f"run {entry.run_id}:")
    tell(lambda: write_error(error, sys.stderr, colour=colour()))
    return code
