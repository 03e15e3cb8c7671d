"""Operation and arguments to an HTTP request: where each value goes. Values come evaluated.

Own code, because no kept library serialises OpenAPI parameters alone (style and explode, OpenAPI 3.1 section 4.8.12).
"""

import re
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from treadle.errors import RequestInvalid
from treadle.sources.bodies import Body, encode_body, has_form, sent_type
from treadle.sources.media import is_json, is_xml, media_type
from treadle.sources.operation import MediaSpec, Operation, ParameterSpec
from treadle.sources.parameters import writer

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "QUERY"})
"""RFC 9110 section 9.2.1; QUERY says the same of itself."""
IDEMPOTENT_METHODS = SAFE_METHODS | {"PUT", "DELETE"}
"""RFC 9110 section 9.2.2."""
_PLAIN = MediaSpec()
_NOT_IN_A_PATH = re.compile(r"(\{[^{}]*\})|%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9\-._~!$&'()*+,;=:@/?#%]")
"""What a template may hold and no path can (RFC 3986 section 3.3); the places of parameters stand for themselves."""


class HttpRequest(Struct, frozen=True, gc=False):
    """A request, ready to be sent: the URL is encoded, the body serialised.

    A multipart body gets its boundary, and a file is read, when it is sent.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: Body | None = None


class Argument(Struct, frozen=True, gc=False):
    """A parameter of an operation with its value."""

    spec: ParameterSpec
    value: Any


def build_request(
    operation: Operation, server: str, arguments: list[Argument], content_type: str | None, payload: Any = None
) -> HttpRequest:
    """Put the arguments into a request for `operation` at `server`; a payload goes out if `content_type` is given.

    Raises:
        RequestInvalid: a value does not fit its place; the message names the parameter.
    """
    path = _template(operation.path)
    headers: list[tuple[str, str]] = []
    cookies: list[str] = []
    query: list[str] = []
    for argument in arguments:
        spec = argument.spec
        written = writer(spec)(argument.value)
        match spec.location:
            case "path":
                path = path.replace("{" + spec.name + "}", written[0])
            case "header":
                for text in written:
                    headers.append((spec.name, text))  # noqa: PERF401 - one as a rule, for which a list of its own is slower
            case "cookie":
                cookies += written
            case _:
                query += written
    if cookies:
        headers.append(("Cookie", "; ".join(cookies)))
    body = None
    if content_type is not None:
        body = encode_body(payload, content_type, _media(operation, content_type))
        if not any(name.lower() == "content-type" for name, _ in headers):
            headers.append(("Content-Type", sent_type(content_type, payload)))
    _check_dots(operation.path, path)
    url = server.rstrip("/") + path
    if query:
        url += ("&" if "?" in url else "?") + "&".join(query)
    return HttpRequest(operation.method, url, tuple(headers), body)


@lru_cache(4096)
def _template(path: str) -> str:
    """Give a path template as it is sent: what the description writes plainly is encoded, escapes stay."""
    return _NOT_IN_A_PATH.sub(lambda found: found[1] or quote(found[0], safe=""), path)


def _media(operation: Operation, content_type: str) -> MediaSpec:
    if operation.body is None or not operation.body.media:
        return _PLAIN
    return operation.body.media.get(media_type(content_type), _PLAIN)


def _check_dots(template: str, path: str) -> None:
    """Refuse values that make a segment `.` or `..`: it would name another path (RFC 3986 section 5.2.4)."""
    if "/." not in path or path == template:
        return
    written = template.split("/")
    for segment in path.split("/"):
        if segment in (".", "..") and segment not in written:
            hint = "a path parameter must not lead up or nowhere"
            raise RequestInvalid(f"a value makes '{segment}' of a part of the path {template}", hint=hint)


__all__ = [
    "IDEMPOTENT_METHODS", "SAFE_METHODS", "Argument", "HttpRequest", "RequestInvalid", "build_request", "has_form",
    "is_json", "is_xml", "media_type",
]  # fmt: skip
