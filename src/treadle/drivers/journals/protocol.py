"""What a journal of durable runs is: the protocol, what it is given of a run, and what it gives back.

`memory` and `sqlite` keep to it; one behaviour suite shows it of both.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from msgspec import Struct

from treadle.engine.journal import Delivered, Record, Resolved, RunEnded, StepBegan, StepEnded, Waiting, Withdrawn
from treadle.engine.program import Program
from treadle.errors import JournalFailed, RunRefused

GIVEN = "given"
"""Where a secret input came from when nobody but the caller can give it again."""


class Start(Struct, frozen=True, gc=False):
    """What a run starts from; a changed document does not change it any more.

    Attributes:
        run_id: the id of the run.
        program: the compiled workflow.
        inputs: the inputs without those that are secret.
        secrets: where each secret input came from (`env:NAME`, `prompt`, `given` and so on), by its name.
        options: the options of the run that are not as by default, with nothing secret in them.
        began: when it was started (seconds since the epoch).
    """

    run_id: str
    program: Program
    inputs: dict[str, Any]
    secrets: dict[str, str] = {}
    options: dict[str, Any] = {}
    began: float = 0.0


class Kept(Struct, frozen=True):
    """A run as a journal keeps it: what it started from, and its records in their order."""

    start: Start
    records: tuple[Record, ...]


class Entry(Struct, frozen=True):
    """A run in a list; times are seconds since the epoch.

    Attributes:
        status: running, waiting, interrupted, in-doubt, or how it ended: succeeded, failed, limited, cancelled.
        step_id: the step where it stands, with the steps through which its workflow was called, or None.
        until: until when it waits, or None.
        updated: when the last record was written.
        ended: when it ended, or None.
    """

    run_id: str
    workflow_id: str
    status: str
    began: float
    step_id: str | None = None
    until: float | None = None
    updated: float = 0.0
    ended: float | None = None


class Place(Struct, frozen=True, gc=False):
    """Where records leave a run, as far as a list of runs shows it.

    Attributes:
        step_id: as in Entry.
        until: until when it waits, or None.
        announced: a request that is not idempotent may have been sent, and its answer is not there yet.
        status: how the run ended, or None while it is under way.
    """

    step_id: str | None = None
    until: float | None = None
    announced: bool = False
    status: str | None = None

    def state(self, *, driven: bool) -> str:
        """Give the status of a run that is left there, and that somebody drives or not."""
        if self.status is not None:
            return self.status
        if not driven:
            return "in-doubt" if self.announced else "interrupted"
        return "waiting" if self.until is not None else "running"


class Journal(Protocol):
    """Keeps durable runs. Every method may be called from one event loop at a time, by any number of runs at once.

    All methods raise `JournalFailed` where the journal cannot be read or written, with what to do about it.
    """

    async def start(self, start: Start, records: Sequence[Record]) -> None:
        """Take a new run and its first records; the run is driven here from now on."""

    async def append(self, run_id: str, records: Sequence[Record]) -> None:
        """Take the records of one turn, whole or not at all.

        They are safe from a crash of the process when it returns; those that announce a request which is not
        idempotent also from a crash of the machine. A `Checkpoint` takes the place of all that was before it. With a
        `RunEnded` the run is no longer driven. JournalFailed also where somebody else drives it by now.
        """

    async def claim(self, run_id: str) -> Kept:
        """Give a run that nobody drives, to be driven here from now on.

        Raises:
            RunRefused: there is no such run, or somebody drives it.
        """

    async def release(self, run_id: str) -> None:
        """Drive a run no longer; it is interrupted where it has not ended."""

    async def read(self, run_id: str) -> Kept:
        """Give a run, whoever drives it.

        Raises:
            RunRefused: there is no such run.
        """

    async def entries(self) -> list[Entry]:
        """Give all runs, the latest first."""

    async def inputs(self, run_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Give the inputs that runs began with, by their ids, without those that are secret."""

    async def cancel(self, run_id: str) -> None:
        """Ask whoever drives the run to cancel it.

        Raises:
            RunRefused: there is no such run, or nobody drives it.
        """

    async def cancelled(self) -> frozenset[str]:
        """Give the runs driven here that somebody asked to cancel."""

    async def delete(self, run_id: str) -> None:
        """Forget a run.

        Raises:
            RunRefused: there is no such run, or somebody drives it.
        """

    async def close(self) -> None:
        """Write what is left and close; runs that are still driven here become interrupted."""


def place_after(before: Place, records: Sequence[Record]) -> Place:
    """Give where a run stands after further records."""
    step_id, until, announced, status = before.step_id, before.until, before.announced, before.status
    # By their very types: isinstance is slow wherever it says no, for it asks the class of such a Struct first.
    for record in records:
        if type(record) is Delivered:
            announced, until = announced and "/reconcile/" in record.effect_id, None
        elif type(record) is StepEnded or type(record) is Withdrawn:
            announced = False
        elif type(record) is StepBegan:
            step_id = f"{record.caller}/{record.step_id}" if record.caller else record.step_id
            until, status = None, None
            announced = announced or not record.idempotent
        elif type(record) is Waiting:
            step_id = f"{record.caller}/{record.step_id}" if record.caller else record.step_id
            until = record.at + record.seconds
        elif type(record) is RunEnded:
            status, until = record.status, None
        elif type(record) is Resolved:
            status, announced = None, True
    return Place(step_id, until, announced, status)


def must_flush(records: Sequence[Record]) -> bool:
    """Say whether the records guard a request which is not idempotent, so that they must outlive the machine's crash."""
    for record in records:  # noqa: SIM110 - each turn of each run asks, and a generator takes three times as long
        if type(record) is StepBegan and not record.idempotent:
            return True
    return False


def unknown_run(run_id: str) -> RunRefused:
    """Refuse an id that the journal does not know."""
    return RunRefused(f"the journal has no run '{run_id}'", hint="`treadle runs list` shows those that it has")


def driven_elsewhere(run_id: str) -> RunRefused:
    """Refuse to touch a run that somebody drives."""
    return RunRefused(f"run '{run_id}' is being driven already", hint="wait until it has ended, or cancel it")


def taken_away(run_id: str) -> JournalFailed:
    """Say that somebody else drives a run by now, who took its driver for dead."""
    hint = "what was written before is kept; do not touch the folder of owners beside a journal while runs go on"
    return JournalFailed(f"run '{run_id}' is driven by another process by now", hint=hint)


def not_driven(run_id: str) -> RunRefused:
    """Refuse to ask the driver of a run that has none."""
    return RunRefused(f"nobody drives run '{run_id}'", hint="`treadle runs list` shows how it stands")
