"""Schemas of inputs that stand alone: what references reach, what is refused, and that nothing hostile has no end."""

from __future__ import annotations

from copy import deepcopy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loader import cases
from treadle.engine import schema as schemas
from treadle.engine.inputs import check_schema, properties, validated
from treadle.engine.schema import SchemaInvalid, linked_schema
from treadle.errors import InputsInvalid


def document(case):
    workflows = [{"workflowId": "w", "inputs": case["inputs"]}]
    workflows += [
        {"workflowId": f"v{number}", "inputs": inputs} for number, inputs in enumerate(case.get("others", []))
    ]
    own = {"$self": case["self"]} if "self" in case else {}
    info = {"title": "t"}
    return {**own, "info": info, "workflows": workflows, "components": {"inputs": case.get("components", {})}}


@pytest.mark.parametrize("case", cases("engine/schemas.yaml"))
def test_links(case):
    whole = document(case)
    inputs = whole["workflows"][0]["inputs"]
    if "refused" in case:
        with pytest.raises(SchemaInvalid) as refused:
            linked_schema(inputs, whole)
        assert refused.value.problems == case["refused"]
        assert refused.value.message == case["refused"][0]
        assert refused.value.at == tuple(case["at"])
        return
    linked = linked_schema(inputs, whole)
    assert linked == case["gives"]
    if isinstance(linked, dict) and "left to the check" not in case["id"]:
        check_schema(linked)


def test_a_schema_that_is_linked_is_linked_already():
    for case in cases("engine/schemas.yaml"):
        case = case.values[0]  # noqa: PLW2901 - the case of the parameter
        if isinstance(case.get("gives"), dict):
            again = linked_schema(case["gives"], {})
            assert validated_alike(case["gives"], again)


def validated_alike(one, other) -> bool:
    results = []
    for each in (one, other):
        try:
            results.append(validated(each, {"a": 1, "page": "x"}, "w"))
        except InputsInvalid as refused:
            results.append(sorted(refused.problems))
    return results[0] == results[1]


def test_a_schema_of_no_document_stands_for_itself():
    schema = {"properties": {"a": {"$ref": "#/$defs/a"}, "b": {"$ref": "#b"}}, "$defs": {"a": {"$anchor": "b"}}}
    for whole in (None, [], {}, {"workflows": 5, "components": 5}, {"workflows": [5, {"inputs": 5}]}):
        assert linked_schema(schema, whole)["properties"] == {
            "a": {"$ref": "#/$defs/b.1"},
            "b": {"$ref": "#/$defs/b.1"},
        }


def chain(length, **more):
    """A schema of parts that lead each to the next one."""
    parts = {f"a{number}": {"$ref": f"#/$defs/a{number + 1}", **more} for number in range(length)}
    return {
        "$ref": "#/$defs/a0",
        "$defs": {**parts, f"a{length}": {"type": "object", "properties": {"x": {"default": 1}}}},
    }


def doubling(length, keyword):
    parts = {f"a{n}": {keyword: [{"$ref": f"#/$defs/a{n + 1}"}, {"$ref": f"#/$defs/a{n + 1}"}]} for n in range(length)}
    return {"$ref": "#/$defs/a0", "$defs": {**parts, f"a{length}": {"type": "object"}}}


def test_long_chains_are_followed():
    linked = linked_schema(chain(2_000), {})
    assert properties(linked, linked) == {"x": {"default": 1}}
    assert validated(linked, {}, "w") == ({"x": 1}, [])


@pytest.mark.parametrize("keyword", ["allOf", "anyOf", "oneOf"])
def test_what_unfolds_without_end_is_refused(keyword):
    with pytest.raises(SchemaInvalid, match="unfolds to more than 10,000 parts"):
        linked_schema(doubling(40, keyword), {})
    linked_schema(doubling(8, keyword), {})


@pytest.mark.parametrize("keyword", ["allOf", "anyOf", "oneOf"])
def test_what_a_schema_declares_is_found_however_it_is_folded(keyword):
    schema = doubling(40, keyword)
    schema["$defs"]["a40"]["properties"] = {"x": {}}
    assert properties(schema, schema) == {"x": {}}


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$dynamicRef": "#"},
        {"allOf": [{"$ref": "#"}, {"$ref": "#"}]},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
        {"properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"not": {"$ref": "#/$defs/a"}}}},
        {"if": {"$ref": "#"}, "then": {"$ref": "#"}, "else": {"$ref": "#"}},
    ],
    ids=["itself", "dynamic", "all", "two", "below", "if"],
)
def test_circles_are_refused(schema):
    with pytest.raises(SchemaInvalid, match="refers to itself without end"):
        linked_schema(schema, {})


def test_circles_by_way_of_parts_end():
    schema = {"properties": {"a": {"$ref": "#"}}, "additionalProperties": {"$ref": "#"}, "items": {"$ref": "#"}}
    linked = linked_schema(schema, {})
    assert list(properties(linked, linked)) == ["a"]
    assert validated(linked, {"a": {"a": {}}}, "w") == ({"a": {"a": {}}}, [])


def test_what_takes_too_long_to_check_is_refused():
    twice = [{"properties": {"x": {"$ref": "#/$defs/a"}}}] * 2
    schema = linked_schema({"$ref": "#/$defs/a", "$defs": {"a": {"allOf": deepcopy(twice)}}}, {})
    value = {}
    for _ in range(40):
        value = {"x": value}
    with pytest.raises(InputsInvalid, match="take too long to check"):
        validated(schema, value, "w")
    assert validated(schema, {"x": {"x": {"x": 1}}}, "w")[1] == []


def test_a_reference_that_leads_nowhere_declares_nothing():
    for reference in ("#/none", "#/a~2", "#none", "other.yaml", 5):
        schema = {"$ref": reference, "properties": {"a": {}}}
        assert properties(schema, schema) == {"a": {}}


def test_the_number_of_parts_has_a_limit(monkeypatch):
    monkeypatch.setattr(schemas, "MAX_PARTS", 10)
    with pytest.raises(SchemaInvalid, match="has more than 10 parts"):
        linked_schema({"properties": {f"a{number}": {} for number in range(20)}}, {})


def test_defaults_have_an_end():
    levels = {
        f"a{n}": {"properties": {k: {"default": {}, "$ref": f"#/$defs/a{n + 1}"} for k in "xy"}} for n in range(30)
    }
    schema = {"$ref": "#/$defs/a0", "$defs": {**levels, "a30": {}}}
    with pytest.raises(InputsInvalid, match="the defaults of the schema have no end"):
        validated(linked_schema(schema, {}), {}, "w")
    large = {"properties": {f"a{number}": {"default": "x" * 1_000_000} for number in range(20)}}
    with pytest.raises(InputsInvalid, match="the defaults of the schema have no end"):
        validated(large, {}, "w")


def test_a_schema_that_nests_too_deeply_is_refused():
    schema = {}
    for _ in range(20_000):
        schema = {"items": schema}
    linked = linked_schema(schema, {})
    with pytest.raises(InputsInvalid, match="nests too deeply"):
        check_schema(linked)
    for each in (schema, linked):  # taken apart here: the interpreter would do it by recursion
        while each:
            each = each.pop("items")  # noqa: PLW2901


references = st.sampled_from(
    ["#", "#/$defs/a", "#/$defs/b", "#a", "#b", "x", "#/", "#/properties", "x#/a", "#/components/inputs/c", ""]
)
keywords = st.sampled_from([
    "properties", "$defs", "allOf", "anyOf", "items", "prefixItems", "not", "if", "additionalProperties", "dependentSchemas",
])  # fmt: skip
names = st.sampled_from(["a", "b", "c", "$ref", "default", ""])
plain = st.sampled_from([True, False, None, 5, "a", [], {}, {"$ref": "#/$defs/a"}])
schema_values = st.recursive(
    plain,
    lambda inner: st.dictionaries(
        keywords | st.sampled_from(["$ref", "$anchor", "$id", "default", "type", "enum", "format"]),
        inner | references | st.dictionaries(names, inner, max_size=3) | st.lists(inner, max_size=3),
        max_size=4,
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(schema_values, schema_values, st.dictionaries(names, plain, max_size=3))
def test_any_schema_is_linked_or_refused(schema, component, inputs):
    whole = {"workflows": [{"inputs": schema}], "components": {"inputs": {"c": component}}}
    try:
        linked = linked_schema(schema, whole)
        properties(linked, linked)
        check_schema(linked)
        filled, _ = validated(linked, inputs, "w")
    except InputsInvalid:
        return
    assert filled.keys() >= inputs.keys()
