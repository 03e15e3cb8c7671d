"""What expressions and templates give: values of their type, or Missing with its reason."""

from __future__ import annotations

import pytest
from worlds import Said, world

from loader import cases
from treadle.errors import ExpressionInvalid
from treadle.expressions.dialect import Names, read_operand
from treadle.expressions.evaluate import Context, Missing, evaluate
from treadle.expressions.syntax import Template, parse, parse_template
from treadle.expressions.words import kind, to_text
from treadle.files import File


def is_same(left, right) -> bool:
    """Equal and of one type: 1 is not True, 2.0 is not 2."""
    return type(left) is type(right) and left == right


# The longest declared name is what a case means, so that `a.b` of a declared `a` goes into it.
DECLARED = Names(frozenset({"object", "list"}), {"create": frozenset({"id", "body"}), "later": frozenset()})


@pytest.mark.parametrize("case", cases("expressions/evaluate.yaml"))
def test_values(case):
    node = read_operand(case["text"], DECLARED) if case.get("operand") else parse_template(case["text"])
    if isinstance(node, str) and node.startswith("$"):
        node = parse(node)
    value = evaluate(node, world(case))
    if "missing" in case:
        assert isinstance(value, Missing)
        assert (value.why, value.unreadable) == (case["missing"], case.get("unreadable", False))
    else:
        assert is_same(value, case["value"])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("$url", "`$url`: there is none here"),
        ("$method", "`$method`: there is none here"),
        ("$statusCode", "`$statusCode`: there is none here"),
        ("$self", "`$self`: there is none here"),
        ("$outputs.a", "`$outputs.a`: there is no output `a`"),
        ("$request.header.a", "`$request.header.a`: there is no request here"),
        ("$response.body", "`$response.body`: there is no response here"),
    ],
)
def test_before_anything_was_sent(text, why):
    value = evaluate(parse(text), Context())
    assert (value.why, value.unreadable) == (why, False)


def test_missing_is_false_and_says_why():
    missing = Missing("gone")
    assert not missing
    assert repr(missing) == "Missing('gone')"
    assert missing != Missing("gone")


def test_all_inputs_are_an_object_of_their_own():
    inputs = {"a": 1}
    value = evaluate(read_operand("$inputs", Names()), Context(inputs=inputs))
    assert (value, value is inputs) == ({"a": 1}, False)


def test_a_query_into_what_nests_very_deeply_ends():
    deep = {}
    for _ in range(20_000):
        deep = {"a": deep}
    value = evaluate(read_operand("$inputs.deep[*]..b", Names()), Context(inputs={"deep": deep}))
    assert isinstance(value, Missing)
    assert value.why == "`$inputs.deep[*]..b`: `$[*]` is an object and has no `b`"
    while deep:  # taken apart here: the interpreter would do it by recursion
        deep = deep.pop("a")


def test_an_array_that_nests_too_deeply_is_no_text():
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    value = evaluate(parse_template("a {$inputs.deep}"), Context(inputs={"deep": deep}))
    assert (value.why, value.unreadable) == ("`$inputs.deep`: the value nests too deeply to be written as text", True)
    while deep:  # taken apart here: the interpreter would do it by recursion
        deep = deep[0]


def test_a_template_of_text_only():
    assert evaluate(Template(("a", "b")), Context()) == "ab"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (1, "1"),
        (1.5, "1.5"),
        (True, "true"),
        (None, "null"),
        ([1, "a"], '[1,"a"]'),
        ({"a": "é"}, '{"a":"é"}'),
    ],
)
def test_text(value, text):
    assert to_text(value) == text


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "null"), (True, "a boolean"), (1, "a number"), (1.5, "a number"), ("", "an empty string"), ("a", "a string"),
        ([], "an empty array"), ([1], "an array of 1"), ({}, "an empty object"), ({"a": 1}, "an object"),
    ],
)  # fmt: skip
def test_kinds(value, words):
    assert kind(value) == words


def test_header_of_a_request_is_asked_for_once_by_its_name():
    context = Context()
    context.request = Said({"x-a": "1"})
    assert evaluate(parse("$request.header.X-A"), context) == "1"


def test_what_has_no_text():
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    for value, why in (
        (File("/a", "a"), "a file has no text"),
        ([File("/a", "a")], "a value with a file"),
        (deep, "nests"),
    ):
        with pytest.raises(ExpressionInvalid, match=why):
            to_text(value)
