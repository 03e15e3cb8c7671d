"""Requests whose fate is not known: what is decided about them, rules that find out, and keys that make it matter less."""

from __future__ import annotations

import re

import pytest
from scripted import NOON, answer, compile_case, limits, program, shown

from loader import cases
from treadle.engine import journal
from treadle.engine.effects import HttpFailed, HttpResponse, SendHttp, Slept
from treadle.engine.interpreter import NotPending, Run
from treadle.engine.journal import Failure, read, write
from treadle.engine.report import History, step_entries
from treadle.engine.state import Limits

CASES = cases("engine/doubt.yaml")
PLAIN = [each for each in CASES if not {"crash", "resolve"} & each.values[0].keys()]
UUID8 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def _again(case, records):
    written = [read(write(record)) for record in records]
    return Run(program(case), case.get("inputs", {}), limits(case), written, run_id="r")


def _play(case, *, every=False):
    """Play a case; with `every` the run is made anew from its journal before each effect."""
    run = Run(program(case), case.get("inputs", {}), limits(case), run_id="r")
    records, effects, now, lines = run.begin(NOON), [], NOON, iter(case["script"])
    crash, resolve = case.get("crash", False), case.get("resolve")
    while run.pending() or resolve:
        if run.outcome is not None or (crash and isinstance(run.pending()[0], SendHttp)):
            run, crash = _again(case, records), False
            effects += run.pending()
            if resolve:
                records += run.resolve(resolve[0], now, *resolve[1:])
                resolve = None
                continue
            effects.pop()
        if every and effects:
            doubt = run.in_doubt
            run = _again(case, records)
            assert run.unwritten == []
            if doubt is not None:
                assert run.in_doubt.effect == doubt.effect
        (effect,) = run.pending()
        effects.append(effect)
        if isinstance(effect, SendHttp):
            records += run.deliver(effect.id, answer(next(lines)), now)
        else:
            now += effect.seconds
            records += run.deliver(effect.id, Slept(), now)
    assert next(lines, None) is None
    return run, records, effects


@pytest.mark.parametrize("case", CASES)
def test_doubts(case):
    run, records, effects = _play(case)
    seen = [shown(effect) for effect in effects]
    assert seen == case["see"] or seen == case["see"][case.get("crash", False) :]
    assert run.outcome.status == case["status"]
    if "outputs" in case:
        assert run.outcome.outputs == case["outputs"]
    if "error" in case:
        assert case["error"] in run.outcome.error.message
    assert (run.in_doubt is not None) is (case["status"] == "in-doubt")
    again = _again(case, records)
    assert (again.outcome, again.pending()) == (run.outcome, ())
    assert run.checkpoint(NOON) is None


@pytest.mark.parametrize("case", CASES)
def test_a_doubt_is_resolved_in_as_many_lives_as_it_takes(case):
    run, records, effects = _play(case, every=True)
    whole = _play(case)
    assert [effect.id for effect in effects] == [effect.id for effect in whole[2]]
    assert (run.outcome, records) == (whole[0].outcome, whole[1])


RULE = next(case for case in (case.values[0] for case in CASES) if case["id"].startswith("a rule finds"))


def test_steps_are_told_as_of_their_own_request():
    _, records, _ = _play(RULE)
    history = History()
    for record in records:
        history.add(record)
    entry = step_entries(history)[0]
    assert (entry["stepId"], entry["status"], entry["request"]["method"], entry["response"]) == (
        "one", "succeeded", "POST", None,
    )  # fmt: skip
    (found,) = [record for record in records if isinstance(record, journal.Looked)]
    assert (found.took_effect, found.response, len(found.criteria)) == (True, 200, 1)


def test_only_a_doubt_can_be_resolved_and_only_in_a_way_there_is():
    run = Run(program(RULE), {})
    run.begin(NOON)
    assert run.in_doubt is None  # it is being sent just now
    for how in ("retry", "skip", "fail"):
        with pytest.raises(NotPending, match="there is no doubt to resolve"):
            run.resolve(how, NOON)
    run = Run(program(RULE), {}, journal=Run(program(RULE), {}).begin(NOON))
    assert (run.in_doubt.effect.id, run.in_doubt.announced) == ("one/1/1", NOON)
    with pytest.raises(NotPending, match="no way 'wait' to do it"):
        run.resolve("wait", NOON)


def test_a_request_that_was_not_announced_is_in_no_doubt():
    records = Run(program(RULE), {}).begin(NOON)
    assert [type(record).__name__ for record in records] == ["RunBegan", "StepBegan"]
    assert Run(program(RULE), {}, journal=records[:1]).in_doubt is None


# Keys

KEYED = {
    "openapi": {
        "openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "servers": [{"url": "https://api.test/v1"}],
        "paths": {
            "/keyed": {"post": {"operationId": "keyed", "parameters": [{"name": "idempotency-key", "in": "header", "schema": {}}]}},
            "/plain": {"post": {"operationId": "plain"}, "put": {"operationId": "put"}},
        },
    },
    "steps": [
        {"stepId": "one", "operationId": "keyed", "onFailure": [{"name": "again", "type": "retry", "retryLimit": 3}]},
        {"stepId": "two", "operationId": "plain"},
        {"stepId": "three", "operationId": "put"},
    ],
}  # fmt: skip


def _key(run):
    (effect,) = run.pending()
    found = [value for name, value in effect.request.headers if name == "Idempotency-Key"]
    return (found[0] if found else None), effect.idempotent, effect.repeatable


def test_an_operation_that_knows_keys_gets_one_and_others_where_it_is_asked_for():
    for wanted in (False, True):
        run = Run(program(KEYED), {}, Limits(idempotency_key=wanted), run_id="r")
        run.begin(NOON)
        key, idempotent, repeatable = _key(run)
        assert UUID8.fullmatch(key)
        assert (idempotent, repeatable) == (True, True)
        run.deliver("one/1/1", HttpResponse(200), NOON)
        key, idempotent, repeatable = _key(run)
        assert (key is not None, idempotent, repeatable) == (wanted, wanted, wanted)
        run.deliver("two/1/1", HttpResponse(200), NOON)
        assert _key(run) == (None, True, False)


def test_a_key_is_of_its_run_and_stays_until_an_answer_came():
    run = Run(program(KEYED), {}, run_id="r")
    records = run.begin(NOON)
    first, *_ = _key(run)
    other = Run(program(KEYED), {}, run_id="other")
    other.begin(NOON)
    assert _key(other)[0] != first
    records += run.deliver("one/1/1", HttpFailed("timeout", "no answer", sent=True), NOON)
    assert _key(run)[0] == first
    checkpoint = run.checkpoint(NOON)
    assert _key(Run(program(KEYED), {}, journal=[read(write(checkpoint))]))[0] == first
    assert _key(Run(program(KEYED), {}, journal=records))[0] == first
    run.deliver("one/1/2", HttpResponse(503), NOON)
    assert _key(run)[0] != first


def test_a_key_that_the_document_gives_stays():
    parameters = [{"name": "Idempotency-Key", "in": "header", "value": "mine"}]
    case = {**KEYED, "steps": [{"stepId": "one", "operationId": "keyed", "parameters": parameters}]}
    run = Run(program(case), {}, run_id="r")
    run.begin(NOON)
    (effect,) = run.pending()
    assert [value for name, value in effect.request.headers if name.lower() == "idempotency-key"] == ["mine"]
    assert effect.idempotent


# Rules that cannot be used

RULES = {
    "no criteria": ({"operationId": "b"}, "the required field 'criteria' is absent"),
    "an x-operation beside": (
        {"operationId": "b", "x-operation": {"method": "GET", "url": "https://a.test"}, "criteria": [{"condition": "true"}]},
        "x-treadle-reconcile names one operation",
    ),
    "a wrong x-operation": ({"x-operation": {"method": "GET"}, "criteria": [{"condition": "true"}]}, "needs a method and a url"),
    "no operation": ({"criteria": [{"condition": "true"}]}, "x-treadle-reconcile names one operation"),
    "two operations": ({"operationId": "b", "operationPath": "/b", "criteria": [{"condition": "true"}]}, "names one operation"),
    "no such operation": ({"operationId": "nobody", "criteria": [{"condition": "true"}]}, "nobody"),
    "a POST": ({"operationId": "startJob", "criteria": [{"condition": "true"}]}, "asks by POST, but it must only read"),
    "no text": (3, "a Reconcile Object belongs here"),
    "an output less": ({"operationId": "b", "criteria": [{"condition": "true"}]}, "gives no output 'id'"),
    "an output more": (
        {"operationId": "b", "criteria": [{"condition": "true"}], "outputs": {"id": "$statusCode", "x": "$statusCode"}},
        "gives an output 'x', which step 'one' has not",
    ),
    "another way": ({"operationId": "b", "criteria": [{"condition": "true"}], "otherwise": "guess"}, "guess"),
}  # fmt: skip


@pytest.mark.parametrize(("rule", "said"), RULES.values(), ids=RULES)
def test_rules_that_cannot_be_used(rule, said):
    step = {"stepId": "one", "operationId": "startJob", "outputs": {"id": "$statusCode"}, "x-treadle-reconcile": rule}
    try:
        found = compile_case({"steps": [step]}).diagnostics
    except AssertionError as refused:  # the document itself is wrong
        found = refused.args[0] if isinstance(refused.args[0], list) else []
    assert any(said in diagnostic.message for diagnostic in found)
    assert all(diagnostic.span is not None for diagnostic in found)


@pytest.mark.parametrize("folded", [False, True], ids=["from records", "from a checkpoint"])
@pytest.mark.parametrize("case", PLAIN)
def test_what_is_withdrawn_before_it_is_sent_changes_nothing(case, folded):
    wanted, _, _ = _play(case)
    run = Run(program(case), case.get("inputs", {}), limits(case), run_id="r")
    records, now, lines = run.begin(NOON), NOON, iter(case["script"])
    while run.pending():
        (effect,) = run.pending()
        if folded and run.in_doubt is None and (kept := run.checkpoint(now)):
            records.append(kept)
        records += run.withdraw(now)
        if isinstance(records[-1], journal.Withdrawn):
            assert run.withdraw(now) == []
            assert run.checkpoint(now) is None  # it would announce what was taken back
            run = _again(case, records)
            assert (run.withdrawn, run.in_doubt, run.unwritten, run.pending()) == (True, None, [], (effect,))
            now += 0 if run.step.reconcile else 60  # the traces in the cases are as old as the first announcement
            records += run.announce(now)
            run = _again(case, records)
            assert (run.withdrawn, run.unwritten, run.pending()) == (False, [], (effect,))
            # When it was announced is what a rule compares with: the last time counts.
            assert (run.in_doubt.effect, run.in_doubt.announced) == (effect, now)
        if isinstance(effect, SendHttp):
            records += run.deliver(effect.id, answer(next(lines)), now)
        else:
            now += effect.seconds
            records += run.deliver(effect.id, Slept(), now)
    assert (run.outcome.status, run.outcome.outputs) == (wanted.outcome.status, wanted.outcome.outputs)


def test_what_is_withdrawn_and_stopped_is_over():
    (case,) = PLAIN[0].values
    run = Run(program(case), case.get("inputs", {}), limits(case), run_id="r")
    records = [*run.begin(NOON), *run.withdraw(NOON), *run.stop("cancelled", Failure("cancelled", "enough"), NOON)]
    again = _again(case, records)
    assert (again.withdrawn, again.in_doubt, again.outcome.status) == (False, None, "cancelled")
    assert isinstance(records[-3], journal.Withdrawn)


def test_only_what_was_withdrawn_is_announced_anew():
    (case,) = PLAIN[0].values
    run = Run(program(case), case.get("inputs", {}), limits(case), run_id="r")
    run.begin(NOON)
    with pytest.raises(NotPending, match="nothing was withdrawn"):
        run.announce(NOON)
