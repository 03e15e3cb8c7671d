"""Where secrets come from: asked for on a terminal, and taken from there again by a run that goes on."""

from __future__ import annotations

import asyncio
import os
import pty
import select
import signal
import subprocess
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from cli_case import LIMIT, NEVER, TREADLE, environment, free_port, read_screen
from cli_server import Answer, scripted
from msgspec import Struct

import treadle
from loader import table

STATE = "j.sqlite"


class Later(Struct, forbid_unknown_fields=True, frozen=True):
    """How a run is resumed: with which options and environment, from which folder, with which files changed or gone."""

    args: list[str] = []
    env: dict[str, str] = {}
    files: dict[str, str | None] = {}
    from_: str = msgspec.field(name="from", default=".")


class Case(Struct, forbid_unknown_fields=True, frozen=True):
    """One case; `sends` and `proxied` are the Authorization and Proxy-Authorization of the last request, `line` that."""

    id: str
    start: list[str]
    with_: dict[str, str] = msgspec.field(name="with", default={})
    env: dict[str, str] = {}
    stdin: str = ""
    secrets: dict[str, str] | None = None
    options: dict[str, Any] = {}
    later: Later = Later()
    exit: int = 0
    sends: str | None = None
    proxied: str | None = None
    line: str | None = None
    stderr: list[str] = []
    stderr_lacks: list[str] = []
    hidden: list[str] = []


class Table(Struct, forbid_unknown_fields=True, frozen=True):
    """The file of cases, and the files that all of them use."""

    about: str
    files: dict[str, str]
    cases: list[Case]


WHOLE = msgspec.convert(table("cli/origins.yaml"), Table)


def _place(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            (folder / name).unlink()
        else:
            (folder / name).write_text(text, "utf-8")


def _call(folder, args, env, stdin="", cwd="."):
    (folder / cwd).mkdir(exist_ok=True)
    ended = subprocess.run(
        [*TREADLE, *args], cwd=folder / cwd, input=stdin, capture_output=True, text=True, timeout=LIMIT, check=False,
        env=environment(folder, {"TREADLE_STATE": str(folder / STATE), "PYTHONPATH": str(folder), **env}),
    )  # fmt: skip
    assert not [text for text in NEVER if text in ended.stdout + ended.stderr], ended.stderr
    return ended


def _kept(folder):
    async def read():
        journal = treadle.SqliteJournal(folder / STATE)
        (entry,) = await journal.entries()
        kept = await journal.read(entry.run_id)
        await journal.close()
        return kept

    return asyncio.run(read())


@pytest.mark.parametrize("kept", WHOLE.cases, ids=lambda case: case.id)
def test_a_run_that_goes_on(kept, tmp_path):
    case = kept
    with scripted({"*": [Answer(special="close"), Answer(json={})]}) as server:
        places = {"tmp": str(tmp_path), "port": str(server.port)}

        def filled(value):
            text = msgspec.json.encode(value).decode()
            for name, place in places.items():
                text = text.replace("{" + name + "}", place)
            return msgspec.json.decode(text)

        _place(tmp_path, {**WHOLE.files, **filled(case.with_)})
        started = _call(
            tmp_path, ["run", "w.yaml", *filled(case.start), "--server", f"http://127.0.0.1:{server.port}"],
            filled(case.env), case.stdin,
        )  # fmt: skip
        assert started.returncode == 4, started.stderr
        start = _kept(tmp_path).start
        if case.secrets is not None:
            assert start.secrets == filled(case.secrets)
        assert {name: start.options.get(name) for name in case.options} == filled(case.options)
        shown = [_call(tmp_path, ["runs", "show", start.run_id, *more], {}).stdout for more in ([], ["--json"])]
        _place(tmp_path, filled(case.later.files))
        resume = ["runs", "resume", start.run_id, "--in-doubt", "retry", *filled(case.later.args)]
        ended = _call(tmp_path, resume, filled(case.later.env), cwd=case.later.from_)
        assert ended.returncode == case.exit, ended.stderr
        for line in filled(case.stderr):
            assert line in ended.stderr.splitlines()
        for text in case.stderr_lacks:
            assert text not in ended.stderr
        last = server.seen[-1]
        assert len(server.seen) == (2 if case.exit == 0 else 1)
        if case.sends is not None:
            assert last.headers["authorization"] == case.sends
        if case.line is not None:
            assert last.line == case.line
        assert last.headers.get("proxy-authorization") == (case.proxied or last.headers.get("proxy-authorization"))
    held = b"".join(file.read_bytes() for file in tmp_path.glob(f"{STATE}*") if file.is_file())
    # What is sealed tells nothing to a search: so look at what it was before, too.
    start = _kept(tmp_path).start
    opened = msgspec.json.encode([start.inputs, start.secrets, start.options]).decode()
    for secret in case.hidden:
        assert secret.encode() not in held
        for text in (opened, *shown, started.stderr, ended.stdout, ended.stderr):
            assert secret not in text


class Terminal:
    """A terminal, and a command whose standard input it is."""

    def __init__(self, folder, args, **env):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [*TREADLE, *args], cwd=folder, stdin=slave, stdout=subprocess.PIPE, stderr=slave, start_new_session=True,
            env=environment(folder, {"TREADLE_STATE": str(folder / STATE), "CI": "1", **env}),
        )  # fmt: skip
        os.close(slave)

    def until(self, text):
        """Read until a text has come."""
        shown = b""
        while text.encode() not in shown:
            assert select.select([self.master], [], [], LIMIT)[0], shown
            shown += os.read(self.master, 1024)
        return shown.decode()

    def echoes(self):
        """Say whether what is typed in is shown."""
        import termios  # noqa: PLC0415

        return bool(termios.tcgetattr(self.master)[3] & termios.ECHO)

    def end(self):
        rest = read_screen(self.master).decode()
        out, _ = self.process.communicate(timeout=LIMIT)
        with suppress(OSError):
            os.close(self.master)
        return self.process.returncode, out.decode(), rest


def _typing(terminal, text, asked="(secret, not shown): "):
    terminal.until(asked)
    os.write(terminal.master, text.encode())
    return terminal.end()


def test_what_is_not_given_is_asked_for_and_asked_for_again(tmp_path):
    _place(tmp_path, WHOLE.files)
    with scripted({"*": [Answer(special="close"), Answer(json={})]}) as server:
        url = f"http://127.0.0.1:{server.port}"
        args = ["run", "w.yaml", "by-input", "--server", url]
        code, _, screen = _typing(Terminal(tmp_path, args), "typ3d-key\n")
        assert code == 4, screen
        kept = _kept(tmp_path)
        assert kept.start.secrets == {"apiKey": "prompt"}
        refused = _call(tmp_path, ["runs", "resume", kept.start.run_id, "--in-doubt", "retry"], {})
        assert (refused.returncode, refused.stderr.splitlines()[1]) == (
            2,
            "  hint: give it again: -i apiKey=env:VARIABLE",
        )
        resumed = Terminal(tmp_path, ["runs", "resume", "--in-doubt", "retry"])
        code, _, again = _typing(resumed, "an0ther-key\n", f"apiKey of run {kept.start.run_id} (secret, not shown): ")
        assert code == 0, again
        assert [seen.headers["authorization"] for seen in server.seen] == ["Bearer typ3d-key", "Bearer an0ther-key"]
    for secret in ("typ3d-key", "an0ther-key"):
        assert secret not in screen + again
        assert not [
            file for file in tmp_path.glob(f"{STATE}*") if file.is_file() and secret.encode() in file.read_bytes()
        ]


@pytest.mark.parametrize(("typed", "why"), [("\n", "nothing was typed in"), ("\x04", "nothing was typed in")])
def test_nothing_is_no_secret(tmp_path, typed, why):
    _place(tmp_path, WHOLE.files)
    args = ["run", "w.yaml", "by-input", "--server", f"http://127.0.0.1:{free_port()}"]
    code, _, screen = _typing(Terminal(tmp_path, args), typed)
    assert (code, f"treadle: input 'apiKey': {why}" in screen) == (2, True), screen


def test_a_signal_while_it_is_asked_for_leaves_the_terminal_as_it_was(tmp_path):
    _place(tmp_path, WHOLE.files)
    args = ["run", "w.yaml", "by-input", "--server", f"http://127.0.0.1:{free_port()}"]
    terminal = Terminal(tmp_path, args)
    terminal.until("(secret, not shown): ")
    assert not terminal.echoes()
    terminal.process.send_signal(signal.SIGTERM)
    terminal.process.wait(LIMIT)
    assert terminal.echoes()
    assert terminal.end()[0] == 143


def test_nobody_is_asked_where_nothing_is_sent_or_nobody_is_there(tmp_path):
    _place(tmp_path, WHOLE.files)
    args = ["run", "w.yaml", "by-input", "--server", f"http://127.0.0.1:{free_port()}"]
    assert Terminal(tmp_path, [*args, "--dry-run"]).end()[0] == 2
    ended = _call(tmp_path, args, {})
    assert ended.returncode == 2
    assert ended.stderr == (
        "treadle: the inputs of workflow 'by-input' are invalid: '/apiKey' is required and absent\n"
        "  hint: give it as -i apiKey=env:VARIABLE; in place of env:VARIABLE also keyring:SERVICE/USER or @FILE\n"
    )
