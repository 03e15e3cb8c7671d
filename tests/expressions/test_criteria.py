"""Criteria: each type compiled as a document is loaded and tested in a context."""

from __future__ import annotations

import time

import msgspec
import pytest
from worlds import world

from loader import cases
from treadle.errors import ExpressionInvalid
from treadle.expressions import criteria
from treadle.expressions.criteria import check, compile_criterion, criterion_expressions
from treadle.expressions.dialect import Names, read_operand
from treadle.expressions.syntax import dump

# A pattern may go back a million steps, which takes a moment; it must not take for ever.
SECONDS = 5


def compiled(kind: str, case) -> tuple[criteria.Test, list[str]]:
    findings = []
    context = read_operand(case["context"], Names()) if "context" in case else None
    test = compile_criterion(kind, case.get("version", ""), case["condition"], context, Names(), findings)
    return test, [f"{it.rule} {it.start}-{it.end} {it.correct}" for it in findings]


def examine(kind: str, case) -> None:
    if "refused" in case or "refused_starts" in case:
        with pytest.raises(ExpressionInvalid) as refused:
            compiled(kind, case)
        message = refused.value.message
        assert message == case.get("refused", message)
        assert message.startswith(case.get("refused_starts", ""))
        assert refused.value.hint == case.get("hint", refused.value.hint)
        return
    test, findings = compiled(kind, case)
    assert findings == case.get("findings", [])
    if case.get("strict"):
        test = msgspec.structs.replace(test, lenient=False)
    verdict = check(test, world(case))
    assert verdict.passed is case["passed"]
    assert verdict.evaluated is case.get("evaluated", True)
    assert (verdict.dialect.rule if verdict.dialect else None) == case.get("dialect")
    if "why_starts" in case:
        assert verdict.why.startswith(case["why_starts"])
    else:
        assert verdict.why == case.get("why", "")


@pytest.mark.parametrize("case", cases("criteria/simple.yaml"))
def test_simple(case):
    examine("simple", case)


@pytest.mark.parametrize("case", cases("criteria/regex.yaml"))
def test_regex(case):
    begun = time.monotonic()
    examine("regex", case)
    assert time.monotonic() - begun < SECONDS


@pytest.mark.parametrize("case", cases("criteria/jsonpath.yaml"))
def test_jsonpath(case):
    examine("jsonpath", case)


@pytest.mark.parametrize("function", ["match", "search"])
def test_a_pattern_in_a_query_has_bounded_time(function):
    case = {"condition": f'$[?{function}(@, "(a|aa)+$")]', "context": "$inputs.a"}
    test, _ = compiled("jsonpath", case)
    begun = time.monotonic()
    verdict = check(test, world({"inputs": {"a": ["a" * 60 + "b", "a" * 60 + "b"]}}))
    assert time.monotonic() - begun < SECONDS
    assert (verdict.passed, verdict.evaluated) == (False, False)
    assert verdict.why == f"'{case['condition']}' could not be applied: regex timed out"


def test_a_filter_on_an_object_says_what_to_write():
    case = {"condition": "$[?@.a]", "context": "$inputs.o", "inputs": {"o": {"a": 1}}}
    finding = check(compiled("jsonpath", case)[0], world(case)).dialect
    assert finding.message == "a filter selects among the children of the context; it was applied to the context itself"
    assert (finding.start, finding.end) == (0, 7)
    assert finding.correct == "wrap the context in an array, or write a simple condition"


@pytest.mark.parametrize("query", ["$[" + "9" * 5_000 + "]", "$[?" + "(" * 3_000 + "@" + ")" * 3_000 + "]"])
def test_hostile_queries_are_refused(query):
    with pytest.raises(ExpressionInvalid, match="is no JSONPath query"):
        compiled("jsonpath", {"condition": query})


@pytest.mark.parametrize("kind", ["regex", "jsonpath"])
def test_a_context_that_nests_too_deeply_is_not_evaluated(kind):
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    case = {"condition": "$..a" if kind == "jsonpath" else "a", "context": "$inputs.deep"}
    verdict = check(compiled(kind, case)[0], world({"inputs": {"deep": deep}}))
    assert (verdict.passed, verdict.evaluated) == (False, False)
    while deep:  # taken apart here: the interpreter would do it by recursion
        deep = deep[0]


def test_long_texts_are_shortened_in_the_reason():
    case = {"condition": "b", "context": "$inputs.s", "inputs": {"s": "a" * 500}}
    assert check(compiled("regex", case)[0], world(case)).why == f"no match in '{'a' * 119}…'"


@pytest.mark.parametrize(
    ("kind", "condition", "expressions"),
    [
        ("simple", "$statusCode == 200", ["$statusCode"]),
        ("simple", "$inputs.a && ($inputs.b || !$inputs.c)", ["$inputs.a", "$inputs.b", "$inputs.c"]),
        ("simple", "true", []),
        ("simple", "$inputs.a", ["$inputs.a"]),
        ("regex", "^a$", []),
        ("regex", "^{$inputs.a}-{$inputs.b}$", ["$inputs.a", "$inputs.b"]),
        ("regex", "{$inputs.a}", ["$inputs.a"]),
        ("jsonpath", "$.a", []),
        ("jsonpath", "$.a == $inputs.a", ["$.a", "$inputs.a"]),
    ],
)
def test_expressions_of_a_criterion(kind, condition, expressions):
    test, _ = compiled(kind, {"condition": condition, "context": "$response.body"})
    assert [dump(node) for node in criterion_expressions(test)] == expressions
