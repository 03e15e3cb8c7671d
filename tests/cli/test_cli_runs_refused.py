"""What `treadle runs` cannot do: each time one message and the exit code 2, and the runs stay as they are."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3

import msgspec
import pytest
from cli_server import Answer
from msgspec import Struct
from test_cli_runs import DONE, JOB, PATIENT, RUNNING, STATUS, machine

import treadle
from loader import table
from treadle.drivers.journals.protocol import Start


class Case(Struct, forbid_unknown_fields=True, frozen=True):
    """One case; `stderr` is the whole of it, `has` what must be in it."""

    id: str
    args: list[str]
    stderr: str | None = None
    has: list[str] = []


CASES = msgspec.convert(table("cli/runs_refused.yaml")["cases"], list[Case])


def _others(folder):
    """Make files that are no journals of this version."""
    with sqlite3.connect(folder / "foreign.sqlite") as connection:
        connection.execute("CREATE TABLE t (x)")
    connection.close()
    for name in ("later", "keyless"):
        shutil.copy(folder / "j.sqlite", folder / f"{name}.sqlite")
    shutil.copy(folder / "j.sqlite.key", folder / "later.sqlite.key")
    with sqlite3.connect(folder / "later.sqlite") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


async def _add(folder, of, run_id):
    """Make a run whose id begins as that of another one, and which has ended as that did."""
    journal = treadle.SqliteJournal(folder / "j.sqlite")
    kept = await journal.read(of)
    start = kept.start
    await journal.start(
        Start(run_id, start.program, start.inputs, start.secrets, start.options, start.began), kept.records
    )
    await journal.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    with machine(folder, {**JOB, STATUS: [DONE, RUNNING, Answer(special="hang")]}) as found:
        assert found.end(found.run_job())[0] == 0
        ended = found.listed()[0]["runId"]
        common = ended[:6]
        asyncio.run(_add(folder, ended, f"{common}{'0' * 10}"))
        _others(folder)
        found.run_job(*PATIENT)
        waiting = found.until("waiting")["runId"]
        yield found, {"ended": ended, "waiting": waiting, "common": common}


@pytest.mark.parametrize("row", CASES, ids=lambda row: row.id)
def test_refused(row, world):
    found, places = world

    def filled(text):
        for name, place in places.items():
            text = text.replace("{" + name + "}", place)
        return text

    before = found.listed()
    code, out, err = found.call("runs", *map(filled, row.args))
    assert (code, out) == (2, ""), err
    assert row.stderr is None or err == filled(row.stderr)
    for text in row.has:
        assert filled(text) in err
    assert found.listed() == before
