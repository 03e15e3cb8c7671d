"""Bodies of answers as values: JSON, text in its charset, or bytes that are kept as they are."""

import codecs
import json
import math
import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from typing import Any, NoReturn

import msgspec
from msgspec import Struct

from treadle.document.nesting import DEEPEST, nests_too_deeply
from treadle.expressions.evaluate import Missing
from treadle.files import Binary
from treadle.sources.media import charset_of, is_binary, is_json, is_text, is_xml

_NO_CHARSETS = frozenset({"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined"})
"""Codecs of Python that no answer is written in, and whose reading differs between versions."""
_NO_CONTENT = frozenset({204, 205, 304})
_MOST_DIGITS = 400
"""From how many digits on a number is infinite to every comparison."""
_XML_ENCODING = re.compile(rb"""^\s*<\?xml[^>]{0,100}?encoding\s*=\s*["']([A-Za-z][A-Za-z0-9._-]*)["']""")
_BOMS = ((BOM_UTF8, "utf-8"), (BOM_UTF16_LE, "utf-16"), (BOM_UTF16_BE, "utf-16"))
_OCTETS = "application/octet-stream"


class Answer(Struct, frozen=True, gc=False):
    """What a body says, and a warning where that is not what it says it is."""

    value: Any
    warning: str | None = None


def read_answer(body: bytes, content_type: str, status: int) -> Answer:
    """Give the value of a body: of JSON the value, of other texts the text, a Binary of the rest, Missing of nothing.

    What says that it is JSON and is not stays a text, with a warning; going into it says so too.
    """
    if not body.strip():
        unreadable = status not in _NO_CONTENT
        return Answer(Missing(f"the body of the answer (status {status}) is empty", unreadable=unreadable))
    if is_json(content_type) or not content_type:
        return _json(body, content_type, status)
    if is_binary(content_type):
        return Answer(Binary(body, content_type))
    if is_text(content_type) or charset_of(content_type):
        return Answer(_text(body, content_type))
    # Of a type that nobody knows, the content tells.
    text = _plain_text(body)
    return Answer(Binary(body, content_type) if text is None else text)


def _json(body: bytes, content_type: str, status: int) -> Answer:
    try:
        # "JSON parsers MAY ignore the presence of a byte order mark" (RFC 8259 section 8.1).
        value = msgspec.json.decode(body.removeprefix(BOM_UTF8))
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    except RecursionError:
        return _too_deep(body, content_type, status)
    else:
        return _too_deep(body, content_type, status) if nests_too_deeply(body) else Answer(value)
    if not content_type and _plain_text(body) is None and not body.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return Answer(Binary(body, _OCTETS))
    text = _text(body, content_type)
    value, is_value = _read_leniently(text)
    if is_value and nests_too_deeply(text.encode()):
        return _too_deep(body, content_type, status)
    if is_value or not content_type:
        return Answer(value)
    said = content_type.partition(";")[0].strip()
    return Answer(
        text, f"the body of the answer (status {status}) is no JSON, though its type is {said}; it is kept as text"
    )


def _too_deep(body: bytes, content_type: str, status: int) -> Answer:
    warning = f"the body of the answer (status {status}) nests deeper than {DEEPEST} levels; it is kept as text"
    return Answer(_text(body, content_type), warning)


def _read_leniently(text: str) -> tuple[Any, bool]:
    """Read what the strict and fast reader refused: another charset, numbers beyond all measure.

    A text that is not JSON is given as it is; going into it says so.
    """
    try:
        value = json.loads(
            text.removeprefix("\ufeff"), parse_constant=refuse_constant, parse_float=_number, parse_int=_number
        )
        msgspec.json.encode(value)  # half a surrogate pair can be read, but not written again
    except (ValueError, RecursionError):
        return text, False
    return value, True


def _number(text: str) -> int | float | str:
    """Give a number, or as a text one that is too large: written again it stays what it was, and compares as a number."""
    if text.lstrip("-").isdigit():
        return int(text) if len(text) < _MOST_DIGITS else text
    number = float(text)
    return number if math.isfinite(number) else text


def refuse_constant(constant: str) -> NoReturn:
    """Refuse NaN and Infinity, which Python would read."""
    raise ValueError(f"{constant} is not JSON")


def _plain_text(body: bytes) -> str | None:
    """Give the text of bytes that are UTF-8 and have no null in them, or None."""
    if b"\0" in body:
        return None
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None


def _text(body: bytes, content_type: str) -> str:
    given = charset_of(content_type) or _own_charset(body, content_type)
    try:
        charset = codecs.lookup(given).name
        text = body.decode("utf-8" if charset in _NO_CHARSETS else charset, errors="replace")
        return text.encode(errors="replace").decode().removeprefix("\ufeff")
    except (LookupError, ValueError):  # a charset nobody knows, or a codec that is not for texts
        return body.decode(errors="replace")


def _own_charset(body: bytes, content_type: str) -> str:
    """Give the charset that a body shows itself: a byte order mark, an XML declaration (RFC 7303 section 3), or UTF-8."""
    for mark, charset in _BOMS:
        if body.startswith(mark):
            return charset
    declared = _XML_ENCODING.match(body[:200]) if is_xml(content_type) else None
    return "utf-8" if declared is None else declared[1].decode()
