"""Data as values of a type, in one thread at a time.

msgspec learns a type when it first meets it; where two threads have it do so at once, it reads what is not there yet, and the
interpreter may crash. Whatever threads with a Runner each may read goes through here; decoders of a module are made with it.
"""

import threading
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

_T = TypeVar("_T")
_LEARNING = threading.Lock()


def from_json(content: bytes | str, kind: type[_T], *, strict: bool = True) -> _T:
    """Decode JSON.

    Raises:
        msgspec.DecodeError: it is none, or no value of that type.
    """
    with _LEARNING:
        return msgspec.json.decode(content, type=kind, strict=strict)


def from_fields(values: Mapping[str, Any], kind: type[_T]) -> _T:
    """Give a value of a type by the names of its fields.

    Raises:
        msgspec.ValidationError: one has a value of a kind that it cannot have.
    """
    with _LEARNING:
        return msgspec.convert(dict(values), kind)
