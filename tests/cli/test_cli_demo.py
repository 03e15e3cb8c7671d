"""The demo, as people see it first: under a terminal, with stdout on its way to a program."""

import json
import os
import pty
import re
import signal
import subprocess
import time

from cli_case import LIMIT, TREADLE, environment, read_screen


def start(tmp, slave):
    env = environment(tmp, {"TERM": "xterm", "COLUMNS": "120", "TREADLE_POLL_INTERVAL": "0.3"})
    return subprocess.Popen(
        [*TREADLE, "dataiku", "demo"], cwd=tmp, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=slave
    )


def test_demo(tmp_path):
    master, slave = pty.openpty()
    process = start(tmp_path, slave)
    os.close(slave)
    screen = read_screen(master).decode()
    out, _ = process.communicate(timeout=LIMIT)
    os.close(master)
    assert process.returncode == 0, screen
    assert json.loads(out)["outcome"] == "SUCCESS"
    assert b"\x1b" not in out
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen)
    assert "$ treadle run dataiku run-scenario-and-poll -i apiKey=env:DKU_API_KEY" in text
    assert re.search(r"step +state +polls +elapsed", text)
    for step in ("verifyScenario", "triggerRun", "awaitRun", "checkTrigger", "confirmOutcome"):
        assert re.search(rf"{step} +succeeded", text), text
    assert re.search(r"awaitRun +(waiting|running) +\d+ +\d+\.\d s", text), text
    assert re.search(r"run-scenario-and-poll: succeeded after \d+\.\d s", text)
    assert "\x1b[3" in screen, "no colour on a terminal"
    assert "Traceback" not in text


def test_demo_interrupted(tmp_path):
    master, slave = pty.openpty()
    process = start(tmp_path, slave)
    os.close(slave)
    screen = b""
    while b"awaitRun" not in screen:
        screen += os.read(master, 65536)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    screen += read_screen(master)
    out, _ = process.communicate(timeout=LIMIT)
    os.close(master)
    assert process.returncode == 130
    assert time.monotonic() - began < 2
    assert json.loads(out)["outcome"] is None
    assert screen.count(b"interrupted by SIGINT") == 1
    assert b"Traceback" not in screen
