"""Values in words and as texts, for messages and for templates."""

from typing import Any

import msgspec

from treadle.errors import ExpressionInvalid
from treadle.files import in_words


def to_text(value: Any) -> str:
    """Write a value into text: strings as they are, everything else by its JSON text (section "Runtime Expressions").

    Raises:
        ExpressionInvalid: the value nests too deeply to be written, or is a file or binary data.
    """
    if isinstance(value, str):
        return value
    try:
        return msgspec.json.encode(value).decode()
    except RecursionError as error:
        raise ExpressionInvalid("the value nests too deeply to be written as text") from error
    except TypeError as error:
        what = in_words(value) or "a value with a file or binary data in it"
        raise ExpressionInvalid(f"{what} has no text") from error


def shortened(text: str, most: int = 120) -> str:
    """Cut a text for a message; secrets in it must have been masked before."""
    return text if len(text) <= most else text[: most - 1] + "…"


def kind(value: Any) -> str:
    """Say what a value is, for messages."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case dict():
            return "an empty object" if not value else "an object"
        case list():
            return "an empty array" if not value else f"an array of {len(value)}"
        case str():
            return "an empty string" if not value else "a string"
    return in_words(value) or "a number"


def absent(way: str, value: Any, name: str | int) -> str:
    """Say that the value at a place has no `name` in it, by what the value is; `way` is how the place was reached."""
    place = f"`{way}`" if way else "the value"
    if value is None or value in ([], {}):
        return f"{place} is {kind(value)}"
    return f"{place} is {kind(value)}{' and' if isinstance(value, dict | list) else ', which'} has no `{name}`"
