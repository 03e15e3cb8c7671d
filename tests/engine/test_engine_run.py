"""What a run does, case by case: effects in their order, the end, outputs, error, warnings."""

from __future__ import annotations

import msgspec
import pytest
from scripted import compile_case, limits, play, program, shown

from loader import cases
from treadle.engine import journal
from treadle.engine.effects import SendHttp
from treadle.engine.interpreter import Run

CASES = [*cases("engine/run.yaml"), *cases("engine/loops.yaml")]


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
