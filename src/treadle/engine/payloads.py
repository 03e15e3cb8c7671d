"""What goes out for a payload: its text where it is JSON that the document writes, else the value."""

import json
from typing import Any

import msgspec

from treadle.engine.messages import refuse_constant
from treadle.expressions.evaluate import Context, evaluate, to_text
from treadle.expressions.payload import Constant, Payload
from treadle.expressions.syntax import Template, dump
from treadle.sources.request import RequestInvalid, is_json

_HINT = "give it as an object"


def as_sent(payload: Any, prepared: Payload, content_type: str, context: Context) -> Any:
    """Give what goes out for a payload: in JSON, a value that is a text is a JSON string.

    A text that the document itself writes goes out as it stands, with its expressions filled in.

    Raises:
        RequestInvalid: what was filled in breaks the JSON, or makes another one of it.
    """
    if not isinstance(payload, str) or isinstance(prepared, Constant) or not is_json(content_type):
        return payload
    if not isinstance(prepared, Template):
        return msgspec.json.encode(payload).decode()
    try:
        _check_json(payload)
        _refuse_injected(prepared, context)
    except (ValueError, RecursionError) as error:
        raise RequestInvalid("the payload is not JSON after its expressions were filled in", hint=_HINT) from error
    return payload


def _refuse_injected(template: Template, context: Context) -> None:
    """Refuse a value between quotes that ends its string or escapes in it: what is sent would not be what was written.

    A value that stands outside of quotes is JSON of its own: put a character in its place, and there is none.
    """
    texts = [to_text(evaluate(part, context)) for part in template.parts]
    for at, (part, text) in enumerate(zip(template.parts, texts, strict=True)):
        if isinstance(part, str) or not ('"' in text or "\\" in text):
            continue
        try:
            _check_json("".join((*texts[:at], "x", *texts[at + 1 :])))
        except ValueError:
            continue
        message = f"a quote or backslash in `{dump(part)}` would make another JSON of the payload"
        raise RequestInvalid(message, hint=_HINT)


def _check_json(text: str) -> None:
    """Raise ValueError where a text is not JSON; numbers are left alone, since some are too large for any type."""
    json.loads(text, parse_constant=refuse_constant, parse_int=str, parse_float=str)
