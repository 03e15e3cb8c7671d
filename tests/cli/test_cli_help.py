"""Help works everywhere, and the example in each help text really works."""

import json
import re
import shlex
import signal
import subprocess

import pytest
from cli_case import LIMIT, TREADLE, environment, free_port, simulated

RUNS = [f"runs {name}" for name in ("list", "show", "logs", "resume", "retry", "cancel", "delete")]
DATAIKU = ("dataiku", *(f"dataiku {name}" for name in ("run", "list", "projects", "status", "last-runs", "abort")))
COMMANDS = (
    "", "run", "check", *DATAIKU, "dataiku wait", "dataiku log", "dataiku simulate", "dataiku demo", "runs", *RUNS,
)  # fmt: skip


def call(arguments, tmp, **more):
    env = environment(tmp, {"DKU_API_KEY": "demo-key", "COLUMNS": "110", **more})
    return subprocess.run(
        [*TREADLE, *arguments], cwd=tmp, env=env, capture_output=True, text=True, timeout=LIMIT, check=False
    )


def example(text):
    """Give the words of the command that stands in a help text."""
    found = re.search(r"Example:\n((?:\s+.*\\\n)*\s+.*)", text)
    assert found, text
    words = shlex.split(found[1].replace("\\\n", " "))
    assert words[0] == "treadle"
    return words[1:]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help(command, flag, tmp_path):
    ended = call([*command.split(), flag], tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "Usage: " in ended.stdout
    assert example(ended.stdout)


@pytest.mark.parametrize("command", ["run", "check"])
def test_example(command, tmp_path):
    words = example(call([command, "--help"], tmp_path).stdout)
    with simulated() as simulator:
        words = [word.replace("https://dss.example.com/public/api", simulator.api_url) for word in words]
        ended = call(words, tmp_path, TREADLE_POLL_INTERVAL="0.05")
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("command", DATAIKU)
def test_example_of_dataiku(command, tmp_path):
    words = example(call([*command.split(), "--help"], tmp_path).stdout)
    with simulated() as simulator:
        ended = call(words, tmp_path, TREADLE_POLL_INTERVAL="0.02", DKU_DSS_URL=simulator.url)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_example_of_simulate(number, tmp_path):
    words = example(call(["dataiku", "simulate", "--help"], tmp_path).stdout)
    port = str(free_port())
    words = [word.replace("11200", port) for word in words]
    assert port in words
    process = subprocess.Popen(
        [*TREADLE, *words], cwd=tmp_path, env=environment(tmp_path, {}), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        said = process.stderr.readline().decode()
        url = f"http://127.0.0.1:{port}/public/api"
        page = f"http://127.0.0.1:{port}/"
        assert said == f"DSS simulator: {url} (keys: demo-key), page: {page}; Ctrl-C stops it\n"
        run = [
            "run", "dataiku", "-i", "apiKey=wrong", "-i", "projectKey=DEMO", "-i", "scenarioId=NIGHTLY", "--server", url,
        ]  # fmt: skip
        assert "the server says: Unknown API Key" in call(run, tmp_path).stderr
        # The port is taken now.
        second = call(words, tmp_path)
        assert second.returncode == 2
        assert second.stdout == ""
        assert second.stderr.startswith(f"treadle: cannot listen on 127.0.0.1:{port}: ")
        assert "in use" in second.stderr
        assert second.stderr.endswith("\n  hint: try --port 0 for a free port\n")
        process.send_signal(getattr(signal, number))
        out, err = process.communicate(timeout=5)
        assert (process.returncode, out, err) == (0, b"", b"")
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_version(tmp_path):
    ended = call(["--version"], tmp_path)
    assert re.fullmatch(r"treadle \d+\.\d+\.\d+\n", ended.stdout)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "99999"], "Invalid value for '--port'"),
        (["--speed", "0"], "Invalid value for '--speed'"),
        (["--config", "no-such.yaml"], "treadle: --config no-such.yaml cannot be read: No such file or directory\n"),
        (["--fault", "do=418"], "treadle: fault 'do=418': Invalid enum value 418"),
        (["--scenario", "id=NIGHTLY"], "treadle: two scenarios are called 'NIGHTLY' in project 'DEMO'\n"),
        (["--tick", "1"], "treadle: --tick moves a virtual clock: it needs --virtual-clock\n"),
        (["--tls-certificate", "x.pem"], "without --tls there is none\n"),
        (["--host", "no-such-host.invalid", "--port", "0"], "treadle: cannot listen on no-such-host.invalid:0: "),
    ],
)
def test_simulate_refuses(arguments, message, tmp_path):
    ended = call(["dataiku", "simulate", *arguments], tmp_path)
    assert ended.returncode == 2
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr


def test_simulate_refuses_a_config(tmp_path):
    (tmp_path / "world.yaml").write_text("keys: []\nscenarios: 3\n", "utf-8")
    ended = call(["dataiku", "simulate", "--config", "world.yaml"], tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.startswith("treadle: world.yaml: ")


def test_simulator_takes_its_options_from_the_environment(tmp_path):
    port = str(free_port())
    process = subprocess.Popen(
        [*TREADLE, "dataiku", "simulate"], cwd=tmp_path, env=environment(tmp_path, {"TREADLE_PORT": port}),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert f":{port}/" in process.stderr.readline().decode()
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=5)
    assert process.returncode == 0


def test_simulator_with_everything_that_can_go_wrong(tmp_path):
    """One over TLS, on a virtual clock, with a scenario and a fault of its own: the wait gets through all of it."""
    simulate = [
        "dataiku", "simulate", "--port", "0", "--tls", "--tls-certificate", "ca.pem", "--virtual-clock", "--tick", "2",
        "--seed", "5", "--scenario", "id=HELLO,run_time=6,outcomes=WARNING", "--fault", "do=502,path=*-trigger,count=2",
        "--fault", "do=429,path=*-trigger,first=4,count=1,retry_after=0", "--start-delay", "1",
    ]  # fmt: skip
    process = subprocess.Popen(
        [*TREADLE, *simulate],
        cwd=tmp_path,
        env=environment(tmp_path, {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        url = process.stderr.readline().decode().split()[2]
        assert url.startswith("https://127.0.0.1:")
        run = [
            "run", "dataiku", "run-scenario-and-poll", "-i", "apiKey=env:DKU_API_KEY", "-i", "projectKey=DEMO",
            "-i", "scenarioId=HELLO", "--server", url,
        ]  # fmt: skip
        refused = call(run, tmp_path)
        assert refused.returncode != 0
        assert "certificate" in refused.stderr
        ended = call([*run, "--ca-cert", "ca.pem"], tmp_path, TREADLE_POLL_INTERVAL="0.01")
        assert (ended.returncode, json.loads(ended.stdout)["outcome"]) == (0, "WARNING"), ended.stderr
        shown = call([*run, "--insecure", "--json"], tmp_path, TREADLE_POLL_INTERVAL="0.01")
        assert json.loads(shown.stdout)["status"] == "succeeded"
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=5)
    assert process.returncode == 0
