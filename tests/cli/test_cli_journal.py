"""Where the command line keeps its journal, and what it says where it cannot."""

import asyncio
import subprocess

import pytest
from cli_case import LIMIT, TREADLE, Simulated, environment, run_case, simulated

import treadle

TABLES = ("journal",)


def test_case(case, tmp_path):
    run_case(case, tmp_path)


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ({}, ".local/state/treadle/journal.sqlite"),
        ({"XDG_STATE_HOME": "{tmp}/xdg"}, "xdg/treadle/journal.sqlite"),
        ({"XDG_STATE_HOME": "relative"}, ".local/state/treadle/journal.sqlite"),
        ({"TREADLE_STATE": "here.sqlite"}, "here.sqlite"),
    ],
)
def test_the_journal_is_where_the_system_has_it_or_where_it_is_named(tmp_path, more, where):
    env = environment(tmp_path, {name: value.replace("{tmp}", str(tmp_path)) for name, value in more.items()})
    with simulated(Simulated()) as simulator:
        ended = subprocess.run(
            [
                *TREADLE, "run", "dataiku", "-i", "apiKey=env:KEY", "-i", "projectKey=DEMO", "-i", "scenarioId=NIGHTLY",
                "--server", simulator.api_url, "--poll-interval", "0", "--max-steps", "500",
            ],
            cwd=tmp_path, env={**env, "KEY": "demo-key"}, capture_output=True, text=True, timeout=LIMIT, check=False,
        )  # fmt: skip
    assert ended.returncode == 0, ended.stderr

    async def kept():
        journal = treadle.SqliteJournal(tmp_path / where)
        (entry,) = await journal.entries()
        found = await journal.read(entry.run_id)
        await journal.close()
        return entry, found

    entry, found = asyncio.run(kept())
    assert (entry.status, entry.workflow_id) == ("succeeded", "run-scenario-and-poll")
    assert found.start.inputs == {"projectKey": "DEMO", "scenarioId": "NIGHTLY"}
    assert found.start.secrets == {"apiKey": "env:KEY"}
    assert found.start.options == {"poll_interval": 0.0, "max_steps": 500}
