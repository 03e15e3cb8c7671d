"""The report `treadle.report/1`, field by field, and the folding of loops."""

from __future__ import annotations

from scripted import NOON, play, program

from treadle.diagnostics import Diagnostic, Severity, Span
from treadle.engine.interpreter import Run
from treadle.engine.report import History, report, timestamp

POLL = {
    "steps": [
        {"stepId": "start", "operationId": "startJob", "outputs": {"id": "$response.body#/id"}},
        {
            "stepId": "poll",
            "operationId": "getJob",
            "parameters": [{"name": "id", "in": "path", "value": "$steps.start.outputs.id"}],
            "successCriteria": [{"condition": "$statusCode == 200"}],
            "outputs": {"state": "$response.body#/state"},
            "onSuccess": [
                {"name": "again", "type": "goto", "stepId": "poll", "criteria": [{"condition": "$response.body#/more"}]}
            ],
        },
        {"stepId": "last", "operationId": "a", "outputs": {"x": "$response.body#/x"}},
    ],
    "workflow": {"outputs": {"state": "$steps.poll.outputs.state"}},
}


def _report(case, script, diagnostics=()):
    history = History()
    for record in play(Run(program(case), {}), script).records:
        history.add(record)
    return report("0123", "w", history, list(diagnostics))


def test_every_field_of_a_report():
    found = Diagnostic("a-dialect", Severity.WARNING, "written loosely", Span("x.yaml", 3, 5, 3, 9), "write it so")
    script = [{"json": {"id": 7}, "took": 0.5}, {"json": {"state": "done"}, "took": 0.25}, {"status": 500, "json": {}}]
    assert _report(POLL, script, [found]) == {
        "format": "treadle.report/1",
        "runId": "0123",
        "workflowId": "w",
        "status": "failed",
        "startedAt": "2023-11-14T22:13:20.000Z",
        "duration": 0.75,
        "outputs": {"state": "done"},
        "warnings": [{"rule": "a-dialect", "message": "written loosely", "location": "x.yaml:3:5"}],
        "steps": [
            {
                "stepId": "start",
                "workflowId": "w",
                "visit": 1,
                "attempt": 1,
                "status": "succeeded",
                "startedAt": "2023-11-14T22:13:20.000Z",
                "duration": 0.5,
                "request": {"method": "POST", "url": "https://api.test/v1/jobs"},
                "response": {"status": 200},
                "criteria": [],
                "action": None,
                "outputs": {"id": 7},
            },
            {
                "stepId": "poll",
                "workflowId": "w",
                "visit": 1,
                "attempt": 1,
                "status": "succeeded",
                "startedAt": "2023-11-14T22:13:20.500Z",
                "duration": 0.25,
                "request": {"method": "GET", "url": "https://api.test/v1/jobs/7"},
                "response": {"status": 200},
                "criteria": [{"condition": "$statusCode == 200", "passed": True, "why": ""}],
                "action": None,
                "outputs": {"state": "done"},
            },
            {
                "stepId": "last",
                "workflowId": "w",
                "visit": 1,
                "attempt": 1,
                "status": "failed",
                "startedAt": "2023-11-14T22:13:20.750Z",
                "duration": 0.0,
                "request": {"method": "GET", "url": "https://api.test/v1/a"},
                "response": {"status": 500},
                "criteria": [],
                "action": None,
                "outputs": {},
                "error": {
                    "kind": "criteria",
                    "message": "step 'last' failed: GET https://api.test/v1/a answered 500",
                    "hint": None,
                },
            },
        ],
        "error": {
            "kind": "criteria",
            "stepId": "last",
            "message": "step 'last' failed: GET https://api.test/v1/a answered 500",
            "hint": None,
        },
    }


def test_a_long_loop_is_folded_to_its_first_its_last_and_a_count():
    script = [{"json": {"id": 7}}, *[{"json": {"state": "busy", "more": True}}] * 20, {"json": {"state": "done"}}, {}]
    whole = _report(POLL, script)
    shown = [(step["stepId"], step.get("folded") or step["visit"]) for step in whole["steps"]]
    assert shown == [("start", 1), ("poll", 1), ("poll", 19), ("poll", 21), ("last", 1)]
    assert whole["steps"][2] == {"stepId": "poll", "workflowId": "w", "folded": 19}
    assert whole["steps"][1]["action"] == {"name": "again", "type": "goto"}
    assert whole["status"] == "succeeded"
    assert whole["error"] is None
    assert whole["warnings"] == [
        {
            "rule": "missing-value",
            "message": (
                "output 'x' of step 'last' is null: `$response.body#/x`: the body of the answer (status 200) is empty"
            ),
            "location": None,
        }
    ]


def test_steps_stand_in_the_order_of_their_ends_also_when_the_clock_stands_still():
    case = {
        "steps": [
            {"stepId": "one", "operationId": "a"},
            {
                "stepId": "two",
                "operationId": "b",
                "onSuccess": [
                    {
                        "name": "back",
                        "type": "goto",
                        "stepId": "one",
                        "criteria": [{"condition": "$response.body#/more"}],
                    }
                ],
            },
        ],
    }
    history = History()
    run = Run(program(case), {})
    for record in play(run, [{}, {"json": {"more": True}}, {}, {"json": {"more": False}}]).records:
        history.add(record)
    same = History()
    for record in play(Run(program(case), {}), [{}, {"json": {"more": True}}, {}, {"json": {}}]).records:
        same.add(type(record)(**{**{n: getattr(record, n) for n in record.__struct_fields__}, "at": NOON}))
    assert [entry.step_id for entry, _ in history.entries()] == ["one", "two", "one", "two"]
    assert [entry.step_id for entry, _ in same.entries()] == ["one", "two", "one", "two"]


def test_a_request_that_was_never_sent_has_none():
    case = {
        "steps": [
            {
                "stepId": "one",
                "operationId": "getThing",
                "parameters": [{"name": "id", "in": "path", "value": "$inputs.id"}],
            }
        ],
        "inputs": {"id": ""},
    }
    (step,) = _report(case, [])["steps"]
    assert (step["request"], step["response"], step["error"]["kind"]) == (None, None, "request")


def test_a_run_that_has_not_ended_counts_as_cancelled():
    history = History()
    for record in Run(program(POLL), {}).begin(NOON):
        history.add(record)
    whole = report("0123", "w", history, [])
    assert (whole["status"], whole["outputs"], whole["error"], whole["duration"]) == ("cancelled", {}, None, 0.0)


def test_timestamps_are_rfc_3339():
    assert timestamp(0) == "1970-01-01T00:00:00.000Z"
    assert timestamp(NOON + 0.1236) == "2023-11-14T22:13:20.123Z"
