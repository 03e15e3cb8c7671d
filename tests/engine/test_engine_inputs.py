"""Inputs against their schema."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from loader import cases
from treadle.engine.inputs import Text, validated
from treadle.errors import InputsInvalid


@pytest.mark.parametrize("case", cases("engine/inputs.yaml"))
def test_inputs(case):
    inputs = {**case.get("inputs", {}), **{name: Text(value) for name, value in case.get("text", {}).items()}}
    if "refused" in case:
        with pytest.raises(InputsInvalid) as refused:
            validated(case.get("schema"), inputs, "w")
        assert sorted(refused.value.problems) == sorted(case["refused"])
        assert refused.value.message.startswith("the inputs of workflow 'w' are invalid: ")
        assert "secret" not in refused.value.message
        return
    assert validated(case.get("schema"), inputs, "w") == (case["gives"], case.get("warns", []))


def test_the_hint_names_what_the_workflow_takes():
    with pytest.raises(InputsInvalid) as refused:
        validated({"required": ["a"], "properties": {"a": {}, "b": {}}}, {}, "w")
    assert refused.value.hint == "give each as -i NAME=VALUE; the workflow takes a, b"


@pytest.mark.parametrize(
    "schema", [{"type": 7}, {"$ref": "#/none"}, {"properties": {"a": {"pattern": "("}}}], ids=["type", "ref", "pattern"]
)
def test_a_schema_that_is_none(schema):
    with pytest.raises(InputsInvalid, match="the schema of the inputs is invalid: ") as refused:
        validated(schema, {"a": "x"}, "w")
    assert "\n" not in refused.value.message


def test_a_schema_reads_no_file_and_no_url(tmp_path):
    file = tmp_path / "schema.json"
    file.write_text('{"type": "string"}')
    for uri in (file.as_uri(), "http://127.0.0.1:9/schema.json"):
        with pytest.raises(InputsInvalid, match="the schema of the inputs is invalid: ") as refused:
            validated({"properties": {"a": {"$ref": uri}}}, {"a": "x"}, "w")
        assert "refer to the document they stand in" in refused.value.message


@pytest.mark.parametrize("schema", [None, {"properties": {"a": {}}}], ids=["no schema", "a schema"])
def test_values_of_python_become_values_of_json(schema):
    given = {"a": (1, {"b": datetime(2020, 1, 1, tzinfo=UTC)})}
    assert validated(schema, given, "w")[0] == {"a": [1, {"b": "2020-01-01T00:00:00Z"}]}


def test_what_json_has_no_form_for_is_refused():
    endless: list[object] = []
    endless.append(endless)
    for value in (object(), "\ud800", [{"deep": object()}], endless):
        with pytest.raises(InputsInvalid, match="'/a' is not a JSON value, but of type") as refused:
            validated(None, {"a": value}, "w")
        assert refused.value.problems


def test_text_that_nests_without_end_stays_text():
    with pytest.raises(InputsInvalid, match="must be of type array"):
        validated({"properties": {"a": {"type": "array"}}}, {"a": Text("[" * 100_000)}, "w")
