"""Files among inputs: where a schema marks one, and nowhere else, what names a file becomes it.

A schema marks a file by `format: binary`, `contentMediaType` or `contentEncoding`. Only what whoever starts a run gives is
looked at here, before defaults are filled in: no text of a document ever becomes a file.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from treadle.engine.inputs import properties
from treadle.engine.schema import follow_reference
from treadle.files import GivenFile

MAX_DEPTH = 50
"""How deep in an input files are looked for."""


class Files(Protocol):
    """Knows what names a file, and makes of it what the schema asks for."""

    def named(self, value: Any) -> str | None:
        """Give the path where a value names a file: a GivenFile, a path, or `{"file": "@path"}`."""

    def marked(self, place: str, path: str, encoding: str | None) -> Any:
        """Give the file, or its content in an encoding; `place` names the input for messages."""

    def text(self, place: str, path: str) -> Any:
        """Give the text of a file that an input names whose schema marks none."""


def with_files(schema: Any, inputs: Mapping[str, Any], files: Files) -> dict[str, Any]:
    """Give the inputs with their files in place; raises what `files` raises where one cannot be used."""
    if all(isinstance(value, str) for value in inputs.values()):
        return dict(inputs)  # the usual case
    declared = properties(schema, schema) or {} if schema is not None else {}
    return {name: _placed(value, declared.get(name), schema, files, name, 0) for name, value in inputs.items()}


def marks_file(schema: Any) -> bool:
    """Say whether a schema marks a file."""
    marks = ("contentMediaType", "contentEncoding")
    return isinstance(schema, dict) and (schema.get("format") == "binary" or any(mark in schema for mark in marks))


def _placed(value: Any, schema: Any, root: Any, files: Files, place: str, depth: int) -> Any:
    schema = _followed(schema, root)
    path = files.named(value)
    if path is not None:
        if marks_file(schema):
            return files.marked(place, path, schema.get("contentEncoding"))
        return files.text(place, path) if isinstance(value, GivenFile) else value
    if depth < MAX_DEPTH and isinstance(schema, dict):
        if isinstance(value, dict):
            declared = properties(schema, root) or {}
            return {
                name: _placed(entry, declared.get(name), root, files, f"{place}/{name}", depth + 1)
                for name, entry in value.items()
            }
        if isinstance(value, list):
            items = schema.get("items")
            return [_placed(entry, items, root, files, f"{place}/{at}", depth + 1) for at, entry in enumerate(value)]
    return value


def _followed(schema: Any, root: Any) -> Any:
    for _ in range(MAX_DEPTH):
        if not isinstance(schema, dict) or "$ref" not in schema or marks_file(schema):
            break
        schema = follow_reference(schema, root)
    return schema
