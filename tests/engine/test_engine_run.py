"""What a run does, case by case: effects in their order, the end, outputs, error, warnings."""

from __future__ import annotations

import gc
import json

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scripted import compile_case, limits, play, program, shown

from loader import cases
from treadle.engine import journal
from treadle.engine.effects import HttpResponse, SendHttp
from treadle.engine.interpreter import Run
from treadle.engine.messages import Response
from treadle.engine.state import State
from treadle.expressions.evaluate import Missing
from treadle.files import Binary

CASES = [*cases("engine/run.yaml"), *cases("engine/loops.yaml"), *cases("engine/workflows.yaml")]


def _check_request(effect, wanted):
    if wanted.keys() == {"do"}:
        return
    assert isinstance(effect, SendHttp)
    request = effect.request
    if "headers" in wanted:
        assert dict(request.headers) == wanted["headers"]
    if "json" in wanted:
        assert msgspec.json.decode(request.body) == wanted["json"]
    if "body" in wanted:
        assert request.body.decode() == wanted["body"]
    if "timeout" in wanted:
        assert effect.timeout == wanted["timeout"]


def test_a_run_that_has_ended_is_not_kept_by_itself():
    """Without a circle in it, its bodies and secrets go with the last who asks for them, and no collector has to search."""
    gc.collect()
    gc.disable()
    try:
        for (case,) in (entry.values for entry in CASES):
            play(Run(program(case), case.get("inputs", {}), limits(case)), case["script"])
        left = [kept for kept in gc.get_objects() if isinstance(kept, State)]
    finally:
        gc.enable()
    assert left == []


@pytest.mark.parametrize("case", CASES)
def test_a_run(case):
    played = play(Run(program(case), case.get("inputs", {}), limits(case)), case["script"])
    wanted = [line if isinstance(line, dict) else {"do": line} for line in case["see"]]
    assert [shown(effect) for effect in played.effects] == [line["do"] for line in wanted]
    for effect, line in zip(played.effects, wanted, strict=True):
        _check_request(effect, line)
    outcome = played.outcome
    assert outcome.status == case["status"], outcome.error
    if "outputs" in case:
        assert outcome.outputs == case["outputs"]
    error = case.get("error")
    assert (outcome.error is None) == (outcome.status == "succeeded")
    if error is not None:
        assert outcome.error is not None
        assert error.get("message", "") in outcome.error.message
        for field in ("kind", "step_id", "hint"):
            if field in error:
                assert getattr(outcome.error, field) == error[field]
    for step_id, outputs in case.get("step_outputs", {}).items():
        (ended,) = [r for r in played.records if isinstance(r, journal.StepEnded) and r.step_id == step_id]
        assert ended.outputs == outputs


@pytest.mark.parametrize("case", CASES)
def test_warnings_of_a_run(case):
    diagnostics = compile_case(case).diagnostics
    played = play(Run(program(case), case.get("inputs", {}), limits(case)), case["script"])
    warned = [record for record in played.records if isinstance(record, journal.Warned)]
    if played.outcome.status == "succeeded" or "warnings" in case:
        assert [found.rule for found in diagnostics] + [found.rule for found in warned] == case.get("warnings", [])
    for message, found in zip(case.get("messages", []), warned, strict=False):
        assert found.message == message


@given(
    st.binary()
    | st.builds(bytes.__add__, st.sampled_from([b"[", b'{"a":"', b"[1e400,", b"\xef\xbb\xbf["]), st.binary()),
    st.sampled_from(["", "application/json", "text/plain"]),
    st.sampled_from(
        ["", "utf-8", "latin-1", "utf-16", "utf-7", "idna", "punycode", "undefined", "rot13", "a\0b", "shift_jis"]
    ),
)
@example(b"[" * 100_000, "application/json", "")
@example(b"[1" + b"0" * 5_000 + b"]", "application/json", "")
def test_any_answer_is_read_and_can_be_written_again(body, kind, charset):
    value = Response(HttpResponse(200, (("Content-Type", f"{kind}; charset={charset}"),), body)).body()
    assert isinstance(value, Missing | Binary) or msgspec.json.encode(value)


PIECES = st.lists(
    st.sampled_from(['"', "\\", "x", ", ", ": ", '"b"', "{", "}", "n", "u0041", "1", "é", "\n"]), max_size=9
).map("".join)


@given(PIECES, PIECES)
def test_a_value_in_a_template_of_json_is_sent_as_it_is_or_not_at_all(one, two):
    payload = '{"a": "<{$inputs.one}>", "b": ["{$inputs.two}", 1e400]}'
    step = {"stepId": "one", "operationId": "createThing", "requestBody": {"payload": payload}}
    run = Run(program({"steps": [step]}), {"one": one, "two": two})
    run.begin(0)
    for effect in run.pending():
        sent = json.loads(effect.request.body)
        assert sent == {"a": f"<{one}>", "b": [two, float("inf")]}
