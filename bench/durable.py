"""The figures of durable runs; see `__main__` for how they are taken."""

import json
import shutil
import statistics
import tempfile
import time
import urllib.request
from pathlib import Path

from bench.measures import HERE, Figure, at_most, paired, python, run, server, spent, told

POLLS = 10_000


def throughput() -> Figure:
    with server(0.05) as url, tempfile.TemporaryDirectory() as folder:
        off = python(str(HERE / "ours.py"), "crowd", url, "200")
        on = (*off, f"{folder}/journal.sqlite")
        ratio, low, high, wall = paired(lambda: told(*off)["wall"], lambda: told(*on)["wall"], 7)
    what = "200 runs at once, 50 ms server delay: throughput with the journal against without"
    return Figure(what, "at least 0.7", f"{ratio:.2f} ({low:.2f} to {high:.2f}; without {wall:.2f} s)", ratio >= 0.7)


def start_up() -> Figure:
    with server(0) as url, tempfile.TemporaryDirectory() as folder:
        inputs = ["-i", "apiKey=demo-key", "-i", "projectKey=DEMO", "-i", "scenarioId=NIGHTLY"]
        command = python("-m", "treadle", "run", str(HERE / "founding.arazzo.yaml"), *inputs, "--server", url)
        command = (*command, "--source", "dss=dataiku")
        on, off = (*command, "--state", f"{folder}/journal.sqlite"), (*command, "--no-journal")
        ratio, low, high, cpu = paired(lambda: spent(*on), lambda: spent(*off), 51)
    return at_most(
        "whole `treadle run` process with the journal against without: CPU",
        ratio, 1.05, f"{low:.2f} to {high:.2f}; {cpu * 1000:.0f} ms",
    )  # fmt: skip


def effect() -> list[Figure]:
    """An effect of durable runs, where they share commits and where each waits for the disk alone."""
    figures = []
    for how, runs, bound in (("at once", "crowd", 2.0), ("one after the other", "series", None)):
        with server(0) as url, tempfile.TemporaryDirectory() as folder:
            ours = python(str(HERE / "ours.py"), runs, url, "200", f"{folder}/journal.sqlite")
            bare = python(str(HERE / "bare.py"), runs, url, "200")
            ratio, low, high, wall = paired(lambda: told(*ours)["wall"], lambda: told(*bare)["wall"], 31)  # noqa: B023
        what = f"200 durable runs {how}, an effect: time against a bare aiohttp call"
        found = f"{ratio:.2f} times ({low:.2f} to {high:.2f}; {wall / 600 * 1000:.2f} ms)"
        figures.append(
            Figure(what, f"at most {bound:g} times" if bound else "none", found, not bound or ratio <= bound)
        )
    return figures


def long_loop() -> tuple[float, float]:
    """Give the bytes per poll of a run of 10,000, and the seconds that its resumption takes longer than that of one poll."""
    with server(0) as url, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _running(url, "true")
        for polls in (1, POLLS):
            (folder / str(polls)).mkdir()
            told(*python(str(HERE / "ours.py"), "loop", url, str(polls), str(folder / str(polls) / "journal.sqlite")))
        size = sum(file.stat().st_size for file in (folder / str(POLLS)).glob("journal.sqlite*") if file.is_file())
        _running(url, "false")
        pairs = [(_resumed(folder / str(POLLS)), _resumed(folder / "1")) for _ in range(6)][1:]
    return size / POLLS, statistics.median(long - short for long, short in pairs)


def _running(url: str, what: str) -> None:
    place = f"{url.partition('/public')[0]}/running/{what}"
    urllib.request.urlopen(urllib.request.Request(place, method="PUT")).close()  # noqa: S310 - our own server


def _resumed(kept: Path) -> float:
    """Resume the only run of a copy of a journal in a process of its own; give the seconds."""
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copytree(kept, Path(folder) / "copy") / "journal.sqlite"
        state = ("--state", str(copy))
        (entry,) = json.loads(run(*python("-m", "treadle", "runs", "list", "--json", *state)))
        began = time.perf_counter()
        run(*python("-m", "treadle", "runs", "resume", entry["runId"], "-q", "-i", "apiKey=demo-key", *state))
        return time.perf_counter() - began


def loop() -> list[Figure]:
    size, seconds = long_loop()
    return [
        Figure("a run of 10,000 polls: bytes of its journal a poll", "at most 64", f"{size:.1f}", size <= 64),
        Figure(
            "`treadle runs resume` of a run of 10,000 polls: seconds beyond that of a run of one poll",
            "below 0.5 s", f"{seconds:.3f} s", seconds < 0.5,
        ),
    ]  # fmt: skip


def many() -> Figure:
    with server(0) as url, tempfile.TemporaryDirectory() as folder:
        httpd = python(str(HERE / "ours.py"), "waiting", url, "10000", f"{folder}/journal.sqlite")
        _running(url, "true")
        seconds = told(*httpd)["seconds"]
    what = "10,000 waiting runs of a process that ended: until another one has brought them all back"
    return Figure(what, "at most 60 s", f"{seconds:.1f} s", seconds <= 60)
