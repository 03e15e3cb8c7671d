"""Selectors: read and write by JSON Pointer, JSONPath and XPath; the whole compliance suite of RFC 9535."""

from __future__ import annotations

import copy
import json

import pytest

from loader import cases
from shared_data import shared
from treadle.document.model import EXPRESSION_VERSIONS
from treadle.errors import ExpressionInvalid
from treadle.expressions import selectors
from treadle.expressions.jsonpath import compiled
from treadle.expressions.selectors import SELECTORS

SKIP: dict[str, str] = {}
"""Names of compliance cases that do not pass, with the reason. It may only shrink."""


def test_the_compliance_suite(subtests):
    suite = json.loads(shared("jsonpath-compliance/cts.json").read_text("utf-8"))["tests"]
    assert len(suite) >= 703
    assert set(SKIP) <= {case["name"] for case in suite}
    for case in suite:
        if case["name"] in SKIP:
            continue
        with subtests.test(case["name"]):
            if case.get("invalid_selector"):
                with pytest.raises(ExpressionInvalid):
                    compiled(case["selector"])
            else:
                nodes = compiled(case["selector"]).nodes(case["document"])
                values = [value for value, _ in nodes]
                assert json.dumps(values) in [json.dumps(each) for each in case.get("results", [case.get("result")])]
                for value, where in nodes:
                    assert at(case["document"], where) is value


def at(value, where):
    """The value at the place of a node."""
    return value if where is None else at(value, where[0])[where[1]]


def versions_of(case) -> tuple[str, ...]:
    if case["kind"] == "xpath":
        return case.get("versions", EXPRESSION_VERSIONS["xpath"])
    return (case.get("version", ""),)


@pytest.mark.parametrize("case", cases("expressions/selectors.yaml"))
def test_selectors(case, subtests):
    for version in versions_of(case):
        with subtests.test(version):
            arguments = (case["kind"], version, case["text"])
            selectors.check(*arguments)
            before = copy.deepcopy(case["value"])
            if "fails" in case:
                with pytest.raises(ExpressionInvalid) as failed:
                    selectors.read(*arguments, case["value"])
                assert failed.value.message == case["fails"]
            else:
                assert json.dumps(selectors.read(*arguments, case["value"])) == json.dumps(case["reads"])
            if "writes" in case:
                assert json.dumps(selectors.write(*arguments, case["value"], case["new"])) == json.dumps(case["writes"])
            else:
                expected = LookupError if "lookup" in case else ExpressionInvalid
                with pytest.raises(expected) as refused:
                    selectors.write(*arguments, case["value"], case["new"])
                assert str(refused.value) == case.get("lookup", case.get("fails_to_write"))
            assert case["value"] == before


def test_every_kind_has_versions():
    assert set(SELECTORS) == set(EXPRESSION_VERSIONS)


@pytest.mark.parametrize(
    ("kind", "text", "message", "start"),
    [
        ("jsonpointer", "a", "a JSON Pointer starts with '/', found 'a'", 0),
        ("jsonpath", "$.a.", "'$.a.' is no JSONPath query", 4),
        ("jsonpath", "$.a[?(@.b ==)]", "'$.a[?(@.b ==)]' is no JSONPath query", 12),
        ("xpath", "/a/", "'/a/' is no expression of xpath-31", 2),
    ],
)
def test_refusals_point_into_the_text(kind, text, message, start):
    with pytest.raises(ExpressionInvalid) as refused:
        selectors.check(kind, "", text)
    assert (refused.value.message, refused.value.start) == (message, start)


def test_what_nests_too_deeply_cannot_be_written_into():
    value: list = []
    for _ in range(5_000):
        value = [value]
    with pytest.raises(LookupError, match="the payload nests too deeply to be written into"):
        selectors.write("jsonpath", "", "$..[?!@[0]]", value, 0)
    while value:  # taken apart here: the interpreter would do it by recursion
        value = value[0]


def test_a_query_is_compiled_once():
    assert compiled("$.once") is compiled("$.once")


def test_a_refusal_says_what_was_expected():
    with pytest.raises(ExpressionInvalid) as refused:
        compiled("$.a.")
    assert refused.value.hint == "unexpected end of expression; queries are those of RFC 9535"


@pytest.mark.parametrize(
    "query", ["$[" + "9" * 5_000 + "]", "$[?" + "(" * 3_000 + "@" + ")" * 3_000 + "]", "$[?@ == 1e99999]"]
)
def test_hostile_queries_are_refused(query):
    for version in EXPRESSION_VERSIONS["jsonpath"]:
        with pytest.raises(ExpressionInvalid, match="is no JSONPath query"):
            compiled(query, version)


def test_a_query_of_any_length():
    assert compiled("$[?" + " || ".join(["@ == 1"] * 100) + "]").selects([0, 1])
    for version in EXPRESSION_VERSIONS["jsonpath"]:
        with pytest.raises(ExpressionInvalid, match="a query of 2,000,001 characters is too long"):
            compiled("$" + ".a" * 1_000_000, version)
