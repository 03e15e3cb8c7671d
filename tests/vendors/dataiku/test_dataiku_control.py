"""The control API and the page: steering a simulator that is being served."""

from __future__ import annotations

import http.client
import json
import re
from pathlib import Path

import pytest

from treadle.vendors.dataiku import simulator as package
from treadle.vendors.dataiku.simulator import config


@pytest.fixture
def steer(simulator):
    """Ask the control API; give status and JSON."""

    def send(method: str, path: str, body: str | dict | None = None, **headers: str):
        connection = http.client.HTTPConnection(simulator.url.removeprefix("http://"), timeout=5)
        try:
            sent = json.dumps(body) if isinstance(body, dict) else body
            connection.request(method, f"/_sim{path}", body=sent, headers=headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    return send


def scenario(state: dict, name: str) -> dict:
    return next(each for each in state["scenarios"] if each["id"] == name)


def test_advancing_the_clock_moves_a_scenario(ask, steer, clock):
    assert scenario(steer("GET", "/state")[1], "NIGHTLY")["state"] == "idle"
    ask.scenario("POST", "NIGHTLY/run")
    assert scenario(steer("GET", "/state")[1], "NIGHTLY")["state"] == "queued"
    now = clock.now()
    assert steer("POST", "/clock", {"advance": 4})[1] == {"now": now + 4, "elapsed": 4}
    assert steer("GET", "/clock")[1] == {"now": now + 4, "elapsed": 4}
    live = scenario(steer("GET", "/state")[1], "NIGHTLY")
    assert live["state"] == "running"
    running, past = live["runs"]
    assert (running["outcome"], running["end"], running["due"] - running["start"]) == ("", 0, 7500)
    assert running["steps"] == [
        {"name": "Sync orders from the shop", "state": "RUNNING", "share": 0.5},
        {"name": "Build orders_enriched", "state": "LATER", "share": 0},
        {"name": "Check orders_enriched", "state": "LATER", "share": 0},
    ]
    assert (past["outcome"], past["trigger"], live["averageDuration"]) == ("FAILED", "temporal", 7.5)
    ask.scenario("POST", "NIGHTLY/abort")
    assert scenario(steer("GET", "/state")[1], "NIGHTLY")["state"] == "aborting"
    steer("POST", "/clock", {"advance": 1})
    assert [step["state"] for step in scenario(steer("GET", "/state")[1], "NIGHTLY")["runs"][0]["steps"]] == ["ABORTED"]


def test_fires_are_shown_with_what_came_of_them(ask, steer):
    first = ask.scenario("POST", "ENDLESS/run").json
    steer("POST", "/clock", {"advance": 1})
    second = ask.scenario("POST", "ENDLESS/run").json
    newest, older = scenario(steer("GET", "/state")[1], "ENDLESS")["fires"]
    assert (newest["fireId"], newest["cancelledAt"], newest["runId"]) == (second["runId"], 0, "")
    assert (older["fireId"], older["at"], older["cancelledAt"]) == (
        first["runId"], first["timestamp"], second["timestamp"],
    )  # fmt: skip
    assert (newest["keyId"], newest["trigger"]) == (ask("GET", "/auth/info").json["authIdentifier"], "manual")
    steer("POST", "/clock", {"advance": 3})
    live = scenario(steer("GET", "/state")[1], "ENDLESS")
    assert [fire["runId"] for fire in live["fires"]] == [live["runs"][0]["runId"], ""]


def test_a_scenario_without_steps_has_one_bar(ask, steer):
    ask.scenario("POST", "PY_CLEANUP/run")
    steer("POST", "/clock", {"advance": 4.5})
    (run,) = scenario(steer("GET", "/state")[1], "PY_CLEANUP")["runs"]
    assert run["steps"] == [{"name": "Script", "state": "RUNNING", "share": 0.5}]


def test_jobs_are_shown(ask, steer):
    job = ask("POST", "/projects/DEMO/jobs/", b'{"outputs": [{"id": "orders_enriched"}]}').json
    seen = []
    for seconds in (0, 2.5, 3):
        steer("POST", "/clock", {"advance": seconds})
        (shown,) = steer("GET", "/state")[1]["jobs"]
        seen.append((shown["id"], shown["state"], shown["share"]))
    assert seen == [(job["id"], "NOT_STARTED", 0), (job["id"], "RUNNING", 0.5), (job["id"], "DONE", 1)]


def test_the_request_log_shows_whose_key_and_not_the_key(ask, steer, simulator):
    ask.scenario("GET", "NIGHTLY/light")
    ask("GET", "/auth/info", authorization="Bearer s3cret")
    status, log = steer("GET", "/requests")
    assert status == 200
    assert [(line["number"], line["method"], line["path"], line["status"], line["keyId"]) for line in log] == [
        (1, "GET", "/public/api/projects/DEMO/scenarios/NIGHTLY/light", 200, "demo"),
        (2, "GET", "/public/api/auth/info", 401, None),
    ]
    assert not re.search("demo-key|s3cret", json.dumps([log, steer("GET", "/state")[1]]))
    assert steer("GET", "/requests?after=1")[1] == log[1:]
    assert steer("GET", "/requests?after=x")[0] == 400
    # What is asked of the simulator itself is not in the log of the simulated DSS, and does not move its clock.
    assert len(simulator.requests) == 2
    assert steer("DELETE", "/requests") == (200, [])
    ask.scenario("GET", "NIGHTLY/light")
    assert [line["number"] for line in steer("GET", "/requests")[1]] == [3]


def test_faults_are_set_and_taken_away(ask, steer):
    faults = {"faults": [{"do": 502, "path": "*/light", "count": 1}], "seed": 3}
    assert steer("PUT", "/faults", faults) == (
        200,
        [{"fault": "do=502,path=*/light,count=1", "seen": 0, "happened": 0}],
    )
    assert [ask.scenario("GET", "NIGHTLY/light").status for _ in range(2)] == [502, 200]
    assert steer("GET", "/faults")[1] == [{"fault": "do=502,path=*/light,count=1", "seen": 2, "happened": 1}]
    assert steer("DELETE", "/faults") == (200, [])
    assert steer("GET", "/faults") == (200, [])


def test_reset_begins_anew(ask, steer, clock):
    ask.scenario("POST", "NIGHTLY/run")
    ask.scenario("DELETE", "BROKEN")
    clock.advance(100)
    state = steer("POST", "/reset")[1]
    assert (state["elapsed"], state["requests"]) == (0, 0)
    assert scenario(state, "NIGHTLY")["state"] == "idle"
    assert len(scenario(state, "NIGHTLY")["runs"]) == 1
    assert scenario(state, "BROKEN")
    assert ask.scenario("GET", "NIGHTLY/light").json["running"] is False


def test_another_configuration(ask, steer):
    text = "keys: [{key: demo-key}]\nscenarios: [{project: P, id: S}]\ndss_version: 13.0.1\n"
    status, state = steer("PUT", "/configuration", text)
    assert (status, [each["id"] for each in state["scenarios"]]) == (200, ["S"])
    reply = ask.scenario("GET", "S/light", project="P")
    assert (reply.status, reply.headers["dss-version"]) == (200, "13.0.1")
    assert ask.scenario("GET", "NIGHTLY/light").status == 404
    assert steer("PUT", "/configuration", config.default_text())[0] == 200
    assert ask.scenario("GET", "NIGHTLY/light").status == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "message"),
    [
        ("PUT", "/configuration", "keys: []", "configuration: Object missing required field `scenarios`"),
        ("POST", "/clock", '{"advance": -1}', "Expected `float` >= 0.0 - at `$.advance`"),
        ("POST", "/clock", "{}", "Object missing required field `advance`"),
        ("POST", "/clock", "", "Input data was truncated"),
        ("PUT", "/faults", '{"faults": [{"do": 418}]}', "Invalid enum value 418 - at `$.faults[0].do`"),
        ("PUT", "/faults", '{"faults": [{"do": "latency"}]}', "fault 'latency' needs seconds or jitter - at `$.faults[0]`"),
    ],
)  # fmt: skip
def test_refused_and_nothing_changes(steer, method, path, body, message):
    before = steer("GET", "/state")
    assert steer(method, path, body) == (400, {"message": message})
    assert steer("GET", "/state") == before


@pytest.mark.parametrize("origin", ["https://example.com", "null"])
def test_pages_of_others_may_not_steer(steer, simulator, origin):
    assert steer("POST", "/reset", Origin=origin)[0] == 403
    assert steer("POST", "/reset", Origin=simulator.url)[0] == 200


@pytest.mark.parametrize(
    ("path", "kind"), [("/", "text/html"), ("/_sim/page.css", "text/css"), ("/_sim/page.js", "text/javascript")]
)
def test_the_page_comes_from_the_package_alone(make_caller, simulator, path, kind):
    reply = make_caller(simulator, "")("GET", path, authorization=None)
    assert (reply.status, reply.headers["content-type"]) == (200, f"{kind}; charset=utf-8")
    assert reply.headers["content-security-policy"] == "default-src 'self'; frame-ancestors 'none'"
    assert "http://" not in reply.text
    assert "https://" not in reply.text
    assert not simulator.requests


def test_the_page_reads_only_what_there_is(steer, ask):
    """The names of fields in the script are those of the state; no browser is at hand in every place where tests run."""
    ask.scenario("POST", "NIGHTLY/run")
    ask("POST", "/projects/DEMO/jobs/", b'{"outputs": [{"id": "scores"}]}')
    steer("PUT", "/faults", {"faults": [{"do": 502, "count": 1, "path": "*/none"}]})
    steer("POST", "/clock", {"advance": 4})
    state = steer("GET", "/state")[1]
    live = scenario(state, "NIGHTLY")
    known = {
        "told": {*state, *live}, "run": set(live["runs"][0]), "newest": set(live["runs"][0]),
        "step": set(live["runs"][0]["steps"][0]), "job": set(state["jobs"][0]), "fault": set(state["faults"][0]),
        "request": set(state["lastRequests"][0]),
    }  # fmt: skip
    script = (Path(package.__file__).parent / "page" / "page.js").read_text("utf-8")
    used = set(re.findall(r"\b(told|run|newest|step|job|fault|request)\.([a-zA-Z]+)", script))
    assert len(used) > 20
    assert {(thing, name) for thing, name in used if name not in known[thing]} <= {("fault", "split")}
