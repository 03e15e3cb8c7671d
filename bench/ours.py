"""The same work done by Treadle, in process; and the measures that have no bare counterpart.

ours.py series URL COUNT        as bare.py
ours.py crowd URL COUNT         as bare.py
ours.py polling URL COUNT       COUNT paced polling runs at once; prints peak memory over the idle process
ours.py ready OPENAPI           from nothing to a compiled program over a large description; prints CPU seconds
"""

import asyncio
import json
import resource
import sys
import time
from pathlib import Path

import treadle

DOCUMENT = Path(__file__).parent / "founding.arazzo.yaml"
INPUTS = {"apiKey": "demo-key", "projectKey": "DEMO", "scenarioId": "NIGHTLY"}
WORKFLOW = "run-scenario-and-poll"


async def compare(what: str, base: str, count: int) -> dict[str, float]:
    async with treadle.Runner(server=base, source={"dss": "dataiku"}) as runner:
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
    else:
        figures = await compare(what, arguments[0], int(arguments[1]))
    print(json.dumps(figures))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
