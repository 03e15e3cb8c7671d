"""JSON Pointer (RFC 6901): parse, format, get, set.

Pure functions over plain JSON values. What a missing location means to a workflow is decided in `expressions`.
"""

import re
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

Path = tuple[str | int, ...]
"""A location in a document as keys and indexes, the parsed form of a pointer."""


_BAD_ESCAPE = re.compile("~(?![01])")
_MOST_DIGITS = 18
"""No array has an index of more digits; Python refuses to read a number of thousands."""


class Step(Struct, frozen=True, gc=False):
    """How far a pointer led: the value reached, and the tokens that were left when it could not go on."""

    value: Any
    rest: tuple[str, ...]


def parse(text: str) -> tuple[str, ...]:
    """Split a pointer into its unescaped reference tokens (RFC 6901 section 3).

    Raises:
        ValueError: the text does not start with `/` or has a `~` that is neither `~0` nor `~1`.
    """
    if not text:
        return ()
    if text[0] != "/":
        raise ValueError(f"a JSON Pointer starts with '/', found {text!r}")
    return tuple(_unescape(token) for token in text[1:].split("/"))


def _unescape(token: str) -> str:
    if "~" not in token:
        return token
    if _BAD_ESCAPE.search(token):
        raise ValueError(f"'~' in a JSON Pointer is written '~0', found {token!r}")
    return token.replace("~1", "/").replace("~0", "~")


def dump(tokens: Sequence[str | int]) -> str:
    """Join tokens into pointer text, escaping `~` and `/`."""
    return "".join("/" + str(token).replace("~", "~0").replace("/", "~1") for token in tokens)


def follow(value: Any, tokens: Sequence[str]) -> Step:
    """Walk from `value` along `tokens` as far as they lead (RFC 6901 section 4).

    An array index is digits without a leading zero. Nothing is raised: a non-empty `rest` says that the location is
    absent, and `value` is then the last one that was there.
    """
    for position, token in enumerate(tokens):
        if isinstance(value, dict):
            if token not in value:
                return Step(value, tuple(tokens[position:]))
            value = value[token]
        elif isinstance(value, list | tuple):
            index = array_index(token)
            if index is None or index >= len(value):
                return Step(value, tuple(tokens[position:]))
            value = value[index]
        else:
            return Step(value, tuple(tokens[position:]))
    return Step(value, ())


def array_index(token: str) -> int | None:
    """Give the index that a reference token names, or None where it names none (RFC 6901 section 4)."""
    if len(token) <= _MOST_DIGITS and token.isascii() and token.isdigit() and (token == "0" or token[0] != "0"):
        return int(token)
    return None


def replace(value: Any, tokens: Sequence[str], new: Any) -> Any:
    """Return `value` with the location `tokens` set to `new`; containers on the way are copied, never changed.

    The last token may name a new object member, or `-` for one past the end of an array.

    Raises:
        LookupError: a container on the way is absent or is a scalar; the message names it.
    """
    if not tokens:
        return new
    token, rest = tokens[0], tokens[1:]
    if isinstance(value, dict):
        if rest and token not in value:
            raise LookupError(f"there is no {token!r} to go into")
        return {**value, token: replace(value.get(token), rest, new)}
    if isinstance(value, list | tuple):
        items = list(value)
        if token == "-" and not rest:
            return [*items, new]
        index = array_index(token)
        if index is None or index >= len(items):
            raise LookupError(f"an array of {len(items)} has no item {token!r}")
        items[index] = replace(items[index], rest, new)
        return items
    raise LookupError(f"{token!r} names a member, but what is there is no object or array")
