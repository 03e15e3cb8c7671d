"""A process of `bench.chaos`: drives runs over one journal until it is done, or killed.

Reads from standard input, as JSON, what it is to do; CHAOS_DEATH (`point:number`) says where it kills itself.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import treadle
from treadle.drivers.journals.protocol import must_flush
from treadle.drivers.journals.sqlite import SqliteJournal
from treadle.drivers.journals.store import Store
from treadle.engine.journal import Delivered, Record

WORKFLOW = "run-scenario-and-poll"
KEY = "CHAOS_KEY"
DEATH = "CHAOS_DEATH"
AT_ONCE = 25
"""How many runs one process drives at once."""
LEFT = ("interrupted", "in-doubt")


class Death:
    """Comes at the nth time that a point is passed."""

    def __init__(self, said: str | None) -> None:
        self.point, _, number = (said or "never:0").partition(":")
        self.left = int(number)

    def passing(self, point: str) -> None:
        if point == self.point:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


class DyingStore(Store):
    """Dies with a transaction that was not committed."""

    def __init__(self, path: Path, death: Death) -> None:
        self.death = death
        super().__init__(path)

    @contextmanager
    def _committed(self) -> Iterator[None]:
        with super()._committed():
            yield
            self.death.passing("before-commit")


class DyingJournal(SqliteJournal):
    """Dies before and after the announcement of a request, and when its answer has come but is not written yet."""

    def __init__(self, path: Path, death: Death) -> None:
        super().__init__(path)
        self._store.close()
        self._store = DyingStore(path, death)
        self._death = death

    async def append(self, run_id: str, records: Sequence[Record]) -> None:
        announces = must_flush(records)
        if announces:
            self._death.passing("before-announce")
        if any(isinstance(record, Delivered) and record.effect_id == "triggerRun/1/1" for record in records):
            self._death.passing("after-answer")
        await super().append(run_id, records)
        if announces:
            self._death.passing("after-announce")


async def work(task: dict[str, Any]) -> None:
    journal = DyingJournal(Path(task["state"]), Death(os.environ.get(DEATH)))
    places = asyncio.Semaphore(AT_ONCE)
    options = {"server": task["url"], "source": {"dss": "dataiku"}, "poll_interval": 0.1, "poll_max_interval": 0.3}

    async def one(run: Awaitable[object]) -> None:
        async with places:
            try:
                await run
            except treadle.RunRefused as refused:
                if "is being driven already" not in refused.message:  # another process was faster
                    raise

    async with treadle.Runner(journal=journal, **options) as runner:
        document = await runner.load(task["document"])

        async def start(scenario: str) -> None:
            inputs = {"apiKey": os.environ[KEY], "projectKey": "CHAOS", "scenarioId": scenario}
            await runner.execute(await runner.prepare(document, WORKFLOW, inputs, origins={"apiKey": f"env:{KEY}"}))

        decisions = task["decisions"]
        entries = [entry for entry in await journal.entries() if entry.status in LEFT]
        # A run that ended in doubt waits for a decision; one whose process died goes on by itself.
        left = [entry.run_id for entry in entries if entry.ended is None or entry.run_id in decisions]
        resumed = [runner.resume(run_id, in_doubt=decisions.get(run_id)) for run_id in left]
        await asyncio.gather(*map(one, [*resumed, *map(start, task["start"])]))
    await journal.close()


if __name__ == "__main__":
    asyncio.run(work(json.load(sys.stdin)))
