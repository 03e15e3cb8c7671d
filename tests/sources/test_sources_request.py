"""Operation and arguments to request: the style tables of OpenAPI, encoding, and what is refused."""

from __future__ import annotations

import pytest

from arguments import argument
from loader import cases
from treadle.files import File
from treadle.sources.operation import Operation, ParameterSpec, query_conflict, undeclared
from treadle.sources.request import Argument, RequestInvalid, build_request

SERVER = "https://api.test/v1"
VALUES = {
    "undefined": None,
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
    types = ("string", "array", "object", "null") if kind == "undefined" else ()
    required = location == "path" or kind == "undefined"
    spec = ParameterSpec("color", location, required, case["style"], case["explode"], types=types)
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


def test_a_file_in_a_list_has_no_text():
    spec = ParameterSpec("q", "query")
    operation = Operation("api", "GET", "/x", SERVER)
    file = File("/files/a", "a")
    assert repr(file) == "<File /files/a>"
    for value in ([file], [[file]]):
        with pytest.raises(RequestInvalid, match="has no form as text"):
            build_request(operation, SERVER, [Argument(spec, value)], None)


@pytest.mark.parametrize("case", cases("sources/requests.yaml"))
def test_a_request(case):
    operation = Operation("api", case.get("method", "GET"), case.get("path", "/x"), SERVER)
    arguments = [argument(written) for written in case.get("parameters", [])]
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
