"""What is true of the SQLite journal alone: its file, its key, what the disk refuses, who holds it."""

from __future__ import annotations

import asyncio
import base64
import errno
import os
import sqlite3
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from served import NOON
from test_drivers_journals import POLLS, begun, started, turn
from test_drivers_run import program

from treadle import JournalFailed, RunRefused
from treadle.drivers.journals import sqlite, store
from treadle.drivers.journals.sqlite import SqliteJournal
from treadle.engine.interpreter import Run


def _with_one_run(path, run_id="r1"):
    async def write():
        journal = SqliteJournal(path)
        run, _ = await started(journal, run_id)
        await journal.append(run_id, turn(run))
        await journal.close()

    asyncio.run(write())


def _read(path, run_id="r1"):
    async def read():
        journal = SqliteJournal(path)
        try:
            return await journal.read(run_id)
        finally:
            await journal.close()

    return asyncio.run(read())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "made" / "journal.sqlite"


def test_the_file_and_its_key_are_for_their_owner_alone(path):
    _with_one_run(path)
    assert {found.name for found in path.parent.iterdir()} == {
        "journal.sqlite", "journal.sqlite.key", "journal.sqlite.owners",
    }  # fmt: skip
    for found in (path, path.with_name("journal.sqlite.key")):
        assert stat.S_IMODE(found.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.with_name("journal.sqlite.owners").iterdir()) == []


def test_nothing_of_answers_and_inputs_can_be_read_without_the_key(path, monkeypatch):
    _with_one_run(path)
    assert b"api.test" not in path.read_bytes()
    key = path.with_name("journal.sqlite.key")
    kept = key.read_text()
    key.unlink()
    with pytest.raises(JournalFailed, match=r"the key of the journal .* is not there"):
        _read(path)
    monkeypatch.setenv("TREADLE_STATE_KEY", kept)
    assert _read(path).start.run_id == "r1"
    monkeypatch.setenv("TREADLE_STATE_KEY", base64.b64encode(b"x" * 32).decode())
    with pytest.raises(JournalFailed, match="cannot be opened with the key that is there"):
        _read(path)
    for wrong in ("", "short", "é" * 44, "A" * 43):
        monkeypatch.setenv("TREADLE_STATE_KEY", wrong)
        with pytest.raises(JournalFailed, match="TREADLE_STATE_KEY holds no key"):
            _read(path)


def test_a_key_from_the_environment_is_written_nowhere(path, monkeypatch):
    key = base64.b64encode(os.urandom(32)).decode()
    monkeypatch.setenv("TREADLE_STATE_KEY", key)
    _with_one_run(path)
    assert not path.with_name("journal.sqlite.key").exists()
    assert _read(path).start.program == POLLS


def test_what_is_no_key_is_replaced_only_where_there_is_nothing_to_open(path):
    path.parent.mkdir()
    path.with_name("journal.sqlite.key").write_text("garbage")
    with pytest.raises(JournalFailed, match=r"journal\.sqlite\.key holds no key") as refused:
        SqliteJournal(path)
    assert refused.value.hint == "take it away, and a new one is made"
    path.with_name("journal.sqlite.key").unlink()
    _with_one_run(path)
    path.with_name("journal.sqlite.key").write_text("garbage")
    with pytest.raises(JournalFailed, match=r"journal\.sqlite\.key holds no key") as refused:
        SqliteJournal(path)
    assert refused.value.hint == "bring back the key that the journal was made with"


def test_a_turn_that_was_changed_or_moved_is_refused(path):
    _with_one_run(path, "r1")
    _with_one_run(path, "r2")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE turns SET run = 3 - run")
    connection.close()
    with pytest.raises(JournalFailed, match="run 'r1' is damaged in the journal"):
        _read(path)


def test_other_files_are_not_touched(tmp_path):
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    text = tmp_path / "notes.txt"
    text.write_text("no database at all, but long enough to be taken for one" * 20)
    for path, said in (
        (other, "is a database, but no journal of Treadle"),
        (text, "it is no journal, or it is damaged"),
    ):
        before = path.read_bytes()
        with pytest.raises(JournalFailed, match=said):
            SqliteJournal(path)
        assert path.read_bytes() == before


def test_a_file_of_a_later_version_is_refused(path):
    _with_one_run(path)
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {store.VERSION + 1}")
    connection.close()
    with pytest.raises(JournalFailed, match="was written by a later version of Treadle"):
        SqliteJournal(path)


def test_places_where_no_file_can_be(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "journal", tmp_path):
        with pytest.raises(JournalFailed, match="cannot be opened") as failed:
            SqliteJournal(path)
        assert "--state PATH" in failed.value.hint


def test_a_file_that_is_taken_away_is_noticed_at_the_next_turn(path):
    async def write():
        journal = SqliteJournal(path)
        run, _ = await started(journal)
        path.unlink()
        with pytest.raises(JournalFailed, match="cannot be written: it is not there any more"):
            await journal.append("r1", turn(run))
        await journal.close()

    asyncio.run(write())


async def _append_for_ever(journal, run):
    while True:
        await journal.append("r1", turn(run))


def test_a_full_disk_loses_nothing_that_was_written(path):
    async def write():
        journal = SqliteJournal(path)
        run, _ = await started(journal)
        connection = journal._store._connection
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(JournalFailed, match="the disk is full") as failed:
            await _append_for_ever(journal, run)
        assert failed.value.hint.startswith("make room, then resume the run")
        await journal.close()

    asyncio.run(write())
    kept = _read(path)
    assert Run(kept.start.program, kept.start.inputs, journal=kept.records).pending()


@contextmanager
def writing_elsewhere(path):
    """Have another process write to a journal, as long as the block takes."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


def test_a_writer_waits_for_another_process(path, monkeypatch):
    async def write():
        journal = SqliteJournal(path)
        run, records = await started(journal)
        with writing_elsewhere(path):
            waiting = asyncio.create_task(journal.append("r1", records := turn(run)))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert not waiting.done()
        await waiting
        assert list((await journal.read("r1")).records[-len(records) :]) == records
        monkeypatch.setattr(store, "PATIENCE", 0.01)
        with writing_elsewhere(path), pytest.raises(JournalFailed, match="another process has been writing to it for"):
            await journal.append("r1", turn(run))
        await journal.close()

    asyncio.run(write())


def test_a_file_is_one_by_whatever_name(path):
    async def tried():
        link = path.parent.parent / "link.sqlite"
        link.symlink_to(path)
        by_link, by_path = SqliteJournal(link), SqliteJournal(path)
        run, _ = await started(by_link, of=program("POST", "GET"))  # what announces it is flushed
        with pytest.raises(RunRefused, match="is being driven already"):
            await by_path.claim("r1")
        await by_link.append("r1", turn(run))
        await by_link.close()
        assert [entry.status for entry in await by_path.entries()] == ["interrupted"]
        await by_path.close()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.with_name("journal.sqlite.key").exists()
        assert {file.name for file in link.parent.iterdir()} == {"made", "link.sqlite"}

    asyncio.run(tried())


def test_a_file_stays_the_same_where_the_working_directory_changes(tmp_path, monkeypatch):
    async def tried():
        monkeypatch.chdir(tmp_path)
        journal = SqliteJournal("journal.sqlite")
        run, _ = await started(journal, of=program("POST", "GET"))
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir("elsewhere")
        await journal.append("r1", turn(run))
        await journal.close()

    asyncio.run(tried())
    assert len(_read(tmp_path / "journal.sqlite").records) > 2


async def _at_some_turn(begin, turns):
    """Begin something, and cancel it after so many turns of the loop."""
    task = asyncio.create_task(begin)
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("turns", range(5))
def test_whoever_is_cancelled_while_it_claims_has_claimed_nothing(path, turns):
    _with_one_run(path)

    async def tried():
        journal, other = SqliteJournal(path), SqliteJournal(path)
        with journal._one_at_a_time:  # nothing is done before the cancellation
            await _at_some_turn(journal.claim("r1"), turns)
        await journal.claim("r1")  # whoever was cancelled can have it again at once
        await journal.release("r1")
        assert (await other.claim("r1")).start.run_id == "r1"
        await journal.close()
        await other.close()

    asyncio.run(tried())


@pytest.mark.parametrize("turns", range(1, 5))
def test_a_run_is_let_go_of_though_whoever_does_is_cancelled(path, turns):
    async def tried():
        journal, free = SqliteJournal(path), threading.Event()
        await started(journal)
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        busy = loop.run_in_executor(None, free.wait)  # it is not even begun before the cancellation
        await _at_some_turn(journal.release("r1"), turns)
        free.set()
        await busy
        assert (await journal.claim("r1")).start.run_id == "r1"
        await journal.close()

    asyncio.run(tried())


@pytest.mark.parametrize("turns", range(5))
def test_whoever_does_not_wait_for_the_end_of_a_journal_leaves_nobody_waiting(path, turns):
    async def tried():
        journal = SqliteJournal(path)
        run, records = await started(journal)
        with writing_elsewhere(path):
            waiting = asyncio.create_task(journal.append("r1", more := turn(run)))
            await asyncio.sleep(0)
            await _at_some_turn(journal.close(), turns)
        await asyncio.wait_for(waiting, 10)
        await journal.close()
        return [*records, *more]

    written = asyncio.run(tried())
    assert list(_read(path).records) == written


def test_many_claim_and_one_gets_it(path):
    _with_one_run(path)

    async def claim():
        journals = [SqliteJournal(path) for _ in range(8)]
        claims = await asyncio.gather(*(journal.claim("r1") for journal in journals), return_exceptions=True)
        assert sum(not isinstance(found, Exception) for found in claims) == 1
        for journal in journals:
            await journal.close()

    asyncio.run(claim())


@pytest.mark.parametrize("others", [0, 1], ids=["alone", "among-others"])
def test_what_announces_a_request_reaches_the_disk_first(path, monkeypatch, others):
    flushed, fsync = [], os.fsync

    def seen(handle):
        fsync(handle)
        flushed.append(os.path.sameopenfile(handle, ahead) and os.fstat(ahead).st_size)

    async def write():
        nonlocal ahead
        journal = SqliteJournal(path)
        for number in range(others):
            await started(journal, f"other{number}")
        run, _ = await started(journal, of=program("GET", "POST", "GET"))
        ahead = os.open(f"{path}-wal", os.O_RDONLY)
        monkeypatch.setattr(os, "fsync", seen)
        size = os.fstat(ahead).st_size
        await journal.append("r1", turn(run))
        assert max(flushed) > size  # the announcement is in what the disk took
        del flushed[:]
        for _ in range(2):
            await journal.append("r1", turn(run))
        assert not flushed
        await journal.close()

    ahead = 0
    asyncio.run(write())
    os.close(ahead)


def test_a_disk_that_does_not_take_an_announcement_is_an_error(path, monkeypatch):
    async def write():
        journal = SqliteJournal(path)
        run, _ = await started(journal, of=program("GET", "POST"))

        def broken(handle):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        with monkeypatch.context() as disk:
            disk.setattr(os, "fsync", broken)
            with pytest.raises(JournalFailed, match="cannot be written: Input/output error"):
                await journal.append("r1", turn(run))
        await journal.close()

    asyncio.run(write())


@pytest.mark.parametrize(("of", "call"), [(Path, "stat"), (os, "fsync")], ids=["write", "flush"])
def test_nobody_waits_for_a_writer_that_broke_in_a_way_that_nobody_thought_of(path, monkeypatch, of, call):
    async def write():
        journal = SqliteJournal(path)
        run, _ = await started(journal, of=program("GET", "POST"))
        with monkeypatch.context() as broken:
            broken.setattr(of, call, lambda *_, **__: 1 // len(""))
            with pytest.raises(ZeroDivisionError):
                await journal.append("r1", turn(run))
        await journal.close()

    asyncio.run(write())


def test_a_long_loop_stays_small(path):
    async def write():
        journal = SqliteJournal(path)
        run, start, records = begun()
        await journal.start(start, records)
        for number in range(2000):
            records = turn(run, NOON + number)
            if number % 64 == 0:
                records.append(run.checkpoint(NOON + number))
            await journal.append("r1", records)
        await journal.close()

    asyncio.run(write())
    assert path.stat().st_size < 300_000
    assert len(_read(path).records) < 400


def test_programs_are_kept_once_and_go_with_their_last_run(path):
    async def write():
        journal = SqliteJournal(path)
        for run_id in ("r1", "r2"):
            await started(journal, run_id)
            await journal.release(run_id)
        counted = []
        for run_id in ("r1", "r2"):
            counted.append(journal._store._connection.execute("SELECT count(*) FROM programs").fetchone()[0])
            await journal.delete(run_id)
        counted.append(journal._store._connection.execute("SELECT count(*) FROM programs").fetchone()[0])
        await journal.close()
        assert counted == [1, 1, 0]

    asyncio.run(write())


def test_what_deleted_runs_took_is_given_back(path):
    async def write():
        journal = SqliteJournal(path)
        for number in range(100):
            await started(journal, f"r{number}")
            await journal.release(f"r{number}")
        await journal.close()
        journal = SqliteJournal(path)
        before = path.stat().st_size
        for number in range(100):
            await journal.delete(f"r{number}")
        await journal.close()
        assert path.stat().st_size < before / 2

    asyncio.run(write())


def test_what_is_kept_in_memory_is_bounded(path, monkeypatch):
    monkeypatch.setattr(sqlite, "_MOST_PROGRAMS", 2)

    async def write():
        journal = SqliteJournal(path)
        for number in range(5):
            await started(journal, f"r{number}", program(*["GET"] * (number + 1)))
        for number in range(5):
            assert len((await journal.read(f"r{number}")).start.program.entry.steps) == number + 1
        await journal.close()

    asyncio.run(write())


def test_a_file_is_closed_after_the_thread_that_reads_it(path, monkeypatch):
    _with_one_run(path)
    begun, go_on, read = threading.Event(), threading.Event(), []

    async def cancelled_while_it_reads():
        journal = SqliteJournal(path)
        entries = journal._store.entries

        def slowly():
            begun.set()
            go_on.wait()
            read.append(len(entries()))

        monkeypatch.setattr(journal._store, "entries", slowly)
        reading = asyncio.create_task(journal.entries())
        await asyncio.to_thread(begun.wait)
        reading.cancel()
        closing = asyncio.create_task(journal.close())
        await asyncio.wait([reading])
        waits = not closing.done()
        go_on.set()
        await closing
        assert waits

    asyncio.run(cancelled_while_it_reads())
    assert read == [1]
