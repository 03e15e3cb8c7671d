"""The two tools, each as a process of its own, and what each said when it ended: a Report. Whether it is true is in `beside_truth`."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from bench.beside_situations import PROJECT, SCENARIO, TOOL, Said
from bench.measures import HERE

_OUTCOME: Final = re.compile(r"Scenario run returned status (SUCCESS|WARNING|FAILED|ABORTED)$")
_STATUSES: Final[dict[str, Said]] = {"timed-out": "goes on", "in-doubt": "in doubt", "refused": "nothing triggered"}


class Report(NamedTuple):
    """What a tool said: in a word, in its own words, its exit code, and the run that it named."""

    said: Said
    words: str
    exit_code: int
    run_id: str | None = None


class Done(NamedTuple):
    """A process that has ended; `code` is None where it was killed at the limit."""

    code: int | None
    out: str
    err: str


class Tool(NamedTuple):
    """A tool: its name, its command with the options of a situation, and how what it leaves is read."""

    name: str
    command: Callable[[Iterable[str]], tuple[str, ...]]
    read: Callable[[Done], Report]


def _treadle(options: Iterable[str]) -> tuple[str, ...]:
    return (sys.executable, "-m", "treadle", "dataiku", "run", PROJECT, SCENARIO, "--json", "-q", *options)


def _client(_: Iterable[str]) -> tuple[str, ...]:
    return (sys.executable, str(HERE / "beside_client.py"))


def _of_treadle(done: Done) -> Report:
    """Its JSON object says it."""
    if done.code is None:
        return Report("hung", "", 137)
    lines = done.out.splitlines()
    if not lines:
        return Report("exception", _last_line(done.err), done.code)
    ended = json.loads(lines[-1])
    words = ended["message"] or ended["outcome"] or ""
    said = ended["outcome"] or _STATUSES.get(ended["status"], "cancelled")
    if said == "cancelled" and ended["triggerRunId"] is None:
        said = "nothing triggered"
    return Report(said, words, done.code, ended["runId"])


def _of_client(done: Done) -> Report:
    """The script prints the outcome, or ends with the exception of the client."""
    if done.code is None:
        return Report("hung", "", 137)
    if done.code == 0:
        return Report("SUCCESS", done.out.strip(), 0)
    words = _last_line(done.err)
    outcome = _OUTCOME.search(words)
    if outcome is not None:
        return Report(outcome[1], words, done.code)  # type: ignore[arg-type] # the expression has no other words
    if words.endswith("Scenario run has been cancelled"):
        return Report("cancelled", words, done.code)
    return Report("exception", words, done.code)


def _last_line(text: str) -> str:
    """Give the line of a traceback that names the exception; its message may have more lines, as a page of HTML has."""
    lines = text.splitlines()
    named = [line for line in lines if re.match(r"[\w.]+(Error|Exception)\b", line)]
    return (named or lines or [""])[-1]


TREADLE: Final = Tool("treadle", _treadle, _of_treadle)
CLIENT: Final = Tool("client", _client, _of_client)


async def run(tool: Tool, url: str, options: Iterable[str], limit: float) -> Done:
    """Run a tool against a server to its end, or kill it at the limit."""
    with tempfile.TemporaryDirectory() as home:
        environment = {
            **os.environ, "HOME": home, "XDG_STATE_HOME": home, "DKU_DSS_URL": url, "DKU_API_KEY": TOOL.key,
        }  # fmt: skip
        process = await asyncio.create_subprocess_exec(
            *tool.command(options), env=environment, cwd=HERE.parent,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        talking = asyncio.ensure_future(process.communicate())
        ended, _ = await asyncio.wait({talking}, timeout=limit)
        if not ended:
            process.kill()
        out, err = await talking
        return Done(process.returncode if ended else None, out.decode(), err.decode())
