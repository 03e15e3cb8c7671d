"""The HTTP surface as a client without manners would see it: keys, slashes, errors, shapes."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket

import msgspec
import pytest
from aiohttp import web

from treadle.vendors.dataiku.simulator import config
from treadle.vendors.dataiku.simulator.clock import VirtualClock
from treadle.vendors.dataiku.simulator.description import ApiKey
from treadle.vendors.dataiku.simulator.server import running, serve, serve_until_cancelled

NOT_FOUND = "com.dataiku.dip.server.controllers.NotFoundException"


def error(java_class: str, message: str) -> dict[str, str]:
    return {"errorType": java_class, "message": message, "detailedMessage": message}


@pytest.mark.parametrize(
    "credentials", ["Bearer demo-key", "bearer  demo-key ", ("demo-key", ""), ("", "demo-key")], ids=str
)
@pytest.mark.parametrize("path", ["/auth/info", "/auth/info/"])
def test_a_key_in_every_form(ask, make_basic, credentials, path):
    authorization = credentials if isinstance(credentials, str) else make_basic(*credentials)
    reply = ask("GET", path, authorization=authorization)
    assert (reply.status, reply.json) == (200, {"authIdentifier": "demo", "groups": []})


@pytest.mark.parametrize(
    ("authorization", "message"),
    [
        (None, "No API key was given"),
        ("Bearer other", "Unknown API Key"),
        ("Bearer", "Unknown API Key"),
        ("Digest demo-key", "Unknown API Key"),
        ("Basic demo-key", "Unknown API Key"),
        ("Basic ZGVtby1rZXk=", "Unknown API Key"),  # no colon
        ("Basic ZGVtby1rZXk6ZGVtby1rZXk=", "Unknown API Key"),  # the key twice
        ("Basic /w==", "Unknown API Key"),  # not UTF-8
        ("Basic Og==", "Unknown API Key"),  # nothing on both sides
    ],
)
@pytest.mark.parametrize("path", ["/auth/info", "/projects/DEMO/scenarios/", "/projects/DEMO/scenarios/NIGHTLY"])
def test_401(ask, authorization, message, path):
    reply = ask("GET", path, authorization=authorization)
    assert reply.status == 401
    assert reply.json == error("com.dataiku.dip.exceptions.NotAuthenticatedException", message)


def test_a_refused_run_request_has_no_effect(ask, simulator):
    assert ask("POST", "/projects/DEMO/scenarios/NIGHTLY/run", authorization="Bearer other").status == 401
    assert simulator.world.scenario("DEMO", "NIGHTLY", 0).pending is None


@pytest.mark.parametrize("project", ["DEMO", "NOWHERE"])
@pytest.mark.parametrize("path", ["", "NIGHTLY/light"])
def test_403_for_a_key_of_another_project_whether_or_not_it_exists(make_caller, project, path):
    simulation = msgspec.structs.replace(config.default(), keys=(ApiKey(key="small", id="s1", projects=("OTHER",)),))
    with running(simulation, clock=VirtualClock()) as simulator:
        ask = make_caller(simulator)
        reply = ask("GET", f"/projects/{project}/scenarios/{path}", authorization="Bearer small")
        assert ask("GET", "/auth/info", authorization="Bearer small").json["authIdentifier"] == "s1"
    assert reply.status == 403
    assert reply.json["message"] == f"API key s1 may not access project {project}"
    assert set(reply.json) == {"errorType", "message", "detailedMessage"}


def test_a_key_of_the_project_is_let_in(make_caller):
    simulation = msgspec.structs.replace(config.default(), keys=(ApiKey(key="small", projects=("DEMO",)),))
    with running(simulation, clock=VirtualClock()) as simulator:
        ask = make_caller(simulator)
        assert ask("GET", "/projects/DEMO/scenarios/NIGHTLY", authorization="Bearer small").status == 200


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        ("GET", "/projects/NOWHERE/scenarios/", "Project NOWHERE does not exist"),
        ("GET", "/projects/NOWHERE/scenarios/NIGHTLY", "Project NOWHERE does not exist"),
        ("POST", "/projects/DEMO/scenarios/NOTHING/run", "Scenario DEMO.NOTHING does not exist"),
        ("POST", "/projects/DEMO/scenarios/NOTHING/abort", "Scenario DEMO.NOTHING does not exist"),
        ("GET", "/projects/DEMO/scenarios/A%2FB/light", "Scenario DEMO.A/B does not exist"),
        ("GET", "/projects/DEMO/scenarios/NIGHTLY/r1/", "Run r1 of scenario NIGHTLY does not exist"),
        ("GET", "/projects/DEMO/scenarios/NIGHTLY/r1/log", "Run r1 of scenario NIGHTLY does not exist"),
        (
            "GET",
            "/projects/DEMO/scenarios/trigger/NIGHTLY/manual?triggerRunId=f1",
            "Run f1 of trigger manual of scenario NIGHTLY does not exist",
        ),
    ],
)
def test_404_of_the_api(ask, method, path, message):
    reply = ask(method, path)
    assert (reply.status, reply.json) == (404, error(NOT_FOUND, message))
    assert reply.headers["dss-version"] == "14.3.0"
    assert reply.headers["dss-api-version"] == "1"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/projects/DEMO/scenarios", 404),
        ("GET", "/projects/DEMO", 404),
        ("GET", "/projects/DEMO/scenarios/NIGHTLY/r1/log/more", 404),
        ("GET", "/", 404),
        ("DELETE", "/projects/DEMO/scenarios/NIGHTLY/light", 405),
    ],
)
@pytest.mark.parametrize("authorization", ["Bearer demo-key", None])
def test_a_wrong_route_is_html_with_and_without_a_key(ask, method, path, status, authorization):
    reply = ask(method, path, authorization=authorization)
    assert reply.status == status
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert f"<h1>{status} " in reply.text
    assert "dss-version" not in reply.headers


def test_405_says_what_is_allowed(ask):
    assert ask("DELETE", "/projects/DEMO/scenarios/").headers["allow"] == "GET,POST"


def test_a_body_beyond_the_limit_does_not_reach_the_scenario(ask, simulator):
    reply = ask.scenario("POST", "NIGHTLY/run", b'{"a": "' + b"x" * 2**20 + b'"}')
    assert (reply.status, reply.headers["content-type"]) == (413, "text/html; charset=utf-8")
    assert simulator.world.scenario("DEMO", "NIGHTLY", 0).pending is None


def test_the_list_can_be_made_forgiving(make_caller):
    simulation = msgspec.structs.replace(config.default(), strict_list_slash=False)
    with running(simulation, clock=VirtualClock()) as simulator:
        ask = make_caller(simulator)
        with_slash, without = ask("GET", "/projects/DEMO/scenarios/"), ask("GET", "/projects/DEMO/scenarios")
    assert without.status == 200
    assert without.json == with_slash.json


@pytest.mark.parametrize("prefix", ["/public/api", "/dip/publicapi"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_every_route_under_both_roots_and_with_both_slashes(simulator, clock, make_caller, prefix, slash):
    ask = make_caller(simulator, prefix)
    fire = ask.scenario("POST", f"NIGHTLY/run{slash}").json
    clock.advance(3)
    of_trigger = f"triggerId=manual&triggerRunId={fire['runId']}"
    run = ask.scenario("GET", f"NIGHTLY/get-run-for-trigger{slash}?{of_trigger}").json["scenarioRun"]
    replies = [
        ask("GET", f"/auth/info{slash}"),
        ask("GET", "/projects/DEMO/scenarios/"),
        ask.scenario("GET", f"NIGHTLY{slash}"),
        ask.scenario("GET", f"NIGHTLY/light{slash}"),
        ask.scenario("GET", f"PY_CLEANUP/payload{slash}"),
        ask.scenario("GET", f"NIGHTLY/get-last-runs{slash}"),
        ask.scenario("GET", f"NIGHTLY/get-runs-by-date{slash}?fromDate=2016-04-15"),
        ask.scenario("GET", f"trigger/NIGHTLY/manual{slash}?triggerRunId={fire['runId']}"),
        ask.scenario("GET", f"NIGHTLY/{run['runId']}{slash}"),
        ask.scenario("GET", f"NIGHTLY/{run['runId']}/log{slash}"),
        ask.scenario("POST", f"NIGHTLY/abort{slash}"),
    ]
    assert [reply.status for reply in replies] == [200] * len(replies)
    assert {reply.headers["dss-version"] for reply in replies} == {"14.3.0"}
    assert replies[-1].json == {}


def test_a_run_from_its_request_to_its_end_in_json(ask, clock):
    fire = ask.scenario("POST", "BROKEN/run", b'{"day": "2016-04-14"}').json
    assert fire == {
        "projectKey": "DEMO",
        "scenarioId": "BROKEN",
        "runId": "2016-04-15-14-57-32-101",
        "timestamp": 1460732252101,
        "trigger": {"id": "manual", "name": "manual", "type": "manual", "active": True, "delay": 3, "params": {}},
        "params": {"day": "2016-04-14"},
        "cancelled": False,
    }
    of_trigger = f"BROKEN/get-run-for-trigger?triggerId=manual&triggerRunId={fire['runId']}"
    assert ask.scenario("GET", of_trigger).json == {}
    light = {"id": "BROKEN", "projectKey": "DEMO", "name": "A build that breaks", "type": "step_based"}
    idle = light | {"active": True, "running": False, "nextRun": 0}
    assert ask.scenario("GET", "BROKEN/light").json == idle
    clock.advance(3)
    run = {
        "runId": "2016-04-15-14-57-35-101",
        "start": 1460732255101,
        "end": 0,
        "scenario": {
            "projectKey": "DEMO",
            "id": "BROKEN",
            "type": "step_based",
            "name": "A build that breaks",
            "markedAsTest": False,
        },
        "trigger": {
            "trigger": {"id": "manual", "type": "manual"},
            "runId": fire["runId"],
            "scenarioId": "BROKEN",
            "params": {"day": "2016-04-14"},
        },
        "variables": {},
    }
    assert ask.scenario("GET", of_trigger).json == {"scenarioRun": run}
    assert ask.scenario("GET", "BROKEN/light").json == idle | {"running": True, "start": 1460732255101}
    clock.advance(3)
    (first, second) = ask.scenario("GET", f"BROKEN/{run['runId']}/").json["stepRuns"]
    assert first == {
        "runId": "2016-04-15-14-57-35-102",
        "step": {"id": "build_customers", "name": "Build customers", "type": "build_flowitem", "params": {}},
        "start": 1460732255101,
        "end": 1460732257101,
        "additionalReportItems": [{"type": "JOB_EXECUTED", "jobId": "Build_customers_NP", "outcome": "SUCCESS"}],
        "result": {"outcome": "SUCCESS"},
    }
    assert (second["end"], second["additionalReportItems"]) == (0, [])
    assert "result" not in second
    clock.advance(1)
    details = ask.scenario("GET", f"BROKEN/{run['runId']}").json
    done = run | {"end": 1460732259101, "result": {"type": "SCENARIO_DONE", "outcome": "FAILED"}}
    assert details["scenarioRun"] == done
    assert details["stepRuns"][1]["result"]["thrown"]["message"] == "The Python process failed (exit code 1)"
    assert ask.scenario("GET", "BROKEN/get-last-runs").json == [done]
    assert ask.scenario("GET", "BROKEN/light").json == idle
    log = ask.scenario("GET", f"BROKEN/{run['runId']}/log?stepId=build_scores")
    assert log.headers["content-type"] == "text/plain; charset=utf-8"
    assert log.text.startswith("[2016/04/15-14:57:37.101] [Scenario-DEMO.BROKEN] [INFO]")


def test_published_shapes_are_off_unless_asked_for(make_caller):
    simulation = msgspec.structs.replace(config.default(), published_shapes=True)
    clock = VirtualClock()
    with running(simulation, clock=clock) as simulator:
        ask = make_caller(simulator)
        assert ask.scenario("GET", "BROKEN/light").json["lastRun"] is None
        stale = ask.scenario("GET", "NIGHTLY/light").json["lastRun"]
        assert stale["result"]["outcome"] == "FAILED"
        fire = ask.scenario("POST", "NIGHTLY/run").json
        assert fire["id"] == fire["runId"]
        again = ask.scenario("GET", f"trigger/NIGHTLY/manual?triggerRunId={fire['runId']}").json
        assert again == fire
        assert ask.scenario("GET", "NIGHTLY/light").json["lastRun"] == stale
        clock.advance(3)
        light = ask.scenario("GET", "NIGHTLY/light").json
        assert light["running"]
        assert light["lastRun"] == ask.scenario("GET", "NIGHTLY/get-last-runs?limit=1").json[0]
        assert "result" not in light["lastRun"]


@pytest.mark.parametrize("body", [None, b"", b" \n", b"{}"])
def test_params_may_be_absent(ask, body):
    assert ask.scenario("POST", "NIGHTLY/run", body).json["params"] == {}


@pytest.mark.parametrize("body", [b"[]", b"1", b'"x"', b"null", b"{", b"{} {}", b"\xff", b'{"a": "\xff"}', b"a=b"])
def test_other_bodies_are_refused_and_start_nothing(ask, simulator, body):
    reply = ask.scenario("POST", "NIGHTLY/run", body)
    assert reply.status == 400
    assert reply.json["errorType"] == "java.lang.IllegalArgumentException"
    assert simulator.world.scenario("DEMO", "NIGHTLY", 0).pending is None


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("get-last-runs?limit=x", "Parameter 'limit' has to be a whole number, not 'x'"),
        ("get-last-runs?limit=-1", "Parameter 'limit' has to be a whole number, not '-1'"),
        ("get-last-runs?onlyFinishedRuns=yes", "Parameter 'onlyFinishedRuns' has to be true or false, not 'yes'"),
        ("get-runs-by-date", "Required parameter 'fromDate' is not present"),
        ("get-runs-by-date?fromDate=15.4.", "Parameter 'fromDate' has to be a date as 2016-04-15, not '15.4.'"),
        ("get-run-for-trigger?triggerId=manual", "Required parameter 'triggerRunId' is not present"),
    ],
)
def test_400(ask, path, message):
    reply = ask.scenario("GET", f"NIGHTLY/{path}")
    assert (reply.status, reply.json) == (400, error("java.lang.IllegalArgumentException", message))


def test_last_runs_newest_first_limited_and_finished(ask, clock):
    for _ in range(3):
        ask.scenario("POST", "PY_CLEANUP/run")
        clock.advance(6)
    ask.scenario("POST", "PY_CLEANUP/run")
    clock.advance(4)

    def ends(query: str) -> list[bool]:
        runs = ask.scenario("GET", f"PY_CLEANUP/get-last-runs?{query}").json
        assert [run["start"] for run in runs] == sorted((run["start"] for run in runs), reverse=True)
        return [run["end"] > 0 for run in runs]

    assert ends("") == [False, True, True, True]
    assert ends("limit=2") == [False, True]
    assert ends("limit=0") == []
    for spelling in ("True", "true"):
        assert ends(f"limit=2&onlyFinishedRuns={spelling}") == [True, True]
    for spelling in ("False", "false"):
        assert ends(f"onlyFinishedRuns={spelling}") == [False, True, True, True]


@pytest.mark.parametrize(
    ("query", "offset", "days"),
    [
        ("fromDate=2016-04-14", 0, [15, 14]),
        ("fromDate=2016-04-15", 0, [15]),
        ("fromDate=2016-04-14&toDate=2016-04-15", 0, [14]),
        ("fromDate=2016-04-14&toDate=2016-04-14", 0, []),
        ("fromDate=2016-04-16", 0, []),
        # Fourteen hours on, both are a day later.
        ("fromDate=2016-04-16", 14, [15]),
    ],
)
def test_runs_by_date_in_the_time_of_the_server(make_caller, query, offset, days):
    clock = VirtualClock()
    with running(msgspec.structs.replace(config.default(), utc_offset=offset), clock=clock) as simulator:
        ask = make_caller(simulator)
        ask.scenario("POST", "NIGHTLY/run")
        clock.advance(3)
        runs = ask.scenario("GET", f"NIGHTLY/get-runs-by-date?{query}").json
    assert [15 if run["start"] > 1460732252101 else 14 for run in runs] == days


@pytest.mark.parametrize(
    ("query", "found"),
    [("fromDate=2016-04-16", 1), ("fromDate=2016-04-15&toDate=2016-04-16", 0), ("fromDate=2016-04-17", 0)],
)
def test_a_run_of_midnight_belongs_to_the_day_it_begins(make_caller, query, found):
    clock = VirtualClock(start=1_460_764_797)
    with running(clock=clock) as simulator:
        ask = make_caller(simulator)
        ask.scenario("POST", "PY_CLEANUP/run")
        clock.advance(3)
        runs = ask.scenario("GET", f"PY_CLEANUP/get-runs-by-date?{query}").json
    assert [run["runId"] for run in runs] == ["2016-04-16-00-00-00-000"] * found


@pytest.mark.parametrize("query", ["triggerId=manual&triggerRunId=f1", "triggerId=temporal&triggerRunId={fire}"])
def test_the_run_of_a_fire_that_nobody_knows_does_not_exist_yet(ask, clock, query):
    fire = ask.scenario("POST", "NIGHTLY/run").json["runId"]
    clock.advance(3)
    assert ask.scenario("GET", f"NIGHTLY/get-run-for-trigger?{query.format(fire=fire)}").json == {}


def test_a_busy_scenario_is_no_error(ask, clock):
    ask.scenario("POST", "ENDLESS/run")
    clock.advance(3)
    reply = ask.scenario("POST", "ENDLESS/run")
    assert (reply.status, reply.json["cancelled"]) == (200, True)


def test_a_step_based_scenario_has_no_script(ask):
    assert ask.scenario("GET", "NIGHTLY/payload").json == {"extension": "py"}


def test_the_request_log(ask, simulator, clock):
    ask.scenario("GET", "NIGHTLY/get-last-runs?limit=2")
    clock.advance(1)
    ask("GET", "/nowhere%2Fat-all", authorization=None)
    first, second = simulator.requests
    assert (first.method, first.path) == ("GET", "/public/api/projects/DEMO/scenarios/NIGHTLY/get-last-runs?limit=2")
    assert (first.status, first.headers["authorization"]) == (200, "Bearer demo-key")
    assert (second.path, second.status, second.at - first.at) == ("/public/api/nowhere%2Fat-all", 404, 1)
    assert "authorization" not in second.headers


def test_a_tick_passes_with_each_request(make_caller):
    with running(clock=VirtualClock(tick=2)) as simulator:
        ask = make_caller(simulator)
        ask.scenario("POST", "PY_CLEANUP/run")
        seen = [ask.scenario("GET", "PY_CLEANUP/light").json["running"] for _ in range(4)]
    # Light polls right after the request read False first, as on a real DSS; then the run of 3 seconds.
    assert seen == [False, True, False, False]


def test_middlewares_stand_before_dss_and_in_the_log(make_caller):
    @web.middleware
    async def out_of_order(request, handler):
        if request.path.endswith("/light"):
            return web.Response(status=502, text="<h1>502</h1>", content_type="text/html")
        if request.path.endswith("/payload"):
            raise web.HTTPServiceUnavailable
        if request.path.endswith("/run"):
            await handler(request)
            request.transport.close()
        return await handler(request)

    with running(clock=VirtualClock(), middlewares=[out_of_order]) as simulator:
        ask = make_caller(simulator)
        bad = ask.scenario("GET", "NIGHTLY/light")
        assert (bad.status, "dss-version" in bad.headers) == (502, False)
        assert ask.scenario("GET", "NIGHTLY/payload").status == 503
        assert ask.scenario("GET", "NIGHTLY").status == 200
        with pytest.raises(http.client.RemoteDisconnected):
            ask.scenario("POST", "NIGHTLY/run")
        # The connection was dropped after the request took effect.
        assert simulator.world.scenario("DEMO", "NIGHTLY", 0).pending is not None
        assert [request.status for request in simulator.requests][:3] == [502, 503, 200]


def test_served_on_an_event_loop(make_caller):
    async def main() -> int:
        async with serve(clock=VirtualClock()) as simulator:
            assert simulator.api_url == f"{simulator.url}/public/api"
            reply = await asyncio.to_thread(make_caller(simulator), "GET", "/auth/info")
            return reply.status

    assert asyncio.run(main()) == 200


def test_served_until_cancelled(make_caller):
    async def main() -> str:
        listening = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(serve_until_cancelled(started=listening.set_result, clock=VirtualClock()))
        simulator = await listening
        assert (await asyncio.to_thread(make_caller(simulator), "GET", "/auth/info")).status == 200
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return simulator.url

    url = asyncio.run(main())
    host, _, port = url.removeprefix("http://").partition(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=5)


def test_a_taken_port_is_the_callers_error():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="address already in use"), running(port=port):
            pytest.fail("it should not listen")


def test_an_error_in_the_block_is_not_lost():
    with pytest.raises(json.JSONDecodeError), running(clock=VirtualClock()):
        json.loads("{")
