"""Values as documents write them: constants, expressions, templates and Selector Objects, nested in objects and arrays.

They are read once, when the document is loaded, and evaluated for each request.
"""

from collections.abc import Iterator
from math import isfinite
from typing import Any, TypeAlias

from msgspec import Struct

from treadle.document.model import EXPRESSION_VERSIONS
from treadle.errors import ExpressionInvalid
from treadle.expressions import selectors
from treadle.expressions.dialect import Finding, Names, read_value
from treadle.expressions.evaluate import EVALUATE, Context, Missing, evaluate
from treadle.expressions.fillers import check_filled
from treadle.expressions.syntax import Expression, Template, dump, parse_template
from treadle.expressions.words import to_text
from treadle.pointer import Path

MAX_DEPTH = 100
"""How deep a payload may nest."""


class Constant(Struct, frozen=True, gc=False, tag=True):
    """A JSON value with no expression in it."""

    value: Any


class Members(Struct, frozen=True, gc=False, tag=True):
    """An object with an expression somewhere in it."""

    members: dict[str, "Payload"]


class Items(Struct, frozen=True, gc=False, tag=True):
    """An array with an expression somewhere in it."""

    items: tuple["Payload", ...]


class Selection(Struct, frozen=True, gc=False, tag=True):
    """A Selector Object; its selector may hold expressions. `version` is one of its kind."""

    context: Expression
    selector: Template | Expression | str
    kind: str
    version: str


Payload: TypeAlias = Constant | Members | Items | Selection | Template | Expression


class Located(Struct, frozen=True, gc=False):
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
            return _prepare_selector(value, names, found, at)
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


def _prepare_selector(value: dict[str, Any], names: Names, found: list[Located], at: Path) -> Payload:
    context = _prepare_text(value["context"], names, found, (*at, "context"))
    if isinstance(context, Constant | Template):
        if not any(entry.at == (*at, "context") and isinstance(entry.finding, ExpressionInvalid) for entry in found):
            message = f"the context `{value['context']}` is no runtime expression"
            found.append(Located((*at, "context"), ExpressionInvalid(message)))
        return Constant(None)
    try:
        kind, version = _kind(value["type"])
    except ExpressionInvalid as error:
        found.append(Located((*at, "type"), error))
        return Constant(None)
    text = str(value["selector"])
    try:
        selector = parse_template(text)
        check_filled(selector, text, lambda filled: selectors.check(kind, version, filled))
    except ExpressionInvalid as error:
        found.append(Located((*at, "selector"), error))
        return Constant(None)
    return Selection(context, selector, kind, version)  # type: ignore[arg-type]  # a text has no Selection in it


def _kind(written: Any) -> tuple[str, str]:
    """Read the type of a Selector Object that stands in a value, where the document's own checks do not look."""
    kind = written.get("type") if isinstance(written, dict) else written
    versions = EXPRESSION_VERSIONS.get(kind, ()) if isinstance(kind, str) else ()
    if not versions:
        choices = ", ".join(f"'{name}'" for name in EXPRESSION_VERSIONS)
        raise ExpressionInvalid(f"a selector's type is one of {choices}")
    version = written.get("version", versions[0]) if isinstance(written, dict) else versions[0]
    if version not in versions:
        choices = ", ".join(f"'{name}'" for name in versions)
        raise ExpressionInvalid(
            f"{version!r} is no version of {kind}; there {'are' if versions[1:] else 'is'} {choices}"
        )
    return str(kind), version


def resolve(payload: Payload, context: Context, missing: list[Missing]) -> Any:
    """Give the value of a payload. A member or item that is Missing is left out and added to `missing`.

    A payload that is Missing as a whole comes back as Missing, and is in `missing` too.
    """
    read = _RESOLVE.get(type(payload))
    if read is not None:
        return read(payload, context, missing)
    result = EVALUATE[type(payload)](payload, context)  # what the table does not have is an expression
    if isinstance(result, Missing):
        missing.append(result)
    return result


def _resolve_members(payload: Members, context: Context, missing: list[Missing]) -> Any:
    found = {}
    for name, entry in payload.members.items():
        # Most of a payload is constant, and each request asks for all of it.
        value = entry.value if type(entry) is Constant else resolve(entry, context, missing)
        if type(value) is not Missing:
            found[name] = value
    return found


def _resolve_items(payload: Items, context: Context, missing: list[Missing]) -> Any:
    values = [resolve(entry, context, missing) for entry in payload.items]
    return [value for value in values if type(value) is not Missing]


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
    """Give the value that is selected, or several as an array (RFC 9535 calls them a nodelist)."""
    value = evaluate(selection.context, context)
    if isinstance(value, Missing):
        return value
    selector = evaluate(selection.selector, context)
    if isinstance(selector, Missing):
        return selector
    text = to_text(selector)
    where = f"`{text}` in `{dump(selection.context)}`"
    try:
        selected = selectors.read(selection.kind, selection.version, text, value)
    except ExpressionInvalid as error:
        # Of a secret that was filled in, a part that a library quotes is not found again.
        own = selection.kind != "xpath" or isinstance(selection.selector, str)
        why = error.message if own else "it cannot be evaluated"
        return Missing(context.mask(f"{where}: {why}"), unreadable=True)
    if isinstance(selected, str):
        return Missing(context.mask(f"{where}: {selected}"))
    return selected[0] if len(selected) == 1 else selected


def expressions(payload: Payload) -> Iterator[Expression]:
    """Give every expression in a payload."""
    return (expression for _, expression in located(payload))


def located(payload: Payload, at: Path = ()) -> Iterator[tuple[Path, Expression]]:
    """Give every expression in a payload, and the place of its text: `at` and the way from there."""
    match payload:
        case Constant():
            return
        case Members(members):
            for name, entry in members.items():
                yield from located(entry, (*at, name))
        case Items(items):
            for index, entry in enumerate(items):
                yield from located(entry, (*at, index))
        case Selection(context, selector):
            yield (*at, "context"), context
            yield from () if isinstance(selector, str) else located(selector, (*at, "selector"))
        case Template(parts):
            for part in parts:
                if not isinstance(part, str):
                    yield at, part
        case _:
            yield at, payload
