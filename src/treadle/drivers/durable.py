"""What stands between the driver of a run and those who take its records: history, observer and journal."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec import structs

from treadle.drivers.collector import at_rest
from treadle.drivers.journals.protocol import Journal, Start
from treadle.drivers.run import UNSENT, Interruption
from treadle.engine.effects import HttpResponse
from treadle.engine.interpreter import Run
from treadle.engine.journal import Checkpoint, CookiesKept, Delivered, Learnt, Queued, Record, Repeated
from treadle.engine.masked import masked
from treadle.engine.report import History
from treadle.engine.secrets import Secrets
from treadle.errors import JournalFailed, RunRefused

Observe = Callable[[Record], None]
"""Is shown each record of a run as it happens."""
FOLD_AFTER = 256
"""How many records, or quarters of a kilobyte of answers, are kept before a checkpoint takes their place."""
MOST_COOKIES = 500
"""How many answers with cookies are remembered of a run."""
WATCH_EVERY = 0.5
"""Seconds between two looks at what somebody asked to cancel."""


class Recorder:
    """Takes the records of one run; whoever is shown them, and the journal, get them without secrets.

    Args:
        run: the run; it is asked for checkpoints.
        secrets: what is masked.
        observe: is shown each record once it is written.
        journal: keeps them, or None.
        start: what a new run starts from; None where the journal has it already.
    """

    __slots__ = (
        "_cookies", "_journal", "_observe", "_run", "_run_id", "_secrets", "_start", "_to_fold", "_unwritten", "history",
    )  # fmt: skip

    def __init__(
        self,
        run: Run,
        secrets: Secrets,
        observe: Observe | None = None,
        journal: Journal | None = None,
        start: Start | None = None,
    ) -> None:
        self._run = run
        self._run_id = run.run_id
        self._secrets = secrets
        self._observe = observe
        self._journal = journal
        self._start = start
        self._unwritten: tuple[Record, ...] = ()
        self._to_fold = 0
        self._cookies: dict[tuple[str, ...], CookiesKept] = {}
        self.history = History()

    @property
    def is_durable(self) -> bool:
        """Whether a journal keeps the records."""
        return self._journal is not None

    async def append(self, records: Sequence[Record], *, written: bool = True) -> None:
        """Take the records of a turn; they are in the journal when it returns, unless they are not to be `written`.

        Raises:
            JournalFailed: they cannot be written.
        """
        if not records:
            return
        journal, observe = self._journal, self._observe
        untold = self._secrets.take_untold()
        if untold and journal is not None:
            self._unwritten += (Learnt(records[0].at, untold),)
        is_shown = journal is not None or observe is not None
        shown: list[Record] = []
        for record in records:
            one = masked(record, self._secrets) if is_shown else record
            self.history.add(one)
            shown.append(one)
        if journal is not None and written:
            turn = self._turn(shown)
            start, self._start = self._start, None
            try:
                if start is None:
                    await journal.append(self._run_id, turn)
                else:
                    await journal.start(start, turn)
            except asyncio.CancelledError as error:
                raise asyncio.CancelledError(UNSENT) from error  # the effect that comes after them was not begun
        if observe is not None:
            for record in shown:
                observe(record)

    def _turn(self, records: Sequence[Record]) -> list[Record]:
        """Give what is to be written now, with a checkpoint where there is enough that it takes the place of."""
        turn, self._unwritten = [*self._unwritten, *records], ()
        for record in records:
            self._to_fold += 1
            if type(record) is Delivered and type(record.result) is HttpResponse:
                self._to_fold += len(record.result.body) // 256
        if self._to_fold >= FOLD_AFTER:
            checkpoint = self._run.checkpoint(records[-1].at, self.history.folded())
            if checkpoint is not None:
                turn.append(structs.replace(checkpoint, cookies=self.cookies))
                self._to_fold = 0
        return turn

    def take_over(self, records: Sequence[Record], *, written: bool = True) -> None:
        """Take what an earlier process wrote, or what another run did, which is still to be `written`."""
        if not written:
            self._unwritten += tuple(records)
        for record in records:
            self.history.add(record)
            if isinstance(record, CookiesKept):
                self._keep(record)
            elif isinstance(record, Checkpoint):
                self._cookies = {}
                for kept in record.cookies:
                    self._keep(kept)

    @property
    def cookies(self) -> tuple[CookiesKept, ...]:
        """The cookies that were kept so far, those that were replaced left out."""
        return tuple(self._cookies.values())

    def _keep(self, record: CookiesKept) -> None:
        key = (record.url.partition("?")[0], *(field.partition("=")[0] for field in record.fields))
        self._cookies.pop(key, None)  # it moves to the end: a later one overrides an earlier one
        self._cookies[key] = record
        if len(self._cookies) > MOST_COOKIES:
            del self._cookies[next(iter(self._cookies))]

    def notice(self, record: Repeated | CookiesKept | Queued) -> None:
        """Take what the driver does by itself; it is written with the records of the next turn, but for mere waiting."""
        if isinstance(record, Queued):
            if self._observe is not None:
                self._observe(record)
            return
        if isinstance(record, CookiesKept):  # nobody is shown those: they are as good as passwords
            if self._journal is not None:
                self._keep(record)
                self._unwritten += (record,)
            return
        shown = structs.replace(record, why=self._secrets.text(record.why))
        if self._journal is not None:
            self._unwritten += (shown,)
        if self._observe is not None:
            self._observe(shown)


class Durable:
    """The journal of a Runner, which is opened at the first run, and the runs that are driven with it.

    Raises:
        RunRefused: the Runner `replays` a recording, which is nothing that a journal could be resumed from.
    """

    __slots__ = ("_given", "_opened", "_running", "_watch")

    def __init__(self, given: Journal | str | Path | None, *, replays: bool = False) -> None:
        if given is not None and replays:
            message = "a run that is replayed from a recording is not journaled"
            raise RunRefused(message, hint="leave out the journal: nothing happens that could be lost")
        self._given = given
        self._opened: Journal | None = None
        self._running: dict[str, Interruption] = {}
        self._watch: asyncio.Task[None] | None = None

    @property
    def journal(self) -> Journal | None:
        """The journal, or None where runs are not durable.

        Raises:
            JournalFailed: it cannot be opened.
        """
        if self._given is None or self._opened is not None:
            return self._opened
        if isinstance(self._given, str | Path):
            with at_rest():
                from treadle.drivers.journals.sqlite import SqliteJournal  # noqa: PLC0415 - not without a file

                self._opened = SqliteJournal(self._given)
        else:
            self._opened = self._given
        return self._opened

    def needed(self) -> Journal:
        """Give the journal; raises as `journal` does, and RunRefused where there is none."""
        journal = self.journal
        if journal is None:
            raise RunRefused("there is no journal to resume a run from", hint="give one: Runner(journal=PATH)")
        return journal

    def begin(self, run_id: str, interruption: Interruption) -> None:
        """Drive a run from now on: it is stopped gently where somebody asks the journal to cancel it. `end` comes after it.

        Raises:
            RunRefused: there is no journal.
        """
        journal = self.needed()
        self._running[run_id] = interruption
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._watch_for_cancellations(journal))

    async def end(self, run_id: str) -> None:
        """Drive a run no longer."""
        interruption = self._running.pop(run_id)
        with suppress(JournalFailed), interruption.outlasted():  # whoever drove it has met that already
            await self.needed().release(run_id)

    async def _watch_for_cancellations(self, journal: Journal) -> None:
        with suppress(JournalFailed):  # the runs meet the same at their next turn
            while self._running:
                await asyncio.sleep(WATCH_EVERY)
                for run_id in await journal.cancelled():
                    if run_id in self._running:
                        self._running[run_id].request("cancelled", gently=True, for_good=True)

    async def close(self) -> None:
        """Close the journal where it was opened here."""
        try:
            if self._watch is not None:
                self._watch.cancel()
                await asyncio.wait((self._watch,))  # whoever is cancelled meanwhile is not taken for the watch
        finally:
            if self._opened is not None and self._opened is not self._given:
                await self._opened.close()
