"""SqliteJournal: durable runs in one file, which any number of processes and threads use at once.

All runs that come with records in the same turn of the event loop share one transaction. It is written at once, for that
costs less than to change threads; what has to reach the disk is waited for in a thread, where others would have to wait.
"""

import asyncio
import hashlib
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from treadle.drivers.journals.protocol import Entry, Kept, Place, Start, must_flush, place_after, taken_away
from treadle.drivers.journals.store import Begun, Store, Turn
from treadle.drivers.typed import from_json
from treadle.engine.journal import Checkpoint, Record, read, write
from treadle.engine.program import Program
from treadle.errors import JournalFailed, RunRefused

_T = TypeVar("_T")
_Waiting = tuple[tuple[Begun | Turn, ...], bool, "asyncio.Future[None]"]
"""What is to be written, whether it has to reach the disk, and who is told."""
_MOST_PROGRAMS = 64
"""How many programs are kept as they are written, and as they are read."""


class _Inputs(Struct, frozen=True, gc=False):
    """What of a Start is written beside its program and what is searched for."""

    inputs: dict[str, object]
    secrets: dict[str, str]
    options: dict[str, object]


class SqliteJournal:
    """Keeps runs in a SQLite file, which is made where it is not there, with its key beside it. Used on one event loop.

    Raises:
        JournalFailed: the file cannot be opened, or is no journal.
    """

    def __init__(self, path: str | Path) -> None:
        self._store = Store(Path(path))
        self._one_at_a_time = threading.Lock()
        self._waiting: list[_Waiting] = []
        self._scheduled = False
        self._work_on: asyncio.Future[frozenset[str] | None] | None = None
        self._to_flush: list[_Waiting] = []
        self._flush_on: asyncio.Future[None] | None = None
        self._places: dict[str, Place] = {}
        self._letting_go: dict[str, asyncio.Future[None]] = {}
        self._closing: asyncio.Task[None] | None = None
        self._programs: dict[int, tuple[Program, str, bytes]] = {}
        self._known: dict[str, Program] = {}

    # These two are no coroutines of their own, around that which they give: they are called for each turn.

    def start(self, start: Start, records: Sequence[Record]) -> Coroutine[Any, Any, None]:
        """Take a new run and its first records."""
        program, body = self._written(start.program)
        rest = msgspec.json.encode(_Inputs(start.inputs, start.secrets, start.options))
        rest = self._store.sealer.seal(start.run_id, rest)
        self._places[start.run_id] = Place()
        begun = Begun(start.run_id, start.program.workflow_id, program, body, rest, start.began)
        return self._write((begun, self._turn(start.run_id, records)), flush=must_flush(records))

    def append(self, run_id: str, records: Sequence[Record]) -> Coroutine[Any, Any, None]:
        """Take the records of one turn, whole or not at all."""
        return self._write((self._turn(run_id, records),), flush=must_flush(records))

    async def claim(self, run_id: str) -> Kept:
        """Give a run that nobody drives, to be driven here from now on."""
        if run_id in self._letting_go:  # by whoever drove it here, and was cancelled perhaps
            await asyncio.wait((self._letting_go[run_id],))
        claimed = self._thread(lambda: self._claimed(run_id))
        try:
            await asyncio.wait((claimed,))
        except asyncio.CancelledError:  # the thread claims it all the same, and nobody would drive it
            self._let_go(run_id, asyncio.ensure_future(self._give_back(run_id, claimed)))
            raise
        kept, self._places[run_id] = claimed.result()
        return kept

    async def _give_back(self, run_id: str, claimed: "asyncio.Future[tuple[Kept, Place]]") -> None:
        with suppress(JournalFailed, RunRefused):
            await claimed
            await self._thread(lambda: self._store.release(run_id))

    async def release(self, run_id: str) -> None:
        """Drive a run no longer; it is interrupted where it has not ended."""
        if self._places.pop(run_id, None) is not None:  # or it has ended
            self._store.sealer.forget(run_id)
            releasing = self._thread(lambda: self._store.release(run_id))
            self._let_go(run_id, releasing)
            await asyncio.wait((releasing,))
            releasing.result()

    def _let_go(self, run_id: str, work: "asyncio.Future[None]") -> None:
        """Have `close`, and who claims the run next, wait until it is let go of, be whoever asked for that cancelled or not."""
        self._letting_go[run_id] = work
        work.add_done_callback(lambda done: self._gone(run_id, done))

    def _gone(self, run_id: str, work: "asyncio.Future[None]") -> None:
        if self._letting_go.get(run_id) is work:
            del self._letting_go[run_id]
        if not work.cancelled():
            work.exception()  # if nobody waits any more, nobody is told

    async def read(self, run_id: str) -> Kept:
        """Give a run, whoever drives it."""
        return (await self._in_thread(lambda: self._read(run_id)))[0]

    async def entries(self) -> list[Entry]:
        """Give all runs, the latest first."""
        return await self._in_thread(self._store.entries)

    async def inputs(self, run_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Give the inputs that runs began with."""
        return await self._in_thread(lambda: self._inputs(run_ids))

    async def cancel(self, run_id: str) -> None:
        """Ask whoever drives the run to cancel it."""
        await self._in_thread(lambda: self._store.cancel(run_id))

    async def cancelled(self) -> frozenset[str]:
        """Give the runs driven here that somebody asked to cancel."""
        return await self._in_thread(self._store.cancelled)

    async def delete(self, run_id: str) -> None:
        """Forget a run."""
        await self._in_thread(lambda: self._store.delete(run_id))

    async def close(self) -> None:
        """Write what is left and close; runs that are still driven here become interrupted.

        Whoever is cancelled meanwhile does not wait for it any longer; it is done all the same.
        """
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close())
        await asyncio.wait((self._closing,))
        self._closing.result()

    async def _close(self) -> None:
        while self._waiting or self._work_on is not None or self._flush_on is not None or self._letting_go:
            under_way: list[asyncio.Future[Any] | None] = [self._work_on, self._flush_on, *self._letting_go.values()]
            waiting = [future for _, _, future in (*self._waiting, *self._to_flush)]
            await asyncio.wait({*waiting, *filter(None, under_way)})
            await asyncio.sleep(0)  # they are told in the next turn
        # Whoever was cancelled while a thread read for it has left that thread at work, and the file must not go under it.
        if self._one_at_a_time.acquire(blocking=False):
            try:
                self._store.close()
            finally:
                self._one_at_a_time.release()
        else:
            await self._in_thread(self._store.close)

    # As they are written

    def _turn(self, run_id: str, records: Sequence[Record]) -> Turn:
        before = self._places.get(run_id)
        if before is None:
            raise taken_away(run_id)
        place = self._places[run_id] = place_after(before, records)
        folds, first = False, 0
        for at, record in enumerate(records):
            if type(record) is Checkpoint:
                folds, first = True, at
        lines = map(write, records[first:] if first else records)
        body = self._store.sealer.seal(run_id, b"\n".join(lines))
        if place.status is not None:
            del self._places[run_id]
            self._store.sealer.forget(run_id)
        changes = place.status != before.status
        return Turn(run_id, records[-1].at, place, body, folds=folds, changes=changes)

    def _written(self, program: Program) -> tuple[str, bytes]:
        """Give the content hash of a program and what is written of it."""
        known = self._programs.get(id(program))
        if known is None:
            body = msgspec.json.encode(program)
            digest = hashlib.sha256(body).hexdigest()
            if len(self._programs) >= _MOST_PROGRAMS:
                self._programs.clear()
            known = self._programs[id(program)] = (program, digest, self._store.sealer.seal(digest, body))
        return known[1], known[2]

    def _inputs(self, run_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        found = {}
        for run_id, start in self._store.starts(run_ids):
            with suppress(JournalFailed, msgspec.DecodeError):  # whoever reads that run is told; a list has the others
                found[run_id] = self._opened(run_id, start).inputs
        return found

    def _opened(self, run_id: str, start: bytes) -> _Inputs:
        return from_json(self._store.sealer.open(run_id, start), _Inputs)

    def _claimed(self, run_id: str) -> tuple[Kept, Place]:
        self._store.claim(run_id)
        try:
            return self._read(run_id)
        except JournalFailed:
            self._store.release(run_id)
            raise

    def _read(self, run_id: str) -> tuple[Kept, Place]:
        row, sealer = self._store.read(run_id), self._store.sealer
        if not row.turns:  # the first one was written with the run
            message = f"the journal {self._store.path} has nothing of what happened in run '{run_id}'"
            raise JournalFailed(message, hint="it cannot be resumed: find out what its requests did, and start it anew")
        try:
            if row.digest not in self._known:
                if len(self._known) >= _MOST_PROGRAMS:
                    self._known.clear()
                self._known[row.digest] = from_json(sealer.open(row.digest, row.program), Program)
            rest = self._opened(run_id, row.start)
            lines = [line for turn in row.turns for line in sealer.open(run_id, turn).split(b"\n")]
            records = tuple(map(read, lines))
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            message = f"run '{run_id}' was written by another version of Treadle, which this one cannot read: {error}"
            raise JournalFailed(message, hint="use the version that wrote it, or a later one") from error
        except JournalFailed as error:  # the key is the right one, as was seen when the file was opened
            message = f"run '{run_id}' is damaged in the journal {self._store.path}"
            raise JournalFailed(message, hint="delete it to be rid of it; the other runs are not concerned") from error
        start = Start(run_id, self._known[row.digest], rest.inputs, rest.secrets, rest.options, row.began)
        return Kept(start, records), row.place

    # The one writer

    async def _write(self, items: tuple[Begun | Turn, ...], *, flush: bool) -> None:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.append((items, flush, future))
        if not self._scheduled and self._work_on is None:
            self._scheduled = True
            loop.call_soon(self._write_what_waits, loop)
        try:
            await future
        except asyncio.CancelledError:
            # It is written all the same, and whoever lets go of the run next must not overtake it.
            with suppress(JournalFailed):
                await self._write((), flush=False)
            raise

    def _write_what_waits(self, loop: asyncio.AbstractEventLoop) -> None:
        self._scheduled = False
        waiting, self._waiting = self._waiting, []
        batch = [item for items, _, _ in waiting for item in items]
        if self._one_at_a_time.acquire(blocking=False):
            try:
                lost = self._store.write(batch, patient=False)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is for those who wait
                _resolve(waiting, error)
                return
            finally:
                self._one_at_a_time.release()
            if lost is not None:
                self._written_but(loop, waiting, lost)
                if self._store.is_due:
                    self._work(loop, [], self._store.take_in)
                return
        self._work(loop, waiting, lambda: self._store.write(batch, patient=True))

    def _written_but(self, loop: asyncio.AbstractEventLoop, waiting: list[_Waiting], lost: frozenset[str]) -> None:
        """Tell those who wait that what they gave is written, but for the runs that somebody else drives by now."""
        for run_id in lost:
            self._places.pop(run_id, None)
            _resolve([one for one in waiting if any(item.run_id == run_id for item in one[0])], taken_away(run_id))
        self._flush(loop, [one for one in waiting if one[1]])
        _resolve([one for one in waiting if not one[1]], None)

    def _flush(self, loop: asyncio.AbstractEventLoop, waiting: list[_Waiting]) -> None:
        """Have the disk take what is written, and tell those who wait for that; what comes meanwhile shares the next time."""
        self._to_flush += waiting
        if not self._to_flush or self._flush_on is not None:
            return
        waiting, self._to_flush = self._to_flush, []
        if len(self._places) > 1:
            self._flush_on = loop.run_in_executor(None, self._store.flush)
            self._flush_on.add_done_callback(lambda done: self._flushed(loop, waiting, done))
            return
        try:  # nobody else would be kept waiting, and the disk too is faster without a thread
            self._store.flush()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is for those who wait
            _resolve(waiting, error)
        else:
            _resolve(waiting, None)

    def _flushed(self, loop: asyncio.AbstractEventLoop, waiting: list[_Waiting], done: "asyncio.Future[None]") -> None:
        self._flush_on = None
        _resolve(waiting, done.exception())
        self._flush(loop, [])

    def _work(
        self, loop: asyncio.AbstractEventLoop, waiting: list[_Waiting], work: Callable[[], frozenset[str] | None]
    ) -> None:
        """Work in a thread; what comes meanwhile waits."""
        self._work_on = loop.run_in_executor(None, lambda: self._locked(work))
        self._work_on.add_done_callback(lambda done: self._worked(loop, waiting, done))

    def _worked(
        self, loop: asyncio.AbstractEventLoop, waiting: list[_Waiting], done: "asyncio.Future[frozenset[str] | None]"
    ) -> None:
        self._work_on = None
        error = done.exception()
        if error is None:
            self._written_but(loop, waiting, done.result() or frozenset())
        else:
            _resolve(waiting, error)
        if error is None and self._store.is_due:
            self._work(loop, [], self._store.take_in)
        elif self._waiting:  # they meet by themselves what could not be written
            self._scheduled = True
            loop.call_soon(self._write_what_waits, loop)

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        return await self._thread(work)

    def _thread(self, work: Callable[[], _T]) -> "asyncio.Future[_T]":
        return asyncio.get_running_loop().run_in_executor(None, self._locked, work)

    def _locked(self, work: Callable[[], _T]) -> _T:
        with self._one_at_a_time:
            return work()


def _resolve(waiting: list[_Waiting], error: BaseException | None) -> None:
    for _, _, future in waiting:
        if future.done():  # whoever waited was cancelled
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
