"""Laws of requests: what goes out comes back, no value moves anything around it, and RFC 6570 says the same."""

from __future__ import annotations

import json
import re
from itertools import product
from urllib.parse import parse_qsl, unquote, unquote_plus, urlsplit

import pytest
import uritemplate
from hypothesis import example, given
from hypothesis import strategies as st

from treadle.sources.operation import Operation, ParameterSpec, undeclared
from treadle.sources.request import Argument, RequestInvalid, build_request

SERVER = "https://api.test/v1"
STYLES = {
    "path": ("simple", "label", "matrix", "spaceDelimited", "pipeDelimited", "tabDelimited"),
    "query": ("form", "spaceDelimited", "pipeDelimited", "tabDelimited", "deepObject"),
    "header": ("simple", "spaceDelimited", "pipeDelimited", "tabDelimited"),
    "cookie": ("form", "cookie"),
}
SPECS = [
    ParameterSpec("color", location, required=False, style=style, explode=explode, allow_reserved=reserved)
    for location, styles in STYLES.items()
    for style, explode, reserved in product(styles, (False, True), (False, True))
]
TEMPLATES = {
    ("path", "simple", False): "{color}",
    ("path", "simple", True): "{color*}",
    ("path", "label", False): "{.color}",
    ("path", "label", True): "{.color*}",
    ("path", "matrix", False): "{;color}",
    ("path", "matrix", True): "{;color*}",
    ("query", "form", False): "{?color}",
    ("query", "form", True): "{?color*}",
}
"""The styles that are RFC 6570's, as its templates (OpenAPI 3.2 appendix C, "Equivalences Between Fields and RFC6570")."""
NASTY = st.text(st.sampled_from("a/?#[]@!$&'()*+,;=% .:|\t\r\n\"\\{}é雪\0"))
TEXT = st.text() | NASTY
SCALAR = TEXT | st.integers() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False)
VALUE = SCALAR | st.lists(st.none() | SCALAR) | st.dictionaries(TEXT, st.none() | SCALAR) | st.none()
ANY = VALUE | st.lists(VALUE, max_size=3) | st.dictionaries(TEXT, VALUE, max_size=3)


def built(spec: ParameterSpec, value: object, path: str | None = None):
    path = path or ("/x/{color}/y" if spec.location == "path" else "/x")
    return build_request(Operation("api", "GET", path, SERVER), SERVER, [Argument(spec, value)], None)


@pytest.mark.parametrize("place", TEMPLATES)
@given(value=NASTY | st.text(min_size=1) | st.lists(TEXT, min_size=1) | st.dictionaries(TEXT, TEXT, min_size=1))
def test_styles_are_those_of_rfc_6570(place, value):
    location, style, explode = place
    spec = ParameterSpec("color", location, required=False, style=style, explode=explode)
    if isinstance(value, dict):
        value = dict(sorted(value.items()))  # that library sorts the names
    try:
        request = built(spec, value, "/x{color}z" if location == "path" else "/x")
    except RequestInvalid:
        assert location == "path"
        return
    expanded = uritemplate.expand(TEMPLATES[place], {"color": value})
    if style == "matrix" and isinstance(value, dict | list) and explode:
        expanded = re.sub(r"(;[^;=]*)(?=;|$)", r"\1=", expanded)  # an empty item; OpenAPI does not speak of it
    written = request.url.removeprefix(f"{SERVER}/x")
    assert (written.removesuffix("z") if location == "path" else written) == expanded


@pytest.mark.parametrize(
    "spec", SPECS, ids=lambda spec: f"{spec.location} {spec.style} {spec.explode} {spec.allow_reserved}"
)
@given(value=ANY)
def test_no_value_changes_what_is_around_it(spec, value):
    try:
        request = built(spec, value)
    except RequestInvalid:
        return
    parts = urlsplit(request.url)
    assert request.url.isascii()
    assert not re.search(r"[\x00-\x20\x7f\"<>\\^`{|}]", request.url)
    assert parts.fragment == ""
    assert parts.path.count("/") == (4 if spec.location == "path" else 2)
    assert (parts.query != "") <= (spec.location == "query")
    assert len(request.headers) <= (spec.location in ("header", "cookie"))
    for name, text in request.headers:
        assert not re.search("[\x00-\x08\n-\x1f\x7f]", name + text)
    many = value if isinstance(value, dict | list) and (spec.explode or spec.style == "deepObject") else [value]
    if spec.location == "query" and parts.query:
        assert parts.query.count("&") < max(1, len(many))
    if spec.location == "cookie" and request.headers:
        assert request.headers[0][1].count(";") < max(1, len(many))


@given(st.text(min_size=1))
def test_a_path_value_stays_one_segment_and_comes_back(value):
    try:
        request = built(undeclared("color", "path"), value)
    except RequestInvalid:
        assert value in (".", "..")
        return
    path = urlsplit(request.url).path
    assert path.count("/") == 4
    assert unquote(path.split("/")[3]) == value


@pytest.mark.parametrize("style", ["simple", "label", "matrix"])
@given(value=st.lists(TEXT, min_size=1))
def test_items_of_a_path_come_back(style, value):
    spec = ParameterSpec("color", "path", required=True, style=style)
    try:
        written = urlsplit(built(spec, value).url).path.split("/")[3]
    except RequestInvalid:
        return
    text = {"simple": written, "label": written[1:], "matrix": written.removeprefix(";color=")}[style]
    assert [unquote(item) for item in text.split(",")] == value


@given(value=TEXT, name=st.text(min_size=1))
def test_a_query_value_stays_one_value_and_comes_back(value, name):
    request = built(undeclared(name, "query"), value)
    assert parse_qsl(urlsplit(request.url).query, keep_blank_values=True) == [(name, value)]


@given(st.lists(TEXT, min_size=1) | st.dictionaries(TEXT, TEXT, min_size=1))
def test_an_exploded_query_comes_back(value):
    request = built(undeclared("color", "query"), value)
    pairs = list(value.items()) if isinstance(value, dict) else [("color", item) for item in value]
    assert parse_qsl(urlsplit(request.url).query, keep_blank_values=True) == pairs


@given(st.dictionaries(st.text(st.characters(exclude_characters="]", exclude_categories=["Cs"])), TEXT, min_size=1))
def test_a_deep_object_comes_back(value):
    spec = ParameterSpec("color", "query", style="deepObject", explode=True)
    pairs = parse_qsl(urlsplit(built(spec, value).url).query, keep_blank_values=True)
    assert pairs == [(f"color[{name}]", text) for name, text in value.items()]


@pytest.mark.parametrize(
    ("style", "mark"), [("form", ","), ("spaceDelimited", " "), ("pipeDelimited", "|"), ("tabDelimited", "\t")]
)
@given(value=st.lists(TEXT, min_size=1))
def test_delimited_items_come_back(style, mark, value):
    spec = ParameterSpec("color", "query", style=style)
    try:
        query = urlsplit(built(spec, value).url).query
    except RequestInvalid:
        assert style != "form"
        assert any(mark in item for item in value)
        return
    name, _, text = query.partition("=")
    items = text.split(",") if style == "form" else unquote(text).split(mark)
    assert (name, [unquote_plus(item) if style == "form" else item for item in items]) == ("color", value)


@given(st.text())
@example("a=%20&b=%zz#%")
def test_a_whole_query_keeps_its_escapes_and_ends_nowhere_else(value):
    request = built(undeclared("q", "querystring"), value)
    parts = urlsplit(request.url)
    assert parts.fragment == ""
    assert request.url.isascii()
    assert unquote(parts.query) == unquote(re.sub("%(?![0-9A-Fa-f]{2})", "%25", value))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_a_whole_query_of_json_comes_back(value):
    spec = ParameterSpec("q", "querystring", required=True, media_type="application/json")
    request = built(spec, json.dumps(value))
    assert json.loads(unquote(urlsplit(request.url).query)) == value
