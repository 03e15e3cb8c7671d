"""A workflow's inputs against their JSON Schema (2020-12): defaults, conversion of text, every problem at once.

The schemas here stand alone, as `schema.linked_schema` makes them.
"""

import re
from collections import deque
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from treadle import pointer
from treadle.document.nesting import DEEPEST, nests_too_deeply
from treadle.engine.schema import SchemaInvalid, follow_reference, in_place, subschemas
from treadle.errors import InputsInvalid
from treadle.files import Binary, File
from treadle.pointer import Path

MAX_DEFAULTS = 10_000
"""How many defaults may be filled in, one inside another."""
MAX_DEFAULT_BYTES = 16 * 1024 * 1024
"""How much text defaults may fill in."""
MAX_DEPTH = 100
"""How deep defaults are filled in."""
MAX_EFFORT = 200_000
"""How many schemas may apply to the inputs and their parts, all in all, when parts of the schema are shared."""
MAX_ALTERNATIVES_DEPTH = 2
"""How deep a problem tells why alternatives inside alternatives do not fit."""


class Text(str):
    """An input given as text, to be converted to the type that its schema asks for."""

    __slots__ = ()


_TYPES = {"string": str, "object": dict, "array": list, "boolean": bool, "null": type(None)}
_RANGES: dict[str, dict[str, float]] = {
    "int32": {"minimum": -(2**31), "maximum": 2**31 - 1, "multipleOf": 1},
    "int64": {"minimum": -(2**63), "maximum": 2**63 - 1, "multipleOf": 1},
    "float": {"minimum": -3.4028234663852886e38, "maximum": 3.4028234663852886e38},
    "double": {"minimum": -1.7976931348623157e308, "maximum": 1.7976931348623157e308},
}
"""What the formats of Arazzo ask of numbers (section "Data Types"); all other formats only annotate."""
_SCHEMA_HINTS = {
    "required": "`required` is a list of names and stands beside `properties`",
    "type": "the types are string, number, integer, boolean, array, object and null",
    "pattern": "patterns are regular expressions of ECMA-262, as in JavaScript",
    "items": "`items` is one schema for all items; `prefixItems` is a list of schemas for the first ones",
}
_CONDITIONAL = frozenset({"anyOf", "oneOf", "if", "then", "else", "dependentSchemas"})


def properties(schema: Any, root: Any) -> dict[str, Any] | None:
    """Give the inputs that a schema declares, each with what is said of it; None when none are declared.

    Declared is what `properties` names, also by reference (a `$ref` into `root`), and in parts that apply together or in
    some case only. What several parts say of one input is put together; the first that says something wins.
    """
    found: dict[str, list[Any]] = {}
    for part in _applied([schema], root, conditional=True):
        named = part.get("properties")
        for name, entry in named.items() if isinstance(named, dict) else ():
            found.setdefault(name, []).append(entry)
    return {name: _said(entries, root) for name, entries in found.items()} or None


def closed(schema: Any) -> bool:
    """Say whether a schema refuses every input that it does not declare."""
    parts = list(_applied([schema], schema))
    return any(part.get("additionalProperties") is False for part in parts) and not any(
        "patternProperties" in part for part in parts
    )


def required(schema: Any) -> list[str]:
    """Give the inputs that must be given: those that a schema requires in every case and that have no default."""
    declared = properties(schema, schema) or {}
    names: dict[str, None] = {}
    for part in _applied([schema], schema):
        listed = part.get("required")
        names |= dict.fromkeys(name for name in listed if isinstance(name, str)) if isinstance(listed, list) else {}
    said = {name: declared.get(name) for name in names}
    return [name for name, entry in said.items() if not (isinstance(entry, dict) and "default" in entry)]


def _said(entries: list[Any], root: Any) -> Any:
    said: dict[str, Any] = {}
    for part in _applied(entries, root):
        said = {**part, **said}
    return said or entries[0]


def _applied(schemas: list[Any], root: Any, *, conditional: bool = False) -> Iterator[dict[str, Any]]:
    """Give the schemas that apply to a value with these: themselves, what they refer to, the parts of `allOf`.

    With `conditional`, those too that apply in some case only. Each comes once, whatever refers to what.
    """
    seen: set[int] = set()
    todo = deque(schemas)
    while todo:
        schema = todo.popleft()
        if not isinstance(schema, dict) or id(schema) in seen:
            continue
        seen.add(id(schema))
        yield schema
        todo.append(follow_reference(schema, root))
        todo += schema["allOf"] if isinstance(schema.get("allOf"), list) else ()
        if conditional:
            todo += (part.schema for part in subschemas(schema) if part.at[0] in _CONDITIONAL)


def check_schema(schema: Any, at: Path = ()) -> None:
    """Refuse what is no JSON Schema, before anybody gives inputs; `at` is its place in the document.

    Raises:
        SchemaInvalid: it is none; its place is that of what is wrong, as far as that stands in this schema.
    """
    if schema is None:
        return
    try:
        _compiled(_encoded(schema))
    except SchemaInvalid as error:
        error.at = at if error.at[:1] == ("$defs",) else (*at, *error.at)
        raise


def validated(
    schema: Any, inputs: Mapping[str, Any], workflow_id: str, elsewhere: frozenset[str] = frozenset()
) -> tuple[dict[str, Any], list[str]]:
    """Give the inputs with defaults filled in, and a warning for each that the workflow does not declare.

    Inputs that are of use `elsewhere` need no warning.

    Raises:
        InputsInvalid: they do not fit; every problem is named with its pointer. Values are not shown.
    """
    compiled = None if schema is None else _compiled(_encoded(schema))
    declared = {} if compiled is None else compiled.declared
    inputs = {
        name: _from_text(declared.get(name), compiled, str(value))
        if isinstance(value, Text)
        else _json_value(name, value, workflow_id)
        for name, value in inputs.items()
    }
    if compiled is None:
        unknown = [
            f"workflow '{workflow_id}' declares no inputs; '{name}' is not used" for name in inputs.keys() - elsewhere
        ]
        return inputs, sorted(unknown)
    with_files = [name for name, value in inputs.items() if type(value) is not str and _has_files(value)]
    filled = _Filler(compiled.schema).fill(inputs, [compiled.schema]) if compiled.has_defaults else inputs
    if compiled.shares_parts:
        _check_effort(compiled.schema, filled)
    seen = {**filled, **{name: _stand_in(filled[name]) for name in with_files}} if with_files else filled
    if not compiled.validator.is_valid(seen):
        problems = list(dict.fromkeys(_problem(error) for error in compiled.validator.iter_errors(seen)))
        hint = "give each as -i NAME=VALUE; the workflow takes " + ", ".join(declared) if declared else None
        message = f"the inputs of workflow '{workflow_id}' are invalid: {'; '.join(problems)}"
        raise InputsInvalid(message, problems, hint=hint)
    return filled, sorted(_unknown(inputs.keys() - declared.keys() - elsewhere, compiled, workflow_id))


def _unknown(names: set[str], compiled: "_Compiled", workflow_id: str) -> Iterator[str]:
    for name in names:
        near = get_close_matches(name, compiled.declared, 1)
        if near or not compiled.takes_others:
            yield f"workflow '{workflow_id}' has no input '{name}'" + (f"; did you mean '{near[0]}'?" if near else "")


def _from_text(declared: Any, compiled: "_Compiled | None", text: str) -> Any:
    """Convert text to the type that the input's schema asks for; where it does not fit, the text stays as it is.

    A schema that allows a string gets the text; validation says the rest.
    """
    types: set[str] = set()
    for part in _applied([declared], None if compiled is None else compiled.schema, conditional=True):
        named = part.get("type", [])
        types |= {named} if isinstance(named, str) else set(named)
        values = part["enum"] if isinstance(part.get("enum"), list) else [part["const"]] if "const" in part else []
        types |= {_type_name(value) for value in values} if "type" not in part else set()
    if not types or "string" in types:
        return text
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text
    return text if isinstance(value, str) else value


def _json_value(name: str, value: Any, workflow_id: str) -> Any:
    """Give a value as JSON has it: a tuple becomes an array, a date a text; what has no such form is refused here.

    Files, and what an answer gave that is no text, stay what they are.
    """
    try:
        if type(value) is str and value.isascii():
            return value
        written = msgspec.json.encode(value)
        if nests_too_deeply(written):
            problem = f"'{pointer.dump([name])}' nests deeper than {DEEPEST} levels"
            raise InputsInvalid(f"the inputs of workflow '{workflow_id}' are invalid: {problem}", [problem])
        return msgspec.json.decode(written)
    except (TypeError, ValueError, RecursionError) as error:
        if isinstance(value, File | Binary):
            return value
        if _has_files(value):
            members = value if isinstance(value, dict) else dict(enumerate(value))
            found = {key: _json_value(f"{name}/{key}", entry, workflow_id) for key, entry in members.items()}
            return found if isinstance(value, dict) else list(found.values())
        problem = f"'{pointer.dump([name])}' is not a JSON value, but of type {type(value).__name__}"
        raise InputsInvalid(f"the inputs of workflow '{workflow_id}' are invalid: {problem}", [problem]) from error


def _has_files(value: Any, depth: int = 0) -> bool:
    """Say whether there is a file in a value; asked only of values that JSON cannot write."""
    if isinstance(value, dict | list) and depth < MAX_DEPTH:
        return any(_has_files(entry, depth + 1) for entry in (value.values() if isinstance(value, dict) else value))
    return isinstance(value, File | Binary)


def _stand_in(value: Any) -> Any:
    """Give a value as a validator can look at it: a file is a string to a schema (`type: string, format: binary`)."""
    if isinstance(value, File | Binary):
        return value.name if isinstance(value, File) else value.media_type
    if isinstance(value, dict):
        return {name: _stand_in(entry) for name, entry in value.items()}
    return [_stand_in(entry) for entry in value] if isinstance(value, list) else value


class _Filler:
    """Fills in defaults, also in nested objects and in items of arrays; JSON Schema itself only annotates them.

    Only what applies in every case counts: `properties`, `items` and their like, by `$ref` and `allOf`.
    """

    def __init__(self, root: Any) -> None:
        self.root = root
        self.left = MAX_DEFAULTS
        self.bytes_left = MAX_DEFAULT_BYTES

    def fill(self, value: Any, schemas: list[Any], depth: int = 0, inside: frozenset[int] = frozenset()) -> Any:
        """Give the value with its defaults; `inside` are the schemas whose defaults it stands in."""
        if depth > MAX_DEPTH or not isinstance(value, dict | list):
            return value
        parts = list(_applied(schemas, self.root))
        if isinstance(value, dict):
            return self._object(value, parts, depth + 1, inside)
        return [self.fill(item, _for_item(parts, at), depth + 1, inside) for at, item in enumerate(value)]

    def _object(self, value: dict[str, Any], parts: list[Any], depth: int, inside: frozenset[int]) -> dict[str, Any]:
        named: dict[str, list[Any]] = {}
        result = dict(value)
        for part in parts:
            declared = part["properties"] if isinstance(part.get("properties"), dict) else {}
            for name, entry in declared.items():
                named.setdefault(name, []).append(entry)
            if isinstance(part.get("additionalProperties"), dict):
                for name in result.keys() - declared.keys():
                    named.setdefault(name, []).append(part["additionalProperties"])
        for name, entries in named.items():
            around = inside
            if name not in result:
                holder = next((part for part in _applied(entries, self.root) if "default" in part), None)
                if holder is None or id(holder) in inside:
                    continue  # a default inside of itself would have no end
                around = inside | {id(holder)}
                result[name] = self._taken(holder["default"])
            result[name] = self.fill(result[name], entries, depth, around)
        return result

    def _taken(self, default: Any) -> Any:
        self.left -= 1
        self.bytes_left -= len(msgspec.json.encode(default)) if isinstance(default, dict | list | str) else 0
        if self.left < 0 or self.bytes_left < 0:
            problem = "the defaults of the schema have no end"
            raise InputsInvalid(f"the inputs cannot be filled in: {problem}", [problem])
        return default


def _check_effort(root: Any, value: Any) -> None:
    """Refuse inputs whose checking would take very long: a schema may apply twice to each part, and so on inside it.

    The count is of schemas that may apply to some value, at most; a validator cannot be stopped once it has begun.
    """
    todo = [(root, value)]
    left = MAX_EFFORT
    while todo:
        schema, part = todo.pop()
        if not isinstance(schema, dict):
            continue
        left -= 1
        if left < 0:
            problem = "they take too long to check against their schema"
            raise InputsInvalid(f"the inputs are invalid: {problem}", [problem])
        todo += ((inner, part) for inner in in_place(schema, root))
        for inner in subschemas(schema):
            if inner.in_place:
                continue
            if inner.at[0] == "properties":
                todo += [(inner.schema, part[inner.at[1]])] if isinstance(part, dict) and inner.at[1] in part else []
            elif isinstance(part, dict | list) and inner.at[0] not in ("$defs", "definitions"):
                todo += ((inner.schema, each) for each in (part.values() if isinstance(part, dict) else part))


def _for_item(parts: list[Any], at: int) -> list[Any]:
    """Give the schemas for the item of an array at an index."""
    found = []
    for part in parts:
        first = part["prefixItems"] if isinstance(part.get("prefixItems"), list) else []
        found.append(first[at] if at < len(first) else part.get("items"))
    return found


def _problem(error: Any, depth: int = 0) -> str:
    """Say what is wrong with one input. The library's own message is not used: it shows the value, maybe a secret."""
    at = pointer.dump([str(token) for token in error.instance_path])
    match error.kind.name:
        case "required":
            return f"'{at}{pointer.dump([error.kind.property])}' is required and absent"
        case "additionalProperties" | "unevaluatedProperties":
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
        case "anyOf" | "oneOf" if depth < MAX_ALTERNATIVES_DEPTH:
            return _no_alternative(error, at, depth)
    expected = error.kind.value
    shown = f": {msgspec.json.encode(expected).decode()}" if isinstance(expected, str | int | float) else ""
    return f"'{at or '/'}' does not keep to '{error.kind.name}'{shown}"


def _no_alternative(error: Any, at: str, depth: int) -> str:
    ways = [" and ".join(_problem(inner, depth + 1) for inner in way[:3]) for way in error.kind.context]
    if not all(ways):
        return f"'{at or '/'}' keeps to more than one part of '{error.kind.name}'"
    more = f" or {len(ways) - 3} more" if len(ways) > 3 else ""
    return f"'{at or '/'}' keeps to no part of '{error.kind.name}': {' or '.join(dict.fromkeys(ways[:3]))}{more}"


def _type_name(value: Any) -> str:
    for name, kind in _TYPES.items():
        if isinstance(value, kind):
            return name
    return "integer" if isinstance(value, int) else "number"


class _Compiled(NamedTuple):
    """What is worked out once for a schema, however many runs it serves.

    Attributes:
        schema: the schema.
        validator: decides whether inputs fit.
        declared: the inputs it declares.
        has_defaults: whether there may be any.
        takes_others: whether it says itself that there may be other inputs.
        shares_parts: whether something is referred to twice, so that checking may take very long.
    """

    schema: Any
    validator: Any
    declared: dict[str, Any]
    has_defaults: bool
    takes_others: bool
    shares_parts: bool


def _encoded(schema: Any) -> bytes:
    try:
        return msgspec.json.encode(schema)
    except RecursionError as error:
        raise SchemaInvalid("the schema of the inputs nests too deeply") from error


@lru_cache(256)
def _compiled(text: bytes) -> _Compiled:
    import jsonschema_rs  # noqa: PLC0415 - imported when a workflow has inputs

    schema = msgspec.json.decode(text)
    try:
        asserted = _with_ranges(msgspec.json.decode(text)) if b'"format"' in text else schema
        validator = jsonschema_rs.Draft202012Validator(asserted, retriever=_not_read)
    except jsonschema_rs.ValidationError as error:
        path = tuple(error.instance_path)
        where = f"at '{pointer.dump(path)}', " if path else ""
        words = str(error).splitlines()[0].replace(" under any of the schemas listed in the 'anyOf' keyword", " here")
        hint = _SCHEMA_HINTS.get(str(path[-1])) if path else None
        raise SchemaInvalid(f"the schema of the inputs is invalid: {where}{words}", path, hint=hint) from error
    except (jsonschema_rs.ReferencingError, ValueError) as error:
        raise SchemaInvalid(f"the schema of the inputs is invalid: {error}".splitlines()[0]) from error
    takes_others = any(
        part.get("additionalProperties", False) is not False or "patternProperties" in part
        for part in _applied([schema], schema)
    )
    declared = properties(schema, schema) or {}
    references = re.findall(rb'"\$(?:dynamicR|r)ef":"[^"]*"', text)
    shares = len(references) > len(set(references))
    return _Compiled(schema, validator, declared, b'"default"' in text, takes_others, shares)


def _with_ranges(schema: Any) -> Any:
    """Write what the formats of Arazzo ask of numbers as ranges; the validator itself only annotates formats."""
    todo = [schema]
    while todo:
        part = todo.pop()
        if not isinstance(part, dict):
            continue
        todo += (inner.schema for inner in subschemas(part))
        kind = part.get("format")
        if isinstance(kind, str) and kind in _RANGES:
            part["allOf"] = [*(part["allOf"] if isinstance(part.get("allOf"), list) else []), _RANGES[kind]]
    return schema


def _not_read(uri: str) -> Any:
    """Stand in for the library's own retriever, which reads files and URLs: a document is untrusted."""
    raise ValueError(f"inputs refer to the document they stand in, and {uri} is not in it")
