"""The judge can say no: a runner that does one thing wrong is judged as failing for just that."""

import json
import shlex
import sys
from pathlib import Path

import pytest
from suite_under_test import suite

from conformance.command import Command, run_case
from loader import cases

FAKE = Path(__file__).with_name("fake_runner.py")


@pytest.mark.parametrize("row", cases("conformance/judge.yaml"))
def test_verdict(row, tmp_path):
    case = {
        "id": "a",
        "claims": ["a.b"],
        "polarity": "positive",
        "server": {"*": {"json": {}}},
        "expect": row["expect"],
    }
    path = tmp_path / "section" / "topic.yaml"
    path.parent.mkdir()
    path.write_text(json.dumps([case]), "utf-8")
    command = Command(
        shlex.join([sys.executable, str(FAKE), json.dumps(row["does"]), "{server}", "{document}"]),
        timeout=row.get("timeout", 20.0),
        outputs=row.get("outputs", "auto"),
        strict_spec=row.get("strict_spec", False),
    )
    problems = run_case(suite.load(tmp_path)[0], command).problems
    wanted = row.get("says", [])
    assert len(problems) == len(wanted), problems
    for problem, start in zip(problems, wanted, strict=True):
        assert problem.startswith(start), problems
