"""Criteria: each type compiled as a document is loaded and tested in a context."""

from __future__ import annotations

import msgspec
import pytest
from worlds import world

from loader import cases, table
from treadle.document.model import EXPRESSION_VERSIONS
from treadle.errors import ExpressionInvalid
from treadle.expressions import criteria, jsonpath
from treadle.expressions.criteria import check, compile_criterion, criterion_expressions
from treadle.expressions.dialect import Names, read_operand
from treadle.expressions.syntax import dump

XPATH = EXPRESSION_VERSIONS["xpath"]
GOESSNER = EXPRESSION_VERSIONS["jsonpath"][1]
STORE = {
    "store": {
        "book": [
            {"category": "reference", "author": "Nigel Rees", "price": 8.95},
            {"category": "fiction", "author": "Evelyn Waugh", "price": 12.99, "isbn": "0-553"},
        ],
        "bicycle": {"color": "red", "price": 19.95},
    },
    "limit": 10,
    "x-y": {"$ref": 1, "0": "zero"},
    "list": ["a", "b", "c"],
    "flags": [True, False, 0, 0.5, "", "text", None],
    "named": [{"name": "seven", "length": 7}, {"name": "none"}],
    "@.length": ["==="],
}
HOSTILE = {
    "tree": [[{"a": number, "b": {"c": [1, 2, 3]}} for number in range(30)] for _ in range(100)],
    "texts": ["a" * 60 + "b"] * 50_000,
    "text": ["a" * 60 + "b"],
    "patterns": [f"a{{{number}}}b*" for number in range(1_000)],
    "groups": ["(" * 20_000 + ")" * 20_000],
    "long": "a" * 1_000 + "c",
    "longer": "a" * 100_000,
    "longest": "ab" * 600_000,
    "xml": "<r>" + "<i a='1'><b>x</b></i>" * 3_000 + "</r>",
    "number": "<r><n>1000000000</n></r>",
    "xmltext": f"<r>{'a' * 300}</r>",
    "attributes": "<r " + " ".join(f"a{number}=''" for number in range(200_000)) + "/>",
    "namespaces": "<r " + " ".join(f"xmlns:a{number}='u'" for number in range(2_000)) + ">" + "<a/>" * 50_000 + "</r>",
    "declarations": "<r>" + "<a xmlns='u'/>" * 3_000 + "</r>",
}


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
        assert refused.value.start == case.get("at", refused.value.start)
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
    examine("regex", case)


@pytest.mark.parametrize("case", cases("criteria/jsonpath.yaml"))
def test_jsonpath(case):
    examine("jsonpath", case)


@pytest.mark.parametrize("case", cases("criteria/xpath.yaml"))
def test_xpath(case, subtests):
    inputs = {"inputs": {"xml": case.get("xml"), **case.get("inputs", {})}}
    for version in case.get("versions", XPATH):
        with subtests.test(version):
            examine("xpath", {"context": "$inputs.xml", **case, **inputs, "version": version})


@pytest.mark.parametrize("version", XPATH[:3])
def test_functions_of_xpath_that_are_closed(version, subtests):
    for text in table("criteria/xpath_closed.yaml"):
        with subtests.test(text), pytest.raises(ExpressionInvalid, match="is no expression of"):
            compiled("xpath", {"condition": text, "version": version})


@pytest.mark.parametrize("case", cases("criteria/jsonpath_goessner.yaml"))
def test_jsonpath_of_the_draft(case):
    given = {"condition": case["query"], "context": "$inputs.store", "version": GOESSNER}
    if "refused" in case:
        with pytest.raises(ExpressionInvalid) as refused:
            compiled("jsonpath", given)
        assert refused.value.message == case["refused"]
        assert refused.value.start == case.get("at", refused.value.start)
        return
    assert [value for value, _ in jsonpath.compiled(case["query"], GOESSNER).nodes(STORE)] == case["selects"]
    test, _ = compiled("jsonpath", given)
    assert check(test, world({"inputs": {"store": STORE}})).passed is bool(case["selects"])


@pytest.mark.parametrize("case", cases("criteria/hostile.yaml"))
def test_hostile_criteria_end(case, subtests):
    versions = case.get("version", XPATH if case["type"] == "xpath" else "")
    for version in [versions] if isinstance(versions, str) else versions:
        with subtests.test(version):
            given = {**case, "version": version}
            if "refused_contains" in case:
                with pytest.raises(ExpressionInvalid, match=case["refused_contains"]):
                    compiled(case["type"], given)
                continue
            verdict = check(compiled(case["type"], given)[0], world({"inputs": HOSTILE}))
            assert (verdict.passed, verdict.evaluated) == (case.get("passed", False), case.get("evaluated", False))
            assert verdict.why.startswith(case.get("why_starts", case.get("why", "")))
            assert verdict.why == case.get("why", verdict.why)
            assert case.get("why_contains", "") in verdict.why


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


def deep() -> list:
    value: list = []
    for _ in range(100_000):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("kind", "condition", "why"),
    [
        ("regex", "a", "the value nests too deeply to be written as text"),
        ("jsonpath", "$[?@ == $.b]", "the query selects nothing: `$` is an array of 1, and `[?@ == $.b]` fits nothing in it"),
        ("jsonpath", "$[?@ == $.b || @ == $[0][0]]", "'$[?@ == $.b || @ == $[0][0]]' could not be applied: it nests too deeply"),
        ("jsonpath", "$..a", "the query selects nothing: `$` is an array of 1 and has no `a`"),
    ],
)  # fmt: skip
def test_a_context_that_nests_too_deeply(kind, condition, why):
    value = deep()
    verdict = check(
        compiled(kind, {"condition": condition, "context": "$inputs.deep"})[0], world({"inputs": {"deep": value}})
    )
    assert (verdict.passed, verdict.why) == (False, why)
    assert verdict.evaluated is why.startswith("the query")
    while value:  # taken apart here: the interpreter would do it by recursion
        value = value[0]


def test_an_xml_text_that_nests_too_deeply():
    case = {"condition": "//a", "context": "$inputs.s", "inputs": {"s": "<a>" * 300 + "</a>" * 300}}
    verdict = check(compiled("xpath", case)[0], world(case))
    assert verdict.evaluated is False
    assert verdict.why.startswith("the context is no XML: Excessive depth in document")


@pytest.mark.parametrize("depth", [255, 200])
def test_an_xml_text_as_deep_as_it_may_be(depth, subtests):
    for version in XPATH:
        with subtests.test(version):
            text = "<a>" * depth + "x" + "</a>" * depth
            case = {
                "condition": f"count(//a) = {depth}",
                "context": "$inputs.s",
                "version": version,
                "inputs": {"s": text},
            }
            assert check(compiled("xpath", case)[0], world(case)).passed


@pytest.mark.parametrize(
    "condition",
    ["(" * 5_000 + "1" + ")" * 5_000, "1" + "+1" * 20_000, "-" * 20_000 + "1", "/a" * 20_000 + "|a", "a|" * 5_000 + "a", "a[" * 99 + "1" + "]" * 99],
)  # fmt: skip
def test_xpath_of_any_length_is_read_or_refused(condition, subtests):
    for version in XPATH:
        with subtests.test(version):
            given = {"condition": condition, "context": "$inputs.s", "version": version, "inputs": {"s": "<a/>"}}
            try:
                test, _ = compiled("xpath", given)
            except ExpressionInvalid:
                continue
            why = check(test, world(given)).why
            assert why in ("", "the expression is too long", "the expression nests too deeply")


@pytest.mark.parametrize(
    ("kind", "condition"), [("xpath", "//b"), ("jsonpath", "$.b"), ("regex", "b"), ("simple", "$inputs.a == 1")]
)
def test_reasons_are_given_where_they_are_asked_for(kind, condition):
    given = {"a": {"a": 1}} if kind == "jsonpath" else {"a": "<a/>"}
    test, _ = compiled(kind, {"condition": condition, **({} if kind == "simple" else {"context": "$inputs.a"})})
    assert check(test, world({"inputs": given})).why
    assert check(test, world({"inputs": given}), explained=False).why == ""


def test_secrets_are_masked_in_reasons():
    case = {"context": "$inputs.s", "inputs": {"s": "<r>hunter2</r>"}, "version": "xpath-31"}
    for condition in ("xs:integer(/r)", "/r/{$inputs.key}"):
        context = world({"inputs": {**case["inputs"], "key": "hunter2"}})
        context.mask = lambda text: text.replace("hunter2", "***")
        verdict = check(compiled("xpath", {**case, "condition": condition})[0], context)
        assert "hunter2" not in verdict.why
        assert "***" in verdict.why


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
        ("xpath", "/a[b = {$inputs.a}]", ["$inputs.a"]),
    ],
)
def test_expressions_of_a_criterion(kind, condition, expressions):
    test, _ = compiled(kind, {"condition": condition, "context": "$response.body"})
    assert [dump(node) for node in criterion_expressions(test)] == expressions


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("regex", "the text holds half a surrogate pair, which no character is"),
        ("xpath", "the context is no XML: it has characters that XML cannot hold"),
    ],
)
def test_half_a_surrogate_pair(kind, why):
    case = {"condition": "a", "context": "$inputs.s", "inputs": {"s": "<a>\ud800</a>"}}
    verdict = check(compiled(kind, case)[0], world(case))
    assert (verdict.passed, verdict.evaluated, verdict.why) == (False, False, why)
