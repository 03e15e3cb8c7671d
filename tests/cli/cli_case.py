"""Cases of the command line as data: what to set up, what to call, what must be seen. One loader, one runner."""

from __future__ import annotations

import http.client
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec
import pytest
from aiohttp import web
from cli_server import Answer, Seen, scripted
from msgspec import UNSET, Struct, UnsetType

from loader import CASES, table
from treadle.vendors.dataiku.simulator import config
from treadle.vendors.dataiku.simulator.clock import VirtualClock
from treadle.vendors.dataiku.simulator.server import running

ROOT = Path(__file__).parents[2]
FILES = CASES / "cli" / "files"
FOUNDING = ROOT.parent / "shared" / "reference" / "arazzo" / "dataiku-run-scenario-and-poll-workflow.yml"
TREADLE = [sys.executable, "-m", "treadle"]
LIMIT = 25.0
"""Seconds after which a command that has not ended is a failure."""
USAGE = "usage"
"""The file in which the memory that a command used is found."""
NEVER = ("Traceback", "was never awaited", "Unclosed ")
"""What no output may hold, whatever happens."""


class Simulated(Struct, forbid_unknown_fields=True, frozen=True):
    """A simulated DSS whose clock moves by `tick` seconds with each request.

    Attributes:
        privileges: those of the key; all where none are given.
        scenarios: more scenarios, as `--scenario` takes them.
        faults: as `--fault` takes them.
        changes: other values of the world's fields, such as `busy` and `start_delay`.
        before: requests that came before the command, as METHOD /path.
    """

    published_shapes: bool = False
    tick: float = 2.0
    key: str = "demo-key"
    privileges: list[str] | None = None
    scenarios: list[str] = []
    faults: list[str] = []
    changes: dict[str, Any] = {}
    before: list[str] = []


class Signal(Struct, forbid_unknown_fields=True, frozen=True):
    """A signal that is sent when a request has come in for the `count`th time; the end must come `within` seconds."""

    name: str
    after: str
    count: int = 1
    within: float = 2.0


class Sent(Struct, forbid_unknown_fields=True, frozen=True):
    """A request that the server must have seen; a header that is null must not have been there."""

    line: str
    headers: dict[str, str | None] = {}
    body: str | None = None


class Expect(Struct, forbid_unknown_fields=True, frozen=True):
    """What must be seen.

    In texts, `{tmp}`, `{port}`, `{run}` and `{time}` stand for what changes from run to run.

    Attributes:
        exit: the exit code.
        stdout: the whole of it.
        json: stdout as JSON, or the members of it that are given where `members` is set.
        stderr: lines that must be there, in this order.
        stderr_has: texts that must be there, where the whole line is not ours to say.
        whole_stderr: the whole of it.
        not_stderr: texts that must not be there.
        times: how often a text must be in stderr.
        keys: all names of the object on stdout, in their order.
        screen: patterns of lines that a terminal must have shown at some time.
        colour: whether there is colour on stderr.
        requests: what the server saw, in order; a last `...` stands for any more.
        headers: header fields that the first request must have.
        bodies: texts that its body must have, in this order.
        sent: every request that the server must have seen, with header fields and body.
        report: members of the report file, by path; `*` stands for any value.
        no_report: there is no report file.
        written: texts that must be in files of these names.
        max_memory: the most that the command may use, in MiB.
        within: the most seconds that it may take.
    """

    exit: int
    stdout: str | UnsetType = UNSET
    stdout_has: list[str] = []
    json: Any = UNSET
    members: dict[str, Any] = {}
    stderr: list[str] = []
    stderr_has: list[str] = []
    whole_stderr: str | UnsetType = UNSET
    not_stderr: list[str] = []
    times: dict[str, int] = {}
    keys: list[str] = []
    screen: list[str] = []
    colour: bool | None = None
    requests: list[str] | UnsetType = UNSET
    headers: dict[str, str] = {}
    bodies: list[str] = []
    sent: list[Sent] | UnsetType = UNSET
    report: dict[str, Any] = {}
    no_report: bool = False
    written: dict[str, list[str]] = {}
    max_memory: int | None = None
    within: float | None = None


class Case(Struct, forbid_unknown_fields=True, frozen=True):
    """One case.

    Attributes:
        use: files shared by the cases of all tables.
        server: a script of answers; `{server}` is its URL.
        simulator: a simulated DSS; `{server}` is the root of its API.
        terminal: stderr is a terminal.
        stderr_to: a file or device that stderr goes to.
        pipes: named pipes that are there.
        closed: the stream whose reader (or terminal) goes away, at once or after `head` bytes.
        hidden: texts that must appear nowhere.
        founding: the founding document is there as founding.yml.
        xfail: why it does not hold yet.
    """

    id: str
    args: list[str]
    expect: Expect
    why: str = ""
    use: list[str] = []
    files: dict[str, str] = {}
    env: dict[str, str] = {}
    stdin: str | None = None
    server: dict[str, list[Answer]] | None = None
    simulator: Simulated | None = None
    signal: Signal | None = None
    terminal: bool = False
    stderr_to: str | None = None
    pipes: list[str] = []
    closed: Literal["stdout", "stderr"] | None = None
    head: int = 0
    hidden: list[str] = []
    founding: bool = False
    xfail: str | None = None


class Table(Struct, forbid_unknown_fields=True, frozen=True):
    """A file of cases; `defaults` holds for each that does not say otherwise."""

    cases: list[dict[str, Any]]
    about: str = ""
    defaults: dict[str, Any] = {}


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    stdout: str
    stderr: str
    seconds: float
    memory: int


def read_table(name: str) -> list[Any]:
    """Give the cases of a table as parameters of a test."""
    whole = msgspec.convert(table(f"cli/{name}.yaml"), Table)
    found = [msgspec.convert({**whole.defaults, **case}, Case) for case in whole.cases]
    ids = [case.id for case in found]
    assert len(set(ids)) == len(ids), f"{name}: two cases of one id"
    return [
        pytest.param(case, id=case.id, marks=[pytest.mark.xfail(reason=case.xfail, strict=True)] if case.xfail else [])
        for case in found
    ]


def shared_files() -> dict[str, str]:
    """Give the files that cases can `use`, by name."""
    return {path.name: path.read_text("utf-8") for path in FILES.iterdir()}


def run_case(case: Case, tmp: Path) -> None:
    """Set a case up, run it and hold what was seen against what it expects."""
    if case.founding:
        _founding(tmp)
    known = shared_files() if case.use else {}
    for name, text in ({name: known[name] for name in case.use} | case.files).items():
        _place(tmp / name, text)
    for name in case.pipes:
        os.mkfifo(tmp / name)
    with ExitStack() as stack:
        seen: list[Seen] = []
        url, port, server = "", free_port(), None
        if case.server is not None:
            server = stack.enter_context(scripted(case.server))
            seen, port = server.seen, server.port
            url = f"http://127.0.0.1:{port}"
        elif case.simulator is not None:
            server = Arrivals()
            simulator = stack.enter_context(simulated(case.simulator, server))
            url, port = simulator.api_url, int(simulator.url.rpartition(":")[2])
        places = {"{server}": url, "{tmp}": str(tmp), "{free_port}": str(port), "{port}": str(port)}
        for name, text in case.files.items():
            if "{server}" in text:
                _place(tmp / name, _filled(text, places))
        command = [*TREADLE, *(_filled(argument, places) for argument in case.args)]
        if case.expect.max_memory is not None:
            command = [sys.executable, str(Path(__file__).with_name("measured.py")), str(tmp / USAGE), *command]
        env = {name: _filled(value, places) for name, value in case.env.items()}
        ended = _run(command, case, tmp, environment(tmp, env), server)
        if case.simulator is not None:
            prefix = "/public/api"
            seen = [
                Seen(f"{r.method} {r.path.removeprefix(prefix)}", {n.lower(): v for n, v in r.headers.items()}, "")
                for r in simulator.requests
            ]
    _check(case, ended, seen, tmp, port)


def _place(target: Path, text: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, "utf-8")


@contextmanager
def killed_in_the_end(processes: list[subprocess.Popen[str]]) -> Iterator[None]:
    """Leave none of the processes behind, those that are added meanwhile neither."""
    try:
        yield
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
            process.communicate()


def environment(tmp: Path, more: dict[str, str]) -> dict[str, str]:
    """Give the environment of a command: nothing of ours but the way to programs, and what measures coverage."""
    measured = {name: text for name, text in os.environ.items() if name.startswith("COVERAGE_PROCESS")}
    return {"PATH": os.environ["PATH"], "HOME": str(tmp), "LANG": "C.UTF-8", **measured, **more}


def _filled(text: str, places: dict[str, str]) -> str:
    for place, value in places.items():
        text = text.replace(place, value)
    return text


def _founding(tmp: Path) -> None:
    if not FOUNDING.exists():
        reason = f"the founding document is not at {FOUNDING}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    (tmp / "founding.yml").write_bytes(FOUNDING.read_bytes())


class Arrivals:
    """What came in, for a signal that is sent then."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._arrived = threading.Condition()

    @web.middleware
    async def note(self, request, answer):
        with self._arrived:
            self._lines.append(f"{request.method} {request.path.removeprefix('/public/api')}")
            self._arrived.notify_all()
        return await answer(request)

    def wait_for(self, line: str, count: int, seconds: float) -> bool:
        return self.wait_until(lambda lines: lines.count(line) >= count, seconds)

    def wait_until(self, holds: Callable[[list[str]], bool], seconds: float) -> bool:
        with self._arrived:
            return self._arrived.wait_for(lambda: holds(self._lines), seconds)


@contextmanager
def simulated(wanted: Simulated | None = None, arrivals: Arrivals | None = None):
    """Serve a simulated DSS from a thread."""
    wanted = wanted or Simulated()
    simulation = config.default()
    key = msgspec.structs.replace(simulation.keys[0], key=wanted.key)
    if wanted.privileges is not None:
        key = msgspec.structs.replace(key, privileges=tuple(wanted.privileges))
    changes = {
        "published_shapes": wanted.published_shapes,
        "keys": (key,),
        "scenarios": (*simulation.scenarios, *map(config.read_scenario, wanted.scenarios)),
        "faults": tuple(map(config.read_fault, wanted.faults)),
        **wanted.changes,
    }
    simulation = msgspec.structs.replace(simulation, **changes)
    middlewares = [] if arrivals is None else [arrivals.note]
    with running(simulation, clock=VirtualClock(tick=wanted.tick), middlewares=middlewares) as simulator:
        for line in wanted.before:
            method, _, path = line.partition(" ")
            connection = http.client.HTTPConnection(urlsplit(simulator.url).netloc, timeout=LIMIT)
            connection.request(method, f"/public/api{path}", headers={"Authorization": f"Bearer {wanted.key}"})
            assert connection.getresponse().status == 200
            connection.close()
        simulator.requests.clear()
        yield simulator


def free_port() -> int:
    """Give a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _run(command: list[str], case: Case, tmp: Path, env: dict[str, str], server: Any) -> Ended:
    began = time.monotonic()
    master, slave = pty.openpty() if case.terminal else (None, None)
    if case.stderr_to is not None:
        slave = os.open(case.stderr_to, os.O_WRONLY)
    process = subprocess.Popen(
        command,
        cwd=tmp,
        env=env,
        stdin=subprocess.PIPE if case.stdin is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=slave if slave is not None else subprocess.PIPE,
    )
    try:
        if slave is not None:
            os.close(slave)
        if case.signal is not None:
            assert server.wait_for(case.signal.after, case.signal.count, LIMIT), f"no {case.signal.after} came in"
            process.send_signal(getattr(signal, case.signal.name))
            began = time.monotonic()
        if case.closed is not None and master is not None:
            os.read(master, case.head)
            os.close(master)
            master = None
        elif case.closed is not None:
            stream = getattr(process, case.closed)
            stream.read(case.head)
            stream.close()
            setattr(process, case.closed, None)
        shown = read_screen(master) if master is not None else b""
        given = case.stdin.encode() if case.stdin is not None else None
        out, err = process.communicate(given, timeout=LIMIT)
        seconds = time.monotonic() - began
        memory = int((tmp / USAGE).read_text()) if (tmp / USAGE).exists() else 0
        return Ended(process.returncode, (out or b"").decode(), (err or shown).decode(), seconds, memory)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        for stream in (process.stdout, process.stderr, process.stdin):
            if stream is not None:
                stream.close()
        if master is not None:
            os.close(master)


def read_screen(master: int) -> bytes:
    """Read what is written to a terminal until its last writer has closed it."""
    parts = []
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        if select.select([master], [], [], 0.5)[0]:
            try:
                part = os.read(master, 65536)
            except OSError:  # how Linux says that the other side is closed
                break
            parts.append(part)
    return b"".join(parts)


def _check(case: Case, ended: Ended, seen: list[Seen], tmp: Path, port: int) -> None:
    expect = case.expect
    stderr = _plain(ended.stderr, tmp, port)
    stdout = _plain(ended.stdout, tmp, port)
    report = (tmp / "report.json").read_text("utf-8") if (tmp / "report.json").exists() else ""
    story = f"exit {ended.code} after {ended.seconds:.1f} s\n--- stdout\n{stdout}\n--- stderr\n{stderr}\n"
    story += "--- requests\n" + "\n".join(request.line for request in seen)
    for text in (*NEVER, *case.hidden):
        assert text not in ended.stdout + ended.stderr + report, f"{text!r} is shown\n{story}\n{report}"
    assert ended.code == expect.exit, story
    _check_stderr(expect, stderr, story)
    if expect.colour is not None:
        assert bool(re.search(r"\x1b\[[0-9;]*3[0-9]", ended.stderr)) is expect.colour, ended.stderr
    assert not (expect.no_report and report), report
    _check_stdout(expect, stdout, story)
    _check_requests(expect, seen, story)
    for name, texts in expect.written.items():
        found = _plain((tmp / name).read_text("utf-8"), tmp, port)
        for text in texts:
            assert text in found, f"{text!r} is not in {name}\n{found}\n{story}"
    if expect.report:
        _check_members(expect.report, json.loads(report), story)
    if expect.max_memory is not None:
        assert 0 < ended.memory < expect.max_memory * 1024, f"{ended.memory} KiB\n{story}"
    limit = expect.within if expect.within is not None else case.signal.within if case.signal else None
    assert limit is None or ended.seconds < limit, f"it took {ended.seconds:.1f} s\n{story}"


def _plain(text: str, tmp: Path, port: int) -> str:
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    text = re.sub(r"(?<=treadle runs resume )[0-9a-f]{16}\b", "{run}", text)
    text = text.replace(str(tmp), "{tmp}").replace(f"127.0.0.1:{port}", "127.0.0.1:{port}")
    return re.sub(r"^ *\d+\.\d s ", "{time} ", text, flags=re.MULTILINE)


def _check_stderr(expect: Expect, stderr: str, story: str) -> None:
    lines = stderr.splitlines()
    for wanted in expect.stderr:
        assert wanted in lines, f"no line {wanted!r} (or not in this order)\n{story}"
        lines = lines[lines.index(wanted) + 1 :]
    if expect.whole_stderr is not UNSET:
        assert stderr == expect.whole_stderr, story
    for text in expect.stderr_has:
        assert text in stderr, f"{text!r} is not in stderr\n{story}"
    for text in expect.not_stderr:
        assert text not in stderr, f"{text!r} is in stderr\n{story}"
    for text, count in expect.times.items():
        assert stderr.count(text) == count, f"{text!r} is there {stderr.count(text)} times, not {count}\n{story}"
    for pattern in expect.screen:
        assert re.search(pattern, stderr, re.MULTILINE), f"nothing on the screen like {pattern!r}\n{story}"


def _check_stdout(expect: Expect, stdout: str, story: str) -> None:
    if expect.stdout is not UNSET:
        assert stdout == expect.stdout, story
    for text in expect.stdout_has:
        assert text in stdout, f"{text!r} is not in stdout\n{story}"
    if expect.json is not UNSET:
        assert json.loads(stdout) == expect.json, story
    if expect.keys:
        assert list(json.loads(stdout)) == expect.keys, story
    if expect.members:
        _check_members(expect.members, json.loads(stdout), story)


def _check_members(wanted: dict[str, Any], whole: Any, story: str) -> None:
    for path, value in wanted.items():
        found = whole
        for token in path.split("."):
            found = found[int(token) if isinstance(found, list) else token]
        if value != "*":
            assert found == value, f"{path} is {found!r}, not {value!r}\n{story}"


def _check_requests(expect: Expect, seen: list[Seen], story: str) -> None:
    if expect.requests is not UNSET:
        lines = [request.line for request in seen]
        wanted = list(expect.requests)
        if wanted and wanted[-1] == "...":
            wanted.pop()
            lines = lines[: len(wanted)]
        assert lines == wanted, story
    for name, value in expect.headers.items():
        assert seen[0].headers.get(name.lower()) == value, story
    at = 0
    for text in expect.bodies:
        at = seen[0].body.find(text, at)
        assert at >= 0, f"{text!r} is not in the body, or not in this order\n{seen[0].body!r}\n{story}"
    if expect.sent is not UNSET:
        assert [request.line for request in seen] == [wanted.line for wanted in expect.sent], story
        for wanted, request in zip(expect.sent, seen, strict=True):
            for name, value in wanted.headers.items():
                found = request.headers.get(name.lower())
                assert found == value, f"{wanted.line}: {name} is {found!r}\n{story}"
            assert wanted.body in (None, request.body), f"{wanted.line}: {request.body!r}\n{story}"
