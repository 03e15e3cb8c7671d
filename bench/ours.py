"""The same work done by Treadle, in process; and the measures that have no bare counterpart.

ours.py series URL COUNT        as bare.py
ours.py crowd URL COUNT         as bare.py
ours.py polling URL COUNT       COUNT paced polling runs at once; prints peak memory over the idle process
ours.py ready OPENAPI           from nothing to a compiled program over a large description; prints CPU seconds
ours.py loop URL POLLS STATE    a durable run that polls so often without a pause, and is interrupted then
ours.py waiting URL COUNT STATE COUNT durable runs are made to wait and left; prints the seconds to bring them all back

A further argument to series and crowd is the path of a journal.
"""

import asyncio
import json
import resource
import sys
import time
from pathlib import Path

import treadle
from treadle.drivers.run import Interruption
from treadle.engine.journal import StepEnded, Waiting

DOCUMENT = Path(__file__).parent / "founding.arazzo.yaml"
INPUTS = {"apiKey": "demo-key", "projectKey": "DEMO", "scenarioId": "NIGHTLY"}
WORKFLOW = "run-scenario-and-poll"


async def compare(what: str, base: str, count: int, state: str | None = None) -> dict[str, float]:
    async with treadle.Runner(server=base, source={"dss": "dataiku"}, journal=state) as runner:
        document = await runner.load(str(DOCUMENT))
        await runner.run(document, WORKFLOW, INPUTS)
        wall, cpu = time.perf_counter(), time.process_time()
        if what == "series":
            for _ in range(count):
                outcome = await runner.run(document, WORKFLOW, INPUTS)
                assert outcome.status == "succeeded"
        else:
            outcomes = await asyncio.gather(*(runner.run(document, WORKFLOW, INPUTS) for _ in range(count)))
            assert all(outcome.status == "succeeded" for outcome in outcomes)
        return {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}


async def polling(base: str, count: int) -> dict[str, float]:
    import aiohttp  # noqa: PLC0415 - after the idle process was measured it would count as memory of the runs

    async with (
        treadle.Runner(server=base, source={"dss": "dataiku"}, poll_interval=2.0, poll_max_interval=2.0) as runner,
        aiohttp.ClientSession() as control,
    ):
        document = await runner.load(str(DOCUMENT))
        await runner.run(document, WORKFLOW, INPUTS)
        root = base.partition("/public")[0]
        await control.put(f"{root}/running/true")
        polls = 0
        polled = asyncio.Event()

        def observe(record: object) -> None:
            nonlocal polls
            polls += type(record).__name__ == "Waiting"
            if polls == 3 * count:
                polled.set()

        idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        runs = [asyncio.create_task(runner.run(document, WORKFLOW, INPUTS, observe=observe)) for _ in range(count)]
        await polled.wait()
        await control.put(f"{root}/running/false")
        outcomes = await asyncio.gather(*runs)
        assert all(outcome.status == "succeeded" for outcome in outcomes)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {"kib": (peak - idle) / count, "polls": polls}


async def loop(base: str, polls: int, state: str) -> dict[str, float]:
    interruption = Interruption()
    seen = 0

    def observe(record: object) -> None:
        nonlocal seen
        if isinstance(record, StepEnded) and record.step_id == "pollStatus":
            seen += 1
            if seen == polls:
                interruption.request("enough", gently=True)

    options = treadle.Options(server=base, source={"dss": "dataiku"}, poll_interval=0)
    async with treadle.Runner(journal=state, options=options) as runner:
        prepared = await runner.prepare(str(DOCUMENT), WORKFLOW, INPUTS)
        await runner.execute(prepared, observe=observe, interruption=interruption)
    return {"polls": seen}


async def waiting(base: str, count: int, state: str) -> dict[str, float]:
    options = treadle.Options(server=base, source={"dss": "dataiku"}, poll_interval=3600.0, poll_max_interval=3600.0)
    waits = 0
    all_wait = asyncio.Event()

    def observe(record: object) -> None:
        nonlocal waits
        waits += isinstance(record, Waiting)
        if waits == count:
            all_wait.set()

    async with treadle.Runner(journal=state, options=options) as runner:
        document = await runner.load(str(DOCUMENT))
        runs = [asyncio.create_task(runner.run(document, WORKFLOW, INPUTS, observe=observe)) for _ in range(count)]
        await all_wait.wait()
        await _cancelled(runs)
    async with treadle.Runner(journal=state, options=options) as runner:
        journal = runner.open_journal()
        assert journal is not None
        began = time.perf_counter()
        left = [entry.run_id for entry in await journal.entries() if entry.status == "interrupted"]
        assert len(left) == count
        runs = [asyncio.create_task(runner.resume(run_id, INPUTS)) for run_id in left]
        while sum(entry.status == "waiting" for entry in await journal.entries()) < count:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.1)
        seconds = time.perf_counter() - began
        await _cancelled(runs)
        return {"seconds": seconds}


async def _cancelled(runs: list[asyncio.Task[treadle.Outcome]]) -> None:
    for run in runs:
        run.cancel()
    await asyncio.gather(*runs, return_exceptions=True)


async def ready(openapi: str) -> dict[str, float]:
    text = (
        "arazzo: 1.0.1\ninfo: {title: t, version: '1'}\n"
        f"sourceDescriptions: [{{name: big, url: '{openapi}', type: openapi}}]\n"
        "workflows:\n- workflowId: w\n  steps:\n  - stepId: s\n    operationId: op4711\n"
        "    parameters: [{name: id, in: path, value: x}]\n"
    )
    path = Path(openapi).with_name("ready.arazzo.yaml")
    path.write_text(text)
    async with treadle.Runner() as runner:
        await runner.prepare(str(path))
    return {"cpu": time.process_time()}


async def main(what: str, *arguments: str) -> None:
    if what == "ready":
        figures = await ready(*arguments)
    elif what == "polling":
        figures = await polling(arguments[0], int(arguments[1]))
    elif what == "loop":
        figures = await loop(arguments[0], int(arguments[1]), arguments[2])
    elif what == "waiting":
        figures = await waiting(arguments[0], int(arguments[1]), arguments[2])
    else:
        figures = await compare(what, arguments[0], int(arguments[1]), *arguments[2:])
    print(json.dumps(figures))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
