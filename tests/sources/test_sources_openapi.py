"""Descriptions: finding an operation, reading just that one, and saying what is missing."""

from __future__ import annotations

import msgspec
import pytest

from loader import cases
from treadle.errors import TreadleError
from treadle.sources.openapi import Description
from treadle.sources.operation import BodySpec, Operation, ParameterSpec
from treadle.sources.references import DocumentsMissing, Registry

URI = "https://docs.test/api/openapi.yaml"


def _find(case) -> Operation:
    uri = case.get("uri", URI)
    registry = Registry({uri: case["openapi"], **case.get("documents", {})})
    description = Description("api", uri, case["openapi"], registry)
    wanted = case["find"]
    return description.at_pointer(wanted[1:]) if wanted.startswith("#") else description.operation(wanted)


@pytest.mark.parametrize("case", cases("sources/operations.yaml"))
def test_an_operation(case):
    if "missing" in case:
        with pytest.raises(DocumentsMissing) as missing:
            _find(case)
        assert missing.value.uris == case["missing"]
        return
    if "refused" in case:
        with pytest.raises(TreadleError) as refused:
            _find(case)
        assert case["refused"] in refused.value.message
        if "hint" in case:
            assert (case["hint"] is None) == (refused.value.hint is None)
            assert case["hint"] is None or case["hint"] in (refused.value.hint or "")
        return
    found = msgspec.to_builtins(_find(case))
    wanted = dict(case["gives"])
    if "parameters" in wanted:
        specs = [msgspec.to_builtins(msgspec.convert(spec, ParameterSpec)) for spec in wanted["parameters"]]
        assert found["parameters"] == tuple(specs) or found["parameters"] == specs
        del wanted["parameters"]
    if isinstance(wanted.get("body"), dict):
        body = msgspec.convert(wanted.pop("body"), BodySpec)
        assert msgspec.json.encode(found["body"]) == msgspec.json.encode(body)
    assert {name: found[name] for name in wanted} == wanted


def test_header_names_are_case_insensitive_and_others_are_not():
    operation = Operation(
        "api", "GET", "/", "https://api.test", None, (ParameterSpec("X-Key", "header"), ParameterSpec("q", "query"))
    )
    assert operation.parameter("x-KEY", "header") == operation.parameters[0]
    assert operation.parameter("q", "query") == operation.parameters[1]
    assert operation.parameter("Q", "query") is None
    assert operation.parameter("q", "cookie") is None
