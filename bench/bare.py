"""The baseline: the founding workflow's three requests in bare aiohttp, as one would write them by hand.

bare.py once URL                three requests, one process
bare.py series URL COUNT        COUNT times on one warm connection; prints CPU seconds
bare.py crowd URL COUNT         COUNT at once; prints wall seconds
"""

import asyncio
import json
import sys
import time

import aiohttp


async def one(session: aiohttp.ClientSession, base: str) -> dict[str, object]:
    headers = {"Authorization": "Bearer demo-key"}
    scenario = f"{base}/projects/DEMO/scenarios/NIGHTLY"
    async with session.get(scenario, headers=headers) as answer:
        assert answer.status == 200
        await answer.json()
    async with session.post(f"{scenario}/run", headers=headers) as answer:
        assert answer.status == 200
        fire = await answer.json()
    async with session.get(f"{scenario}/light", headers=headers) as answer:
        assert answer.status == 200
        light = await answer.json()
    assert light["running"] is False
    return {"runId": fire["id"], "lastRun": light["lastRun"]}


async def main(what: str, base: str, count: int) -> None:
    async with aiohttp.ClientSession() as session:
        if what == "once":
            print(json.dumps(await one(session, base)))
            return
        await one(session, base)
        wall, cpu = time.perf_counter(), time.process_time()
        if what == "series":
            for _ in range(count):
                await one(session, base)
        else:
            await asyncio.gather(*(one(session, base) for _ in range(count)))
        print(json.dumps({"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 1))
