"""What people read: diagnostics as code frames, records as progress lines, errors as one message and a hint."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol, TextIO, cast

from treadle.diagnostics import Diagnostic, Severity, code_frame, printable
from treadle.engine import journal
from treadle.engine.journal import Record
from treadle.engine.secrets import Secrets
from treadle.errors import DocumentInvalid, InputsInvalid, TreadleError
from treadle.surfaces.streams import Lenient

if TYPE_CHECKING:
    from rich.table import Table

QUIET_SECONDS = 10.0
"""How long a poll loop may go on without news before a plain progress says so again."""
_STYLES = {"succeeded": "green", "failed": "red", "stopped": "yellow", "running": "cyan", "waiting": "blue"}
_ENDED = ("succeeded", "failed", "stopped")
_WAITS_FOR = {
    "rate": "its turn (--rate)",
    "limits": "its server, which asked for a pause",
    "connections": "a free connection",
}
_COLOURS = {Severity.ERROR: "\033[1;31m", Severity.WARNING: "\033[1;33m"}


class Progress(Protocol):
    """Shows a run as it goes."""

    def show(self, record: Record) -> None:
        """Take in one more record."""

    def close(self) -> None:
        """Leave the screen as it should stay."""


class NoProgress:
    """Shows nothing."""

    def show(self, record: Record) -> None:
        """Take in one more record."""

    def close(self) -> None:
        """Nothing is left open."""


class PlainProgress:
    """Progress in plain lines: each step as it ends, a loop now and then, everything with `verbose`."""

    def __init__(self, stream: TextIO, secrets: Secrets, *, verbose: bool = False) -> None:
        self._stream = stream
        self._secrets = secrets
        self._verbose = verbose
        self._began = 0.0
        self._said: dict[str, tuple[float, str, int]] = {}

    def show(self, record: Record) -> None:
        """Write a line where the record is worth one."""
        lines = self._lines(record)
        if lines:
            print("\n".join(printable(self._secrets.text(line)) for line in lines), file=self._stream, flush=True)

    def _lines(self, record: Record) -> list[str]:
        self._began = self._began or record.at  # a resumed run begins here as far as it is shown
        match record:
            case journal.RunBegan(_, workflow_id):
                return [f"{workflow_id}: started"]
            case journal.StepBegan() if self._verbose:
                return [f"{self._clock(record.at)} {place(record)}: {what_begins(record)}"]
            case journal.StepEnded():
                return self._step(record)
            case journal.Waiting() if self._verbose or record.reason != "poll":
                return [f"{self._clock(record.at)} {place(record)}: waiting {record.seconds:.1f} s ({record.reason})"]
            case journal.Transferred():
                return [f"{self._clock(record.at)} {place(record)}: -> {record.action}: workflow {record.to}"]
            case journal.Repeated() | journal.Queued() if self._verbose or isinstance(record, journal.Repeated):
                return [f"{self._clock(record.at)} {record.step_id}: {by_the_driver(record)}"]
            case journal.Resolved() | journal.Looked():
                return [f"{self._clock(record.at)} {about_doubt(record)}"]
            case journal.Warned():
                return [f"warning[{record.rule}]: {record.message}"]
            case journal.RunEnded(at, status):
                return [f"{self._clock(at)} {status}"]
        return []

    def _step(self, record: journal.StepEnded) -> list[str]:
        action = record.action.name if record.action is not None else ""
        at, said, shown = self._said.get(place(record), (0.0, None, 0))
        news = said != action or record.status != "succeeded" or record.at - at >= QUIET_SECONDS
        if not news and not self._verbose:
            return []
        self._said[place(record)] = (record.at, action, record.visit)
        return [f"{self._clock(record.at)} {describe(record, shown + 1)}", *self._criteria(record)]

    def _criteria(self, record: journal.StepEnded) -> list[str]:
        if not self._verbose:
            return []
        return [f"         {'ok' if c.passed else 'no'}  {c.condition}  {c.why}".rstrip() for c in record.criteria]

    def _clock(self, at: float) -> str:
        return f"{at - self._began:7.1f} s"

    def close(self) -> None:
        """Nothing is left open."""


def place(record: journal.StepBegan | journal.StepEnded | journal.Waiting | journal.Transferred) -> str:
    """Name a step as people find it: with the steps through which its workflow was called."""
    return f"{record.caller}/{record.step_id}" if record.caller else record.step_id


def what_begins(record: journal.StepBegan) -> str:
    """Say what a step does: its request, or the workflow that it calls."""
    return f"{record.method} {record.url}" if record.calls is None else f"workflow {record.calls}"


def describe(record: journal.StepEnded, since: int) -> str:
    """Say in one line how an attempt at a step ended; the line stands for the visits from `since` on."""
    parts = [f"{place(record)}:"]
    if record.visit > 1:
        parts.append(f"polls {since}-{record.visit}:" if since < record.visit else f"poll {record.visit}:")
    if record.attempt > 1:
        parts.append(f"attempt {record.attempt}:")
    parts.append(f"{record.status}" if record.response is None else f"{record.status} ({record.response})")
    if record.action is not None:
        parts.append(f"-> {record.action.name}")
    return " ".join(parts)


def about_doubt(record: journal.Resolved | journal.Looked) -> str:
    """Say what is done about a request in doubt, or what was found out about it."""
    if isinstance(record, journal.Resolved):
        return f"{record.effect_id}: in doubt: {record.how}"
    step = f"{record.caller}/{record.step_id}" if record.caller else record.step_id
    return f"{step}: in doubt: {'the request took effect' if record.took_effect else 'no trace of the request'}"


def by_the_driver(record: journal.Repeated | journal.Queued) -> str:
    """Say that the driver sends a request again, why and when, or lets it wait, and for what."""
    if isinstance(record, journal.Repeated):
        return f"{record.why}; repeat {record.attempt} in {record.seconds:.1f} s"
    long = "" if record.seconds is None else f" {record.seconds:.1f} s"
    return f"waiting{long} for {_WAITS_FOR[record.why]}"


class LiveProgress:
    """Progress on a terminal: one line a step, with its state, polls and time, redrawn as it moves."""

    def __init__(self, stream: TextIO, secrets: Secrets) -> None:
        from rich.console import Console  # noqa: PLC0415 - a terminal is worth the time, a pipe is not
        from rich.live import Live  # noqa: PLC0415

        self._secrets = secrets
        self._began = 0.0
        self._now = 0.0
        self._title = ""
        self._states: dict[str, tuple[str, str, int]] = {}
        self._since: dict[str, float] = {}
        self._live = Live(
            console=Console(file=cast("IO[str]", Lenient(stream)), highlight=False),
            get_renderable=self._table,
            refresh_per_second=8,
        )
        self._live.start()

    def show(self, record: Record) -> None:
        """Take in one more record; the screen follows by itself."""
        self._now = record.at
        self._began = self._began or record.at
        match record:
            case journal.RunBegan(_, workflow_id):
                self._title = self._safe(workflow_id)
            case journal.StepBegan():
                self._since.setdefault(place(record), record.at)
                self._set(place(record), "running", record.method or f"workflow {record.calls}", record.visit)
            case journal.Repeated() | journal.Queued():
                polls = self._states.get(record.step_id, ("", "", 0))[2]
                self._set(record.step_id, "waiting", by_the_driver(record), polls)
            case journal.Waiting():
                polls = self._states.get(place(record), ("", "", 0))[2]
                self._set(place(record), "waiting", f"{record.seconds:.1f} s ({record.reason})", polls)
            case journal.StepEnded():
                answer = "" if record.response is None else str(record.response)
                self._set(place(record), record.status, answer, record.visit)
            case journal.Resolved() | journal.Looked():
                self._live.console.print(self._safe(about_doubt(record)), style="yellow", markup=False, emoji=False)
            case journal.Warned():
                text = self._safe(f"warning[{record.rule}]: {record.message}")
                self._live.console.print(text, style="yellow", markup=False, emoji=False)
            case journal.RunEnded(at, status):
                self._title += f": {status} after {at - self._began:.1f} s"
                self._stop()

    def _stop(self) -> None:
        """Show what was under way when the run ended as stopped."""
        for step_id, (state, _, polls) in self._states.items():
            if state not in _ENDED:
                self._states[step_id] = ("stopped", "", polls)

    def _set(self, step_id: str, state: str, detail: str, polls: int) -> None:
        self._states[step_id] = (state, self._safe(detail), polls)

    def _safe(self, text: str) -> str:
        return printable(self._secrets.text(text))

    def _table(self) -> "Table":
        import time  # noqa: PLC0415

        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415 - a plain str would be read for markup, and names may hold brackets

        title = Text(self._title) if self._title else None
        table = Table(box=None, show_header=True, header_style="dim", title=title, title_justify="left")
        for heading in ("step", "state", "polls", "elapsed", ""):
            table.add_column(heading)
        for step_id, (state, detail, polls) in self._states.items():
            ended = state in _ENDED
            elapsed = (self._now if ended else time.time()) - self._since.get(step_id, self._began)
            shown = f"{elapsed:.1f} s" if not ended or polls > 1 else ""
            count = str(polls) if polls > 1 else ""
            table.add_row(Text(self._safe(step_id)), Text(state, style=_STYLES[state]), count, shown, Text(detail))
        return table

    def close(self) -> None:
        """Draw the last state and give the screen back."""
        self._live.stop()


def write_diagnostics(
    diagnostics: list[Diagnostic], stream: TextIO, text_of: Callable[[str], str | None], *, colour: bool
) -> None:
    """Write each diagnostic with the line it speaks of."""
    for diagnostic in diagnostics:
        text = text_of(diagnostic.span.file) if diagnostic.span else None
        frame = code_frame(diagnostic, text)
        if colour:
            word = diagnostic.severity.value
            frame = frame.replace(word, f"{_COLOURS[diagnostic.severity]}{word}\033[0m", 1)
        print(frame, file=stream)
        print(file=stream)


def write_error(error: TreadleError, stream: TextIO, *, colour: bool) -> None:
    """Write an error as people read it: its diagnostics, or its message and hint."""
    found = error.diagnostics if isinstance(error, DocumentInvalid) else []
    if [(entry.message, entry.span) for entry in found] == [(error.message, None)]:
        write_problem(error.message, found[0].hint, stream)
    elif found:
        write_diagnostics(found, stream, text_of_file, colour=colour)
        count = sum(diagnostic.severity is Severity.ERROR for diagnostic in found)
        print(f"treadle: {printable(error.message)} ({counted(count, 'error')})", file=stream)
    elif isinstance(error, InputsInvalid) and len(error.problems) > 1:
        message = error.message.removesuffix("; ".join(error.problems)).rstrip(": ")
        write_problem(f"{message}: {len(error.problems)} problems", error.hint, stream, more=error.problems)
    else:
        write_problem(error.message, error.hint, stream)


def write_problem(message: str, hint: str | None, stream: TextIO, *, more: Sequence[str] = ()) -> None:
    """Write what is wrong, with `more` in a line each, and what to do about it."""
    print(f"treadle: {printable(message)}", file=stream)
    for line in more:
        print(f"  {printable(line)}", file=stream)
    if hint:
        print(f"  hint: {printable(hint)}", file=stream)


def counted(number: int, word: str) -> str:
    """Say how many of something there are."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def json_text(value: Any, stream: TextIO) -> str:
    """Write a value as JSON for a stream; what its encoding may not have is escaped."""
    unicode = (stream.encoding or "").lower().replace("-", "") == "utf8"
    return json.dumps(value, indent=2, ensure_ascii=not unicode)


def json_line(value: Any) -> str:
    """Write a value as one line of JSON, in ASCII."""
    return json.dumps(value)


def text_of_file(name: str) -> str | None:
    """Give the text of a file that a diagnostic names, or None where it is no readable file."""
    try:
        path = Path(name)
        return path.read_text("utf-8-sig") if path.is_file() and path.stat().st_size < 16_000_000 else None
    except (OSError, UnicodeDecodeError, ValueError):
        return None


def progress(secrets: Secrets, *, verbose: bool, quiet: bool, live: bool) -> Progress:
    """Give the progress that fits the place: none when quiet, live on a terminal, else plain lines."""
    if quiet:
        return NoProgress()
    if live and not verbose:
        return LiveProgress(sys.stderr, secrets)
    return PlainProgress(sys.stderr, secrets, verbose=verbose)
