"""Values as documents write them: read once, evaluated for each request."""

from __future__ import annotations

import pytest
from worlds import world

from loader import cases
from treadle import pointer
from treadle.errors import ExpressionInvalid
from treadle.expressions.dialect import Names
from treadle.expressions.evaluate import Missing
from treadle.expressions.payload import MAX_DEPTH, Constant, expressions, prepare, resolve
from treadle.expressions.syntax import dump


@pytest.mark.parametrize("case", cases("expressions/payloads.yaml"))
def test_payloads(case):
    located, missing = [], []
    payload = prepare(case["value"], Names(), located)
    found = {
        pointer.dump(it.at): it.finding.message.strip()
        if isinstance(it.finding, ExpressionInvalid)
        else it.finding.rule
        for it in located
    }
    assert {at: words.replace("  ", " ") for at, words in found.items()} == case.get("found", {})
    value = resolve(payload, world(case), missing)
    assert [each.why for each in missing] == case.get("missing", [])
    if "becomes" in case:
        assert value == case["becomes"]
    else:
        assert isinstance(value, Missing)


def test_what_has_no_expression_is_kept_as_it_is():
    value = {"a": [1, {"b": "text"}]}
    payload = prepare(value, Names(), [])
    assert payload == Constant(value)
    assert payload.value is value


def test_nesting_has_a_limit():
    value: object = "$inputs.a"
    for _ in range(MAX_DEPTH + 1):
        value = [value]
    located = []
    prepare(value, Names(), located)
    assert [it.finding.message for it in located] == [f"the value nests deeper than {MAX_DEPTH}"]


def test_every_expression_is_given():
    value = {
        "a": ["$inputs.a", {"b": "x{$inputs.b}{$inputs.c}"}],
        "c": {"context": "$response.body", "selector": "/a", "type": "jsonpointer"},
        "d": 1,
    }
    payload = prepare(value, Names(), [])
    assert [dump(node) for node in expressions(payload)] == ["$inputs.a", "$inputs.b", "$inputs.c", "$response.body"]
    assert list(expressions(Constant(1))) == []
