"""What no case can set up: a bug of ours, a full disk, Ctrl-C while standard input is waited for."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_case import LIMIT, TREADLE, environment

from treadle.surfaces.guard import guarded


def broken():
    raise LookupError("s3cr3t")


def test_a_bug_is_said_without_a_traceback(capsys):
    assert guarded(broken) == 1
    said = capsys.readouterr().err
    assert said.startswith("treadle: this is a bug in Treadle ")
    assert "LookupError at test_cli_guard.py:" in said
    assert "TREADLE_DEBUG=1" in said
    assert "s3cr3t" not in said
    assert "Traceback" not in said


def test_a_bug_can_be_looked_into(monkeypatch):
    monkeypatch.setenv("TREADLE_DEBUG", "1")
    with pytest.raises(LookupError):
        guarded(broken)


def test_interrupted_while_standard_input_is_waited_for(tmp_path):
    command = [*TREADLE, "run", "dataiku", "--inputs", "-"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(tmp_path, {}), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        time.sleep(0.6)  # nothing says that it waits
        process.send_signal(signal.SIGINT)
        assert process.wait(2) == 130
        assert process.stderr.read() == b"treadle: interrupted by SIGINT; nothing was sent\n"
        assert process.stdout.read() == b""


MODULES = ("click", "asyncio", "treadle.surfaces.guard", "treadle.errors", "treadle.runner", "fast_yaml")
SIGNALLED = """
import os, signal, sys
from treadle.__main__ import main
module, number, *rest = sys.argv[1:]
class Finder:
    def find_spec(self, name, *_):
        if name == module:
            os.kill(os.getpid(), getattr(signal, number))
sys.meta_path.insert(0, Finder())
sys.argv[1:] = rest
main()
"""


@pytest.mark.parametrize(("number", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.parametrize("module", MODULES)
def test_interrupted_while_modules_load(module, command, number, code, tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", SIGNALLED, module, number, command, "dataiku"], env=environment(tmp_path, {}),
        stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT, check=False,
    )  # fmt: skip
    said = f"treadle: interrupted by {number}; nothing was sent\n".encode()
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, b"", said)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("arguments", [["check", "dataiku"], ["run", "--help"], ["--version"]])
def test_full_disk(arguments, tmp_path):
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [*TREADLE, *arguments], env=environment(tmp_path, {}), stdout=full, stderr=subprocess.PIPE, timeout=LIMIT,
            check=False,
        )  # fmt: skip
    assert ended.returncode == 1
    assert ended.stderr.startswith(b"treadle: ")
    assert ended.stderr.endswith(b"No space left on device\n")


def test_closed_streams(tmp_path):
    """`2>&-`: what was meant for stderr must not land in stdout."""
    script = f'"{TREADLE[0]}" -m treadle run dataiku 2>&-'
    ended = subprocess.run(
        ["sh", "-c", script],
        env=environment(tmp_path, {}),
        cwd=tmp_path,
        capture_output=True,
        timeout=LIMIT,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, b"", b"")
