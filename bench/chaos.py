"""`python -m bench.chaos --runs 1000 --processes 4 --seed 1`: kill -9 at every point; each scenario is triggered exactly once.

Starts as many runs of the bundled workflow as it is told, each of a scenario of its own, in several processes over one
journal, against the simulated DSS. Kills the processes at random moments and at each named point, starts others, which
resume what is left, until all runs have ended. What is counted is what the simulator saw. A run that ends in doubt is
decided on as a person would: by looking at the server.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.typedefs import Middleware

from bench.chaos_worker import DEATH, KEY, LEFT
from treadle.drivers.journals.protocol import Entry
from treadle.drivers.journals.sqlite import SqliteJournal
from treadle.vendors.dataiku.simulator.description import ApiKey, Scenario, Simulation
from treadle.vendors.dataiku.simulator.server import Simulator, serve

BUNDLED = Path(__file__).parents[1] / "src/treadle/vendors/dataiku/workflows/scenarios.arazzo.yaml"
IN_JOURNAL = ("before-announce", "after-announce", "after-answer", "before-commit")
POINTS = (*IN_JOURNAL, "after-send", "any moment")
MOST_ROUNDS = 500
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Killing:
    """What the simulator does besides: it kills a process whose request it has carried out, before it answers."""

    def __init__(self) -> None:
        self.armed: dict[str, int] = {}
        self.pids: dict[str, int] = {}

    def middleware(self) -> Middleware:
        @web.middleware
        async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
            response = await handler(request)
            key = request.headers.get("Authorization", "").removeprefix("Bearer ")
            if request.method == "POST" and key in self.armed:
                self.armed[key] -= 1
                if self.armed[key] == 0:
                    os.kill(self.pids[key], signal.SIGKILL)
            return response

        return answer


class Chaos:
    """One execution of the program."""

    def __init__(self, runs: int, processes: int, seed: int, folder: Path) -> None:
        self.random = random.Random(seed)  # noqa: S311 - made to be repeated
        self.scenarios = [f"S{number:05d}" for number in range(runs)]
        self.keys = [f"chaos-key-{slot}" for slot in range(processes)]
        self.folder = folder
        self.killing = Killing()
        self.known: dict[str, str] = {}
        self.deaths: Counter[str] = Counter()
        self.decided: Counter[str] = Counter()
        self.doubted: set[str] = set()
        # Enough for each point, more with more runs.
        self.lives = max(3 * len(POINTS), runs // 12)
        self.portion = max(3, runs // self.lives)
        self.planned: Counter[str] = Counter()

    def simulation(self) -> Simulation:
        scenarios = tuple(Scenario(project="CHAOS", id=name, run_time=0.3) for name in self.scenarios)
        return Simulation(
            scenarios=scenarios, keys=tuple(ApiKey(key=key, id=key) for key in self.keys), start_delay=0.1
        )

    async def unfold(self) -> dict[str, Any]:
        text = BUNDLED.read_text("utf-8")
        document = self.folder / "chaos.arazzo.yaml"
        document.write_text(text.replace("within: 60", "within: 3"), "utf-8")  # its runs start at once
        async with serve(self.simulation(), middlewares=[self.killing.middleware()]) as simulator:
            self.task = {
                "state": str(self.folder / "journal.sqlite"),
                "url": simulator.api_url,
                "document": str(document),
            }
            journal = SqliteJournal(self.task["state"])
            try:
                rounds = 0
                while (work := await self.left(journal, simulator)) is not None:
                    rounds += 1
                    assert rounds < MOST_ROUNDS, "the runs do not come to an end"
                    await self.round(*work)
                return await self.result(journal, simulator)
            finally:
                await journal.close()

    async def left(self, journal: SqliteJournal, simulator: Simulator) -> tuple[list[str], dict[str, Any]] | None:
        """Give what is to be started and what is decided; None where all runs have ended."""
        entries = await journal.entries()
        for entry in entries:
            if entry.run_id not in self.known:
                self.known[entry.run_id] = (await journal.read(entry.run_id)).start.inputs["scenarioId"]
        started = set(self.known.values())
        start = [name for name in self.scenarios if name not in started]
        decisions = {
            e.run_id: self.decide(e, simulator) for e in entries if e.status == "in-doubt" and e.ended is not None
        }
        return (start, decisions) if start or any(entry.status in LEFT for entry in entries) else None

    def decide(self, entry: Entry, simulator: Simulator) -> str | dict[str, str]:
        """Look at the server, as a person would who reads that a run is in doubt."""
        self.doubted.add(entry.run_id)
        live = simulator.world.scenario("CHAOS", self.known[entry.run_id], simulator.clock.now())
        fire = next(iter(live.fires.values()), None)
        self.decided["retry" if fire is None else "skip"] += 1
        return "retry" if fire is None else {"triggerId": fire.trigger, "triggerRunId": fire.id}

    async def round(self, start: list[str], decisions: dict[str, Any]) -> None:
        """Have one process for each key do its part, and kill each in its own way as long as there are lives to lose."""
        shares = [start[slot :: len(self.keys)] for slot in range(len(self.keys))]
        await asyncio.gather(
            *(self.process(key, share, decisions) for key, share in zip(self.keys, shares, strict=True))
        )

    async def process(self, key: str, start: list[str], decisions: dict[str, Any]) -> None:
        how = None
        if self.lives > 0:
            self.lives -= 1
            how = min(POINTS, key=lambda point: (self.deaths[point], self.planned[point]))
            self.planned[how] += 1
            start = start[: self.portion]  # the others are for those who come after
        environment = {**os.environ, KEY: key}
        environment.pop(DEATH, None)
        if how in IN_JOURNAL:
            environment[DEATH] = f"{how}:{self.random.randint(1, self.portion)}"
        self.killing.armed.pop(key, None)
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.chaos_worker", env=environment, stdin=asyncio.subprocess.PIPE,
            cwd=Path(__file__).parents[1],
        )  # fmt: skip
        self.killing.pids[key] = worker.pid
        if how == "after-send":
            self.killing.armed[key] = self.random.randint(1, self.portion)
        seconds = self.random.uniform(0.3, 1.5)
        said = json.dumps({**self.task, "start": start, "decisions": decisions}).encode()
        ended = asyncio.create_task(worker.communicate(said))
        if how == "any moment" and not (await asyncio.wait({ended}, timeout=seconds))[0]:
            worker.kill()
        await ended
        assert worker.returncode in (0, -signal.SIGKILL), f"a process ended with {worker.returncode}"
        if worker.returncode:
            self.deaths[how or "?"] += 1

    async def result(self, journal: SqliteJournal, simulator: Simulator) -> dict[str, Any]:
        """Hold what the simulator counted against what was wanted."""
        now = simulator.clock.now()
        fires = {name: len(simulator.world.scenario("CHAOS", name, now).fires) for name in self.scenarios}
        entries = await journal.entries()
        statuses = Counter(entry.status for entry in entries)
        return {
            "runs": len(self.scenarios),
            "triggered once": sum(count == 1 for count in fires.values()),
            "never": sorted(name for name, count in fires.items() if count == 0),
            "twice": sorted(name for name, count in fires.items() if count > 1),
            "runs in the journal": len(entries),
            "statuses": dict(statuses),
            "deaths": dict(sorted(self.deaths.items())),
            "reported in doubt": len(self.doubted),
            "decided": dict(self.decided),
            "requests": len(simulator.requests),
        }


def kept(result: dict[str, Any]) -> bool:
    """Say whether what is promised was kept, and processes died at each point."""
    runs = result["runs"]
    return bool(
        result["triggered once"] == result["runs in the journal"] == result["statuses"].get("succeeded") == runs
    )


def unfolded(runs: int, processes: int, seed: int) -> dict[str, Any]:
    """Do it all; give what was found."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        result = asyncio.run(Chaos(runs, processes, seed, Path(folder)).unfold())
    return {**result, "seconds": round(time.monotonic() - began, 1), "kept": kept(result)}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description=(__doc__ or "").partition("\n")[0])
    for name, default in (("runs", 1000), ("processes", 4), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=f"{default} by default")
    found = unfolded(**vars(parser.parse_args()))
    print(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    return 0 if found["kept"] else 1


if __name__ == "__main__":
    sys.exit(main())
