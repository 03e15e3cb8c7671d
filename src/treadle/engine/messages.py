"""Requests and responses as runtime expressions see them."""

import codecs
import json
import math
from codecs import BOM_UTF8
from typing import Any, NoReturn

import msgspec

from treadle.engine.effects import HttpResponse
from treadle.engine.secrets import Secrets
from treadle.expressions.evaluate import Missing
from treadle.sources.request import Argument, HttpRequest, is_json

_UNREAD = object()
_NO_CHARSETS = frozenset({"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined"})
"""Codecs of Python that no answer is written in, and whose reading differs between versions."""
_NO_CONTENT = frozenset({204, 205, 304})
_MOST_DIGITS = 400
"""From how many digits on a number is infinite to every comparison."""


class Request:
    """`$request`: the parameters as they were given, the header fields and the body as sent."""

    __slots__ = ("_arguments", "_body", "_request")

    def __init__(self, request: HttpRequest, arguments: list[Argument], body: Any) -> None:
        self._request = request
        self._arguments = arguments
        self._body = body

    def header(self, name: str) -> Any:
        """Give one header field."""
        return next((value for field, value in self._request.headers if field.lower() == name.lower()), None)

    def query(self, name: str) -> Any:
        """Give one query parameter."""
        return self._parameter("query", name)

    def path(self, name: str) -> Any:
        """Give one path parameter."""
        return self._parameter("path", name)

    def _parameter(self, location: str, name: str) -> Any:
        given = (value for spec, value in self._arguments if (spec.location, spec.name) == (location, name))
        return next(given, None)

    def body(self) -> Any:
        """Give the payload."""
        return self._body


class Response:
    """`$response`: the body is read when it is first asked for."""

    __slots__ = ("_body", "_headers", "response")

    def __init__(self, response: HttpResponse) -> None:
        self.response = response
        self._headers: dict[str, str] | None = None
        self._body: Any = _UNREAD

    def header(self, name: str) -> Any:
        """Give one header field; several of a name are joined by commas (RFC 9110 section 5.3)."""
        if self._headers is None:
            headers: dict[str, str] = {}
            for field, value in self.response.headers:
                key = field.lower()
                headers[key] = f"{headers[key]}, {value}" if key in headers else value
            self._headers = headers
        return self._headers.get(name.lower())

    def query(self, name: str) -> Any:
        """A response has no query."""
        del name

    def path(self, name: str) -> Any:
        """A response has no path."""
        del name

    def body(self) -> Any:
        """Give the body: the value where it is JSON, the text where it is not, Missing where it is empty."""
        if self._body is _UNREAD:
            self._body = self._read()
        return self._body

    def _read(self) -> Any:
        body = self.response.body
        content_type = self.header("content-type") or ""
        if not body.strip():
            unreadable = self.response.status not in _NO_CONTENT
            return Missing(f"the body of the answer (status {self.response.status}) is empty", unreadable=unreadable)
        if is_json(content_type) or not content_type:
            try:
                # "JSON parsers MAY ignore the presence of a byte order mark" (RFC 8259 section 8.1).
                return msgspec.json.decode(body.removeprefix(BOM_UTF8))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return _read_leniently(_text(body, content_type))
        return _text(body, content_type)


def _read_leniently(text: str) -> Any:
    """Read what the strict and fast reader refused: another charset, numbers beyond all measure.

    A text that is not JSON is given as it is; going into it says so.
    """
    try:
        value = json.loads(
            text.removeprefix("\ufeff"), parse_constant=refuse_constant, parse_float=_number, parse_int=_number
        )
        msgspec.json.encode(value)  # half a surrogate pair can be read, but not written again
    except (ValueError, RecursionError):
        return text
    return value


def _number(text: str) -> int | float | str:
    """Give a number, or as a text one that is too large: written again it stays what it was, and compares as a number."""
    if text.lstrip("-").isdigit():
        return int(text) if len(text) < _MOST_DIGITS else text
    number = float(text)
    return number if math.isfinite(number) else text


def refuse_constant(constant: str) -> NoReturn:
    """Refuse NaN and Infinity, which Python would read."""
    raise ValueError(f"{constant} is not JSON")


def _text(body: bytes, content_type: str) -> str:
    try:
        charset = codecs.lookup(_charset(content_type)).name
        text = body.decode("utf-8" if charset in _NO_CHARSETS else charset, errors="replace")
        return text.encode(errors="replace").decode()
    except (LookupError, ValueError):  # a charset nobody knows, or a codec that is not for texts
        return body.decode(errors="replace")


def _charset(content_type: str) -> str:
    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"')
    return "utf-8"


def said_by_server(body: Any, secrets: Secrets) -> str | None:
    """Give the message of an error body as servers write it, at most 300 characters.

    Secrets are masked before it is cut: of one that is cut, the rest would not be found again.
    """
    if isinstance(body, dict):
        for name in ("detailedMessage", "message", "detail", "title", "error_description", "error"):
            if isinstance(body.get(name), str) and body[name]:
                return secrets.text(body[name])[:300]
    return None
