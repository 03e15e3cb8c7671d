"""The chaos program, small: kill -9 at each point, and each scenario is triggered exactly once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_each_scenario_is_triggered_once_whenever_processes_die():
    command = [sys.executable, "-m", "bench.chaos", "--runs", "36", "--processes", "2", "--seed", "1"]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[1], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert (found["triggered once"], found["never"], found["twice"]) == (36, [], []), found
    assert done.returncode == 0, found
