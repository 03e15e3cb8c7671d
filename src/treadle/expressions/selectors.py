"""Selectors: JSON Pointer, JSONPath and XPath in their versions, to read from a value and to write into one.

SELECTORS is the table of them (section "Selector Object" and "Payload Replacement Object").
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from treadle import pointer
from treadle.document.model import EXPRESSION_VERSIONS
from treadle.errors import ExpressionInvalid
from treadle.expressions import jsonpath, xpath
from treadle.expressions.words import absent, kind


class Selector(NamedTuple):
    """A kind of selector; each function takes the version and the text first.

    Attributes:
        check: raises ExpressionInvalid where the text is none.
        read: gives the values that are selected in a value, or says in a text why there are none.
        write: gives a copy of a value with another one at every place; LookupError where there is none.
    """

    check: Callable[[str, str], Any]
    read: Callable[[str, str, Any], list[Any] | str]
    write: Callable[[str, str, Any, Any], Any]


def check(kind: str, version: str, text: str) -> None:
    """See whether a text is a selector of a kind and version; "" means the default version.

    Raises:
        ExpressionInvalid: it is none; the offsets say where it stops to be one.
    """
    SELECTORS[kind].check(version or EXPRESSION_VERSIONS[kind][0], text)


def read(kind: str, version: str, text: str, value: Any) -> list[Any] | str:
    """Give what a selector selects in a value; where it selects nothing, say which part was not there.

    Raises:
        ExpressionInvalid: it cannot be applied to this value.
    """
    return SELECTORS[kind].read(version or EXPRESSION_VERSIONS[kind][0], text, value)


def write(kind: str, version: str, text: str, value: Any, new: Any) -> Any:
    """Give a copy of a value with `new` at every place that a selector selects; nothing of the value is changed.

    A JSON Pointer may also name a new member of an object, or `-` for one more item of an array.

    Raises:
        LookupError: nothing is selected, or `new` cannot stand there; the message says which part was not there.
        ExpressionInvalid: the selector cannot be applied to this value.
    """
    try:
        return SELECTORS[kind].write(version or EXPRESSION_VERSIONS[kind][0], text, value, new)
    except RecursionError as error:
        raise LookupError("the payload nests too deeply to be written into") from error


def _tokens(text: str) -> tuple[str, ...]:
    try:
        return pointer.parse(text)
    except ValueError as error:
        raise ExpressionInvalid(str(error), 0, len(text), hint="for example /items/0/id") from error


def _read_pointer(_version: str, text: str, value: Any) -> list[Any] | str:
    tokens = _tokens(text)
    reached = pointer.follow(value, tokens)
    if not reached.rest:
        return [reached.value]
    return absent(pointer.dump(tokens[: len(tokens) - len(reached.rest)]), reached.value, reached.rest[0])


def _write_pointer(_version: str, text: str, value: Any, new: Any) -> Any:
    return pointer.replace(value, _tokens(text), new)


def _read_jsonpath(version: str, text: str, value: Any) -> list[Any] | str:
    query = jsonpath.compiled(text, version)
    return [node[0] for node in query.nodes(_structured(value))] or query.why_nothing(value)


def _structured(value: Any) -> Any:
    if not isinstance(value, dict | list):
        raise ExpressionInvalid(f"the context is {kind(value)}, not a JSON object or array")
    return value


def _write_jsonpath(version: str, text: str, value: Any, new: Any) -> Any:
    query = jsonpath.compiled(text, version)
    if not isinstance(value, dict | list):
        raise LookupError(f"the payload is {kind(value)}, not a JSON object or array")  # noqa: TRY004 - as documented
    places = [_path(node[1]) for node in query.nodes(value)]
    if not places:
        raise LookupError(query.why_nothing(value))
    return _replaced(value, places, new)


def _path(where: jsonpath.Where) -> tuple[str | int, ...]:
    keys: list[str | int] = []
    while where is not None:
        where, key = where
        keys.append(key)
    return tuple(reversed(keys))


def _replaced(value: Any, places: Iterable[tuple[str | int, ...]], new: Any) -> Any:
    """Copy a value with another one at these places; a place inside one that is replaced is gone with it."""
    inner: dict[str | int, list[tuple[str | int, ...]]] = {}
    for place in places:
        if not place:
            return new
        inner.setdefault(place[0], []).append(place[1:])
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    for key, rest in inner.items():
        copy[key] = _replaced(value[key], rest, new)
    return copy


def _read_xpath(version: str, text: str, value: Any) -> list[Any] | str:
    return xpath.read(version, text, value) or xpath.why_nothing(version, text, value)


SELECTORS: dict[str, Selector] = {
    "jsonpointer": Selector(lambda _version, text: _tokens(text), _read_pointer, _write_pointer),
    "jsonpath": Selector(lambda version, text: jsonpath.compiled(text, version), _read_jsonpath, _write_jsonpath),
    "xpath": Selector(xpath.check, _read_xpath, xpath.write),
}
"""Every kind of selector."""
