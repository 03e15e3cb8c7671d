"""Runtime expressions: what the grammar of Arazzo 1.1.0 allows, the tree it gives, and where it refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import tree

from loader import cases
from treadle.errors import ExpressionInvalid
from treadle.expressions import syntax
from treadle.expressions.syntax import Template, dump, parse, parse_prefix, parse_template


@pytest.mark.parametrize("case", cases("expressions/accept.yaml"))
def test_the_grammar_allows(case):
    node = parse(case["text"])
    assert tree(node) == case["tree"]
    assert (node.start, node.end) == (0, len(case["text"]))


@pytest.mark.parametrize("case", cases("expressions/reject.yaml"))
def test_the_grammar_refuses(case):
    with pytest.raises(ExpressionInvalid) as refused:
        parse(case["text"])
    assert (refused.value.start, refused.value.message) == (case["at"], case["message"])
    if "hint" in case:
        assert refused.value.hint == case["hint"]


@pytest.mark.parametrize("case", cases("expressions/template.yaml"))
def test_expression_strings(case):
    text = case["text"]
    if "refused" in case:
        with pytest.raises(ExpressionInvalid) as refused:
            parse_template(text)
        assert (refused.value.message, refused.value.start) == (case["refused"], case["at"])
        return
    read = parse_template(text)
    if "whole" in case:
        assert tree(read) == tree(parse(case["whole"]))
    elif "literal" in case:
        assert read == text
    else:
        assert isinstance(read, Template)
        parts = [part if isinstance(part, str) else {"expr": text[part.start : part.end]} for part in read.parts]
        assert parts == case["parts"]


def test_an_unknown_root_names_the_known_ones():
    with pytest.raises(ExpressionInvalid) as refused:
        parse("$body.score")
    for root in syntax.ROOTS:
        assert root in refused.value.hint


def test_a_prefix_ends_where_the_grammar_ends():
    node = parse_prefix("to $inputs.a!", 3)
    assert (tree(node), node.start, node.end) == ({"type": "InputReference", "name": "a"}, 3, 12)


@pytest.mark.parametrize("case", cases("expressions/operands.yaml"))
def test_an_operand_is_written_as_it_can_be_read(case):
    base = parse(case["base"])
    written = dump(syntax.Navigation(base, tuple(case["steps"])))
    assert written == case["text"]


strict = st.text(sorted(syntax.IDENTIFIER_STRICT), min_size=1)
identifier = st.text(sorted(syntax.IDENTIFIER), min_size=1)
token = st.text(sorted(syntax.TOKEN), min_size=1)
character = st.characters(min_codepoint=0x20, exclude_characters='"\\{}', exclude_categories=["Cs"])
escaped = st.sampled_from(["\\" + letter for letter in '"\\/bfnrt'] + ["\\u00e9", "\\uFFFF"])
name = st.lists(character | escaped).map("".join)
pointer = st.lists(st.text(st.characters(exclude_characters="{}", exclude_categories=["Cs"]))).map(tuple)
message = st.sampled_from(["request", "response", "message"])
expression = st.one_of(
    st.sampled_from([syntax.Url(), syntax.Method(), syntax.StatusCode(), syntax.SelfUri()]),
    st.builds(syntax.MessagePart, message, st.just("header"), token),
    st.builds(syntax.MessagePart, message, st.sampled_from(["query", "path"]), name),
    st.builds(syntax.MessagePart, message, st.sampled_from(["body", "payload"]), st.just(""), pointer),
    st.builds(syntax.InputReference, identifier, pointer),
    st.builds(syntax.OutputReference, identifier, pointer),
    st.builds(syntax.StepReference, strict, identifier, pointer),
    st.builds(syntax.WorkflowReference, strict, st.sampled_from(["inputs", "outputs"]), identifier, pointer),
    st.builds(syntax.SourceReference, strict, name.filter(bool)),
    st.builds(
        syntax.ComponentReference, st.sampled_from(["parameters", "successActions", "failureActions"]), identifier
    ),
)


@given(expression)
def test_what_is_written_reads_as_the_same_tree(node):
    read = parse(dump(node))
    assert tree(read) == tree(node)
    assert (read.start, read.end) == (0, len(dump(node)))


@given(expression, st.text(st.characters(exclude_characters="{}", exclude_categories=["Cs"]), min_size=1))
def test_in_braces_it_is_the_same_expression(node, text):
    assert tree(parse_template("{" + dump(node) + "}")) == tree(node)
    embedded = parse_template(text + "{" + dump(node) + "}" + text)
    assert [part if isinstance(part, str) else tree(part) for part in embedded.parts] == [text, tree(node), text]
