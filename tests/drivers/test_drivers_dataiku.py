"""End to end: workflows against the simulated DSS, through the Python interface, over real connections."""

from __future__ import annotations

import asyncio
import http.client
import os
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest
from served import StillClock

import treadle
from treadle.engine import journal
from treadle.vendors.dataiku.simulator import config
from treadle.vendors.dataiku.simulator.clock import VirtualClock
from treadle.vendors.dataiku.simulator.description import ApiKey
from treadle.vendors.dataiku.simulator.server import running

FOUNDING = Path(__file__).parents[3] / "shared/reference/arazzo/dataiku-run-scenario-and-poll-workflow.yml"
SCENARIOS = "/public/api/projects/DEMO/scenarios"
WORKFLOW = "run-scenario-and-poll"


def _inputs(scenario: str = "NIGHTLY", key: str = "demo-key") -> dict[str, str]:
    return {"apiKey": key, "projectKey": "DEMO", "scenarioId": scenario}


def _run(simulator, inputs, document="dataiku", observe=None, **options) -> treadle.Outcome:
    """Run with a clock that needs no waiting; the simulator's own moves with each request."""

    async def run() -> treadle.Outcome:
        async with treadle.Runner(clock=StillClock(), server=simulator.api_url, **options) as runner:
            return await runner.run(document, WORKFLOW, inputs, observe=observe)

    return asyncio.run(run())


def _ask(simulator, method: str, path: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(simulator.url).netloc, timeout=10)
    connection.request(method, SCENARIOS + path, headers={"Authorization": "Bearer demo-key"})
    assert connection.getresponse().status == 200
    connection.close()


def _lines(simulator) -> list[str]:
    return [f"{request.method} {urlsplit(request.path).path.removeprefix(SCENARIOS)}" for request in simulator.requests]


@pytest.fixture
def simulator():
    with running(clock=VirtualClock(tick=1.0)) as simulator:
        yield simulator


@pytest.mark.parametrize(
    ("scenario", "status", "outcome"),
    [
        ("NIGHTLY", "succeeded", "SUCCESS"),
        ("WEEKLY_REPORT", "succeeded", "WARNING"),
        ("PY_CLEANUP", "succeeded", "SUCCESS"),
        ("BROKEN", "failed", "FAILED"),
    ],
)
def test_the_outcome_of_a_scenario_is_the_outcome_of_the_run(simulator, scenario, status, outcome):
    ended = _run(simulator, _inputs(scenario))
    assert (ended.status, ended.outputs["outcome"]) == (status, outcome)
    lines = _lines(simulator)
    assert lines[:3] == [f"GET /{scenario}", f"GET /{scenario}/get-last-runs", f"POST /{scenario}/run"]
    assert lines.count(f"POST /{scenario}/run") == 1
    assert lines[-1] == f"GET /{scenario}/{ended.outputs['runId']}/"
    assert ended.outputs["lastRun"]["runId"] == ended.outputs["runId"]
    if status == "failed":
        assert ended.error is not None
        assert (ended.error.kind, ended.error.step_id) == ("criteria", "confirmOutcome")
        assert "'FAILED'" in ended.error.message
        with pytest.raises(treadle.EffectFailed, match="confirmOutcome"):
            ended.raise_for_status()
    else:
        ended.raise_for_status()


def test_the_run_that_is_waited_for_is_the_one_that_was_started(simulator):
    # NIGHTLY's history has a run that failed, and right after the request there is no new one yet.
    ended = _run(simulator, _inputs())
    lines = _lines(simulator)
    assert lines.count("GET /trigger/NIGHTLY/manual") >= 1
    assert ended.outputs["lastRun"]["result"]["outcome"] == "SUCCESS"
    assert ended.outputs["lastRun"]["trigger"]["runId"] == ended.outputs["triggerRunId"]


def _when(step_id: str, visit: int, then):
    """Do something when that visit of a step has ended."""

    def observe(record: journal.Record) -> None:
        if isinstance(record, journal.StepEnded) and (record.step_id, record.visit) == (step_id, visit):
            then()

    return observe


def test_a_run_that_is_aborted_from_elsewhere(simulator):
    abort = _when("awaitRun", 6, lambda: _ask(simulator, "POST", "/ENDLESS/abort"))
    ended = _run(simulator, _inputs("ENDLESS"), observe=abort)
    assert (ended.status, ended.outputs["outcome"]) == ("failed", "ABORTED")
    assert ended.error is not None
    assert ended.error.step_id == "confirmOutcome"


def test_a_fire_that_is_superseded(simulator):
    supersede = _when("triggerRun", 1, lambda: _ask(simulator, "POST", "/NIGHTLY/run"))
    ended = _run(simulator, _inputs(), observe=supersede)
    assert ended.status == "failed"
    assert ended.error is not None
    assert ended.error.step_id == "checkTrigger"
    assert ended.outputs["outcome"] is None
    assert ended.outputs["triggerRunId"]


def test_a_scenario_that_is_busy(simulator):
    _ask(simulator, "POST", "/ENDLESS/run")
    simulator.clock.advance(10)
    ended = _run(simulator, _inputs("ENDLESS"))
    assert ended.status == "failed"
    assert ended.error is not None
    assert ended.error.step_id == "triggerRun"
    assert "cancelled" in ended.error.message


def test_a_run_that_never_ends_is_bounded(simulator):
    ended = _run(simulator, _inputs("ENDLESS"), timeout=120)
    assert ended.status == "limited"
    assert ended.error is not None
    assert (ended.error.kind, ended.error.step_id) == ("timeout", "awaitRun")
    assert ended.outputs["runId"]
    assert len(simulator.requests) < 30
    assert any("folded" in step for step in ended.steps)


@pytest.mark.parametrize(
    ("inputs", "status"),
    [
        (_inputs(key="other"), 401),
        (_inputs(key="small"), 403),
        (_inputs("NOWHERE"), 404),
    ],
    ids=["401", "403", "404"],
)
def test_what_fails_at_the_first_step_triggers_nothing(inputs, status):
    keys = (ApiKey(key="demo-key"), ApiKey(key="small", id="s1", projects=("OTHER",)))
    with running(msgspec.structs.replace(config.default(), keys=keys), clock=VirtualClock(tick=1.0)) as simulator:
        ended = _run(simulator, inputs)
        assert len(simulator.requests) == 1
    assert ended.status == "failed"
    assert ended.error is not None
    assert ended.error.step_id == "verifyScenario"
    assert f"answered {status}" in ended.error.message
    assert (ended.error.hint or "").startswith("the server says: ")
    assert set(ended.outputs.values()) == {None}


def test_names_are_encoded_on_their_way(simulator):
    ended = _run(simulator, _inputs("a/b?c#d"))
    assert ended.status == "failed"
    assert simulator.requests[0].path.endswith("/scenarios/a%2Fb%3Fc%23d")


def test_no_report_shows_the_key(simulator):
    ended = _run(simulator, {**_inputs(), "projectKey": "demo-key"})
    assert b"demo-key" not in msgspec.json.encode(ended.report())
    assert "/projects/***/" in ended.steps[0]["request"]["url"]


# The founding document


@pytest.fixture
def founding() -> str:
    if not FOUNDING.exists():
        assert not os.environ.get("CI"), f"{FOUNDING} is absent"
        pytest.skip(f"{FOUNDING} is absent")
    return str(FOUNDING)


@pytest.fixture
def published():
    simulation = msgspec.structs.replace(config.default(), published_shapes=True, start_delay=0.0)
    with running(simulation, clock=VirtualClock(tick=1.0)) as simulator:
        yield simulator


def test_the_founding_document_runs_unmodified(founding, published):
    began: list[journal.StepBegan] = []
    answers: list[journal.Delivered] = []

    def observe(record: journal.Record) -> None:
        if isinstance(record, journal.StepBegan):
            began.append(record)
        if isinstance(record, journal.Delivered):
            answers.append(record)

    ended = _run(published, _inputs(), founding, observe, source={"dssPublicApi": "dataiku"})
    assert ended.status == "succeeded"
    polls = sum(record.step_id == "pollStatus" for record in began)
    assert polls > 3
    assert _lines(published) == ["GET /NIGHTLY", "POST /NIGHTLY/run", *["GET /NIGHTLY/light"] * polls]
    assert {request.headers["Authorization"] for request in published.requests} == {"Bearer demo-key"}
    fire = msgspec.json.decode(answers[1].result.body)
    last = msgspec.json.decode(answers[-1].result.body)
    assert ended.outputs == {"runId": fire["id"], "lastRun": last["lastRun"]}
    assert last["lastRun"]["result"]["outcome"] == "SUCCESS"
    warnings = [(found.rule, found.message) for found in ended.diagnostics]
    assert sorted(rule for rule, _ in warnings) == ["embedded-without-braces", *["jsonpath-comparison"] * 2]
    assert [warning["rule"] for warning in ended.report()["warnings"]] == [rule for rule, _ in warnings]


def test_on_a_real_server_the_outputs_of_the_founding_document_are_missing(founding, simulator):
    ended = _run(simulator, _inputs(), founding, source={"dssPublicApi": "dataiku"})
    assert (ended.status, ended.outputs) == ("succeeded", {"runId": None, "lastRun": None})
    rules = [warning["rule"] for warning in ended.report()["warnings"]]
    assert rules.count("missing-value") == 2


def test_without_its_source_the_error_names_the_bundled_one(founding, published):
    with pytest.raises(treadle.DocumentInvalid) as refused:
        _run(published, _inputs(), founding)
    (found,) = [found for found in refused.value.diagnostics if found.severity is treadle.Severity.ERROR]
    assert found.span is not None
    assert "--source dssPublicApi=dataiku" in (found.hint or "")
    assert not published.requests


def test_strict_refuses_before_any_request(founding, published):
    with pytest.raises(treadle.DocumentInvalid) as refused:
        _run(published, _inputs(), founding, source={"dssPublicApi": "dataiku"}, strict=True)
    assert {found.rule for found in refused.value.diagnostics} == {"embedded-without-braces", "jsonpath-comparison"}
    assert not published.requests
