"""JSON types of parameters: what a schema allows, and whether a value fits, by what goes out for it.

Everything goes out as text, so the text `5` fits where an integer is wanted, and a number where a string is.
"""

import re
from typing import Any

from treadle.errors import RequestInvalid
from treadle.files import in_words
from treadle.sources.operation import ParameterSpec

JSON_TYPES = ("string", "number", "integer", "boolean", "array", "object", "null")
_TEXTS = {
    "integer": re.compile(r"-?\d+(\.0+)?"),
    "number": re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?"),
    "boolean": re.compile(r"true|false"),
    "null": re.compile(r"null"),
}
_KINDS = {
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


def check_type(spec: ParameterSpec, value: Any) -> None:
    """Make sure that a value fits the types that the schema of its parameter allows.

    Raises:
        RequestInvalid: it does not.
    """
    if not _fits(value, spec.types) and not ("array" in spec.types and _item_fits(value, spec.items)):
        raise RequestInvalid(
            f"parameter '{spec.name}' in {spec.location} must be of type {_named(spec.types)}, but is {_kind(value)}",
            hint="see which value the step gives it",
        )
    if type(value) is list and spec.items:
        for at, item in enumerate(value):
            if item is not None and not _fits(item, spec.items):
                message = f"item {at} of parameter '{spec.name}' in {spec.location}"
                raise RequestInvalid(f"{message} must be of type {_named(spec.items)}, but is {_kind(item)}")


def _item_fits(value: Any, items: tuple[str, ...]) -> bool:
    """Say whether a single value stands for an array of one: what goes out is the same."""
    return not isinstance(value, list | dict) and (not items or _fits(value, items))


def _fits(value: Any, types: tuple[str, ...]) -> bool:
    kind = type(value)
    if kind is str:
        return "string" in types or any(_TEXTS[name].fullmatch(value) for name in types if name in _TEXTS)
    if kind is list or kind is dict:
        return ("array" if kind is list else "object") in types
    if "string" in types:
        return True
    if kind is bool:
        return "boolean" in types
    return "number" in types or ("integer" in types and (kind is int or value == value // 1))


def _named(types: tuple[str, ...]) -> str:
    return " or ".join(types)


def _kind(value: Any) -> str:
    return in_words(value) or _KINDS.get(type(value), "a value of another kind")


def types_of(schema: Any) -> tuple[str, ...]:
    """Give the types that a schema allows, empty where it says nothing of them (`nullable` is OpenAPI 3.0's null)."""
    if not isinstance(schema, dict):
        return ()
    written = schema.get("type")
    names = [written] if isinstance(written, str) else written if isinstance(written, list) else []
    found = tuple(name for name in names if isinstance(name, str))
    if not found or any(name not in JSON_TYPES for name in found):
        return ()
    return (*found, "null") if schema.get("nullable") is True and "null" not in found else found
