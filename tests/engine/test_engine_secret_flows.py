"""What becomes secret while a run goes on."""

from __future__ import annotations

from copy import deepcopy

import msgspec
import pytest
from scripted import play, program

from loader import cases, table
from treadle.engine.interpreter import Run
from treadle.engine.plan import plan
from treadle.engine.secret_inputs import secret_values
from treadle.engine.secrets import MASK, MOST_LEARNT, Secrets


def _compiled(case):
    use = {"stepId": "use", "operationId": "createThing" if "body" in case else "listThings"}
    if "flow" in case:
        use["parameters"] = [case["flow"]]
    if "body" in case:
        kind = "text/plain" if isinstance(case["body"], str) else "application/json"
        use["requestBody"] = {"payload": case["body"], "contentType": kind, **case.get("also", {})}
    login = {
        "stepId": "login",
        "operationId": "startJob",
        "outputs": {"t": "$response.body#/t"},
        "successCriteria": [{"condition": "$statusCode == 200"}],
    }
    api = deepcopy(table("engine/api.openapi.yaml"))
    api["components"] = {"securitySchemes": case.get("keys", {})}
    declared = {"type": "object", "properties": {name: {"type": "string"} for name in case.get("inputs", {})}}
    return program({"steps": [login, use], "workflow": {"inputs": declared}, "openapi": api})


@pytest.mark.parametrize("case", cases("engine/secret_flows.yaml"))
def test_what_becomes_secret(case):
    compiled, inputs = _compiled(case), case.get("inputs", {})
    secrets = Secrets(secret_values(inputs, compiled.entry.secrets, compiled.entry.inputs))
    said = {"text": case["text"]} if "text" in case else {"json": case.get("answer", {"t": "tok-of-login"})}
    answer = {**said, "headers": case.get("headers", {})}
    play(Run(compiled, inputs, secrets=secrets), [answer, {"json": {}}])
    for text in case.get("hidden", ()):
        assert secrets.text(f"<{text}>") == f"<{MASK}>"
    for text in case.get("plain", ()):
        assert secrets.text(f"<{text}>") == f"<{text}>"


@pytest.mark.parametrize("case", [c for c in cases("engine/secret_flows.yaml") if "answer" not in c.values[0]])
def test_a_plan_knows_what_it_can_know(case):
    """What stands in the document or comes from inputs is masked before anything was sent."""
    compiled, inputs = _compiled(case), case.get("inputs", {})
    secrets = Secrets()
    shown = msgspec.json.encode(secrets.value(plan(compiled, inputs, secrets))).decode()
    secrets.value(shown)
    written = msgspec.json.encode([case.get("flow"), case.get("body"), inputs]).decode()
    for text in case.get("hidden", ()):
        assert text not in shown or text not in written


def test_secret_inputs_are_looked_for_so_deep_and_no_deeper():
    value: object = "a-password"
    for _ in range(200):
        value = [value]
    assert list(secret_values({"a": value}, (), None)) == []


def test_what_is_known_is_not_sent_for_again():
    """A poll with an input in its header costs nothing more."""
    header = {"name": "Authorization", "in": "header", "value": "Bearer {$inputs.key}"}
    step = {"stepId": "one", "operationId": "listThings", "parameters": [header]}
    declared = {"type": "object", "properties": {"key": {"type": "string"}}}
    compiled = program({"steps": [step], "workflow": {"inputs": declared}})
    assert compiled.entry.steps[0].call.flows == ()
    assert compiled.entry.secrets == ("key",)


def test_of_many_values_the_last_ones_are_kept():
    secrets = Secrets(["the-first-of-all"])
    secrets.learn(f"learnt-{number}-" for number in range(MOST_LEARNT + 1))
    assert secrets.text("learnt-0-") == "learnt-0-"
    assert secrets.text("the-first-of-all learnt-1- and learnt-250-") == "*** *** and ***"
    assert len(secrets.values) == MOST_LEARNT + 1
