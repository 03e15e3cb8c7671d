"""`python -m bench.beside [--write] [--json] [NAME...]`: Treadle and Dataiku's own client side by side.

Each situation of beside.yaml is served twice by the simulator, and each tool meets it in a process of its own. What the tool
reports is held against what the simulator's control API shows. Then 500 scenarios at once (`beside_crowd`), unless names of
situations are given. With --write the tables go to docs/dataiku/beside.md.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import platform
import sys
from collections import Counter
from importlib.metadata import version
from typing import Any, Final, NamedTuple

import aiohttp

from bench import beside_crowd
from bench.beside_situations import Event, Situation, Situations, read
from bench.beside_tools import CLIENT, TREADLE, Report, Tool, run
from bench.beside_truth import Control, Truth, Verdict, delay, verdict
from bench.measures import HERE, table_of
from treadle.vendors.dataiku.simulator.server import serve

PAGE: Final = HERE.parent / "docs/dataiku/beside.md"
MARK: Final = "<!-- measured -->"
_AT_ONCE: Final = 10
"""Tools at once: most of the time they wait, but starting a process takes a processor for a while."""
_LOOK: Final = 0.02
"""Seconds between two looks for the tool's request to run."""


class Met(NamedTuple):
    """How a tool fared in a situation: what it said, what was so then and what came of it, requests, seconds to report."""

    tool: str
    claimed: str
    report: Report
    verdict: Verdict
    truth: Truth
    later: Truth
    requests: int
    delay: float | None


class Row(NamedTuple):
    """A situation, and how the two tools fared."""

    situation: Situation
    treadle: Met
    client: Met


async def meet(situation: Situation, tool: Tool, whole: Situations, gate: asyncio.Semaphore) -> Met:
    async with gate, serve(situation.simulation(whole.common)) as simulator, aiohttp.ClientSession() as session:
        control = Control(simulator.url, session)
        for event in situation.before:
            await control.happen(event)
        ended = asyncio.Event()
        meanwhile = asyncio.create_task(_happen(control, situation.meanwhile, ended))
        done = await run(tool, simulator.url, situation.options, whole.limit)
        truth, requests = await control.truth(), len(await control.sent())
        ended.set()
        await meanwhile
        later = await control.later()
    report = tool.read(done)
    claimed = getattr(situation.reports, tool.name)
    return Met(tool.name, claimed, report, verdict(report, truth), truth, later, requests, delay(report, truth))


async def _happen(control: Control, events: tuple[Event, ...], ended: asyncio.Event) -> None:
    """Let events happen, each so many seconds after the tool's request to run came in; once the tool has ended, time is moved on."""
    while not any(entry["method"] == "POST" for entry in await control.sent()):
        if not events or ended.is_set():
            return
        await asyncio.sleep(_LOOK)
    before = 0.0
    for event in events:
        try:
            await asyncio.wait_for(ended.wait(), event.after - before)
        except TimeoutError:
            pass
        else:
            await control.happen(Event(advance=event.after - before))
        before = event.after
        await control.happen(event)


async def meet_all(whole: Situations) -> list[Row]:
    gate = asyncio.Semaphore(_AT_ONCE)
    both = [meet(situation, tool, whole, gate) for situation in whole.situations for tool in (TREADLE, CLIENT)]
    met = await asyncio.gather(*both)
    return [Row(*row) for row in zip(whole.situations, met[::2], met[1::2], strict=True)]


def table(rows: list[Row]) -> str:
    lines = [
        "| situation | | Treadle reports | is it true | requests | late | the client reports | is it true | requests | late |",
        "|---|---|---|---|--:|--:|---|---|--:|--:|",
    ]
    for situation, ours, theirs in rows:
        cells = [situation.id, situation.what, *_cells(ours), *_cells(theirs)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cells(met: Met) -> list[str]:
    said = f"{met.report.said} ({met.report.exit_code})" if met.report.said != "hung" else "nothing"
    late = "" if met.delay is None else f"{met.delay:.1f} s"
    held = str(met.verdict)
    if met.verdict in ("died", "hung", "in doubt", "nothing lost"):
        held += f": {met.truth}"
        if str(met.later) != str(met.truth):
            held += f", then {met.later}"
    return [said, held, str(met.requests), late]


def counted(rows: list[Row]) -> str:
    """Count the verdicts of each tool."""
    kinds: tuple[Verdict, ...] = ("true", "in doubt", "nothing lost", "died", "hung", "**false**")
    ours, theirs = Counter(row.treadle.verdict for row in rows), Counter(row.client.verdict for row in rows)
    lines = [f"| of {len(rows)} situations | Treadle | the client |", "|---|--:|--:|"]
    return "\n".join([*lines, *(f"| {kind} | {ours[kind]} | {theirs[kind]} |" for kind in kinds)])


def surprises(rows: list[Row]) -> list[str]:
    """List where a tool did not report what the file claims, or reported what is not so."""
    return [
        f"{situation.id}: {met.tool} was to report {met.claimed!r} and reported {met.report.said!r} "
        f"({met.verdict}; {met.truth}): {met.report.words}{situation.known}"
        for situation, ours, theirs in rows
        for met in (ours, theirs)
        if met.report.said != met.claimed or met.verdict == "**false**"
    ]


def as_json(rows: list[Row]) -> dict[str, Any]:
    return {
        situation.id: {
            met.tool: {
                "said": met.report.said, "claimed": met.claimed, "verdict": met.verdict.strip("*"),
                "words": met.report.words, "exitCode": met.report.exit_code, "truth": str(met.truth),
                "later": str(met.later), "requests": met.requests, "delay": met.delay,
            }
            for met in (ours, theirs)
        }
        for situation, ours, theirs in rows
    }  # fmt: skip


def machine() -> str:
    python = f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}"
    packages = ", ".join(f"{name} {version(name)}" for name in ("treadle", "dataiku-api-client", "aiohttp", "requests"))
    return f"{dt.datetime.now(dt.UTC):%Y-%m-%d}, {python}, {os.cpu_count()} cores; {packages}."


def main(arguments: list[str]) -> int:
    names = [argument for argument in arguments if not argument.startswith("--")]
    rows = asyncio.run(meet_all(read(names)))
    wrong = surprises(rows)
    for line in wrong:
        print(line, file=sys.stderr)
    if "--json" in arguments:
        print(json.dumps(as_json(rows)))
        return 1 if wrong else 0
    parts = [machine(), counted(rows), table(rows)]
    if not names:
        parts.append(table_of(beside_crowd.measure()))
    text = "\n\n".join(parts)
    print(text)
    if "--write" in arguments:
        before, _, rest = PAGE.read_text("utf-8").partition(MARK)
        after = rest.partition(MARK)[2]
        PAGE.write_text(f"{before}{MARK}\n{text}\n{MARK}{after}", "utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
