"""Requests and responses as runtime expressions see them."""

from collections.abc import Callable
from typing import Any

from treadle.engine.answers import read_answer
from treadle.engine.effects import HttpResponse
from treadle.engine.secrets import Secrets
from treadle.sources.request import Argument, HttpRequest

_UNREAD = object()


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
        given = (a.value for a in self._arguments if (a.spec.location, a.spec.name) == (location, name))
        return next(given, None)

    def body(self) -> Any:
        """Give the payload."""
        return self._body


class Response:
    """`$response`: the body is read when it is first asked for; `warn` takes a rule and a message."""

    __slots__ = ("_body", "_warn", "response")

    def __init__(self, response: HttpResponse, warn: Callable[[str, str], None] | None = None) -> None:
        self.response = response
        self._warn = warn
        self._body: Any = _UNREAD

    def header(self, name: str) -> Any:
        """Give one header field; several of a name are joined by commas (RFC 9110 section 5.3)."""
        wanted = name.lower()
        found = None
        for field, value in self.response.headers:
            if field.lower() == wanted:
                found = value if found is None else f"{found}, {value}"
        return found

    def query(self, name: str) -> Any:
        """A response has no query."""
        del name

    def path(self, name: str) -> Any:
        """A response has no path."""
        del name

    def body(self) -> Any:
        """Give the body: the value where it is JSON, the text or a Binary where it is not, Missing where it is empty."""
        if self._body is _UNREAD:
            self._body = self._read()
        return self._body

    def _read(self) -> Any:
        found = read_answer(self.response.body, self.header("content-type") or "", self.response.status)
        if found.warning is not None and self._warn is not None:
            self._warn("body-not-json", found.warning)
        return found.value


def said_by_server(body: Any, secrets: Secrets) -> str | None:
    """Give the message of an error body as servers write it, at most 300 characters.

    Secrets are masked before it is cut: of one that is cut, the rest would not be found again.
    """
    if isinstance(body, dict):
        for name in ("detailedMessage", "message", "detail", "title", "error_description", "error"):
            if isinstance(body.get(name), str) and body[name]:
                return secrets.text(body[name])[:300]
    return None
