"""Conditions and expressions of 1,330 public documents: what is in the grammar, and what lenient mode understands."""

from __future__ import annotations

import re

import pytest

from shared_data import rows
from treadle.errors import ExpressionInvalid
from treadle.expressions.criteria import compile_criterion
from treadle.expressions.dialect import Names, read_value
from treadle.expressions.syntax import parse

NOT_UNDERSTOOD = {
    # What the texts start with or hold, and how many of each kind there are at most. The numbers may only shrink.
    "simple": {
        r"^[{\[]": 183,  # an answer's body where a condition belongs
        r"^\$body\.": 9,  # no root of Arazzo
        r'^"x-file: ': 1,  # a string and no condition
        r" contains ": 1,  # no operator of Arazzo
        r"\[\?\(": 1,  # a JSONPath filter
    },
    "jsonpath": {r"^#/": 4},  # a pointer and nothing it starts from
    "regex": {},
    "xpath": {},
}
VALUES_NOT_UNDERSTOOD = 107


def is_expression(text: str) -> bool:
    try:
        parse(text)
    except ExpressionInvalid:
        return False
    return True


def test_expressions_fit_the_grammar_or_not():
    table = rows("dialects/expr.tsv")
    assert len(table) > 1_000
    wrong = [(fits, text) for _, _, fits, text in table if is_expression(text) != (fits == "ok")]
    assert wrong == []


def test_values_that_lenient_mode_does_not_understand():
    refused = []
    for _, _, _, text in rows("dialects/expr.tsv"):
        try:
            read_value(text, Names(), [])
        except ExpressionInvalid:
            refused.append(text)
    assert len(refused) <= VALUES_NOT_UNDERSTOOD


@pytest.mark.parametrize("kind", NOT_UNDERSTOOD)
def test_conditions_load_in_lenient_mode(kind):
    found = dict.fromkeys(NOT_UNDERSTOOD[kind], 0)
    for _, _, text in rows(f"dialects/cond_{kind}.tsv"):
        try:
            compile_criterion(kind, "", text, parse("$response.body"), Names(), [])
        except ExpressionInvalid:
            pattern = next((pattern for pattern in found if re.search(pattern, text)), None)
            assert pattern is not None, f"{text!r} is not understood"
            found[pattern] += 1
    assert found == NOT_UNDERSTOOD[kind]


def test_expressions_without_braces_are_heard():
    silent = []
    for _, _, text in rows("dialects/embedded_bare.tsv"):
        findings = []
        read_value(text, Names(), findings)
        if [finding.rule for finding in findings] != ["embedded-without-braces"]:
            silent.append(text)
    assert silent == ["Bearer $steps.loginStep.token"]
