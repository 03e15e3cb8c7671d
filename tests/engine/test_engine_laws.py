"""Laws that hold for every run: it resumes from any point, its program and its journal survive being written."""

from __future__ import annotations

import msgspec
import pytest
from scripted import API, NOON, limits, play, program

from loader import cases
from treadle.engine import journal
from treadle.engine.effects import HttpFailed, HttpResponse, SendHttp, Slept
from treadle.engine.interpreter import NotPending, Run
from treadle.engine.journal import Failure, read, write
from treadle.engine.pace import retry_after_seconds
from treadle.engine.program import Program
from treadle.engine.transitions import TRANSITIONS, StepStatus

CASES = [*cases("engine/run.yaml"), *cases("engine/loops.yaml"), *cases("engine/workflows.yaml")]


def _run(case, prefix=()):
    return Run(program(case), case.get("inputs", {}), limits(case), journal=prefix)


@pytest.mark.parametrize("case", CASES)
def test_a_run_resumes_from_every_point_of_its_journal(case):
    whole = play(_run(case), case["script"])
    done = [at for at, record in enumerate(whole.records) if isinstance(record, journal.Delivered)]
    for performed, at in enumerate(done, 1):
        prefix = [read(write(record)) for record in whole.records[: at + 1]]
        answered = sum(isinstance(effect, SendHttp) for effect in whole.effects[:performed])
        resumed = play(_run(case, prefix), case["script"][answered:], now=prefix[-1].at)
        assert resumed.effects == whole.effects[performed:]
        assert resumed.outcome == whole.outcome


@pytest.mark.parametrize("case", CASES)
def test_a_program_is_data(case):
    written = msgspec.json.encode(program(case))
    again = msgspec.json.decode(written, type=Program)
    assert again == program(case)
    assert msgspec.json.encode(again) == written
    original = play(_run(case), case["script"])
    copy = play(Run(again, case.get("inputs", {}), limits(case)), case["script"])
    assert copy == original


@pytest.mark.parametrize("case", CASES)
def test_records_survive_being_written(case):
    records = play(_run(case), case["script"]).records
    assert [read(write(record)) for record in records] == records
    assert all(b"\n" not in write(record) for record in records)


@pytest.mark.parametrize("case", CASES)
def test_effects_have_derived_ids_that_are_unique(case):
    first, second = (play(_run(case), case["script"]) for _ in range(2))
    ids = [effect.id for effect in first.effects]
    assert len(set(ids)) == len(ids)
    assert ids == [effect.id for effect in second.effects]
    for effect in first.effects:
        *_, step_id, visit, attempt = effect.id.removesuffix("/wait").split("/")
        assert effect.step_id.split("/")[-1] == step_id
        assert visit.isdigit()
        assert attempt.isdigit()


@pytest.mark.parametrize("case", CASES)
def test_a_request_is_announced_before_it_can_be_sent(case):
    run = _run(case)
    announced = run.begin(NOON)
    for line in case["script"]:
        (effect,) = run.pending()
        while not isinstance(effect, SendHttp):
            announced = run.deliver(effect.id, Slept(), NOON)
            (effect,) = run.pending()
        (began,) = [r for r in announced if isinstance(r, journal.StepBegan) and r.effect_id == effect.id]
        assert (began.method, began.url) == (effect.request.method, effect.request.url)
        assert began.idempotent is effect.idempotent
        result = HttpFailed("x", "y", sent=line.get("sent", False)) if "fail" in line else HttpResponse(299)
        announced = run.deliver(effect.id, result, NOON)
        if run.outcome is not None:
            break


LOOP = {
    "steps": [
        {
            "stepId": "one",
            "operationId": "a",
            "successCriteria": [{"condition": "$statusCode == 200"}],
            "onSuccess": [{"name": "again", "type": "goto", "stepId": "one"}],
        },
        {"stepId": "two", "operationId": "startJob"},
    ],
    "workflow": {"inputs": {"properties": {"apiKey": {}, "x": {}}}},
    "inputs": {"apiKey": "s3cr3t", "x": 1},
}


def test_what_is_not_pending_is_refused():
    run = _run(LOOP)
    assert run.pending() == ()
    with pytest.raises(NotPending):
        run.deliver("one/1/1", HttpResponse(200), NOON)
    run.begin(NOON)
    for effect_id, result in (("one/1/2", HttpResponse(200)), ("one/1/1", Slept()), ("", HttpResponse(200))):
        with pytest.raises(NotPending, match=r"no effect '.*' is pending that (HttpResponse|Slept) would answer"):
            run.deliver(effect_id, result, NOON)
    run.deliver("one/1/1", HttpResponse(200), NOON)
    with pytest.raises(NotPending):
        run.deliver("one/1/1", HttpResponse(200), NOON)
    (sleep,) = run.pending()
    with pytest.raises(NotPending):
        run.deliver(sleep.id, HttpResponse(200), NOON)


def test_a_journal_of_another_program_is_refused():
    other = {"steps": [{"stepId": "other", "operationId": "a"}], "script": [{}]}
    with pytest.raises(NotPending):
        _run(LOOP, play(_run(other), [{}]).records)


def test_a_run_is_stopped_from_outside_once_and_for_good():
    run = _run(LOOP)
    records = run.begin(NOON)
    error = Failure("timeout", "too long", "one")
    stopped = run.stop("limited", error, NOON + 5)
    assert [type(record).__name__ for record in stopped] == ["Stopped", "RunEnded"]
    assert run.pending() == ()
    assert run.outcome is not None
    assert (run.outcome.status, run.outcome.error) == ("limited", error)
    assert run.stop("cancelled", error, NOON + 6) == []
    again = _run(LOOP, [*records, *stopped])
    assert (again.outcome, again.pending()) == (run.outcome, ())


def test_the_journal_has_no_secret_inputs():
    began = _run(LOOP).begin(NOON)[0]
    assert isinstance(began, journal.RunBegan)
    assert (began.inputs, began.workflow_id, began.version) == ({"x": 1}, "w", journal.VERSION)


def test_a_waiting_run_holds_no_body():
    run = _run(LOOP)
    run.begin(NOON)
    run.deliver("one/1/1", HttpResponse(200, (), b"x" * 1000), NOON)
    assert run._course.state.frame.context.response is None


def test_which_requests_may_be_repeated():
    steps = [
        {"stepId": "get", "operationId": "a"},
        {"stepId": "put", "operationId": "putThing", "parameters": [{"name": "id", "in": "path", "value": 1}]},
        {"stepId": "del", "operationId": "deleteThing", "parameters": [{"name": "id", "in": "path", "value": 1}]},
        {"stepId": "post", "operationId": "startJob"},
    ]
    effects = play(_run({"steps": steps}), [{}] * 4).effects
    sent = [effect for effect in effects if isinstance(effect, SendHttp)]
    assert [effect.safe for effect in sent] == [True, False, False, False]
    assert [effect.idempotent for effect in sent] == [True, True, True, False]


def test_every_transition_has_its_row():
    actions = {"no action matched", "no action matched, one could not be evaluated", "goto", "goto a workflow", "end"}
    assert set(TRANSITIONS) == {(StepStatus.SUCCEEDED, action) for action in actions} | {
        (StepStatus.FAILED, action) for action in {*actions, "retry", "retry with stepId or workflowId"}
    }


def test_warnings_are_bounded():
    outputs = {f"o{number}": f"$response.body#/{number}" for number in range(150)}
    case = {"steps": [{"stepId": "one", "operationId": "a", "outputs": outputs}]}
    warned = [r for r in play(_run(case), [{"json": {}}]).records if isinstance(r, journal.Warned)]
    assert len(warned) == 100


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0),
        (" 120 ", 120),
        ("1.5", None),
        ("-1", None),
        ("\u0661", None),
        ("9" * 400, float("inf")),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60),
        ("Tue Nov 14 22:14:20 2023", 60),  # asctime, which RFC 9110 section 5.6.7 has recipients accept; it is GMT too
        ("Tuesday, 14-Nov-23 22:14:20 GMT", 60),
        ("Tue, 14 Nov 2023 22:14:20", 60),
        ("Tue, 14 Nov 2023 22:13:20 GMT", 0),
        ("Tue, 14 Nov 1900 22:13:20 GMT", 0),
        ("Tue, 99 Nov 2023 22:14:20 GMT", None),
        ("Tue, 14 Nov 99999 22:14:20 GMT", None),
        ("soon", None),
    ],
)
def test_retry_after(value, seconds, monkeypatch):
    import time  # noqa: PLC0415 - the zone of the machine must not matter

    for zone in ("UTC", "America/New_York"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        assert retry_after_seconds(value, NOON) == seconds
    monkeypatch.undo()
    time.tzset()


def test_the_api_of_the_cases_is_where_it_says():
    assert program(LOOP).entry.steps[0].call.server == API
