"""Laws of runs over made-up workflows: any steps, actions, calls and answers."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scripted import NOON, compile_case

from treadle.document.reader import read as read_text
from treadle.engine.effects import Effect, HttpFailed, HttpResponse, Result, SendHttp, Slept
from treadle.engine.interpreter import NotPending, Run
from treadle.engine.journal import Delivered, Record, read, write
from treadle.engine.state import Limits

IDS = ("w", "x", "y")
STATUSES = (200, 200, 404, 503)


@st.composite
def criteria(draw) -> dict[str, object]:
    condition = st.sampled_from(["$statusCode == 404", "$response.body#/n > 1", "$outputs.n == 1", "$inputs.n == 1"])
    return {"criteria": [{"condition": draw(condition)}]} if draw(st.booleans()) else {}


@st.composite
def actions(draw, kinds: tuple[str, ...], steps: int) -> list[dict[str, object]]:
    found = []
    for number in range(draw(st.integers(0, 2))):
        action: dict[str, object] = {"name": f"a{number}", "type": draw(st.sampled_from(kinds)), **draw(criteria())}
        targets = [None] if action["type"] == "retry" else []
        target = draw(st.sampled_from([*targets, *(f"s{step}" for step in range(steps)), *IDS]))
        if action["type"] != "end" and target is not None:
            action["workflowId" if target in IDS else "stepId"] = target
        if action["type"] == "retry":
            action |= {"retryAfter": draw(st.sampled_from([0, 2])), "retryLimit": draw(st.integers(0, 2))}
        found.append(action)
    return found


@st.composite
def workflows(draw) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for number, workflow_id in enumerate(IDS):
        count = draw(st.integers(1, 3))
        steps = [
            {
                "stepId": f"s{step}",
                **draw(st.sampled_from([{"operationId": "a"}, {"operationId": "startJob"}, {"workflowId": "y"}])),
                "outputs": {"n": "$response.body#/n"},
                "onSuccess": draw(actions(("end", "goto"), count)),
                "onFailure": draw(actions(("end", "goto", "retry"), count)),
                **draw(st.sampled_from([{}, {}, {"timeout": 3000}])),
            }
            for step in range(count)
        ]
        workflow = {
            "workflowId": workflow_id,
            "inputs": {"type": "object", "properties": {"n": {"type": "integer", "default": 1}}},
            "steps": steps,
            "outputs": {"n": "$steps.s0.outputs.n"},
        }
        if draw(st.booleans()) and number < 2:
            workflow["dependsOn"] = ["y"]
        found.append(workflow)
    return found


@st.composite
def answers(draw) -> list[tuple[Result, float]]:
    body = st.integers(0, 3).map(lambda n: msgspec.json.encode({"n": n}))
    headers = st.sampled_from([(), (("Retry-After", "1"),)])
    answer = st.builds(HttpResponse, st.sampled_from(STATUSES), headers, body)
    failure = st.builds(
        HttpFailed, st.just("connection"), st.just("refused"), sent=st.sampled_from([False, False, True])
    )
    return draw(
        st.lists(st.tuples(answer | answer | failure, st.sampled_from([0.0, 0.5, 2.0])), min_size=1, max_size=12)
    )


def _answered(effect: Effect, script: list[tuple[Result, float]], sent: int, now: float) -> tuple[Result, float]:
    if isinstance(effect, SendHttp):
        result, took = script[sent % len(script)]
        return result, now + took
    return Slept(), now + effect.seconds


def _played(run: Run, script: list[tuple[Result, float]], sent: int = 0, now: float = NOON):
    effects: list[Effect] = []
    records: list[Record] = []
    if not run.pending() and run.outcome is None:
        records += run.begin(now)
    while pending := run.pending():
        (effect,) = pending
        effects.append(effect)
        result, now = _answered(effect, script, sent, now)
        sent += isinstance(effect, SendHttp)
        records += run.deliver(effect.id, result, now)
    return effects, records, run.outcome


def _program(flows: list[dict[str, object]]):
    """Compile, or None where the workflows cannot be run: that is another test's matter."""
    return compile_case({"workflows": flows}).program


LIMITS = Limits(max_steps=25)


def _flow(workflow_id: str, **step: object) -> dict[str, object]:
    return {"workflowId": workflow_id, "steps": [{"stepId": "s0", **step}]}


RETRY_BY_A_WORKFLOW = [
    _flow("w", workflowId="y", onFailure=[{"name": "a", "type": "retry", "workflowId": "x", "retryLimit": 1}]),
    _flow("x", operationId="a"),
    _flow("y", operationId="a"),
]
"""What runs before a retry and what is tried again have a step of the same id."""


@settings(max_examples=60, deadline=None)
@given(workflows(), answers())
@example(RETRY_BY_A_WORKFLOW, [(HttpFailed("connection", "refused"), 0.0)])
def test_a_run_ends_and_resumes_from_every_prefix_of_its_journal(flows, script):
    program = _program(flows)
    if program is None:
        return
    effects, records, outcome = _played(Run(program, {"n": 1}, LIMITS), script)
    assert outcome is not None
    ids = [effect.id for effect in effects]
    assert len(set(ids)) == len(ids)
    done = [at for at, record in enumerate(records) if isinstance(record, Delivered)]
    for performed, at in enumerate(done, 1):
        prefix = [read(write(record)) for record in records[: at + 1]]
        sent = sum(isinstance(effect, SendHttp) for effect in effects[:performed])
        run = Run(program, {"n": 1}, LIMITS, journal=prefix)
        again, _, ended = _played(run, script, sent, prefix[-1].at)
        assert again == effects[performed:]
        assert ended == outcome


@settings(max_examples=40, deadline=None)
@given(workflows(), answers(), st.text(max_size=8))
def test_only_what_is_pending_can_be_delivered(flows, script, other):
    program = _program(flows)
    if program is None:
        return
    untouched = _played(Run(program, {"n": 1}, LIMITS), script)
    run = Run(program, {"n": 1}, LIMITS)
    run.begin(NOON)
    (effect,) = run.pending() or (None,)
    if effect is None:
        return
    for wrong in (other, f"{effect.id}/", effect.id[:-1]):
        with pytest.raises(NotPending):
            run.deliver(wrong, Slept() if isinstance(effect, SendHttp) else HttpResponse(200), NOON)
    assert run.pending() == (effect,)
    effects, _, outcome = _played(run, script)
    assert (effects, outcome) == (untouched[0], untouched[2])


@settings(max_examples=40, deadline=None)
@given(workflows())
def test_a_document_printed_and_read_again_compiles_to_the_same_program(flows):
    copy = read_text(msgspec.yaml.encode(flows).decode(), "copy.yaml").value
    assert _program(copy) == _program(flows)
