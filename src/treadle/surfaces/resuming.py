"""Runs that go on: one is shown like a new run, of several each has a line as it ends."""

import asyncio
import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec
from msgspec import Struct, structs

from treadle.drivers import runs
from treadle.drivers.kept import options_again
from treadle.drivers.origins import PROMPT, typed_in
from treadle.drivers.run import Interruption
from treadle.drivers.transport import preload
from treadle.errors import JournalFailed, RunRefused, TreadleError
from treadle.runner import INSECURE, Runner
from treadle.surfaces.guard import EXIT_FAILED, EXIT_INVALID
from treadle.surfaces.inputs import given_inputs
from treadle.surfaces.options import again_options
from treadle.surfaces.report import counted, text_of_file, write_diagnostics, write_error
from treadle.surfaces.reportfile import report_file, write_report
from treadle.surfaces.runlist import opened
from treadle.surfaces.running import (
    at_this_place,
    exit_code,
    forget_old,
    placed,
    print_value,
    show_outcome,
    stopping,
    watched,
)
from treadle.surfaces.streams import colour, say, tell

if TYPE_CHECKING:
    from treadle.api import Outcome
    from treadle.drivers.journals.protocol import Entry, Journal, Kept

_AGAIN = tuple(name.replace("-", "_") for name, _ in again_options())
_ENVIRONMENT = click.core.ParameterSource.ENVIRONMENT
_FROM_BEST_TO_WORST = (0, 3, 1, 4, 2, 130, 143)


class Wish(Struct, frozen=True):
    """What somebody wants of runs; fields as the options of the commands.

    Attributes:
        secrets: inputs that are given again, by name.
        origins: where those came from whose value stands elsewhere.
        given: options that are given again.
        for_others: there may be inputs that are of no use here, for the environment has them for other commands too.
    """

    runs: tuple[str, ...]
    secrets: dict[str, Any]
    origins: dict[str, str]
    given: dict[str, Any]
    state: str | None
    report: Path | None
    keep: float | None
    as_json: bool
    quiet: bool
    verbose: bool
    in_doubt: str | dict[str, Any] | None = None
    step: str | None = None
    for_others: bool = False


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
    from_environment = click.get_current_context().get_parameter_source("given") is _ENVIRONMENT
    inputs = given_inputs(given, None, lines_of="TREADLE_INPUT" if from_environment else None)
    again = _given_again({name: options.pop(name) for name in _AGAIN})
    wish = Wish(named, inputs.values, inputs.origins, again, in_doubt=_choice(in_doubt), **options)
    return structs.replace(wish, for_others=from_environment)


def _given_again(options: dict[str, Any]) -> dict[str, Any]:
    """Give the options that are given now, on the command line, in the environment or by a profile that is named."""
    context = click.get_current_context()
    given = {
        name: value
        for name, value in options.items()
        if value is not None and context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT
    }
    credentials = given.pop("credential", ())
    if credentials:
        from treadle.drivers.credentials import parsed  # noqa: PLC0415 - few are given again

        given["credentials"] = parsed(credentials)
    password = os.environ.get("TREADLE_CLIENT_KEY_PASSWORD")
    return given if password is None else {**given, "client_key_password": password}


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

    def __init__(self, journal: "Journal", wish: Wish, stack: AsyncExitStack) -> None:
        self._journal = journal
        self._given = wish.given
        self._quiet = wish.quiet
        self._stack = stack
        self._known: dict[bytes, Runner] = {}

    def preload(self, kept: "Iterable[Kept]") -> None:
        """Load what all runs need, where none goes through a proxy."""
        if "proxy" not in self._given and not any("proxy" in each.start.options for each in kept):
            preload()

    async def of(self, kept: "Kept") -> Runner:
        """Give the Runner for a run; raises RunRefused like `options_again`."""
        key = msgspec.json.encode(kept.start.options)
        if key not in self._known:
            options = options_again(kept.start.options, self._given)
            if options.insecure and not self._quiet:
                tell(lambda: write_diagnostics([INSECURE], sys.stderr, text_of_file, colour=colour()))
            self._known[key] = await self._stack.enter_async_context(
                Runner(journal=self._journal, prompt=lambda line: tell(say, line), options=options)
            )
        return self._known[key]


async def resume(wish: Wish) -> int:
    """Go on with runs."""
    async with opened(wish.state) as journal, AsyncExitStack() as stack:
        if not wish.runs:
            entries = await runs.listed(journal, runs.LEFT)
        else:
            entries = list({e.run_id: e for e in [await runs.found(journal, each) for each in wish.runs]}.values())
        runners = _Runners(journal, wish, stack)
        if len(wish.runs) == 1:
            return await _one(wish, journal, runners, entries[0])
        if not entries:
            tell(say, "no runs to resume")
        return await _several(wish, journal, runners, entries)


async def retry(wish: Wish) -> int:
    """Make a new run of what a run has done before a step."""
    async with opened(wish.state) as journal, AsyncExitStack() as stack:
        entry = await runs.found(journal, wish.runs[0])
        if entry.status == "in-doubt" and not wish.quiet:
            message = f"run {entry.run_id} is in doubt at step '{entry.step_id}': its request may have taken effect"
            tell(say, f"warning[in-doubt]: {message}, and the new run sends it again where it comes to that step")
        return await _one(wish, journal, _Runners(journal, wish, stack), entry, anew=True)


async def _one(wish: Wish, journal: "Journal", runners: _Runners, entry: "Entry", *, anew: bool = False) -> int:
    kept = await journal.read(entry.run_id)
    _refuse_others(wish, kept.start.secrets)
    secrets = _completed(wish, kept)
    origins = dict.fromkeys(secrets.keys() - wish.secrets.keys(), PROMPT) | wish.origins
    runners.preload([kept])
    runner = await runners.of(kept)
    interruption = Interruption()
    with (
        stopping([interruption], kept=True) as received,
        watched(verbose=wish.verbose, quiet=wish.quiet) as observe,
    ):
        if anew:
            outcome = await runner.retry(
                entry.run_id, wish.step, secrets, origins=origins, observe=observe, interruption=interruption
            )
        else:
            outcome = await runner.resume(
                entry.run_id, secrets, in_doubt=wish.in_doubt, observe=observe, interruption=interruption
            )
    show_outcome(outcome, wish.state, wish.report, as_json=wish.as_json)
    if wish.keep is not None:
        await forget_old(journal, wish.keep)
    return exit_code(outcome, received)


def _completed(wish: Wish, kept: "Kept") -> dict[str, Any]:
    """Ask whoever sits at a terminal for the secret inputs of a run that nobody else has."""
    missing = [name for name in typed_in(kept.start.secrets) if name not in wish.secrets]
    if not missing or sys.stdin is None or not sys.stdin.isatty():
        return wish.secrets
    from treadle.surfaces.asking import asked  # noqa: PLC0415 - only with somebody to ask

    return wish.secrets | {name: asked(name, f"run {kept.start.run_id}") for name in missing}


def _refuse_others(wish: Wish, secret: Mapping[str, str]) -> None:
    other = next((name for name in wish.secrets if name not in secret), None)
    if other is not None and not wish.for_others:
        message = f"input '{other}' cannot be given again: the run keeps the one it began with"
        hint = f"its secret inputs are: {', '.join(secret)}" if secret else "it has no secret inputs"
        raise RunRefused(message, hint=hint)


async def _several(wish: Wish, journal: "Journal", runners: _Runners, entries: "list[Entry]") -> int:
    read = [(entry, await _read(journal, entry)) for entry in entries]
    kept = [(entry, found) for entry, found in read if not isinstance(found, int)]
    codes = [found for _, found in read if isinstance(found, int)]
    _refuse_others(wish, {name: origin for _, each in kept for name, origin in each.start.secrets.items()})
    secrets = [_completed(wish, each) for _, each in kept]
    runners.preload([each for _, each in kept])
    interruptions = [Interruption() for _ in kept]
    with stopping(interruptions, kept=True) as received:
        lines = [
            _line(wish, journal, runners, (each, given), entry, interruption)
            for (entry, each), given, interruption in zip(kept, secrets, interruptions, strict=True)
        ]
        ended = await asyncio.gather(*lines)
    reports = [placed(found.report(), wish.state) for found in ended if not isinstance(found, int)]
    if wish.report is not None:
        write_report(wish.report, reports)
    print_value(reports if wish.as_json else {report["runId"]: report["outputs"] for report in reports})
    if wish.keep is not None and kept:
        await forget_old(journal, wish.keep)
    codes += [found if isinstance(found, int) else exit_code(found, received) for found in ended]
    if not wish.quiet and entries:
        doubtful = sum(report["status"] == "in-doubt" for report in reports)
        left = f", {doubtful} still in doubt" if doubtful else ""
        tell(say, f"{counted(len(reports) - doubtful, 'run')} resumed{left}")
    return max(codes, key=_FROM_BEST_TO_WORST.index, default=0)


async def _read(journal: "Journal", entry: "Entry") -> "Kept | int":
    """Read one of several runs; gives an exit code where it cannot be read, which is no reason to leave the others."""
    try:
        return await journal.read(entry.run_id)
    except (JournalFailed, RunRefused) as error:
        return _said(entry, error, EXIT_FAILED)


async def _line(
    wish: Wish,
    journal: "Journal",
    runners: _Runners,
    of: "tuple[Kept, dict[str, Any]]",
    entry: "Entry",
    interruption: Interruption,
) -> "Outcome | int":
    """Go on with one of several runs, with its secrets; gives its exit code where it could not."""
    kept, secrets = of
    try:
        runner = await runners.of(kept)
        outcome = await runner.resume(entry.run_id, secrets, in_doubt=wish.in_doubt, interruption=interruption)
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
