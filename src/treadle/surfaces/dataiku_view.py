"""What people see of scenarios on their way: a table on a terminal, lines elsewhere, and how each ended."""

import sys
import time
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Protocol, cast

from treadle.diagnostics import printable
from treadle.engine.journal import Record, StepBegan, StepEnded, Waiting
from treadle.surfaces.report import describe, what_begins
from treadle.surfaces.streams import Lenient, say, tell
from treadle.vendors.dataiku.course import Course
from treadle.vendors.dataiku.scenario import Ended

if TYPE_CHECKING:
    from rich.table import Table

_STYLES = {
    "SUCCESS": "green", "WARNING": "yellow", "FAILED": "red", "ABORTED": "red", "running": "cyan", "waiting": "dim",
    "refused": "red", "timed-out": "red", "in-doubt": "red", "cancelled": "yellow", "interrupted": "yellow",
}  # fmt: skip


_SECTION = "treadle_progress"
"""The name of the section in the log of a GitLab job."""


class View(Protocol):
    """Shows scenarios as they go."""

    def changed(self, course: Course) -> None:
        """Take in that something about a scenario changed."""

    def record(self, course: Course, record: Record) -> None:
        """Take in what happened in a workflow that is run for it."""

    def close(self) -> None:
        """Leave the screen as it should stay."""


class NoView:
    """Shows nothing."""

    def changed(self, course: Course) -> None:
        """Take it in."""

    def record(self, course: Course, record: Record) -> None:
        """Take it in."""

    def close(self) -> None:
        """Nothing is left open."""


class PlainView:
    """A line for each change; each request and pause with `verbose`; in a section that is folded, as GitLab shows it."""

    def __init__(self, *, verbose: bool, folded: bool = False) -> None:
        self._verbose = verbose
        self._folded = folded
        self._said: dict[str, str] = {}
        if folded:
            tell(
                say,
                f"\x1b[0Ksection_start:{time.time():.0f}:{_SECTION}[collapsed=true]\r\x1b[0KDSS scenarios: progress",
            )

    def changed(self, course: Course) -> None:
        """Write a line where there is news."""
        line = self._line(course)
        if line and self._said.get(course.target.name) != line:
            self._said[course.target.name] = line
            tell(say, printable(f"{course.target.name}: {line}"))

    def record(self, course: Course, record: Record) -> None:
        """Write a line for each request and pause, where that was asked for."""
        if not self._verbose:
            return
        if isinstance(record, StepBegan):
            tell(say, printable(f"{course.target.name}: {record.step_id}: {what_begins(record)}"))
        elif isinstance(record, StepEnded):
            tell(say, printable(f"{course.target.name}: {describe(record, record.visit)}"))
        elif isinstance(record, Waiting):
            tell(say, printable(f"{course.target.name}: waiting {record.seconds:.1f} s ({record.reason})"))

    def _line(self, course: Course) -> str:
        progress = course.progress
        if progress.trouble:
            return f"{progress.trouble}; looking again"
        if progress.state == "running" and progress.step:
            return f"running: {progress.step}"
        if progress.state == "running":
            said = self._said.get(course.target.name, "").startswith("run")
            return "" if said or progress.target.run is None else f"run {progress.target.run}"
        return "triggered" if progress.state == "triggered" else "" if course.ended is not None else progress.state

    def close(self) -> None:
        """End the section."""
        if self._folded:
            tell(say, f"\x1b[0Ksection_end:{time.time():.0f}:{_SECTION}\r\x1b[0K")


class LiveView:
    """A table of all scenarios, redrawn as they move."""

    def __init__(self, courses: Sequence[Course]) -> None:
        from rich.console import Console  # noqa: PLC0415 - a terminal is worth the time, a pipe is not
        from rich.live import Live  # noqa: PLC0415

        self._courses = courses
        self._live = Live(
            console=Console(file=cast("IO[str]", Lenient(sys.stderr)), highlight=False),
            get_renderable=self._table,
            refresh_per_second=4,
        )
        self._live.start()

    def changed(self, course: Course) -> None:
        """The screen follows by itself."""

    def record(self, course: Course, record: Record) -> None:
        """The screen follows by itself."""

    def _table(self) -> "Table":
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415 - a plain str would be read for markup

        table = Table(box=None, show_header=True, header_style="dim")
        for heading in ("scenario", "state", "elapsed", "step"):
            table.add_column(heading)
        for course in self._courses:
            progress = course.progress
            state = Text(progress.state, style=_STYLES.get(progress.state, "blue"))
            table.add_row(Text(course.target.name), state, elapsed(course), Text(progress.trouble or progress.step))
        return table

    def close(self) -> None:
        """Draw the last state and give the screen back."""
        self._live.stop()


def elapsed(course: Course) -> str:
    """Say how long a scenario has taken, against the average of its last runs."""
    if course.began is None:
        return ""
    if course.ended is not None and course.ended.duration is not None:
        passed = course.ended.duration
    else:
        passed = time.monotonic() - course.began
    return f"{passed:.0f} s" + (f" of about {course.progress.average:.0f} s" if course.progress.average else "")


def ended_lines(ended: Ended) -> list[str]:
    """Say how a scenario ended, and where to look."""
    name = f"{ended.project}.{ended.scenario}"
    parts = [ended.outcome or ended.status]
    if ended.duration is not None:
        parts.append(f"after {ended.duration:.1f} s")
    if ended.run_id is not None:
        parts.append(f"run {ended.run_id}")
    lines = [f"{name}: {', '.join(parts)}"]
    if ended.message and ended.status != "refused":
        lines.append(f"  {ended.message}")
    if ended.error is not None:
        lines += _error_lines(ended)
    elif ended.jobs and ended.exit_code:
        lines.append(f"  jobs: {', '.join(ended.jobs)}")
    if ended.resume:
        lines.append(f"  to go on waiting: {ended.resume}")
    if ended.hint and ended.status != "refused":
        lines.append(f"  hint: {ended.hint}")
    if ended.url and ended.status not in ("refused", "skipped"):
        lines.append(f"  {ended.url}")
    return [printable(line) for line in lines]


def _error_lines(ended: Ended) -> list[str]:
    error = ended.error or {}
    lines = [f"  step '{error['step']}': {error['message'] or 'failed without an error'}"]
    if ended.jobs:
        lines.append(f"  jobs: {', '.join(ended.jobs)}")
    if ended.log:
        lines += ["  the end of its log:", *(f"    {line}" for line in ended.log)]
    return lines
