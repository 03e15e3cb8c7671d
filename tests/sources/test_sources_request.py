"""Operation and arguments to request: the style tables of OpenAPI, encoding, and what is refused."""

from __future__ import annotations

import json
import re
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loader import cases
from treadle.sources.operation import DEFAULT_STYLES, Operation, ParameterSpec, query_conflict, undeclared
from treadle.sources.request import Argument, RequestInvalid, build_request

SERVER = "https://api.test/v1"
VALUES = {
    "empty": "",
    "string": "blue",
    "array": ["blue", "black", "brown"],
    "object": {"R": 100, "G": 200, "B": 150},
}


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("case", cases("sources/styles.yaml") + cases("sources/collections.yaml"))
def test_style_examples_of_the_specification(case, kind):
    if kind not in case:
        return  # n/a in the table, and not refused either
    location = case["in"]
    path = "/x{color}" if location == "path" else "/x"
    spec = ParameterSpec("color", location, location == "path", case["style"], case["explode"])
    arguments = [Argument(spec, VALUES[kind])]
    operation = Operation("api", "GET", path, SERVER)
    if case[kind] is None:
        with pytest.raises(RequestInvalid):
            build_request(operation, SERVER, arguments, None)
        return
    request = build_request(operation, SERVER, arguments, None)
    written = {
        "path": request.url.removeprefix(f"{SERVER}/x"),
        "query": request.url.removeprefix(f"{SERVER}/x?"),
        "header": dict(request.headers).get("color"),
        "cookie": dict(request.headers).get("Cookie"),
    }
    assert written[location] == case[kind]


def _argument(written):
    location = written["in"]
    if location == "querystring":
        content = written.get("content", undeclared("q", location).media_type)
        return Argument(
            ParameterSpec(written["name"], location, written.get("required", False), media_type=content),
            written["value"],
        )
    style = written.get("style", DEFAULT_STYLES[location])
    spec = ParameterSpec(
        written["name"],
        location,
        written.get("required", location == "path"),
        style,
        written.get("explode", style in ("form", "cookie")),
        written.get("allowReserved", False),
        written.get("content"),
    )
    return Argument(spec, written["value"])


@pytest.mark.parametrize("case", cases("sources/requests.yaml"))
def test_a_request(case):
    operation = Operation("api", case.get("method", "GET"), case.get("path", "/x"), SERVER)
    arguments = [_argument(written) for written in case.get("parameters", [])]
    server = case.get("server", SERVER)
    if "refused" in case:
        with pytest.raises(RequestInvalid) as raised:
            build_request(operation, server, arguments, case.get("contentType"), case.get("payload"))
        assert case["refused"] in raised.value.message
        return
    request = build_request(operation, server, arguments, case.get("contentType"), case.get("payload"))
    assert request.method == operation.method
    assert request.url == SERVER + case["url"]
    if "headers" in case:
        assert dict(request.headers) == case["headers"]
    assert request.body == (case["body"].encode() if "body" in case else None)


@given(st.text(min_size=1))
def test_a_path_value_stays_one_segment_and_comes_back(value):
    operation = Operation("api", "GET", "/x/{p}/y", SERVER)
    try:
        request = build_request(operation, SERVER, [Argument(undeclared("p", "path"), value)], None)
    except RequestInvalid:
        assert value in (".", "..")
        return
    path = urlsplit(request.url).path
    assert path.count("/") == 4
    assert unquote(path.split("/")[3]) == value


@given(st.text(), st.text(min_size=1))
def test_a_query_value_stays_one_value_and_comes_back(value, name):
    operation = Operation("api", "GET", "/x", SERVER)
    request = build_request(operation, SERVER, [Argument(undeclared(name, "query"), value)], None)
    query = urlsplit(request.url).query
    assert query.count("=") == 1
    assert "&" not in query
    assert [unquote(part) for part in query.split("=")] == [name, value]


@given(st.text())
def test_a_header_value_never_ends_its_line(value):
    operation = Operation("api", "GET", "/x", SERVER)
    try:
        request = build_request(operation, SERVER, [Argument(undeclared("X-A", "header"), value)], None)
    except RequestInvalid:
        return
    assert not set("\r\n\0") & set(request.headers[0][1])


@given(st.text())
@example("a=%20&b=%zz#%")
def test_a_whole_query_keeps_its_escapes_and_ends_nowhere_else(value):
    operation = Operation("api", "GET", "/x", SERVER)
    request = build_request(operation, SERVER, [Argument(undeclared("q", "querystring"), value)], None)
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
    operation = Operation("api", "GET", "/x", SERVER)
    spec = ParameterSpec("q", "querystring", required=True, media_type="application/json")
    written = json.dumps(value)
    request = build_request(operation, SERVER, [Argument(spec, written)], None)
    assert json.loads(unquote(urlsplit(request.url).query)) == value


QUERY, WHOLE, PATH = undeclared("a", "query"), undeclared("q", "querystring"), undeclared("p", "path")


@pytest.mark.parametrize(
    ("specs", "problem"),
    [
        ([], None),
        ([QUERY, QUERY, PATH], None),
        ([WHOLE, PATH], None),
        ([QUERY, WHOLE], "'q' is the whole query, so there is no place in it for 'a'"),
        ([WHOLE, WHOLE], "'q' and 'q' are both the whole query"),
    ],
)
def test_what_goes_into_one_query(specs, problem):
    assert query_conflict(specs) == problem
