"""JSON Pointers: RFC 6901 by its own examples, and the laws that parse, dump, follow and replace keep."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treadle import pointer
from treadle.pointer import Step

# RFC 6901 section 5
DOCUMENT = {
    "foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, 'k"l': 6, " ": 7, "m~n": 8,
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", DOCUMENT), ("/foo", ["bar", "baz"]), ("/foo/0", "bar"), ("/", 0), ("/a~1b", 1), ("/c%d", 2), ("/e^f", 3),
        ("/g|h", 4), ("/i\\j", 5), ('/k"l', 6), ("/ ", 7), ("/m~0n", 8),
    ],
)  # fmt: skip
def test_the_examples_of_the_rfc(text, value):
    assert pointer.follow(DOCUMENT, pointer.parse(text)) == Step(value, ())
    assert pointer.dump(pointer.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", ()),
        ("/", ("",)),
        ("//", ("", "")),
        ("/a/", ("a", "")),
        ("/~01", ("~1",)),
        ("/~10", ("/0",)),
        ("/~0~1", ("~/",)),
    ],
)
def test_tokens(text, tokens):
    assert pointer.parse(text) == tokens


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a", "a JSON Pointer starts with '/', found 'a'"),
        ("#/a", "a JSON Pointer starts with '/', found '#/a'"),
        ("/a~", "'~' in a JSON Pointer is written '~0', found 'a~'"),
        ("/a/b~2", "'~' in a JSON Pointer is written '~0', found 'b~2'"),
        ("/~~01", "'~' in a JSON Pointer is written '~0', found '~~01'"),
    ],
)
def test_texts_that_are_no_pointer(text, message):
    with pytest.raises(ValueError, match="JSON Pointer") as refused:
        pointer.parse(text)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("tokens", "value", "rest"),
    [
        (("x", "y"), {"a": [1, [2]], "s": "text"}, ("x", "y")),
        (("a", "2"), [1, [2]], ("2",)),
        (("a", "-"), [1, [2]], ("-",)),
        (("a", "00"), [1, [2]], ("00",)),
        (("a", "01"), [1, [2]], ("01",)),
        (("a", "-1"), [1, [2]], ("-1",)),
        (("a", ""), [1, [2]], ("",)),
        (("a", "\u0660"), [1, [2]], ("\u0660",)),
        (("a", "9" * 5_000), [1, [2]], ("9" * 5_000,)),
        (("a", "0", "z"), 1, ("z",)),
        (("s", "0"), "text", ("0",)),
    ],
)
def test_it_says_how_far_it_led(tokens, value, rest):
    assert pointer.follow({"a": [1, [2]], "s": "text"}, tokens) == Step(value, rest)


def test_arrays_may_be_tuples():
    assert pointer.follow(({"a": (1, 2)},), ("0", "a", "1")) == Step(2, ())
    assert pointer.replace((1, 2), ("0",), 3) == [3, 2]


@pytest.mark.parametrize(
    ("tokens", "result"),
    [
        ((), "new"),
        (("a",), {"a": "new", "o": {"b": 1}}),
        (("n",), {"a": [1, 2], "o": {"b": 1}, "n": "new"}),
        (("a", "1"), {"a": [1, "new"], "o": {"b": 1}}),
        (("a", "-"), {"a": [1, 2, "new"], "o": {"b": 1}}),
        (("o", "b"), {"a": [1, 2], "o": {"b": "new"}}),
        (("o", "c"), {"a": [1, 2], "o": {"b": 1, "c": "new"}}),
    ],
)
def test_replace(tokens, result):
    assert pointer.replace({"a": [1, 2], "o": {"b": 1}}, tokens, "new") == result


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (("x", "y"), "there is no 'x' to go into"),
        (("a", "2"), "an array of 2 has no item '2'"),
        (("a", "-", "x"), "an array of 2 has no item '-'"),
        (("a", "b"), "an array of 2 has no item 'b'"),
        (("a", "0", "b"), "'b' names a member, but what is there is no object or array"),
    ],
)
def test_replace_refuses(tokens, message):
    with pytest.raises(LookupError) as refused:
        pointer.replace({"a": [1, 2]}, tokens, "new")
    assert str(refused.value) == message


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab/~0-", max_size=2), inner, max_size=3),
)


def places(value, at=()):
    yield at
    for name, inner in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield from places(inner, (*at, str(name)))


@given(st.lists(st.text()).map(tuple))
def test_what_is_written_reads_the_same(tokens):
    assert pointer.parse(pointer.dump(tokens)) == tokens


@given(st.text())
def test_any_text_is_a_pointer_or_a_value_error(text):
    try:
        tokens = pointer.parse(text)
    except ValueError:
        return
    assert pointer.dump(tokens) == text


@given(values, st.data())
def test_what_was_set_is_there_and_nothing_else_changed(value, data):
    at = data.draw(st.sampled_from(list(places(value))))
    before = copy.deepcopy(value)
    changed = pointer.replace(value, at, "new")
    assert value == before
    assert pointer.follow(changed, at) == Step("new", ())
    for other in places(value):
        if other[: len(at)] != at and at[: len(other)] != other:
            assert pointer.follow(changed, other) == pointer.follow(value, other)


@given(values, st.lists(st.text("ab/~01-", max_size=2)).map(tuple))
def test_following_never_raises(value, tokens):
    reached = pointer.follow(value, tokens)
    walked = tokens[: len(tokens) - len(reached.rest)]
    assert pointer.follow(value, walked) == Step(reached.value, ())
