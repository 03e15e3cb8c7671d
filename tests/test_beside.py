"""Side by side with Dataiku's own client, small: what each tool reports is held against what the simulator shows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.beside_situations import COLLEAGUE, TOOL, read
from bench.beside_tools import Report
from bench.beside_truth import Fire, Truth, verdict

ROOT = Path(__file__).parents[1]
SMALL = ("warning", "short", "cancelled", "busy", "truncated-answer", "lost-answer", "key-rotated")
WHOLE = read([])


def test_treadle_reports_what_is_true_where_the_client_may_not():
    done = subprocess.run(
        [sys.executable, "-m", "bench.beside", "--json", *SMALL],
        cwd=ROOT, capture_output=True, text=True, timeout=170, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.returncode == 0
    found = json.loads(done.stdout)
    assert [*found] == [situation.id for situation in WHOLE.situations if situation.id in SMALL]
    for name, tools in found.items():
        ours = tools["treadle"]
        assert (ours["said"], ours["verdict"] in {"true", "in doubt"}) == (ours["claimed"], True), name
    assert found["busy"]["client"]["truth"] == "cancelled"
    assert found["busy"]["treadle"]["truth"] == "nothing triggered"
    assert found["lost-answer"]["client"]["verdict"] == "died"
    assert found["lost-answer"]["client"]["later"] == "SUCCESS"


def test_there_are_twenty_situations_and_more_each_with_a_world_of_its_own():
    assert len({situation.id for situation in WHOLE.situations}) == len(WHOLE.situations) >= 20
    for situation in WHOLE.situations:
        simulation = situation.simulation(WHOLE.common)
        assert [key.id for key in simulation.keys] == [TOOL.id, COLLEAGUE.id]
        assert all(fault.key == TOOL.key for fault in simulation.faults)


def test_the_page_has_a_row_for_each_situation():
    page = (ROOT / "docs/dataiku/beside.md").read_text("utf-8")
    rows = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ")]
    assert [situation.id for situation in WHOLE.situations if situation.id not in rows] == []


def test_an_unknown_situation_is_refused():
    with pytest.raises(ValueError, match="no situation is called nonsense; there are success"):
        read(["nonsense"])


RUNNING, WAITING, CANCELLED = Fire("running", 0, "r1"), Fire("waiting"), Fire("cancelled", 9)
DONE, BROKEN = Fire("SUCCESS", 9, "r1"), Fire("FAILED", 9, "r1")


@pytest.mark.parametrize(
    ("said", "run", "fires", "held"),
    [
        ("SUCCESS", "r1", [DONE], "true"),
        ("SUCCESS", None, [DONE], "true"),
        ("SUCCESS", "r0", [DONE], "**false**"),  # the run of somebody else
        ("SUCCESS", None, [RUNNING], "**false**"),
        ("SUCCESS", None, [BROKEN], "**false**"),
        ("SUCCESS", None, [], "**false**"),
        ("SUCCESS", None, [DONE, DONE], "**false**"),  # triggered twice
        ("cancelled", None, [CANCELLED], "true"),
        ("cancelled", None, [WAITING], "**false**"),
        ("nothing triggered", None, [], "true"),
        ("nothing triggered", None, [CANCELLED], "**false**"),
        ("goes on", "r1", [RUNNING], "true"),
        ("goes on", None, [WAITING], "true"),
        ("goes on", "r1", [DONE], "**false**"),
        ("in doubt", "r1", [RUNNING], "in doubt"),
        ("in doubt", "r0", [RUNNING], "**false**"),
        ("in doubt", None, [], "in doubt"),
        ("exception", None, [RUNNING], "died"),
        ("exception", None, [], "nothing lost"),
        ("hung", None, [RUNNING], "hung"),
    ],
)
def test_a_report_is_held_against_what_was_so(said, run, fires, held):
    assert verdict(Report(said, "", 0, run), Truth(tuple(fires), 10)) == held
