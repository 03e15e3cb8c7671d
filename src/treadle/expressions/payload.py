"""Values as documents write them: constants, expressions, templates and Selector Objects, nested in objects and arrays.

They are read once, when the document is loaded, and evaluated for each request.
"""

from collections.abc import Iterator
from math import isfinite
from typing import Any, TypeAlias

from msgspec import Struct

from treadle import pointer
from treadle.errors import ExpressionInvalid
from treadle.expressions.dialect import Finding, Names, read_value
from treadle.expressions.evaluate import Context, Missing, evaluate
from treadle.expressions.selectors import query
from treadle.expressions.syntax import Expression, Template, dump, parse
from treadle.pointer import Path

MAX_DEPTH = 100
"""How deep a payload may nest."""


_SELECTORS = (("jsonpath", None), ("jsonpath", "rfc9535"), ("jsonpointer", None), ("jsonpointer", "rfc6901"))


class Constant(Struct, frozen=True, tag=True):
    """A JSON value with no expression in it."""

    value: Any


class Members(Struct, frozen=True, tag=True):
    """An object with an expression somewhere in it."""

    members: dict[str, "Payload"]


class Items(Struct, frozen=True, tag=True):
    """An array with an expression somewhere in it."""

    items: tuple["Payload", ...]


class Selection(Struct, frozen=True, tag=True):
    """A Selector Object of type jsonpath or jsonpointer."""

    context: Expression
    selector: str
    kind: str


Payload: TypeAlias = Constant | Members | Items | Selection | Template | Expression


class Located(Struct, frozen=True):
    """Findings and refusals with the place they belong to, relative to the value that was read."""

    at: Path
    finding: Finding | ExpressionInvalid


def prepare(value: Any, names: Names, found: list[Located], at: Path = ()) -> Payload:
    """Read a value of a document; whatever is found on the way is added to `found` with its place."""
    if len(at) > MAX_DEPTH:
        found.append(Located(at, ExpressionInvalid(f"the value nests deeper than {MAX_DEPTH}")))
        return Constant(None)
    if isinstance(value, str):
        return _prepare_text(value, names, found, at)
    if isinstance(value, dict):
        if value.keys() == {"context", "selector", "type"} and isinstance(value["context"], str):
            return _prepare_selector(value, found, at)
        members = {str(name): prepare(entry, names, found, (*at, name)) for name, entry in value.items()}
        if all(isinstance(entry, Constant) for entry in members.values()):
            return Constant(value)
        return Members(members)
    if isinstance(value, list):
        items = tuple(prepare(entry, names, found, (*at, index)) for index, entry in enumerate(value))
        return Constant(value) if all(isinstance(entry, Constant) for entry in items) else Items(items)
    if isinstance(value, float) and not isfinite(value):
        hint = "JSON has no infinity and no NaN; give it as text"
        found.append(Located(at, ExpressionInvalid(f"{value} is not a JSON value", hint=hint)))
    return Constant(value)


def _prepare_text(text: str, names: Names, found: list[Located], at: Path) -> Payload:
    findings: list[Finding] = []
    try:
        node = read_value(text, names, findings)
    except ExpressionInvalid as error:
        found.append(Located(at, error))
        return Constant(text)
    found += [Located(at, finding) for finding in findings]
    return Constant(node) if isinstance(node, str) else node


def _prepare_selector(value: dict[str, Any], found: list[Located], at: Path) -> Payload:
    written = value["type"]
    kind = written.get("type") if isinstance(written, dict) else written
    version = written.get("version") if isinstance(written, dict) else None
    selector = str(value["selector"])
    try:
        if (kind, version) not in _SELECTORS:
            raise ExpressionInvalid(
                f"selectors of type {kind} {version or ''} are not supported by this version of Treadle",
                hint="there are jsonpath (rfc9535) and jsonpointer",
            )
        if kind == "jsonpath":
            query(selector)
        else:
            pointer.parse(selector)
        return Selection(parse(value["context"]), selector, str(kind))
    except (ExpressionInvalid, ValueError) as error:
        refused = error if isinstance(error, ExpressionInvalid) else ExpressionInvalid(str(error))
        found.append(Located(at, refused))
        return Constant(None)


def resolve(payload: Payload, context: Context, missing: list[Missing]) -> Any:
    """Give the value of a payload. A member or item that is Missing is left out and added to `missing`.

    A payload that is Missing as a whole comes back as Missing, and is in `missing` too.
    """
    read = _RESOLVE.get(type(payload))
    if read is not None:
        return read(payload, context, missing)
    result = evaluate(payload, context)  # type: ignore[arg-type]  # what the table does not have is an expression
    if isinstance(result, Missing):
        missing.append(result)
    return result


def _resolve_members(payload: Members, context: Context, missing: list[Missing]) -> Any:
    entries = {name: resolve(entry, context, missing) for name, entry in payload.members.items()}
    return {name: value for name, value in entries.items() if not isinstance(value, Missing)}


def _resolve_items(payload: Items, context: Context, missing: list[Missing]) -> Any:
    values = [resolve(entry, context, missing) for entry in payload.items]
    return [value for value in values if not isinstance(value, Missing)]


def _resolve_selection(payload: Selection, context: Context, missing: list[Missing]) -> Any:
    result = _select(payload, context)
    if isinstance(result, Missing):
        missing.append(result)
    return result


_RESOLVE: dict[type, Any] = {
    Constant: lambda payload, _context, _missing: payload.value,
    Members: _resolve_members,
    Items: _resolve_items,
    Selection: _resolve_selection,
}


def _select(selection: Selection, context: Context) -> Any:
    value = evaluate(selection.context, context)
    if isinstance(value, Missing):
        return value
    where = f"`{selection.selector}` in `{dump(selection.context)}`"
    if selection.kind == "jsonpointer":
        reached = pointer.follow(value, pointer.parse(selection.selector))
        return Missing(f"{where}: there is no `{reached.rest[0]}`") if reached.rest else reached.value
    try:
        nodes = query(selection.selector)(value)
    except ExpressionInvalid as error:
        return Missing(error.message)
    if not nodes:
        return Missing(f"{where} selects nothing")
    return nodes[0] if len(nodes) == 1 else nodes


def expressions(payload: Payload) -> Iterator[Expression]:
    """Give every expression in a payload."""
    match payload:
        case Constant():
            return
        case Members(members):
            for entry in members.values():
                yield from expressions(entry)
        case Items(items):
            for entry in items:
                yield from expressions(entry)
        case Selection(context):
            yield context
        case Template(parts):
            for part in parts:
                if not isinstance(part, str):
                    yield part
        case _:
            yield payload
