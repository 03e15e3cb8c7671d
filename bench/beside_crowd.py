"""500 scenarios at once: one process of Treadle against Dataiku's own client in 500 threads. CPU, memory, requests, delay."""

from __future__ import annotations

import json
import os
import ssl
import statistics
import subprocess
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import certifi

from bench.beside_situations import PROJECT, TOOL
from bench.measures import ENVIRONMENT, HERE, Figure, python

Scheme = Literal["https", "http"]

MANY: Final = 500
_RUN_TIME: Final = (20, 61)
"""Seconds that the shortest and the longest run take."""
_TO_SAY_IT: Final = 0.1
"""Seconds from the look that saw the end to the line that says it."""


class Crowd(NamedTuple):
    """What one process needed: CPU seconds, peak memory in KiB, and for each scenario its requests and its delay.

    Attributes:
        delays: seconds from the end of the run to the line that says it.
        intervals: seconds between the last two looks at it.
    """

    cpu: float
    peak: int
    requests: list[int]
    delays: list[float]
    intervals: list[float]


def _world(count: int) -> dict[str, Any]:
    shortest, longest = _RUN_TIME
    scenarios = [
        {
            "project": PROJECT, "id": f"S{number}", "type": "custom_python",
            "run_time": shortest + number * 7 % (longest - shortest) + number % 10 / 10,
        }
        for number in range(count)
    ]  # fmt: skip
    return {"keys": [{"key": TOOL.key, "id": TOOL.id}], "scenarios": scenarios}


class Served(NamedTuple):
    """Where the simulator listens, and the file of the certificates that are trusted, its own among them."""

    url: str
    trusted: Path


@contextmanager
def _simulator(count: int, scheme: Scheme) -> Iterator[Served]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        world, own, trusted = folder / "world.json", folder / "own.pem", folder / "trusted.pem"
        world.write_text(json.dumps(_world(count)), "utf-8")
        command = python("-m", "treadle", "dataiku", "simulate", "--port", "0", "--config", str(world))
        if scheme == "https":
            command += ("--tls", "--tls-certificate", str(own))
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
        try:
            assert process.stderr is not None
            url = process.stderr.readline().split()[2].removesuffix("/public/api")
            # As on a machine that trusts the world's authorities and that of its own company.
            authorities = [Path(certifi.where()), *([own] if scheme == "https" else [])]
            trusted.write_text("".join(file.read_text("ascii") for file in authorities), "ascii")
            yield Served(url, trusted)
        finally:
            process.terminate()
            process.communicate()


def _crowd(tool: str, count: int, scheme: Scheme) -> Crowd:
    """Let a tool run that many scenarios at once to their ends."""
    names = [f"S{number}" for number in range(count)]
    if tool == "treadle":
        command = ("-m", "treadle", "dataiku", "run", PROJECT, *names, "--json", "-q")
    else:
        command = (str(HERE / "beside_client_crowd.py"), str(count))
    with _simulator(count, scheme) as served, tempfile.TemporaryDirectory() as home:
        file = Path(home) / "peak"
        environment = {
            **ENVIRONMENT, "HOME": home, "XDG_STATE_HOME": home, "DKU_DSS_URL": served.url, "DKU_API_KEY": TOOL.key,
            "SSL_CERT_FILE": str(served.trusted), "REQUESTS_CA_BUNDLE": str(served.trusted),
        }  # fmt: skip
        process = subprocess.Popen(
            python(str(HERE / "beside_peak.py"), str(file), *command),
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert process.stdout is not None
        said = {}
        for line in process.stdout:
            entry = json.loads(line)
            assert entry["outcome"] == "SUCCESS", line
            said[entry["scenario"]] = time.time()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        assert len(said) == count
        peak = int(file.read_text("ascii"))
        return Crowd(usage.ru_utime + usage.ru_stime, peak, *_seen(served, said))


def _seen(served: Served, said: dict[str, float]) -> tuple[list[int], list[float], list[float]]:
    """Give requests, delays and intervals, by what the simulator has seen."""
    scenarios = _ask(served, "/_sim/state")["scenarios"]
    ends = {each["id"]: each["runs"][0]["end"] / 1000 for each in scenarios}
    looks: dict[str, list[float]] = {name: [] for name in said}
    requests: Counter[str] = Counter()
    last = 0
    while entries := _ask(served, f"/_sim/requests?after={last}"):
        last = entries[-1]["number"]
        for entry in entries:
            parts = entry["path"].split("/scenarios/")[1].split("?")[0].split("/")
            name = parts[1] if parts[0] == "trigger" else parts[0]
            requests[name] += 1
            looks[name].append(entry["at"])
    intervals = [times[-1] - times[-2] for times in looks.values()]
    return [requests[name] for name in said], [said[name] - ends[name] for name in said], [*intervals]


def _ask(served: Served, path: str) -> Any:
    trust = ssl.create_default_context(cafile=served.trusted)
    with urllib.request.urlopen(served.url + path, timeout=30, context=trust) as answer:  # noqa: S310 - our own simulator
        return json.load(answer)


def measure() -> list[Figure]:
    """Measure both tools over https, as a DSS is reached, and over http."""
    return [*_measured("https"), *_measured("http")]


def _measured(scheme: Scheme) -> list[Figure]:
    """Measure both tools with 500 scenarios, and with one: what a process needs before there is a crowd."""
    ours, theirs = _crowd("treadle", MANY, scheme), _crowd("client", MANY, scheme)
    ours_alone, theirs_alone = _crowd("treadle", 1, scheme), _crowd("client", 1, scheme)
    cpu = theirs.cpu / ours.cpu
    memory = (ours.peak - ours_alone.peak) / (theirs.peak - theirs_alone.peak)
    late, late_theirs = _latest(ours), _latest(theirs)
    fewer = all(mine <= its for mine, its in zip(ours.requests, theirs.requests, strict=True))
    return [
        Figure(
            f"{scheme}: CPU of the whole process: how many times less than the client's", "at least 5",
            f"{cpu:.1f} ({ours.cpu / MANY * 1000:.1f} ms a scenario, the client {theirs.cpu / MANY * 1000:.1f} ms)",
            cpu >= 5,
        ),
        Figure(
            f"{scheme}: peak memory above that of the same process with one scenario, against the client's", "at most 0.1",
            f"{memory:.2f} ({_mib(ours.peak - ours_alone.peak)} above {_mib(ours_alone.peak)}; the client "
            f"{_mib(theirs.peak - theirs_alone.peak)} above {_mib(theirs_alone.peak)})",
            memory <= 0.1,
        ),
        Figure(
            f"{scheme}: the end is reported within the interval between the last two looks, and 0.1 s to say it: the latest",
            "at most 0.1 s after it", f"{_signed(late)} (the client {_signed(late_theirs)})", late <= _TO_SAY_IT,
        ),
        Figure(
            f"{scheme}: seconds from the end of a run to its report", "none", f"{_spread(ours)}; the client {_spread(theirs)}",
            kept=True,
        ),
        Figure(
            f"{scheme}: requests for a scenario, each against the client's for the same one", "no more",
            f"{statistics.mean(ours.requests):.1f} (the client {statistics.mean(theirs.requests):.1f})", fewer,
        ),
    ]  # fmt: skip


def _latest(crowd: Crowd) -> float:
    return max(delay - interval for delay, interval in zip(crowd.delays, crowd.intervals, strict=True))


def _spread(crowd: Crowd) -> str:
    return f"median {statistics.median(crowd.delays):.1f}, longest {max(crowd.delays):.1f}"


def _signed(seconds: float) -> str:
    return f"{abs(seconds):.2f} s {'after' if seconds > 0 else 'before'} it"


def _mib(kib: int) -> str:
    return f"{kib / 1024:.0f} MiB"
