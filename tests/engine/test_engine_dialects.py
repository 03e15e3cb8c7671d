"""Every example of docs/reference/dialects.md, compiled and run: what is said of it, and that it means its correct form."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import msgspec
import pytest
import scripted
from scripted import answer, shown, source, yaml

from loader import table
from treadle.diagnostics import Severity
from treadle.document.dialects import DIALECTS
from treadle.engine.compile import Compilation
from treadle.engine.effects import SendHttp, Slept
from treadle.engine.inputs import validated
from treadle.engine.interpreter import Run
from treadle.engine.journal import StepEnded, Warned
from treadle.engine.linked import Source

ENTRIES = table("dialects.yaml")
EXAMPLES = [
    pytest.param(entry, example, id=f"{entry['rule']}: {example['id']}")
    for entry in ENTRIES
    for example in entry["examples"]
]
FRAME = yaml("""
arazzo: 1.1.0
info: {title: an example, version: '1'}
sourceDescriptions: [{name: api, url: api.yaml}]
workflows:
  - workflowId: w
    inputs: {properties: {token: {default: t}, name: {default: b}, filter: {default: {status: open}}}}
    steps:
      - stepId: login
        operationId: $sourceDescriptions.api.a
        outputs: {session: '$response.body#/session', state: '$response.body#/state', items: '$response.body#/items'}
      - {stepId: use, operationId: $sourceDescriptions.api.b}
""")
ANSWER = {
    "headers": {"X-Trace": "abc"},
    "json": {
        "state": "done",
        "count": 2,
        "session": {"token": "t", "id": 7},
        "items": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
    },
}
OTHER = {"openapi": "3.1.0", "servers": [{"url": "https://other.test"}], "paths": {"/o": {"get": {"operationId": "o"}}}}

FLOWS = """
arazzo: 1.1.0
info: {title: another document, version: '1'}
sourceDescriptions: [{name: api, url: api.yaml}]
workflows: [{workflowId: child, steps: [{stepId: one, operationId: a}]}]
"""


def document(fragments: dict[str, Any]) -> dict[str, Any]:
    """The document with the fragments of an example in their places."""
    whole = deepcopy(FRAME)
    workflow = whole["workflows"][0]
    use = workflow["steps"][1]
    for place, fragment in fragments.items():
        match place:
            case "root":
                whole |= yaml(fragment)
            case "workflow":
                workflow |= yaml(fragment)
            case "step":
                use |= yaml(fragment)
            case "value":
                use["parameters"] = [{"name": "q", "in": "query", "value": fragment}]
            case "output":
                use["outputs"] = {"result": fragment}
            case "condition":
                use["successCriteria"] = [{"condition": fragment}]
            case "jsonpath":
                use["successCriteria"] = [{"context": "$response.body", "condition": fragment, "type": "jsonpath"}]
            case "operationId" | "operationPath" | "workflowId":
                del use["operationId"]
                use[place] = fragment
            case _:
                raise ValueError(place)
    return whole


def compiled(fragments: dict[str, Any], *, strict: bool) -> Compilation:
    text = msgspec.json.encode(document(fragments)).decode()
    flows = Source("arazzo", document=scripted.linked(FLOWS, "file:///cases/flows.yaml", api=source()))
    return scripted.compiled(text, strict=strict, api=source(), other=source(OTHER, "other"), flows=flows)


def dialects(result: Compilation) -> set[tuple[str, Severity]]:
    return {(found.rule, found.severity) for found in result.diagnostics if found.rule in DIALECTS}


def played(program) -> dict[str, Any]:
    """What a run did: its requests, the outputs of its steps, how it ended, what it warned of."""
    inputs, _ = validated(program.entry.inputs, {}, "w")
    run = Run(program, inputs)
    records, sent, now = [*run.begin(0.0)], [], 0.0
    while pending := run.pending():
        (effect,) = pending
        now += 1
        if isinstance(effect, SendHttp):
            sent.append(shown(effect))
            records += run.deliver(effect.id, answer(ANSWER), now)
        else:
            records += run.deliver(effect.id, Slept(), now)
    ended = [record for record in records if isinstance(record, StepEnded)]
    return {
        "sent": sent,
        "steps": [(it.step_id, it.status, [c.passed for c in it.criteria], list(it.outputs.values())) for it in ended],
        "ended": (run.outcome.status, list(run.outcome.outputs.values())),
        "warned": [record.rule for record in records if isinstance(record, Warned)],
    }


def test_every_dialect_has_its_examples():
    assert [entry["rule"] for entry in ENTRIES] == list(DIALECTS)


@pytest.mark.parametrize(("entry", "example"), EXAMPLES)
def test_what_is_written_is_heard_and_strictly_refused(entry, example):
    lenient, strict = (compiled(example["written"], strict=strict) for strict in (False, True))
    if entry.get("at_run"):
        assert (dialects(lenient), dialects(strict)) == (set(), set())
        assert played(lenient.program)["warned"] == [entry["rule"]]
        assert played(strict.program)["ended"][0] == "failed"
        return
    assert dialects(lenient) == {(entry["rule"], Severity.WARNING)}
    assert dialects(strict) == {(entry["rule"], Severity.ERROR)}
    assert strict.program is None
    assert all(found.hint and found.span for found in lenient.diagnostics if found.rule in DIALECTS)


@pytest.mark.parametrize(("entry", "example"), EXAMPLES)
def test_the_correct_form_is_no_dialect(entry, example):
    assert dialects(compiled(example["correct"], strict=True)) == set()


@pytest.mark.parametrize(("entry", "example"), EXAMPLES)
def test_what_is_written_means_its_correct_form(entry, example):
    written, correct = (compiled(example[form], strict=False) for form in ("written", "correct"))
    assert (written.program is None) is (correct.program is None)
    if written.program is None:
        return  # it is refused by name, as this version does not run it, and not for how it is written
    one, other = played(written.program), played(correct.program)
    if "differs" in example:
        assert one["ended"][0] == other["ended"][0] == "succeeded"
        return
    if entry.get("at_run"):
        del one["warned"], other["warned"]
    assert one == other
    assert one["ended"][0] == "succeeded"
