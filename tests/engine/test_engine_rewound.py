"""A run that takes over what another one did before a step sends what that one sent from there on."""

from __future__ import annotations

import msgspec
import pytest
from scripted import API, NOON, compiled

from treadle.engine.effects import HttpResponse, SendHttp, Slept
from treadle.engine.interpreter import Run
from treadle.engine.journal import Checkpoint, Record
from treadle.engine.report import History
from treadle.engine.rewound import before

LATER = NOON + 86_400
TEXT = """
arazzo: 1.1.0
info: {title: t, version: "1"}
sourceDescriptions: [{name: api, url: api.yaml, type: openapi}]
workflows:
- workflowId: w
  steps:
  - {stepId: a, operationId: getThing, parameters: [{name: id, in: path, value: first}], outputs: {id: $response.body#/id}}
  - {stepId: call, workflowId: inner}
  - stepId: b
    operationId: getThing
    parameters: [{name: id, in: path, value: $steps.a.outputs.id}]
    outputs: {id: $response.body#/id}
    onSuccess:
    - {name: again, type: goto, stepId: b, criteria: [{condition: $response.body#/again == true}]}
  - {stepId: c, operationId: getThing, parameters: [{name: id, in: path, value: $steps.b.outputs.id}]}
  outputs: {a: $steps.a.outputs.id, b: $steps.b.outputs.id}
- workflowId: inner
  steps:
  - {stepId: x, operationId: getThing, parameters: [{name: id, in: path, value: inner}]}
"""
ANSWERS = {"first": {"id": "one"}, "inner": {"id": "two"}, "one": {"id": "three"}, "three": {"id": "four"}}


@pytest.fixture(scope="module")
def program():
    found = compiled(TEXT)
    assert found.program is not None, found.diagnostics
    return found.program


def play(run: Run, now: float, *, polls: int = 0, fold: bool = False) -> tuple[list[str], list[Record]]:
    """Drive a run to its end; give what it sent and its records."""
    sent: list[str] = []
    history = History()
    records = [] if run.pending() else run.begin(now)
    records = [*records, *run.take_unwritten()]
    turn = records
    while run.pending():
        (effect,) = run.pending()
        now += 1
        if isinstance(effect, SendHttp):
            sent.append(effect.request.url.removeprefix(API))
            name = sent[-1].rpartition("/")[2]
            polls -= name == "one"
            body = {**ANSWERS[name], "again": name == "one" and polls >= 0}
            turn = run.deliver(effect.id, HttpResponse(200, (), msgspec.json.encode(body)), now)
        else:
            turn = run.deliver(effect.id, Slept(), now)
        records += turn
        for record in turn:
            history.add(record)
        if fold and (kept := run.checkpoint(now, history.folded())) is not None:
            records = [kept]
    return sent, records


@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize(
    ("step_id", "left"),
    [
        ("a", ["first", "inner", "one", "three"]),
        ("call", ["inner", "one", "three"]),
        ("b", ["one", "three"]),
        ("c", ["three"]),
    ],
)
def test_from_each_step(step_id, left, fold, program):
    first = Run(program, {}, run_id="old")
    _, records = play(first, NOON, polls=3, fold=fold)
    assert any(isinstance(record, Checkpoint) for record in records) is fold
    taken = before(records, step_id, program, "new", LATER)
    if taken is None:
        assert step_id == "a"
        assert not fold
        return
    again = Run(program, {}, journal=taken)
    assert again.run_id == "new"
    sent, _ = play(again, LATER)
    assert [url.rpartition("/")[2] for url in sent] == left
    assert again.outcome == first.outcome
    assert max(record.at for record in taken) == LATER


def test_a_step_within_a_called_workflow(program):
    _, records = play(Run(program, {}), NOON)
    taken = before(records, "call/x", program, "new", LATER)
    sent, _ = play(Run(program, {}, journal=taken), LATER)
    assert [url.rpartition("/")[2] for url in sent] == ["inner", "one", "three"]
    _, folded = play(Run(program, {}), NOON, fold=True)
    assert before(folded, "call/x", program, "new", LATER) is None


def test_a_step_to_which_the_run_did_not_come(program):
    run = Run(program, {})
    records = run.begin(NOON)
    assert before(records, "c", program, "new", LATER) is None
    assert before([*records, run.checkpoint(NOON)], "c", program, "new", LATER) is None
    assert before(records, "nowhere", program, "new", LATER) is None
