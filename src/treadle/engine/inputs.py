"""A workflow's inputs against their JSON Schema (2020-12): defaults, conversion of text, every problem at once."""

from difflib import get_close_matches
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from treadle import pointer
from treadle.errors import InputsInvalid


class Text(str):
    """An input given as text, to be converted to the type that its schema asks for."""

    __slots__ = ()


_TYPES = {"string": str, "object": dict, "array": list, "boolean": bool, "null": type(None)}


def properties(schema: Any, root: Any) -> dict[str, Any] | None:
    """Give the declared properties of a schema, following local `$ref` and `allOf`; None when none are declared."""
    schema = _dereferenced(schema, root)
    if not isinstance(schema, dict):
        return None
    found: dict[str, Any] = {}
    for part in schema.get("allOf", []) if isinstance(schema.get("allOf"), list) else []:
        found |= properties(part, root) or {}
    if isinstance(schema.get("properties"), dict):
        found |= {str(name): _dereferenced(entry, root) for name, entry in schema["properties"].items()}
    return found or None


def closed(schema: Any, root: Any) -> bool:
    """Say whether a schema refuses every input that it does not declare."""
    schema = _dereferenced(schema, root)
    return (
        isinstance(schema, dict) and schema.get("additionalProperties") is False and "patternProperties" not in schema
    )


def required(schema: Any, root: Any) -> list[str]:
    """Give the inputs that must be given: those that a schema requires and that have no default."""
    declared = properties(schema, root) or {}
    schema = _dereferenced(schema, root)
    if not isinstance(schema, dict):
        return []
    names = [name for part in (schema, *_parts(schema, root)) for name in _names(part.get("required"))]
    return [
        name for name in names if not (isinstance(declared.get(name), dict) and "default" in declared.get(name, {}))
    ]


def _parts(schema: dict[str, Any], root: Any) -> list[dict[str, Any]]:
    parts = schema.get("allOf")
    found = [_dereferenced(part, root) for part in parts] if isinstance(parts, list) else []
    return [part for part in found if isinstance(part, dict)]


def _names(value: Any) -> list[str]:
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else []


def _dereferenced(schema: Any, root: Any) -> Any:
    for _ in range(20):
        reference = schema.get("$ref") if isinstance(schema, dict) else None
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return schema
        schema = pointer.follow(root, pointer.parse(reference[1:])).value
    return schema


def from_text(schema: Any, name: str, text: str) -> Any:
    """Convert text to the type that the input's schema asks for; where it does not fit, the text stays as it is.

    A schema that allows a string gets the text; validation says the rest.
    """
    declared = (properties(schema, schema) or {}).get(name)
    types = declared.get("type") if isinstance(declared, dict) else None
    wanted = {types} if isinstance(types, str) else set(types or ["string"])
    if "string" in wanted:
        return text
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text
    return text if isinstance(value, str) else value


def check_schema(schema: Any) -> None:
    """Refuse what is no JSON Schema, before anybody gives inputs.

    Raises:
        InputsInvalid: it is none.
    """
    if schema is not None:
        _compiled(msgspec.json.encode(schema))


def validated(schema: Any, inputs: dict[str, Any], workflow_id: str) -> tuple[dict[str, Any], list[str]]:
    """Give the inputs with defaults filled in, and a warning for each that the workflow does not declare.

    Raises:
        InputsInvalid: they do not fit; every problem is named with its pointer. Values are not shown.
    """
    inputs = {
        name: from_text(schema, name, str(value)) if isinstance(value, Text) else _json_value(name, value, workflow_id)
        for name, value in inputs.items()
    }
    if schema is None:
        unknown = [f"workflow '{workflow_id}' declares no inputs; '{name}' is not used" for name in inputs]
        return dict(inputs), unknown
    compiled = _compiled(msgspec.json.encode(schema))
    declared = compiled.declared
    filled = _filled(schema, inputs, schema, 0) if compiled.has_defaults else inputs
    if not compiled.validator.is_valid(filled):
        problems = [_problem(error) for error in compiled.validator.iter_errors(filled)]
        hint = "give each as -i NAME=VALUE; the workflow takes " + ", ".join(declared) if declared else None
        message = f"the inputs of workflow '{workflow_id}' are invalid: {'; '.join(problems)}"
        raise InputsInvalid(message, problems, hint=hint)
    unknown = [
        f"workflow '{workflow_id}' has no input '{name}'{_meant(name, declared)}" for name in inputs.keys() - declared
    ]
    return filled, sorted(unknown)


def _meant(name: str, declared: dict[str, Any]) -> str:
    near = get_close_matches(name, declared, 1)
    return f"; did you mean '{near[0]}'?" if near else ""


def _json_value(name: str, value: Any, workflow_id: str) -> Any:
    """Give a value as JSON has it: a tuple becomes an array, a date a text; what has no such form is refused here."""
    try:
        return value if type(value) is str and value.isascii() else msgspec.json.decode(msgspec.json.encode(value))
    except (TypeError, ValueError, RecursionError) as error:
        problem = f"'{pointer.dump([name])}' is not a JSON value, but of type {type(value).__name__}"
        raise InputsInvalid(f"the inputs of workflow '{workflow_id}' are invalid: {problem}", [problem]) from error


def _filled(schema: Any, value: Any, root: Any, depth: int) -> Any:
    """Fill in defaults, also in nested objects; JSON Schema itself only annotates them."""
    if not isinstance(value, dict) or depth > 50:
        return value
    result = dict(value)
    for name, declared in (properties(schema, root) or {}).items():
        if not isinstance(declared, dict):
            continue
        if name not in result and "default" in declared:
            result[name] = declared["default"]
        if name in result:
            result[name] = _filled(declared, result[name], root, depth + 1)
    return result


def _problem(error: Any) -> str:
    """Say what is wrong with one input. The library's own message is not used: it shows the value, maybe a secret."""
    at = pointer.dump([str(token) for token in error.instance_path])
    match error.kind.name:
        case "required":
            return f"'{at}{pointer.dump([error.kind.property])}' is required and absent"
        case "additionalProperties":
            return ", ".join(f"'{at}{pointer.dump([name])}' is not an input" for name in error.kind.unexpected)
        case "type":
            wanted = " or ".join(error.kind.types)
            return f"'{at or '/'}' must be of type {wanted}, but is of type {_type_name(error.instance)}"
        case "enum":
            allowed = ", ".join(msgspec.json.encode(option).decode() for option in error.kind.options)
            return f"'{at or '/'}' must be one of {allowed}"
        case "falseSchema":
            if error.schema_path[-1:] == ["additionalProperties"]:  # nothing is declared beside it
                return f"'{at or '/'}' takes no inputs"
            return f"'{at or '/'}' is not an input"
    expected = error.kind.value
    shown = f": {msgspec.json.encode(expected).decode()}" if isinstance(expected, str | int | float) else ""
    return f"'{at or '/'}' does not keep to '{error.kind.name}'{shown}"


def _type_name(value: Any) -> str:
    for name, kind in _TYPES.items():
        if isinstance(value, kind):
            return name
    return "integer" if isinstance(value, int) else "number"


class _Compiled(NamedTuple):
    """What is worked out once for a schema, however many runs it serves."""

    validator: Any
    declared: dict[str, Any]
    has_defaults: bool


@lru_cache(256)
def _compiled(text: bytes) -> _Compiled:
    import jsonschema_rs  # noqa: PLC0415 - imported when a workflow has inputs

    schema = msgspec.json.decode(text)
    try:
        validator = jsonschema_rs.Draft202012Validator(schema, retriever=_not_read)
        return _Compiled(validator, properties(schema, schema) or {}, b'"default"' in text)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        raise InputsInvalid(f"the schema of the inputs is invalid: {error}".splitlines()[0], []) from error


def _not_read(uri: str) -> Any:
    """Stand in for the library's own retriever, which reads files and URLs: a document is untrusted."""
    raise ValueError(f"inputs refer to the document they stand in, and {uri} is not in it")
