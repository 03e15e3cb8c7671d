"""JSONPath: the whole compliance suite of RFC 9535, and the bounds Treadle adds."""

from __future__ import annotations

import json

import pytest

from shared_data import shared
from treadle.errors import ExpressionInvalid
from treadle.expressions.jsonpath import compiled

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
                nodes = [value for value, _ in compiled(case["selector"]).nodes(case["document"])]
                assert json.dumps(nodes) in [json.dumps(each) for each in case.get("results", [case.get("result")])]


def test_a_query_is_compiled_once():
    assert compiled("$.once") is compiled("$.once")


def test_a_refusal_covers_the_text():
    with pytest.raises(ExpressionInvalid, match="is no JSONPath query") as refused:
        compiled("$.a.")
    assert (refused.value.start, refused.value.end, refused.value.hint) == (
        0,
        4,
        "unexpected end of expression, line 1, column 4; queries are those of RFC 9535",
    )
