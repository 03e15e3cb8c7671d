"""How figures are taken: processes, servers, pairs of ours and the baseline."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


class Figure(NamedTuple):
    """What was measured, the bound it is held to, and what was found, as text."""

    what: str
    bound: str
    found: str
    kept: bool


@contextmanager
def server(delay: float) -> Iterator[str]:
    process = subprocess.Popen([sys.executable, HERE / "server.py", str(delay)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/public/api"
    finally:
        process.terminate()
        process.wait()


def spent(*command: str) -> float:
    """Run a whole process; give its CPU seconds, user and system."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return usage.ru_utime + usage.ru_stime


def told(*command: str) -> dict[str, float]:
    """Run a script that prints its figures."""
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert done.returncode == 0, done.stderr
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def paired(ours: Callable[[], float], bare: Callable[[], float], rounds: int) -> tuple[float, float, float, float]:
    """Measure the two in turn, after one round that does not count; give median ratio, lowest, highest, and ours."""
    ours(), bare()
    pairs = [(ours(), bare()) for _ in range(rounds)]
    ratios = sorted(first / second for first, second in pairs)
    return statistics.median(ratios), ratios[0], ratios[-1], statistics.median(first for first, _ in pairs)


def python(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, *arguments)


def at_most(what: str, ratio: float, bound: float, details: str) -> Figure:
    return Figure(what, f"at most {bound:g} times", f"{ratio:.2f} times ({details})", ratio <= bound)


def run(*command: str) -> str:
    """Run a command that must succeed; give what it wrote."""
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def table_of(figures: list[Figure]) -> str:
    """Give figures as a table, each with its bound and whether it is kept."""
    lines = [f"| {found.what} | {found.bound} | {found.found} | {_verdict(found)} |" for found in figures]
    return "\n".join(["| figure | bound | found | kept |", "|---|---|---|---|", *lines])


def _verdict(found: Figure) -> str:
    if found.bound == "none":
        return ""
    return "yes" if found.kept else "**no**"
