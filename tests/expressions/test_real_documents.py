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
    # What the texts hold, and how many of each kind there are at most. The numbers may only shrink.
    "simple": {
        r"^[{\[].{299}": 57,  # a body, but the table has no more than its beginning
        r" contains ": 1,  # no operator of Arazzo
    },
    "jsonpath": {},
    "regex": {},
    "xpath": {},
}
VALUES_NOT_UNDERSTOOD = {
    r"\[n\]",  # some item, but which?
    r"\{user_id\}",  # a placeholder that nothing fills
    r"\.steps\.",  # a step of another workflow
    r"=='voice'\)\]",  # half a filter
    r" \|\| ",  # an operator
}


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
    patterns = [next((it for it in VALUES_NOT_UNDERSTOOD if re.search(it, text)), text) for text in refused]
    assert sorted(patterns) == sorted(VALUES_NOT_UNDERSTOOD)


@pytest.mark.parametrize("kind", NOT_UNDERSTOOD)
def test_conditions_load_in_lenient_mode(kind):
    found = dict.fromkeys(NOT_UNDERSTOOD[kind], 0)
    for _, _, written in rows(f"dialects/cond_{kind}.tsv"):
        text = written.replace("\\n", "\n")  # a line of the table has none
        try:
            compile_criterion(kind, "", text, parse("$response.body"), Names(), [])
        except ExpressionInvalid:
            pattern = next((it for it in found if re.search(it, written)), None)
            assert pattern is not None, f"{text!r} is not understood"
            found[pattern] += 1
    assert found == NOT_UNDERSTOOD[kind]


def test_what_is_no_expression_of_the_grammar_is_heard():
    silent = []
    for _, _, fits, text in rows("dialects/expr.tsv"):
        findings = []
        try:
            read_value(text, Names(), findings)
        except ExpressionInvalid:
            continue
        if not findings and fits != "ok":
            silent.append(text)
    assert silent == []


def test_expressions_without_braces_are_heard():
    silent = []
    for _, _, text in rows("dialects/embedded_bare.tsv"):
        findings = []
        read_value(text, Names(), findings)
        if [finding.rule for finding in findings] != ["embedded-without-braces"]:
            silent.append(text)
    assert silent == []
