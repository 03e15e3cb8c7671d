"""MemoryJournal: durable runs of one process, for tests and for those who bring a store of their own later."""

from collections.abc import Sequence
from typing import Any

import msgspec

from treadle.drivers.journals.protocol import (
    Entry,
    Kept,
    Place,
    Start,
    driven_elsewhere,
    not_driven,
    place_after,
    taken_away,
    unknown_run,
)
from treadle.drivers.typed import from_json
from treadle.engine.journal import Checkpoint, Record, RunEnded, read, write
from treadle.errors import JournalFailed


class _Run:
    __slots__ = ("asked", "driver", "lines", "place", "start", "updated")

    def __init__(self, start: bytes, driver: "MemoryJournal | None") -> None:
        self.start = start
        self.lines: list[bytes] = []
        self.place = Place()
        self.driver = driver
        self.asked = False
        self.updated = 0.0


class _Head(msgspec.Struct, frozen=True):
    """The first line of a run that is exported: what it starts from, and where it stands; its records follow."""

    start: msgspec.Raw
    place: Place
    updated: float


class MemoryJournal:
    """Keeps runs in memory, written as a file would hold them.

    `beside` makes a second journal over the same runs, as another process would have one over the same file.
    """

    def __init__(self) -> None:
        self._runs: dict[str, _Run] = {}

    def beside(self) -> "MemoryJournal":
        """Give another journal over the same runs."""
        other = MemoryJournal()
        other._runs = self._runs
        return other

    async def start(self, start: Start, records: Sequence[Record]) -> None:
        """Take a new run and its first records."""
        self._runs[start.run_id] = _Run(msgspec.json.encode(start), self)
        await self.append(start.run_id, records)

    async def append(self, run_id: str, records: Sequence[Record]) -> None:
        """Take the records of one turn."""
        run = self._known(run_id)
        if run.driver is not self:
            raise taken_away(run_id)
        for record in records:
            if isinstance(record, Checkpoint):
                run.lines.clear()
            run.lines.append(write(record))
            run.updated = record.at
            if isinstance(record, RunEnded):
                run.driver = None
        run.place = place_after(run.place, records)

    async def claim(self, run_id: str) -> Kept:
        """Give a run that nobody drives."""
        run = self._known(run_id)
        if run.driver is not None:
            raise driven_elsewhere(run_id)
        run.driver = self
        run.asked = False
        return await self.read(run_id)

    async def release(self, run_id: str) -> None:
        """Drive a run no longer."""
        run = self._runs.get(run_id)
        if run is not None and run.driver is self:
            run.driver = None

    async def read(self, run_id: str) -> Kept:
        """Give a run."""
        run = self._known(run_id)
        return Kept(from_json(run.start, Start), tuple(map(read, run.lines)))

    def exported(self, run_id: str) -> str:
        """Give a run as a text that `imported` takes, here or elsewhere; the values of secret inputs are not in it."""
        run = self._known(run_id)
        head = msgspec.json.encode(_Head(msgspec.Raw(run.start), run.place, run.updated))
        return b"\n".join([head, *run.lines]).decode()

    def imported(self, text: str) -> str:
        """Take a run that another journal exported, and that nobody drives any more; gives its id.

        Raises:
            JournalFailed: the text is no run, or one of a later version.
        """
        first, _, rest = text.encode().partition(b"\n")
        lines = rest.splitlines()
        try:
            head = from_json(first, _Head)
            start = from_json(bytes(head.start), Start)
            for line in lines:
                read(line)
        except msgspec.MsgspecError as error:
            raise JournalFailed(f"this is no run that was exported, or one of a later version: {error}") from error
        run = self._runs[start.run_id] = _Run(bytes(head.start), None)
        run.lines, run.place, run.updated = lines, head.place, head.updated
        return start.run_id

    async def entries(self) -> list[Entry]:
        """Give all runs, the latest first."""
        return [self._entry(run) for run in reversed(self._runs.values())]

    async def inputs(self, run_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Give the inputs that runs began with."""
        known = {run_id: self._runs[run_id] for run_id in run_ids if run_id in self._runs}
        return {run_id: from_json(run.start, Start).inputs for run_id, run in known.items()}

    def _entry(self, run: _Run) -> Entry:
        start, place = from_json(run.start, Start), run.place
        status = place.state(driven=run.driver is not None)
        ended = None if place.status is None else run.updated
        return Entry(
            start.run_id, start.program.workflow_id, status, start.began, place.step_id, place.until, run.updated, ended
        )

    async def cancel(self, run_id: str) -> None:
        """Ask whoever drives the run to cancel it."""
        run = self._known(run_id)
        if run.driver is None:
            raise not_driven(run_id)
        run.asked = True

    async def cancelled(self) -> frozenset[str]:
        """Give the runs driven here that somebody asked to cancel."""
        return frozenset(run_id for run_id, run in self._runs.items() if run.asked and run.driver is self)

    async def delete(self, run_id: str) -> None:
        """Forget a run."""
        if self._known(run_id).driver is not None:
            raise driven_elsewhere(run_id)
        del self._runs[run_id]

    async def close(self) -> None:
        """Let go of the runs that are still driven here."""
        for run_id in self._runs:
            await self.release(run_id)

    def _known(self, run_id: str) -> _Run:
        run = self._runs.get(run_id)
        if run is None:
            raise unknown_run(run_id)
        return run
