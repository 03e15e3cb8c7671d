"""The file of SqliteJournal: its tables and statements, what its errors mean. No event loop, one thread at a time."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from treadle.drivers.journals.owners import Owner, lives
from treadle.drivers.journals.protocol import Entry, Place, driven_elsewhere, not_driven, unknown_run
from treadle.drivers.journals.sealing import Sealer, key_of
from treadle.errors import JournalFailed

VERSION = 1
"""The version of the tables; `user_version` of the file."""
APPLICATION = 0x54524541
""""TREA": tells the file from other databases; `application_id` of the file."""
PATIENCE = 30.0
"""Seconds to wait for other processes that write."""
PAGES = 1000
"""After how many written pages what was written ahead is taken into the file (SQLite's own measure, 4 MB)."""
_PAGE = 4096
_PAGES_OF_A_TURN = 3
"""Its place among the turns, in their index, and in what is known of its run."""
_NULL = float("nan")
"""What SQLite stores as NULL: it knows no NaN (sqlite3_bind_double)."""
_PROOF = "proof"
"""What is sealed to tell whether a key is the one that the file was made with."""
_TABLES = (
    "CREATE TABLE proof (sealed BLOB NOT NULL)",
    "CREATE TABLE programs (hash TEXT PRIMARY KEY, body BLOB NOT NULL)",
    (
        "CREATE TABLE runs (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, workflow TEXT NOT NULL, program TEXT NOT NULL,"
        " start BLOB NOT NULL, began REAL NOT NULL, status TEXT, ended REAL, owner TEXT, asked INTEGER NOT NULL DEFAULT 0)"
    ),
    "CREATE INDEX runs_asked ON runs (owner) WHERE asked = 1",
    (
        "CREATE TABLE turns (number INTEGER PRIMARY KEY, run INTEGER NOT NULL, at REAL NOT NULL, step TEXT, until REAL,"
        " announced INTEGER NOT NULL, body BLOB NOT NULL)"
    ),
    "CREATE INDEX turns_run ON turns (run)",
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {VERSION}",
)
_ENTRIES = (
    "SELECT id, workflow, status, began, ended, owner, at, step, until, announced FROM runs LEFT JOIN turns"
    " ON turns.number = (SELECT max(number) FROM turns WHERE run = runs.number) ORDER BY runs.number DESC"
)


class Begun(Struct, frozen=True, gc=False):
    """A new run as it is written; `program` is its hash, and `body` the program itself."""

    run_id: str
    workflow_id: str
    program: str
    body: bytes
    start: bytes
    began: float


class Turn(Struct, frozen=True, gc=False):
    """Records of one turn as they are written.

    Attributes:
        folds: they take the place of all before them.
        changes: the run ends with them, or one that had ended goes on.
    """

    run_id: str
    at: float
    place: Place
    body: bytes
    folds: bool
    changes: bool


class Row(Struct, frozen=True):
    """A run as it is read."""

    start: bytes
    digest: str
    program: bytes
    turns: list[bytes]
    began: float
    place: Place


class Store:
    """The open file.

    Raises:
        JournalFailed: it cannot be opened, or is no journal.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.exists() and not path.is_file():
            what = "a folder" if path.is_dir() else "no regular file"
            raise JournalFailed(f"the journal {path} cannot be opened: it is {what}", hint=_ELSEWHERE)
        # Whatever names it is known by, the key and the owners stand beside the file itself; and it stays where it is when
        # the working directory changes.
        self._file = Path(os.path.realpath(path))
        self._owners = self._file.with_name(f"{self._file.name}.owners")
        self._owner: Owner | None = None
        self._numbers: dict[str, int] = {}
        self._unsure: set[str] = set()
        self._version = -1
        self._ahead: int | None = None
        self._patient = True
        self._written = 0
        with self._explained("cannot be opened"):
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(FileExistsError):
                os.close(os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            self._connection = sqlite3.connect(
                self._file, timeout=PATIENCE, isolation_level=None, check_same_thread=False, cached_statements=64
            )
            self._prepare()
            self._inode = self._file.stat().st_ino
            self.sealer = self._sealer()

    def _sealer(self) -> Sealer:
        """Give the sealer of this file, with the key that it was made with and no other."""
        proof = self._connection.execute("SELECT sealed FROM proof").fetchone()
        named = self.path if self.path.absolute() == self._file else self._file
        sealer = Sealer(named, key_of(self._file, named, new=proof is None))
        if proof is None:
            with self._transaction():
                if self._connection.execute("SELECT 1 FROM proof").fetchone() is None:
                    self._connection.execute("INSERT INTO proof VALUES (?)", (sealer.seal(_PROOF, b""),))
            return self._sealer()
        sealer.open(_PROOF, proof[0])
        return sealer

    def _prepare(self) -> None:
        execute = self._connection.execute
        version, application = self._pragma("user_version"), self._pragma("application_id")
        if version == 0 and application == 0 and not self._pragma("schema_version"):
            execute("PRAGMA auto_vacuum = INCREMENTAL")
            execute("PRAGMA journal_mode = WAL")
            with self._transaction():
                if self._pragma("user_version") == 0:  # nobody was faster
                    for statement in _TABLES:
                        execute(statement)
        elif application != APPLICATION:
            raise JournalFailed(
                f"{self.path} is a database, but no journal of Treadle", hint="name another file: --state PATH"
            )
        elif version > VERSION:
            hint = "use that version, or another file: --state PATH"
            raise JournalFailed(f"the journal {self.path} was written by a later version of Treadle", hint=hint)
        # Written ahead, it is not flushed with each transaction, for that holds up other threads of Python: see `flush`.
        self._is_ahead = execute("PRAGMA journal_mode").fetchone() == ("wal",)
        execute(f"PRAGMA synchronous = {'NORMAL' if self._is_ahead else 'FULL'}")
        execute("PRAGMA wal_autocheckpoint = 0")  # it waits for the disk, so it is done where nobody waits for it
        execute("PRAGMA secure_delete = FAST")

    def _pragma(self, name: str) -> int:
        return int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])

    # Writing

    def write(self, batch: list[Begun | Turn], *, patient: bool) -> frozenset[str] | None:
        """Write a batch in one transaction, which is on the disk after `flush`.

        Gives the runs of which nothing was written because somebody else drives them by now; None where it is not `patient`
        and another process is writing: nothing at all was written.
        """
        with self._explained("cannot be written"):
            self._be(patient=patient)
            if self._file.stat().st_ino != self._inode:
                raise FileNotFoundError
            try:
                self._connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorname == "SQLITE_BUSY" and not patient:
                    return None
                raise
            with self._committed():
                begun = [item for item in batch if type(item) is Begun]
                if begun:
                    self._insert_runs(begun)
                turns = [item for item in batch if type(item) is Turn]
                lost = self._lost(turns)
                self._insert_turns([turn for turn in turns if turn.run_id not in lost] if lost else turns)
            for turn in turns:
                if turn.place.status is not None or turn.run_id in lost:
                    self._numbers.pop(turn.run_id, None)
            self._written += _PAGES_OF_A_TURN * len(batch) + sum([len(item.body) for item in batch]) // _PAGE
        return lost

    def _lost(self, turns: list[Turn]) -> frozenset[str]:
        """Give the runs that are driven here no longer, as can be where this owner was taken for dead.

        It is looked for where somebody else has written since the last look at the run.
        """
        version = self._pragma("data_version")
        if version != self._version:
            self._version = version
            self._unsure = set(self._numbers)
        numbers = {turn.run_id: self._numbers[turn.run_id] for turn in turns if turn.run_id in self._unsure}
        if not numbers:
            return frozenset()
        ours = "SELECT number FROM runs WHERE number IN (SELECT value FROM json_each(?)) AND owner = ?"
        wanted = msgspec.json.encode(list(numbers.values())).decode()
        driven = {number for (number,) in self._connection.execute(ours, (wanted, self._own().name))}
        lost = frozenset(run_id for run_id, number in numbers.items() if number not in driven)
        self._unsure -= numbers.keys() - lost
        return lost

    @property
    def is_due(self) -> bool:
        """Whether enough was written ahead to take it into the file."""
        return self._written >= PAGES

    def take_in(self) -> None:
        """Take what was written ahead into the file; it takes as long as the disk does."""
        self._written = 0
        with self._explained("cannot be written"):
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def flush(self) -> None:
        """Have the disk take what was written so far. No other method is kept from work by it: call it in a thread.

        It is what SQLite itself does at the end of a transaction where it is to be safe from a loss of power (`synchronous
        = FULL`), without holding Python's lock and the connection in turn for each row.
        """
        if not self._is_ahead:
            return  # each transaction was flushed
        with self._explained("cannot be written"):
            if self._ahead is None:
                self._ahead = os.open(self._file.with_name(f"{self._file.name}-wal"), os.O_RDWR)
                _flush_folder(self._file.parent)
            os.fsync(self._ahead)

    def _be(self, *, patient: bool) -> None:
        if patient is not self._patient:
            self._connection.execute(f"PRAGMA busy_timeout = {int(PATIENCE * 1000) if patient else 0}")
            self._patient = patient

    # All rows of a kind go in together: one at a time, calling SQLite takes longer than what it does.

    def _insert_runs(self, runs: list[Begun]) -> None:
        many, owner = self._connection.executemany, self._own().name
        many("INSERT OR IGNORE INTO programs VALUES (?, ?)", {run.program: run.body for run in runs}.items())
        last = self._connection.execute("SELECT coalesce(max(number), 0) FROM runs").fetchone()[0]
        self._numbers.update((run.run_id, number) for number, run in enumerate(runs, last + 1))
        many(
            "INSERT INTO runs (number, id, workflow, program, start, began, owner) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (number, run.run_id, run.workflow_id, run.program, run.start, run.began, owner)
                for number, run in enumerate(runs, last + 1)
            ],
        )

    def _insert_turns(self, turns: list[Turn]) -> None:
        many, numbers = self._connection.executemany, self._numbers
        many(
            "INSERT INTO turns (run, at, step, until, announced, body) VALUES (?, ?, ?, ?, ?, ?)",
            [_row(numbers[turn.run_id], turn, turn.place) for turn in turns],
        )
        folded = [(numbers[turn.run_id],) for turn in turns if turn.folds]
        if folded:
            last = "(SELECT max(number) FROM turns WHERE run = ?1)"
            many(f"DELETE FROM turns WHERE run = ?1 AND number < {last}", folded)  # noqa: S608 - no value is in it
        changed = [turn for turn in turns if turn.changes]
        ended = [
            (turn.place.status, turn.at, numbers[turn.run_id]) for turn in changed if turn.place.status is not None
        ]
        if ended:
            many("UPDATE runs SET status = ?, ended = ?, owner = NULL, asked = 0 WHERE number = ?", ended)
        if len(ended) < len(changed):
            goes_on = [(numbers[turn.run_id],) for turn in changed if turn.place.status is None]
            many("UPDATE runs SET status = NULL, ended = NULL WHERE number = ?", goes_on)

    # Who drives what

    def _own(self) -> Owner:
        if self._owner is None:
            self._owner = Owner(self._owners)
        return self._owner

    def _driven(self, owner: str | None, known: dict[str, bool] | None = None) -> bool:
        if owner is None:
            return False
        known = {} if known is None else known
        if owner not in known:
            known[owner] = lives(self._owners, owner)
        return known[owner]

    def claim(self, run_id: str) -> None:
        """Make the run one that is driven here.

        Raises:
            RunRefused: there is no such run, or somebody drives it.
        """
        with self._changing(run_id) as (number, driven):
            if driven:
                raise driven_elsewhere(run_id)
            self._connection.execute(
                "UPDATE runs SET owner = ?, asked = 0 WHERE number = ?", (self._own().name, number)
            )
        self._numbers[run_id] = number

    def release(self, run_id: str) -> None:
        """Drive a run no longer."""
        number = self._numbers.pop(run_id, None)
        if number is not None and self._owner is not None:
            with self._explained("cannot be written"):
                self._be(patient=True)
                self._connection.execute(
                    "UPDATE runs SET owner = NULL, asked = 0 WHERE number = ? AND owner = ?", (number, self._owner.name)
                )

    def cancel(self, run_id: str) -> None:
        """Ask whoever drives the run to cancel it.

        Raises:
            RunRefused: there is no such run, or nobody drives it.
        """
        with self._changing(run_id) as (number, driven):
            if not driven:
                raise not_driven(run_id)
            self._connection.execute("UPDATE runs SET asked = 1 WHERE number = ?", (number,))

    def cancelled(self) -> frozenset[str]:
        """Give the runs driven here that somebody asked to cancel."""
        if self._owner is None:
            return frozenset()
        with self._explained("cannot be read"):
            rows = self._connection.execute("SELECT id FROM runs WHERE owner = ? AND asked = 1", (self._owner.name,))
            return frozenset(run_id for (run_id,) in rows)

    def delete(self, run_id: str) -> None:
        """Forget a run, and its program where no other run has it.

        Raises:
            RunRefused: there is no such run, or somebody drives it.
        """
        with self._changing(run_id) as (number, driven):
            if driven:
                raise driven_elsewhere(run_id)
            execute = self._connection.execute
            execute("DELETE FROM turns WHERE run = ?", (number,))
            execute("DELETE FROM runs WHERE number = ?", (number,))
            execute("DELETE FROM programs WHERE hash NOT IN (SELECT program FROM runs)")
        with self._explained("cannot be written"):
            self._connection.executescript("PRAGMA incremental_vacuum")  # a step a page; execute() would take only one

    # Reading

    def read(self, run_id: str) -> Row:
        """Give what a run started from, its program, its turns, and where it stands.

        Raises:
            RunRefused: there is no such run.
        """
        with self._explained("cannot be read"), self._transaction("DEFERRED"):
            execute = self._connection.execute
            number, _ = self._run(run_id)
            start, digest, body, began, status = execute(
                "SELECT start, program, body, began, status FROM runs JOIN programs ON hash = program WHERE number = ?",
                (number,),
            ).fetchone()
            turns = execute(
                "SELECT body, step, until, announced FROM turns WHERE run = ? ORDER BY number", (number,)
            ).fetchall()
        _, step, until, announced = turns[-1] if turns else (None, None, None, 0)
        return Row(start, digest, body, [turn[0] for turn in turns], began, Place(step, until, bool(announced), status))

    def entries(self) -> list[Entry]:
        """Give all runs, the latest first."""
        with self._explained("cannot be read"):
            rows = self._connection.execute(_ENTRIES).fetchall()
        known: dict[str, bool] = {}
        found = []
        for run_id, workflow_id, status, began, ended, owner, at, step, until, announced in rows:
            place = Place(step, until, bool(announced), status)
            state = place.state(driven=self._driven(owner, known))
            found.append(Entry(run_id, workflow_id, state, began, step, until, at or began, ended))
        return found

    def starts(self, run_ids: Sequence[str]) -> list[tuple[str, bytes]]:
        """Give what runs started from, by their ids."""
        wanted = msgspec.json.encode(run_ids).decode()
        with self._explained("cannot be read"):
            return self._connection.execute(
                "SELECT id, start FROM runs WHERE id IN (SELECT value FROM json_each(?))", (wanted,)
            ).fetchall()

    def _run(self, run_id: str) -> tuple[int, str | None]:
        row = self._connection.execute("SELECT number, owner FROM runs WHERE id = ?", (run_id,)).fetchone()
        if row is None:
            raise unknown_run(run_id)
        return row[0], row[1]

    def close(self) -> None:
        """Close the file; runs that are still driven here become interrupted."""
        if self._ahead is not None:
            os.close(self._ahead)
            self._ahead = None
        with suppress(sqlite3.Error):
            self._connection.close()
        if self._owner is not None:
            self._owner.close()

    # Transactions and errors

    @contextmanager
    def _changing(self, run_id: str) -> Iterator[tuple[int, bool]]:
        """Change a run in one transaction; gives its number, and whether somebody drives it."""
        with self._explained("cannot be written"):
            self._be(patient=True)
            with self._transaction():
                number, owner = self._run(run_id)
                yield number, self._driven(owner)

    @contextmanager
    def _transaction(self, kind: str = "IMMEDIATE") -> Iterator[None]:
        self._connection.execute(f"BEGIN {kind}")
        with self._committed():
            yield

    @contextmanager
    def _committed(self) -> Iterator[None]:
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
            raise

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Say of what the system or SQLite refuses what it means and what to do."""
        try:
            yield
        except OSError as error:
            gone = isinstance(error, FileNotFoundError) and what == "cannot be written"
            why = "it is not there any more" if gone else error.strerror or str(error)
            why = f"{self.path.parent} is no folder" if isinstance(error, FileExistsError) else why
            raise JournalFailed(f"the journal {self.path} {what}: {why}", hint=_ELSEWHERE) from error
        except sqlite3.Error as error:
            name = getattr(error, "sqlite_errorname", "")
            why, hint = next((said for prefix, said in _MEANINGS if name.startswith(prefix)), (str(error), _ELSEWHERE))
            raise JournalFailed(f"the journal {self.path} {what}: {why}", hint=hint) from error


def _row(number: int, turn: Turn, place: Place) -> tuple[object, ...]:
    """Give a turn as what sqlite3 takes as it is.

    For whatever is not exactly an int, a float, a str or a bytearray it looks for an adapter, which takes half as long as
    the row takes SQLite.
    """
    until = _NULL if place.until is None else place.until
    return number, turn.at, place.step_id, until, int(place.announced), bytearray(turn.body)


def _flush_folder(folder: Path) -> None:
    """Have the disk take the names of the files in a folder, where the system has that."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


_ELSEWHERE = "--state PATH names another file, --no-journal runs without one"
_MEANINGS = (
    ("SQLITE_BUSY", (f"another process has been writing to it for {PATIENCE:g} s", "see which processes have it open")),
    ("SQLITE_FULL", ("the disk is full", f"make room, then resume the run; {_ELSEWHERE}")),
    ("SQLITE_READONLY", ("it may only be read", _ELSEWHERE)),
    ("SQLITE_CANTOPEN", ("it cannot be opened there", _ELSEWHERE)),
    ("SQLITE_NOTADB", ("it is no journal, or it is damaged", f"put it aside; {_ELSEWHERE}")),
    (
        "SQLITE_CORRUPT",
        ("it is damaged", f"put it aside, `sqlite3 FILE .recover` may save what is in it; {_ELSEWHERE}"),
    ),
    ("SQLITE_IOERR", ("the disk does not take or give what it should", _ELSEWHERE)),
)
"""What the errors of SQLite mean, by the beginnings of their names."""
