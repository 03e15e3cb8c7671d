"""A run as a command shows it: its progress, the signals that stop it, how it ended."""

import asyncio
import gc
import os
import shlex
import signal
import sys
import time
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from treadle.engine.secrets import Secrets
from treadle.errors import JournalFailed, RunRefused
from treadle.surfaces.interrupt import SIGNALS, handed_to
from treadle.surfaces.report import json_text, progress, write_problem
from treadle.surfaces.streams import silence, tell

if TYPE_CHECKING:
    from treadle.api import Outcome
    from treadle.drivers.journals.protocol import Journal
    from treadle.drivers.run import Interruption
    from treadle.engine.journal import Record
    from treadle.files import Binary

EXIT_CODES = {"succeeded": 0, "failed": 1, "limited": 3, "in-doubt": 4, "cancelled": 130, "interrupted": 130}
GRACE = 1.0
"""Seconds that an answer under way gets after a signal, so that no request is left in doubt without need."""
_TLS_BUFFER = 64 * 1024


@contextmanager
def stopping(interruptions: "list[Interruption]", *, kept: bool) -> Iterator[list[signal.Signals]]:
    """Stop runs at the first signal: in a pause at once, else when the present answer is there or the grace is over.

    Gives the signals that came. A second one ends the process at once; `kept` says that the runs can be resumed.
    """
    loop = asyncio.get_running_loop()
    received: list[signal.Signals] = []
    timers: list[asyncio.TimerHandle] = []

    def stop(number: signal.Signals) -> None:
        received.append(number)
        for interruption in interruptions:
            interruption.request(f"interrupted by {number.name}", gently=True)
        timers.append(loop.call_later(GRACE, stop_at_once, f"interrupted by {number.name}"))

    def stop_at_once(reason: str) -> None:
        for interruption in interruptions:
            interruption.request(reason)

    with handed_to(loop, stop, remark="; treadle runs list shows what can be resumed" if kept else ""):
        try:
            yield received
        finally:
            for timer in timers:
                timer.cancel()


@contextmanager
def nothing_sent() -> Iterator[None]:
    """Make a refusal of a journal that cannot be opened or read: nothing was sent.

    Raises:
        RunRefused: it cannot.
    """
    try:
        yield
    except JournalFailed as error:
        raise RunRefused(error.message, hint=error.hint) from error


def settle() -> None:
    """Make the process, which has loaded what it needs, one that may wait for hours on many connections.

    What is loaded stays until the end, so the collector, which rested while it was made, need not look at it again. And
    asyncio gives each TLS connection a buffer of 256 KiB, where a record of TLS has at most 16 (RFC 8446 section 5.1).
    """
    gc.freeze()
    gc.enable()
    SSLProtocol.max_size = _TLS_BUFFER


@contextmanager
def watched(*, verbose: bool, quiet: bool) -> "Iterator[Callable[[Record], None]]":
    """Show a run as it goes; gives what is to be told of each record."""
    settle()
    live = sys.stderr.isatty() and not os.environ.get("CI") and os.environ.get("TERM") != "dumb"
    view = progress(Secrets(), verbose=verbose, quiet=quiet, live=live)  # records come without secrets
    try:
        yield lambda record: tell(view.show, record)
    finally:
        view.close()


def show_outcome(
    outcome: "Outcome",
    state: str | None,
    report_path: Path | None,
    *,
    as_json: bool,
    keep: "Callable[[Binary], str | None] | None" = None,
) -> None:
    """Write how a run ended: its outputs or its report to stdout, what went wrong to stderr.

    `keep` puts outputs that are binary data into files and says where.
    """
    report = placed(outcome.report(keep), state)
    if report_path is not None:
        from treadle.surfaces.reportfile import write_report  # noqa: PLC0415

        write_report(report_path, report)
    print_value(report if as_json else report["outputs"])
    if outcome.error is not None:
        tell(write_problem, outcome.error.message, at_this_place(outcome.error.hint, state), sys.stderr)


def print_value(value: Any) -> None:
    """Write a JSON value to stdout."""
    try:
        print(json_text(value, sys.stdout))
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read it has gone; how the run ended stays as it is
        silence(sys.stdout)


@overload
def at_this_place(hint: str, state: str | None) -> str: ...
@overload
def at_this_place(hint: str | None, state: str | None) -> str | None: ...
def at_this_place(hint: str | None, state: str | None) -> str | None:
    """Complete a command in a hint where the journal is not where that command would look for it."""
    if hint is None or state is None or os.environ.get("TREADLE_STATE") == state:
        return hint
    return hint.replace("treadle runs resume ", f"treadle runs resume --state {shlex.quote(state)} ")


def placed(report: dict[str, Any], state: str | None) -> dict[str, Any]:
    """Complete the command in the hint of a report, see `at_this_place`."""
    error = report["error"]
    return report if error is None else {**report, "error": {**error, "hint": at_this_place(error["hint"], state)}}


async def forget_old(journal: "Journal", keep: float) -> None:
    """Forget runs that ended longer ago than `keep` seconds; that it fails changes nothing of how this one ended."""
    from treadle.drivers.runs import forget  # noqa: PLC0415 - few runs do

    try:
        async for _ in forget(journal, time.time() - keep):
            pass
    except JournalFailed as error:
        tell(write_problem, error.message, error.hint, sys.stderr)


def exit_code(outcome: "Outcome", received: list[signal.Signals]) -> int:
    """Give the exit code of a run that ended so, after those signals."""
    stopped = outcome.error is not None and outcome.error.kind == "interrupted"
    return SIGNALS[received[0]] if received and stopped else EXIT_CODES[outcome.status]
