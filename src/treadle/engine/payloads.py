"""What goes out for a payload: its text where it is JSON that the document writes, else the value; and replacements."""

import json
from typing import Any

import msgspec

from treadle.document.model import EXPRESSION_VERSIONS, ExpressionType
from treadle.engine.answers import refuse_constant
from treadle.errors import ExpressionInvalid
from treadle.expressions import selectors
from treadle.expressions.evaluate import Context, evaluate
from treadle.expressions.payload import Constant, Payload
from treadle.expressions.syntax import Template, dump
from treadle.expressions.words import to_text
from treadle.sources.request import RequestInvalid, is_json, is_xml

_HINT = "give it as an object"


def as_sent(payload: Any, prepared: Payload | None, content_type: str, context: Context) -> Any:
    """Give what goes out for a payload: in JSON, a value that is a text is a JSON string.

    A text that the document itself writes goes out as it stands, with its expressions filled in. `prepared` is None for a
    value that is no text of the document any more, because something in it was replaced.

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


def target_type(written: str | ExpressionType | None, payload: Any, content_type: str) -> tuple[str, str]:
    """Give kind and version of a replacement's target (section "Payload Replacement Object").

    Where the document does not say it, the target is XPath in a text of an XML media type, else a JSON Pointer.
    """
    if isinstance(written, ExpressionType):
        return written.type, written.version
    kind = written or ("xpath" if isinstance(payload, str) and is_xml(content_type) else "jsonpointer")
    return kind, EXPRESSION_VERSIONS[kind][0]


def replaced(
    payload: Any, prepared: Payload, content_type: str, context: Context, target: tuple[str, str, str], new: Any
) -> Any:
    """Give the payload with `new` at a target: its kind, version and text.

    A JSON text that the document writes is read first, and is a value from then on.

    Raises:
        RequestInvalid: the target is not there, or `new` cannot stand there.
    """
    kind, version, text = target
    try:
        if isinstance(payload, str) and kind != "xpath":
            payload = _read_text(payload, prepared, content_type, context)
        return selectors.write(kind, version, text, payload, new)
    except (LookupError, ExpressionInvalid) as error:
        why = error.message if isinstance(error, ExpressionInvalid) else error.args[0]
        raise RequestInvalid(f"the replacement at {text}: {context.mask(why)}") from error


def _read_text(payload: str, prepared: Payload, content_type: str, context: Context) -> Any:
    """Read a JSON text that the document writes."""
    if not is_json(content_type):
        raise LookupError(f"the payload is a text of type {content_type}, in which nothing can be replaced")
    if not isinstance(prepared, Template | Constant):
        return payload
    try:
        return msgspec.json.decode(as_sent(payload, prepared, content_type, context))
    except (msgspec.DecodeError, RecursionError) as error:
        raise RequestInvalid("the payload is not JSON, so nothing can be replaced in it", hint=_HINT) from error


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
