"""Regular expressions: I-Regexp beside another reader of it, and the bounds of both engines."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from iregexp_check import check

from treadle.errors import ExpressionInvalid
from treadle.expressions.budget import OutOfBudget
from treadle.expressions.patterns import MAX_PATTERN, ecma, iregexp

parts = st.sampled_from([
    "a", "b", "-", "^", "$", "[", "]", "[^", "(", ")", "|", "*", "+", "?", "{", "}", "{2}", "{2,}", "{2,3}", ",", ".", "\\", "\\.",
    "\\-", "\\n", "\\p{L}", "\\P{Lu}", "\\p{Nd}", "\\p{Lx}", "\\d", "\\(", "0", "9", "&&", "~~", "/", "é", " ", "a-z",
])  # fmt: skip


@given(st.lists(parts, max_size=8).map("".join))
def test_what_is_an_iregexp(pattern):
    assert (iregexp(pattern, whole=True) is not None) == check(pattern)


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("a.c", "abc", True),
        ("a.c", "a\nc", False),
        ("a.c", "a\rc", False),
        ("a.c", "a\u2028c", True),
        ("[.]", "a", False),
        ("[&&a]", "&", True),
        ("[a~~b]", "~", True),
        ("[^a]", "\n", True),
        ("[a-c-]", "-", True),
        ("[-a]", "-", True),
        ("[\\]]", "]", True),
        ("\\^", "^", True),
        ("^a$", "a", True),
        ("a", "a\n", False),
        ("a|bc", "bc", True),
        ("(a|b)c", "bc", True),
        ("a{2}", "aaa", False),
        ("a{2,}", "aaa", True),
        ("a{02,003}", "aaa", True),
        ("\\p{Lu}", "É", True),
        ("\\P{Lu}", "É", False),
        ("[\\p{L}0]", "é", True),
        ("#/:@", "#/:@", True),
        ("", "", True),
        ("\\t", "\t", True),
        ("𐄁", "𐄁", True),
    ],
)
def test_iregexp(pattern, text, fits):
    assert iregexp(pattern, whole=True).fits(text) is fits
    assert not iregexp(pattern, whole=False).fits("") or not pattern


@pytest.mark.parametrize(
    "pattern",
    [
        "a{3,2}",
        "[z-a]",
        "[]",
        "a{}",
        "a{1000000000}",
        "\\d",
        "(?=a)",
        "a)",
        "(a",
        "\\p{Greek}",
        "\ud800",
        "[\ud800]",
        "[a-\\p{L}]",
        "[a-c-e]",
    ],
)
def test_what_is_no_iregexp(pattern):
    assert iregexp(pattern, whole=True) is None


@pytest.mark.parametrize("pattern", ["a" * (MAX_PATTERN + 1), "((a{99}){99}){99}", "(" * 20_000])
def test_an_iregexp_that_is_too_much(pattern):
    with pytest.raises(OutOfBudget):
        iregexp(pattern, whole=True)


def test_what_a_pattern_costs_follows_from_what_it_repeats():
    plain, repeating = iregexp("ab", whole=True), iregexp("(ab){100}", whole=True)
    assert plain.cost("a" * 1_000) < repeating.cost("a" * 1_000) / 10


@pytest.mark.parametrize("pattern", ["(", "[a", "*a", "(?<a", "\\k<b>", "\ud800"])
def test_what_is_no_pattern_of_ecma(pattern):
    with pytest.raises(ExpressionInvalid, match="is no regular expression"):
        ecma(pattern)


def test_a_small_pattern_searches_a_text_of_any_length():
    assert ecma("b$")("a" * 5_000_000 + "b")
    assert not ecma("^[a-z]+$")("a" * 5_000_000 + "B")


def test_a_pattern_that_goes_back_searches_as_far_as_it_pays():
    assert ecma("(?=b)b$")("a" * 10_000 + "b")
    assert not ecma("^(?!.*error)")("a" * 1_000 + " error")
    with pytest.raises(ExpressionInvalid, match=re.escape("takes too long on this text")):
        ecma("(?=b)b$")("a" * 2_000_000 + "b")
