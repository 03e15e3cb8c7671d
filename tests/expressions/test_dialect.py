"""Values as real documents write them: the lenient readings, their findings, and what stays refused."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from worlds import tree

from loader import cases, table
from treadle.document.dialects import DIALECTS
from treadle.errors import ExpressionInvalid
from treadle.expressions import condition
from treadle.expressions.criteria import CRITERIA, compile_criterion
from treadle.expressions.dialect import Names, declared_names, read_operand, read_steps, read_value
from treadle.expressions.syntax import Navigation, Template, dump, parse, parse_template

LITERAL = Names(
    frozenset({"page[size]", "page", "first name", "$filter"}),
    {"s": frozenset({"my list", "my"}), "my step": frozenset({"y"}), "v1.0": frozenset({"y"})},
    {("w", "outputs"): frozenset({"my data"})},
)
NAMES = Names(
    frozenset({"token", "user", "items", "a.b"}),
    {"s": frozenset({"y", "list"})},
    {("w", "inputs"): frozenset({"user"}), ("w", "outputs"): frozenset({"y", "data"})},
    frozenset({"child"}),
)


@pytest.mark.parametrize("case", cases("expressions/values.yaml"))
def test_values(case):
    findings = []
    names = LITERAL if case.get("literal_names") else NAMES
    if "refused" in case:
        with pytest.raises(ExpressionInvalid) as refused:
            read_value(case["text"], names, findings)
        assert refused.value.message == case["refused"]
        assert refused.value.start == case.get("at", refused.value.start)
        assert refused.value.hint == case.get("hint", refused.value.hint)
        return
    value = read_value(case["text"], names, findings)
    written = [f"{it.rule} {it.start}-{it.end} {it.correct}" for it in findings]
    assert written == ([case["finding"]] if "finding" in case else [])
    if "literal" in case:
        assert value == case["text"]
    elif "node" in case:
        assert (dump(value), value.start, value.end) == (case["node"], 0, len(case["text"]))
        if not {" ", "<"} & set(case["text"]):  # in a condition a name ends there, declared or not
            condition.parse(f"{case['text']} == 1", names, in_condition := [])
            assert in_condition == findings
    elif "parts" in case:
        assert isinstance(value, Template)
        parts = [
            part if isinstance(part, str) else {"expr": case["text"][part.start : part.end]} for part in value.parts
        ]
        assert parts == case["parts"]
    elif "base" in case:
        assert isinstance(value, Navigation)
        assert tree(value.base) == tree(parse(case["base"]))
        assert (list(value.steps), value.query) == (case.get("steps", []), case.get("query", ""))
        braces = case["text"].startswith("{")
        assert (value.start, value.end) == (braces, len(case["text"]) - braces)
    else:
        assert tree(value) == tree(parse(case["whole"]))


@pytest.mark.parametrize("case", [case for case in cases("expressions/values.yaml") if "base" in case.values[0]])
def test_the_same_navigation_in_a_condition_is_no_dialect(case):
    findings = []
    text = case["text"].strip("{}")
    node = read_operand(text, NAMES, findings)
    condition.parse(f"{text} == 1", NAMES, in_condition := [])
    assert (tree(node.base), list(node.steps)) == (tree(parse(case["base"])), case.get("steps", []))
    assert findings == in_condition
    assert [it.rule for it in findings] == [it for it in [case["finding"].split()[0]] if it != "dot-navigation"]


@pytest.mark.parametrize("case", [case for case in cases("expressions/values.yaml") if "finding" in case.values[0]])
def test_the_correct_form_is_no_dialect(case):
    correct = case["finding"].partition("write `")[2].partition("`")[0]
    findings = []
    read_value(correct, NAMES, findings)
    assert findings == []


@pytest.mark.parametrize("case", cases("expressions/values.yaml"))
def test_every_place_is_in_the_text(case):
    findings = []
    try:
        value = read_value(case["text"], LITERAL if case.get("literal_names") else NAMES, findings)
    except ExpressionInvalid as refused:
        places = [refused]
    else:
        parts = value.parts if isinstance(value, Template) else [value]
        nodes = [part for part in parts if not isinstance(part, str)]
        places = [*findings, *nodes, *(node.base for node in nodes if isinstance(node, Navigation))]
    assert all(0 <= place.start <= place.end <= len(case["text"]) for place in places)


def test_every_finding_has_a_rule_that_is_described():
    tables = [table("expressions/values.yaml"), table("expressions/conditions.yaml")]
    rules = {case["finding"].split()[0] for case in tables[0] if "finding" in case}
    rules |= {finding["rule"] for case in tables[1] for finding in case.get("findings", [])}
    assert rules <= set(DIALECTS)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("", ()), (".a", ("a",)), ("[0]", (0,)), ("[-1]", (-1,)), (".a[0].b", ("a", 0, "b")), ("['a b']", ("a b",)),
        ('[ "x" ]', ("x",)), (".0", ("0",)), (".$ref", ("$ref",)), ("a", None), (".", None), ("..a", None), (".a b", None),
        ("[]", None), ("[*]", None), ("[a]", None), ("[0", None), (".é", None), ("[" + "9" * 5_000 + "]", None),
    ],
)  # fmt: skip
def test_the_way_into_a_value(text, steps):
    assert read_steps(text) == steps


def test_names_are_known_where_they_are_declared():
    assert declared_names(parse("$inputs.x"), NAMES) == {"token", "user", "items", "a.b"}
    assert declared_names(parse("$steps.s.outputs.x"), NAMES) == {"y", "list"}
    assert declared_names(parse("$steps.t.outputs.x"), NAMES) is None
    assert declared_names(parse("$workflows.w.outputs.x"), NAMES) == {"y", "data"}
    assert declared_names(parse("$outputs.x"), NAMES) == {"child"}
    assert declared_names(parse("$url"), NAMES) is None
    for text in ("$inputs.x", "$steps.s.outputs.x", "$workflows.w.inputs.x", "$outputs.x"):
        assert declared_names(parse(text), Names()) is None


# Texts that look like the language: its own words in any order.
words = st.sampled_from([
    "$", "$inputs", "$steps", "$response", "$url", "$workflows", ".", "outputs", "body", "header", "a", "s", "token", "#", "/",
    "~", "~0", "{", "}", "{$", "[", "]", "[0]", "['", "'", '"', "\\", "==", "!=", "=", "!", "<", "&&", "||", "(", ")", " ", "null",
    "1", "-", "1e5", "٣", "é", "length", "@", "?", "*", ",", ":", "$body", "headers", "{$inputs.a}", "$workflows.w", "y", "[]", "[*]",
    "_", "'{$", "(?",
])  # fmt: skip
language = st.lists(words, max_size=12).map("".join) | st.text()


@settings(deadline=None)  # the first XPath imports its libraries
@given(language)
@example("$inputs.a[" + "9" * 5_000 + "]")
@example("$request.query.a\\")
def test_any_text_is_read_or_refused_and_nothing_else(text):
    for read in (
        parse,
        parse_template,
        lambda text: read_value(text, NAMES, []),
        lambda text: read_value(text, Names(), []),
        lambda text: read_operand(text, NAMES),
        lambda text: condition.parse(text, NAMES, []),
        lambda text: condition.parse(text, NAMES, [], rooted=True),
        *(lambda text, kind=kind: compile_criterion(kind, "", text, None, NAMES, []) for kind in CRITERIA),
    ):
        try:
            read(text)
        except ExpressionInvalid as refused:
            assert 0 <= refused.start <= len(text)  # noqa: PT017 - a refusal points into the text
            assert refused.end is None or refused.start <= refused.end <= len(text)  # noqa: PT017
