"""Whatever a description holds: an operation of it is read, or refused by an error of Treadle's own, and in bounded time."""

from __future__ import annotations

from copy import deepcopy
from urllib.parse import unquote

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loader import table
from treadle.errors import TreadleError
from treadle.sources.openapi import Description
from treadle.sources.operation import Operation
from treadle.sources.references import Registry

URI = "https://docs.test/api/openapi.yaml"
BASES = [
    case
    for name in ("operations", "swagger", "references", "servers")
    for case in table(f"sources/{name}.yaml")
    if isinstance(case["openapi"], dict)
]

texts = st.sampled_from([
    "", "x", "#", "#/", "#/paths", "#/components/pathItems/a", "#/paths/~1a", "#/paths/~1a/get", "#/~", "#anchor", "a.yaml", "b.yaml#/x",
    "openapi.yaml#/paths/~1a", "http://[", "//", "\ud800", "\0", "{", "{}", "{a}", "{a}{b}", "https://{a}.test", "query", "path", "body",
    "formData", "form", "multi", "tsv", "matrix", "2.0", "3.0.0", "3.1.0", "3.2.0", "application/json", "/a", "$ref", "%zz", "%ff", "é" * 300,
])  # fmt: skip
odd = st.one_of(
    texts,
    st.text(max_size=6),
    st.sampled_from([None, True, False, 0, -1, 1.5, 2.0, 10**400, [], {}, [[]], {"": None}, [None] * 3]),
    st.builds(lambda text: {"$ref": text}, texts),
    st.builds(lambda text: {"$id": text, "$ref": text, "$anchor": text}, texts),
    st.sampled_from([{"name": "q", "in": "query", "style": ["form"]}, {"name": [], "in": {}}, {"url": "{a}", "variables": {"a": []}}]),
)  # fmt: skip


def places(value, at=()):
    yield at
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(inner, (*at, key))


@st.composite
def changed(draw):
    """A case of the tables with a few things changed, in its description or in what that refers to."""
    case = deepcopy(draw(st.sampled_from(BASES)))
    whole = {"openapi": case["openapi"], "documents": case.get("documents", {})}
    for _ in range(draw(st.integers(1, 4))):
        # Where documents are is for the driver to say; what they hold, for anybody.
        candidates = [path for path in places(whole) if len(path) > (1 if path[:1] == ("openapi",) else 2)]
        if not candidates:
            break
        *above, key = draw(st.sampled_from(candidates))
        holder = whole
        for step in above:
            holder = holder[step]
        change = draw(st.sampled_from(["value", "value", "gone", "wrapped", "moved"]))
        if change == "gone":
            del holder[key]
        elif change == "wrapped":
            holder[key] = draw(st.sampled_from([[holder[key]], {"$ref": holder[key]}, {draw(texts): holder[key]}]))
        elif change == "moved" and isinstance(holder, dict):
            holder[draw(texts)] = deepcopy(holder[key])
        else:
            holder[key] = deepcopy(draw(odd))
    return {**case, **whole}


def _read(case) -> Operation | None:
    """All that can be asked of a description; what else is raised than a TreadleError is a fault."""
    uri = case.get("uri", URI)
    try:
        registry = Registry({uri: case["openapi"], **case["documents"]})
        description = Description("api", uri, case["openapi"], registry, {"a": "1"})
    except TreadleError as refused:
        assert refused.message  # noqa: PT017 - a refusal says why
        return None
    wanted = unquote(case["find"])
    asked = [
        lambda: description.at_pointer(wanted[1:]) if wanted.startswith("#") else description.operation(wanted),
        lambda: description.at_pointer("/paths/~1a/get"),
        description.operations,
        description.security_schemes,
        lambda: list(description.server_variables()),
        lambda: description.at_path("/a"),
        lambda: description.suggest(wanted),
    ]
    found = None
    for number, ask in enumerate(asked):
        try:
            answer = ask()
        except TreadleError as refused:
            assert refused.message  # noqa: PT017
        else:
            found = answer if number == 0 else found
    return found


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=400)
@given(changed())
def test_descriptions_with_anything_changed(case):
    operation = _read(case)
    if operation is not None:
        assert msgspec.convert(msgspec.to_builtins(operation), Operation) == operation


def _chain(length: int) -> dict:
    refs = {f"p{number}": {"$ref": f"#/components/parameters/p{number + 1}"} for number in range(length)}
    return {
        "openapi": "3.1.0",
        "paths": {"/a": {"get": {"operationId": "x", "parameters": [{"$ref": "#/components/parameters/p0"}]}}},
        "components": {"parameters": {**refs, f"p{length}": {"name": "q", "in": "query"}}},
    }


@pytest.mark.parametrize(("length", "read"), [(50, True), (5_000, False)])
def test_a_long_chain_of_references(length, read):
    operation = _read({"openapi": _chain(length), "documents": {}, "find": "x"})
    assert (operation is not None) is read


def test_deep_schemas_are_searched_for_anchors_without_recursion():
    schema: dict = {"$anchor": "deep", "content": {"text/plain": {}}}
    for _ in range(50_000):
        schema = {"items": schema}
    described = {
        "openapi": "3.1.0",
        "paths": {"/a": {"post": {"operationId": "x", "requestBody": {"$ref": "#deep"}}}},
        "components": {"schemas": {"S": schema}},
    }
    description = Description("api", URI, described, Registry({URI: described}))
    body = description.operation("x").body
    assert body is not None
    assert body.media_types == ("text/plain",)
    while schema:  # a value of this depth is taken apart by hand: to free it at once is what the interpreter cannot do
        schema = schema.pop("items", {})
