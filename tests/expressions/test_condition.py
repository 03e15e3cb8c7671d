"""Simple conditions: what holds, what cannot be told, which dialects are heard, what is refused."""

from __future__ import annotations

import pytest
from worlds import world

from loader import cases
from treadle.errors import ExpressionInvalid
from treadle.expressions.condition import MAX_DEPTH, operands, parse
from treadle.expressions.dialect import Names
from treadle.expressions.judgement import explain, judge
from treadle.expressions.syntax import dump


def names(case) -> Names:
    return Names(frozenset(case["declared"])) if "declared" in case else Names()


@pytest.mark.parametrize("case", cases("expressions/conditions.yaml"))
def test_conditions(case):
    findings = []
    condition = parse(case["text"], names(case), findings)
    assert judge(condition, world(case)) is case["holds"]
    found = [{"rule": it.rule, "start": it.start, "end": it.end, "correct": it.correct} for it in findings]
    assert found == case.get("findings", [])


@pytest.mark.parametrize("case", cases("expressions/conditions_refused.yaml"))
def test_refusals(case):
    with pytest.raises(ExpressionInvalid) as refused:
        parse(case["text"], Names(), [])
    assert (refused.value.message, refused.value.start) == (case["message"], case["at"])
    assert refused.value.end is None or refused.value.end <= len(case["text"])
    if "hint" in case:
        assert refused.value.hint == case["hint"]


@pytest.mark.parametrize("text", ["(" * 60 + "true" + ")" * 60, "!" * 60 + "true", "(" * 100_000, "!(" * 100_000])
def test_nesting_has_a_limit(text):
    with pytest.raises(ExpressionInvalid, match=f"the condition nests deeper than {MAX_DEPTH}"):
        parse(text, Names(), [])


def test_as_deep_as_the_limit_is_allowed():
    text = "(" * MAX_DEPTH + "true" + ")" * MAX_DEPTH
    assert judge(parse(text, Names(), []), world()) is True


def test_length_has_no_limit():
    assert judge(parse(" && ".join(["$inputs.yes"] * 5_000), Names(), []), world()) is True


@pytest.mark.parametrize(
    ("number", "holds"), [("9" * 5_000, True), ("-" + "9" * 5_000, False), ("1e9999", True), ("-1e9999", False)]
)
def test_numbers_of_any_length_compare(number, holds):
    assert judge(parse(f"{number} > $inputs.count", Names(), []), world()) is holds


def test_what_nests_too_deeply_cannot_be_compared():
    deep = [[], []]
    for _ in range(100_000):
        deep = [[deep[0]], [deep[1]]]
    context = world({"inputs": {"one": deep[0], "two": deep[1]}})
    assert judge(parse("$inputs.one == $inputs.two", Names(), []), context) is None
    for value in deep:  # taken apart here: the interpreter would do it by recursion
        while value:
            value = value.pop()  # noqa: PLW2901


@pytest.mark.parametrize("case", cases("expressions/explanations.yaml"))
def test_why_it_did_not_hold(case):
    assert explain(parse(case["text"], Names(), []), world(case)) == case["why"]


def test_operands_come_in_their_order():
    text = "!$inputs.a || ($inputs.b == 1 && $inputs.c != $inputs.d) || true"
    assert [dump(node) for node in operands(parse(text, Names(), []))] == [
        "$inputs.a", "$inputs.b", "$inputs.c", "$inputs.d"
    ]  # fmt: skip
