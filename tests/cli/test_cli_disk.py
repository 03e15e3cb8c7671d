"""What disks do to a journal: one clear message, the right exit code, and no run is lost or sent twice."""

from __future__ import annotations

import json
import os
import resource
import signal
import sqlite3
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from cli_case import LIMIT, TREADLE, environment
from cli_server import Answer
from test_cli_runs import DONE, JOB, LOOK, RUNNING, START, STATUS, machine

ROOT = os.geteuid() == 0
ELSEWHERE = "--state PATH names another file, --no-journal runs without one\n"


def said(m, process, code):
    """Give what a command said in its one message, which has a hint, when it ended with that code."""
    found, _, err = m.end(process)
    assert found == code, err
    lines = err.splitlines()
    messages = [line for line in lines if line.startswith("treadle: ")]
    assert len(messages) == 1, err
    assert lines[lines.index(messages[0]) + 1].startswith("  hint: "), err
    return messages[0].replace(str(m.tmp), "")


@contextmanager
def small_disk(folder, size="256k"):
    """Have a disk of that size there; only root can."""
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder):
    """Leave no room."""
    with (folder / "ballast").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass


@pytest.mark.skipif(not ROOT, reason="only root can make a small disk")
def test_a_disk_that_is_full_when_a_run_begins(tmp_path):
    with machine(tmp_path) as m, small_disk(tmp_path / "disk"):
        fill(tmp_path / "disk")
        message = said(m, m.run_job(TREADLE_STATE="disk/j.sqlite"), 2)
        assert message.startswith("treadle: the journal disk/j.sqlite cannot be opened: ")
        assert m.seen == []


@pytest.mark.skipif(not ROOT, reason="only root can make a small disk")
def test_a_disk_that_becomes_full_in_the_middle(tmp_path):
    held = {**JOB, LOOK: [Answer(special="hold", json={"name": "nightly"})], STATUS: [DONE]}
    with machine(tmp_path, held) as m, small_disk(tmp_path / "disk"):
        state = {"TREADLE_STATE": "disk/j.sqlite"}
        process = m.run_job(**state)
        m.arrived(LOOK)
        fill(tmp_path / "disk")
        m.server.let_go.set()
        message = said(m, process, 1)
        assert message == "treadle: the journal disk/j.sqlite cannot be written: the disk is full"
        assert m.seen == [LOOK]  # what could not be announced was not sent
        (tmp_path / "disk" / "ballast").unlink()
        code, out, err = m.call("runs", "resume", **state)
        assert (code, [*json.loads(out).values()]) == (0, [{"run": "r1", "result": "whole"}]), err
        assert m.seen == [LOOK, LOOK, START, STATUS]


def test_a_file_that_may_not_grow(tmp_path):
    held = {**JOB, LOOK: [Answer(special="hold", json={"name": "nightly"})], STATUS: [DONE]}
    with machine(tmp_path, held) as m:
        process = m.run_job()
        m.arrived(LOOK)
        limit = (tmp_path / "j.sqlite-wal").stat().st_size
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (limit, limit))
        m.server.let_go.set()
        assert said(m, process, 1).startswith("treadle: the journal j.sqlite cannot be written: ")
        assert m.seen == [LOOK]
        assert m.listed()[0]["status"] == "interrupted"
        assert m.call("runs", "resume")[0] == 0
        assert m.seen == [LOOK, LOOK, START, STATUS]


def _mount_read_only(folder):
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)


@pytest.mark.skipif(not ROOT, reason="only root can make a disk that may only be read")
@pytest.mark.parametrize("known", [True, False])
def test_a_disk_that_may_only_be_read(known, tmp_path):
    with machine(tmp_path, {**JOB, STATUS: [DONE]}) as m, small_disk(tmp_path / "disk", "4m"):
        state = {"TREADLE_STATE": "disk/j.sqlite"}
        if known:
            assert m.end(m.run_job(**state))[0] == 0
        m.server.seen.clear()
        _mount_read_only(tmp_path / "disk")
        message = said(m, m.run_job(**state), 2)
        assert message.startswith("treadle: the journal disk/j.sqlite cannot be ")
        assert m.seen == []
        if not known:
            assert m.call("runs", "list", "--json", **state)[:2] == (0, "[]\n")


@pytest.mark.parametrize("what", ["j.sqlite", "."])
def test_what_may_only_be_read(what, tmp_path):
    with machine(tmp_path, {**JOB, STATUS: [DONE]}) as m:
        (tmp_path / "state").mkdir()
        state = {"TREADLE_STATE": "state/j.sqlite"}
        assert m.end(m.run_job(**state))[0] == 0
        m.server.seen.clear()
        place = tmp_path / "state" / what
        place.chmod(0o500 if place.is_dir() else 0o400)
        assert said(m, m.run_job(**state), 2).startswith("treadle: the journal state/j.sqlite cannot be ")
        assert m.seen == []
        place.chmod(0o700)


# Root may write everywhere; the disk above stands for these then.
test_what_may_only_be_read.__test__ = not ROOT


def test_a_file_that_is_taken_away_in_the_middle(tmp_path):
    held = {**JOB, START: [Answer(special="hold", json={"run": "r1"})]}
    with machine(tmp_path, held) as m:
        process = m.run_job()
        m.arrived(START)
        for file in tmp_path.glob("j.sqlite*"):
            if file.is_file():
                file.rename(tmp_path / f"kept-{file.name}")
        m.server.let_go.set()
        message = said(m, process, 1)
        assert message == "treadle: the journal j.sqlite cannot be written: it is not there any more"
        for file in tmp_path.glob("kept-*"):
            file.rename(tmp_path / file.name.removeprefix("kept-"))
        assert m.listed()[0]["status"] == "in-doubt"
        assert m.call("runs", "resume", "--in-doubt", 'skip={"run": "r1"}')[0] == 0
        assert m.seen.count(START) == 1


def test_a_last_page_that_was_torn(tmp_path):
    with machine(tmp_path, {**JOB, STATUS: [RUNNING, DONE]}) as m:
        process = m.run_job("--poll-interval", "2")
        m.arrived(STATUS)
        m.until("waiting")
        process.kill()
        process.communicate()
        ahead = tmp_path / "j.sqlite-wal"
        size = ahead.stat().st_size
        with ahead.open("r+b") as file:  # as a power cut leaves it: the last frame is there in part
            file.seek(size - 2000)
            file.write(os.urandom(2000))
        (entry,) = m.listed()
        assert entry["status"] in ("interrupted", "in-doubt")
        # The turn that was in it is gone, and what its answer was is asked for again: no request was lost or announced late.
        code, out, err = m.call("runs", "resume")
        assert (code, [*json.loads(out).values()]) == (0, [{"run": "r1", "result": "whole"}]), err
        assert m.seen.count(START) == 1


def test_a_file_that_is_damaged(tmp_path):
    with machine(tmp_path, {**JOB, STATUS: [DONE]}) as m:
        assert m.end(m.run_job())[0] == 0
        m.server.seen.clear()
        file = tmp_path / "j.sqlite"
        size = file.stat().st_size
        content = bytearray(file.read_bytes())
        for page in range(1, size // 4096):
            content[page * 4096 : page * 4096 + 64] = os.urandom(64)
        file.write_bytes(content)
        assert said(m, m.run_job(), 2).startswith("treadle: the journal j.sqlite cannot be opened: it is damaged")
        assert said(m, m.begin("runs", "list"), 2).startswith("treadle: the journal j.sqlite cannot be ")
        assert m.seen == []
        file.write_bytes(b"no database " * 1000)
        assert "it is no journal, or it is damaged" in said(m, m.run_job(), 2)
        assert file.read_bytes() == b"no database " * 1000
        file.write_bytes(b"")  # as good as none: it is made anew, with the key that is there
        assert m.end(m.run_job())[0] == 0


def _held_up(m, tmp_path):
    """Begin a run, and lock its journal before its first answer comes."""
    process = m.run_job()
    m.arrived(LOOK)
    other = sqlite3.connect(tmp_path / "j.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    m.server.let_go.set()
    return process, other


def test_a_file_that_another_process_has_locked_for_a_while(tmp_path):
    held = {**JOB, LOOK: [Answer(special="hold", json={"name": "nightly"})], STATUS: [DONE]}
    with machine(tmp_path, held) as m:
        process, other = _held_up(m, tmp_path)
        assert m.listed()[0]["status"] == "running"  # it can be read meanwhile
        assert m.seen == [LOOK]
        other.execute("ROLLBACK")
        other.close()
        assert m.end(process)[0] == 0


def test_a_signal_while_the_journal_is_locked(tmp_path):
    held = {**JOB, LOOK: [Answer(special="hold", json={"name": "nightly"})], STATUS: [DONE]}
    with machine(tmp_path, held) as m:
        process, other = _held_up(m, tmp_path)
        end = time.monotonic() + LIMIT
        while process.poll() is None and time.monotonic() < end:
            process.send_signal(signal.SIGINT)
            time.sleep(0.05)
        assert m.end(process)[0] == 130
        other.close()
        assert m.listed()[0]["status"] == "interrupted"
        assert m.call("runs", "resume")[0] == 0
        assert m.seen.count(START) == 1


def test_a_full_disk_under_stdout_changes_no_run(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with machine(tmp_path, {**JOB, STATUS: [DONE]}) as m, Path("/dev/full").open("wb") as full:
        url = f"http://127.0.0.1:{m.server.port}"
        env = environment(tmp_path, {"TREADLE_STATE": "j.sqlite"})
        command = [*TREADLE, "run", "job.yaml", "-i", "name=nightly", "--server", url]
        ended = subprocess.run(
            command, cwd=tmp_path, env=env, stdout=full, stderr=subprocess.PIPE, timeout=LIMIT, check=False
        )
        assert ended.returncode == 1
        assert b"No space left on device" in ended.stderr
        assert m.listed()[0]["status"] == "succeeded"
        assert m.call("runs", "resume", m.listed()[0]["runId"])[0] == 0
