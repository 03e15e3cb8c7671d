"""The recipes, taken out of their files and run against the simulated DSS; their files, held against what their places take."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from cli_case import LIMIT, NEVER, Simulated, environment, simulated
from recipe import PLACES, RECIPES, ROOT, Given, read

from treadle.vendors.dataiku.simulator import config

KEY = "key-of-the-recipes"
JUNIT = ("github", "gitlab", "jenkins", "azure", "systemd")
"""Those that have a JUnit report."""
EXEC = ("github", "gitlab", "jenkins", "azure", "systemd", "airflow_bash")
"""Those whose process that is started is Treadle, so that it gets the signals."""
WORLD = """
keys: [{key: demo-key}]
scenarios:
  - project: SALES
    id: NIGHTLY
    steps:
      - {id: load, name: Load orders, duration: 2}
      - {id: score, name: Score orders, duration: 2, outcome: OUTCOME, error: ERROR}
  - project: SALES
    id: WEEKLY_REPORT
    steps: [{id: report, name: Build report, duration: 2}]
"""


@contextmanager
def dss(outcome="SUCCESS", *, finishes=True):
    """Serve a DSS with the scenarios that the recipes run, the first one with this outcome."""
    error = "{message: the model is not there}" if outcome == "FAILED" else "null"
    world = WORLD.replace("OUTCOME", outcome).replace("ERROR", error)
    scenarios = config.read(
        world if finishes else world.replace("id: NIGHTLY", "id: NIGHTLY\n    finishes: false")
    ).scenarios
    with simulated(Simulated(key=KEY, changes={"scenarios": scenarios})) as simulator:
        yield simulator


def start(place, simulator, folder, **given):
    command, env = PLACES[place](Given(simulator.api_url, KEY, folder, **given))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = environment(
        folder, {**env, "PATH": path, "TREADLE_POLL_INTERVAL": "0.02", "TREADLE_POLL_MAX_INTERVAL": "0.05"}
    )
    return subprocess.Popen(
        command,
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process):
    out, err = process.communicate(timeout=LIMIT)
    for text in (*NEVER, KEY):
        assert text not in out + err
    return process.returncode, out, err


def posts(simulator):
    return [
        request.path.removeprefix("/public/api/projects/SALES/scenarios/")
        for request in simulator.requests
        if request.method == "POST"
    ]


def counts(folder):
    """Give the tests, failures and errors of the report."""
    (suite,) = ET.parse(folder / "scenarios.xml").getroot()  # noqa: S314 - our own
    assert suite.get("name") == "SALES"
    return tuple(int(suite.get(name)) for name in ("tests", "failures", "errors"))


@pytest.mark.parametrize("place", PLACES)
def test_success(place, tmp_path):
    with dss() as simulator:
        code, out, err = end(start(place, simulator, tmp_path))
        assert code == 0, err
        runs = ["NIGHTLY/run"] if place == "python" else ["NIGHTLY/run", "WEEKLY_REPORT/run"]
        assert sorted(posts(simulator)) == runs
    if place == "cron":
        assert out + err == ""
    elif place == "python":
        assert out.startswith("succeeded SUCCESS ")
    else:
        assert "SALES.NIGHTLY: SUCCESS, after 4.0 s" in out
    if place in JUNIT:
        assert counts(tmp_path) == (2, 0, 0)


@pytest.mark.parametrize("place", PLACES)
def test_failed(place, tmp_path):
    with dss("FAILED") as simulator:
        code, out, err = end(start(place, simulator, tmp_path))
    assert code == 1, err
    if place == "python":
        assert out.startswith("failed FAILED ")
    else:
        assert "SALES.NIGHTLY: FAILED, after 4.0 s" in out
        assert "step 'Score orders': the model is not there" in out
    if place in JUNIT:
        assert counts(tmp_path) == (2, 1, 0)
    if place == "github":
        assert "::error title=SALES.NIGHTLY FAILED::step 'Score orders': the model is not there (http" in err
        assert "::notice title=SALES.WEEKLY_REPORT SUCCESS::" in err
        assert "| FAILED |" in (tmp_path / "summary.md").read_text("utf-8")
    if place == "gitlab":
        assert '"label": "SALES.NIGHTLY: FAILED"' in (tmp_path / "links.json").read_text("utf-8")


@pytest.mark.parametrize("place", PLACES)
def test_warning(place, tmp_path):
    with dss("WARNING") as simulator:
        code, _, err = end(start(place, simulator, tmp_path))
    noted = place in ("gitlab", "systemd")  # they tell a warning from a success, and do not fail for it
    assert code == (7 if noted else 0), err


@pytest.mark.parametrize("place", [place for place in PLACES if place != "python"])
def test_time_out_and_on(place, tmp_path):
    with dss(finishes=False) as simulator:
        code, out, err = end(start(place, simulator, tmp_path, change=lambda text: text.replace("3600", "1.5")))
        assert code == 3, err
        (token,) = re.findall(r"to go on waiting: treadle dataiku wait (SALES\.NIGHTLY/\S+)", out)
        if place in JUNIT:
            assert counts(tmp_path) == (2, 0, 1)
        if place not in ("github", "gitlab", "jenkins", "azure"):
            return
        before = posts(simulator)
        process = start(place, simulator, tmp_path, wait_for=token, change=lambda text: text.replace("3600", "0.5"))
        code, out, err = end(process)
        assert code == 3, err
        assert token in out
        assert posts(simulator) == before, "waiting triggered something"


@pytest.mark.parametrize("place", ["github", "azure", "gitlab", "jenkins"])
def test_run_again(place, tmp_path):
    with dss(finishes=False) as simulator:
        _, out, _ = end(start(place, simulator, tmp_path, change=lambda text: text.replace("3600", "1.5")))
        first = re.findall(r"treadle dataiku wait (SALES.NIGHTLY/\S+)", out)
        before = posts(simulator)
        again = {"attempt": 2} if place in ("github", "azure") else {}
        code, out, _ = end(start(place, simulator, tmp_path, change=lambda text: text.replace("3600", "0.5"), **again))
        assert [post for post in posts(simulator)[len(before) :] if post == "NIGHTLY/run"] == []
        assert code == (3 if again else 6)
        assert not again or first == re.findall(r"treadle dataiku wait (SALES.NIGHTLY/\S+)", out)


@pytest.mark.parametrize("abort", [False, True], ids=["goes-on", "abort"])
@pytest.mark.parametrize("place", EXEC)
def test_cancelled(place, abort, tmp_path):
    number = signal.SIGINT if place in ("github", "azure") else signal.SIGTERM
    with dss(finishes=False) as simulator:
        change = (lambda text: text.replace("--timeout", "--abort-on-interrupt --timeout")) if abort else str
        process = start(place, simulator, tmp_path, change=change)
        lines = iter(process.stderr.readline, "")
        assert any(re.match(r"SALES\.NIGHTLY: run", line) for line in lines), "it ended before it was interrupted"
        process.send_signal(number)
        code, out, err = end(process)
        assert code == 128 + number, out + err
        assert ("NIGHTLY/abort" in posts(simulator)) is abort
    if place in JUNIT:
        tests, failures, _ = counts(tmp_path)
        assert (tests, failures) == (2, 0)


SCHEMAS = {
    "github-actions.yml": ["vendor.github-workflows"],
    "gitlab-ci.yml": ["vendor.gitlab-ci", "--data-transform", "gitlab-ci"],
    # Its patterns are no ECMAScript in Unicode mode.
    "azure-pipelines.yml": [
        "vendor.azure-pipelines",
        "--data-transform",
        "azure-pipelines",
        "--regex-variant",
        "nonunicode",
    ],
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_schema(name, tmp_path):
    whole = read(name)
    path = tmp_path / f"{name}.json"
    path.write_text(json.dumps(as_azure_reads_it(whole) if "azure" in name else whole), "utf-8")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", *SCHEMAS[name], str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def as_azure_reads_it(value):
    """To Azure every scalar is a text, and so its schema has it."""
    match value:
        case dict():
            return {name: as_azure_reads_it(item) for name, item in value.items()}
        case list():
            return [as_azure_reads_it(item) for item in value]
        case bool():
            return str(value).lower()
    return str(value)


if shutil.which("systemd-analyze"):  # it is no part of what this project can install

    def test_units():
        units = [str(RECIPES / f"dss-nightly.{kind}") for kind in ("service", "timer")]
        done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_no_key_in_any_recipe():
    """Each takes it from a store of secrets: no file has a value that is not a reference."""
    for path in RECIPES.iterdir():
        for value in re.findall(r"DKU_API_KEY['\"]?\s*[:=]\s*(\S+)", path.read_text("utf-8")):
            assert re.match(r"\$\{\{|\$\(|credentials\(|\"\{\{|\.\.\.|os\.environ", value), (
                f"{path.relative_to(ROOT)}: {value}"
            )
