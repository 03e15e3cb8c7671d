"""Descriptions: finding an operation, reading just that one, and saying what is missing."""

from __future__ import annotations

from urllib.parse import unquote

import msgspec
import pytest

from loader import cases
from treadle.errors import TreadleError
from treadle.pointer import dump
from treadle.sources.openapi import Description
from treadle.sources.operation import BodySpec, Operation, ParameterSpec
from treadle.sources.references import DocumentsMissing, Registry

URI = "https://docs.test/api/openapi.yaml"


def _description(case) -> Description:
    uri = case.get("uri", URI)
    registry = Registry({uri: case["openapi"], **case.get("documents", {})})
    return Description("api", uri, case["openapi"], registry, case.get("variables"))


def _find(case) -> Operation:
    description = _description(case)
    wanted = case["find"]
    if wanted.startswith("#"):
        return description.at_pointer(unquote(wanted[1:]))
    return description.operation(wanted)


TABLES = [case for name in ("operations", "swagger", "references", "servers") for case in cases(f"sources/{name}.yaml")]


@pytest.mark.parametrize("case", TABLES)
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
    wanted = dict(case.get("gives", {}))
    if "security" in case:
        assert _description(case).security_schemes() == case["security"]
    if "parameters" in wanted:
        for spec, parameter in zip(wanted.pop("parameters"), found["parameters"], strict=True):
            # What its schema says of values is told where a case asks for it.
            said = {name: parameter[name] for name in ("types", "items", "has_default") if name not in spec}
            assert parameter == msgspec.to_builtins(msgspec.convert({**said, **spec}, ParameterSpec))
    if isinstance(wanted.get("body"), dict):
        media = {} if "media" in wanted["body"] else {"media": found["body"]["media"]}
        body = msgspec.convert({**wanted.pop("body"), **media}, BodySpec)
        assert msgspec.json.encode(found["body"]) == msgspec.json.encode(body)
    assert {name: found[name] for name in wanted} == wanted


@pytest.mark.parametrize("case", [case for case in TABLES if "gives" in case.values[0]])
def test_an_operation_is_the_same_by_its_id_and_by_its_place(case):
    found = _find(case)
    if found.operation_id is not None:
        description = _description(case)
        (located,) = [one for one in description.at_path(found.path) if one.operation_id == found.operation_id]
        assert description.at_pointer(dump(located.tokens)) == description.operation(found.operation_id) == found


def test_header_names_are_case_insensitive_and_others_are_not():
    operation = Operation(
        "api", "GET", "/", "https://api.test", None, (ParameterSpec("X-Key", "header"), ParameterSpec("q", "query"))
    )
    assert operation.parameter("x-KEY", "header") == operation.parameters[0]
    assert operation.parameter("q", "query") == operation.parameters[1]
    assert operation.parameter("Q", "query") is None
    assert operation.parameter("q", "cookie") is None
