"""What really happened, as the simulator's control API shows it, and whether a report says the same. No tool is asked."""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

import aiohttp

from bench.beside_situations import COLLEAGUE, PROJECT, SCENARIO, TOOL, Event, for_the_tool
from bench.beside_tools import Report
from treadle.vendors.dataiku.simulator.faults import Fault

_LATER: Final = 3600.0
"""Seconds after which everything is over that ends at all."""
Verdict = Literal["true", "**false**", "in doubt", "nothing lost", "died", "hung"]


class Fire(NamedTuple):
    """What came of a request to run: waiting, cancelled, running or an outcome; when that was, in epoch milliseconds."""

    state: str
    at: int = 0
    run_id: str | None = None


class Truth(NamedTuple):
    """What came of the requests of a tool by a moment, in epoch milliseconds."""

    fires: tuple[Fire, ...]
    now: float

    def __str__(self) -> str:
        """Give it in words."""
        return ", ".join(fire.state for fire in self.fires) or "nothing triggered"


class Control:
    """The control API of a simulator, and what somebody else does on its DSS."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._session = session

    async def _ask(self, method: str, path: str, body: object = None, key: str | None = None) -> Any:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        async with self._session.request(method, self._url + path, json=body, headers=headers) as response:
            assert response.status == 200, await response.text()
            return await response.json()

    async def happen(self, event: Event) -> None:
        """Do what an event says."""
        if event.post is not None:
            path = f"/public/api/projects/{PROJECT}/scenarios/{SCENARIO}/{event.post}"
            await self._ask("POST", path, {}, COLLEAGUE.key)
        if event.advance is not None:
            await self._ask("POST", "/_sim/clock", {"advance": event.advance})
        if event.faults is not None:
            await self._ask("PUT", "/_sim/faults", {"faults": [_plain(each) for each in for_the_tool(event.faults)]})

    async def sent(self) -> list[dict[str, Any]]:
        """List the requests that the tool has sent."""
        return [entry for entry in await self._ask("GET", "/_sim/requests") if entry["keyId"] == TOOL.id]

    async def truth(self) -> Truth:
        """Look at what has come of the tool's requests to run."""
        state = await self._ask("GET", "/_sim/state")
        (scenario,) = state["scenarios"]
        runs = {run["runId"]: run for run in scenario["runs"]}
        fires = [_fire(fire, runs) for fire in reversed(scenario["fires"]) if fire["keyId"] == TOOL.id]
        return Truth(tuple(fires), state["now"] * 1000)

    async def later(self) -> Truth:
        """Let everything end that ends."""
        await self._ask("POST", "/_sim/clock", {"advance": _LATER})
        return await self.truth()


def _plain(fault: Fault) -> dict[str, Any]:
    return {name: value for name in fault.__struct_fields__ if (value := getattr(fault, name)) is not None}


def _fire(fire: dict[str, Any], runs: dict[str, Any]) -> Fire:
    if fire["cancelledAt"]:
        return Fire("cancelled", fire["cancelledAt"])
    if not fire["runId"]:
        return Fire("waiting")
    run = runs[fire["runId"]]
    return Fire(run["outcome"] or "running", run["end"], run["runId"])


def verdict(report: Report, truth: Truth) -> Verdict:
    """Hold what a tool said when it ended against what was so at that moment."""
    if report.said == "hung":
        return "hung"
    states = [fire.state for fire in truth.fires]
    if report.run_id is not None and report.run_id not in {fire.run_id for fire in truth.fires}:
        return "**false**"
    if report.said == "in doubt":
        return "in doubt"
    if report.said == "exception":
        return "died" if states else "nothing lost"
    if report.said == "nothing triggered":
        return "true" if not states else "**false**"
    if report.said == "goes on":
        return "true" if states in (["running"], ["waiting"]) else "**false**"
    return "true" if states == [report.said] else "**false**"


def delay(report: Report, truth: Truth) -> float | None:
    """Give the seconds from the end of a run, or from the cancellation, to the end of the tool that reports it."""
    told = [fire for fire in truth.fires if fire.state == report.said and fire.at]
    return (truth.now - told[-1].at) / 1000 if told else None
