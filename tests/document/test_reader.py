"""Texts to values, the places of values, and what is refused before anything is built."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader import cases
from treadle.document import reader
from treadle.errors import DocumentInvalid


@pytest.mark.parametrize("case", cases("document/reader.yaml"))
def test_values(case):
    value = reader.read(case["text"], "f.yaml").value
    assert json.dumps(value) == json.dumps(case["value"])  # tells 1 from 1.0 and true


@pytest.mark.parametrize("case", cases("document/refused.yaml"))
def test_refusals(case):
    with pytest.raises(DocumentInvalid) as refused:
        reader.read(case["text"], "f.yaml")
    assert [str(each).partition("\n")[0] for each in refused.value.diagnostics] == [
        f"f.yaml:{words.replace(' ', ': ', 1)}" for words in case["found"]
    ]


@pytest.mark.parametrize("case", cases("document/spans.yaml"))
def test_places(case):
    start, end = [*case.get("part", []), None][:2] if len(case.get("part", [])) == 1 else case.get("part", [0, None])
    span = reader.read(case["text"], "f.yaml").span(tuple(case["path"]), start, end, key=case.get("key", False))
    assert f"{span.line}:{span.column}-{span.end_line}:{span.end_column}" == case["span"]
    assert span.file == "f.yaml"


def test_places_come_in_any_order():
    reading = reader.read("a: 1\nb:\n  - c: 2\n", "f.yaml")
    places = [reading.span(path).line for path in [("b", 0, "c"), ("a",), ("b",), ("x",), ("b", 0, "c")]]
    assert places == [3, 1, 3, 1, 3]


def refusal(text: str) -> str:
    with pytest.raises(DocumentInvalid) as refused:
        reader.read(text, "f.yaml")
    assert refused.value.diagnostics[0].rule in ("document-limit", "text-too-large")
    return refused.value.message


def test_aliases_do_not_expand_without_bound():
    levels = "abcdefghij"
    bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{name}: &{name} [{','.join([f'*{below}'] * 10)}]\n" for below, name in pairwise(levels)
    )
    assert refusal(bomb) == "f.yaml is more than is read: alias expansion exceeds 16777216 bytes"


@pytest.mark.parametrize(
    "text",
    [
        "a: " + "[" * 300 + "]" * 300,
        "[" * 300 + "]" * 300,
        '{"a":' * 300 + "1" + "}" * 300,
        "[" * 100_000 + "]" * 100_000,
        "\n".join(" " * depth + "a:" for depth in range(300)),
    ],
    ids=["yaml-flow", "json-arrays", "json-objects", "json-very-deep", "yaml-block"],
)
def test_nesting_has_a_limit(text):
    assert "nesting" in refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        f"a: {'9' * 5_000}",
        f'{{"a": {"9" * 5_000}}}',
        f"a: [-{'9' * 5_000}]",
        f"? {'9' * 5_000}\n: a",
    ],
    ids=["yaml", "json", "negative", "key"],
)
def test_numbers_have_a_limit(text):
    assert refusal(text) == "f.yaml has a number of thousands of digits"


@pytest.mark.parametrize("written", ["9" * 4_000, "0x" + "f" * 3_500, "0o" + "7" * 4_000, "0x" + "f" * 5_000])
def test_every_number_that_is_read_can_be_written(written):
    json.dumps(reader.read(f"a: {written}\n? {written}\n: [-{written}]", "f.yaml").value)


def test_of_many_keys_that_stand_twice_some_are_told():
    for text in ("a: 1\n" * 1_000, '{"b": "\\ud83d\\ude00", ' + ", ".join(['"a": 1'] * 1_000) + "}"):
        with pytest.raises(DocumentInvalid) as refused:
            reader.read(text, "f.yaml")
        assert len(refused.value.diagnostics) == reader.MAX_DUPLICATES


def test_the_length_has_a_limit(monkeypatch):
    monkeypatch.setattr(reader, "MAX_TEXT", 10)
    assert refusal("a: 1234567890") == "f.yaml has 13 characters; the limit is 10"


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(st.dictionaries(st.text(), json_values), st.booleans())
def test_json_is_read_as_json(value, ascii_only):
    assert reader.read(json.dumps(value, ensure_ascii=ascii_only), "f.json").value == value


@given(st.text() | st.lists(st.sampled_from(list("a: -[]{}'\"|>&*!?#\n\t,1\\"))).map("".join))
def test_any_text_is_read_or_refused_and_every_place_is_known(text):
    try:
        reading = reader.read(text, "f.yaml")
    except DocumentInvalid as refused:
        assert refused.diagnostics  # noqa: PT017 - a refusal says where
        return
    todo = [((), reading.value)]
    while todo:
        path, value = todo.pop()
        assert reading.span(path).line >= 1
        assert reading.span(path, key=True).line >= 1
        if isinstance(value, str) and value:
            assert reading.span(path, len(value) - 1, len(value)).column >= 1
        inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        todo += [((*path, name), each) for name, each in inner]
