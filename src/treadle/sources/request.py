"""Operation and arguments to an HTTP request: parameter styles, encoding, media types. Values come evaluated.

Own code, because no kept library serialises OpenAPI parameters alone (style and explode, OpenAPI 3.1 section 4.8.12).
"""

import re
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec
from msgspec import Struct

from treadle.errors import TreadleError
from treadle.sources.operation import FORM, Operation, ParameterSpec

_RESERVED = ":/?@!$&'()*+,;="
"""What allowReserved leaves as it is: `#`, `[` and `]` have no place in a query (RFC 3986 section 3.4)."""
_NOT_IN_A_QUERY = re.compile(r"%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9\-._~!$&'()*+,;=:@/?%]")
"""What a query cannot hold (RFC 3986 section 3.4); an escape can stand in it, a lone percent sign cannot."""
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]*")
_DELIMITERS = {"form": ",", "spaceDelimited": "%20", "pipeDelimited": "%7C", "tabDelimited": "%09"}
_IN_HEADERS = {"spaceDelimited": " ", "pipeDelimited": "|", "tabDelimited": "\t"}
"""The delimiters of Swagger 2.0 where nothing is escaped."""
_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_REFUSED = frozenset(map(chr, (*range(9), *range(10, 32), 127)))
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "QUERY"})
"""RFC 9110 section 9.2.1; QUERY says the same of itself."""
IDEMPOTENT_METHODS = SAFE_METHODS | {"PUT", "DELETE"}
"""RFC 9110 section 9.2.2."""


class HttpRequest(Struct, frozen=True):
    """A request, ready to be sent: the URL is encoded, the body serialised."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None


class RequestInvalid(TreadleError):
    """A value cannot go where the operation wants it; nothing was sent."""


class Argument(NamedTuple):
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
    path = operation.path
    headers: list[tuple[str, str]] = []
    cookies: list[str] = []
    for spec, value in arguments:
        match spec.location:
            case "path":
                path = path.replace("{" + spec.name + "}", _path_value(spec, value))
            case "header" if value is not None or spec.required:
                headers.append(_header(spec, value))
            case "cookie":
                cookies += _pairs(spec, value)
    if cookies:
        headers.append(("Cookie", "; ".join(cookies)))
    body = None
    if content_type is not None:
        body = encode_body(payload, content_type)
        if not any(name.lower() == "content-type" for name, _ in headers):
            headers.append(("Content-Type", content_type))
    _check_dots(operation.path, path)
    url = server.rstrip("/") + path
    query = "&".join(part for argument in arguments for part in _query_parts(*argument))
    if query:
        url += ("&" if "?" in url else "?") + query
    return HttpRequest(operation.method, url, tuple(headers), body)


def _query_parts(spec: ParameterSpec, value: Any) -> list[str]:
    match spec.location:
        case "query":
            return _pairs(spec, value)
        case "querystring":
            return _querystring(spec, value)
    return []


def encode_body(payload: Any, content_type: str) -> bytes:
    """Serialise a payload for a media type: text goes out as it is, everything else as the type asks.

    Raises:
        RequestInvalid: the payload has no form in that type.
    """
    if isinstance(payload, str):
        return payload.encode()
    if is_json(content_type):
        return msgspec.json.encode(payload)
    if media_type(content_type) == FORM and isinstance(payload, dict):
        return _form_fields(payload).encode()
    what = type(payload).__name__
    raise RequestInvalid(f"a payload of type {what} cannot be written as {content_type}", hint="give it as text")


def has_form(payload: Any, content_type: str) -> bool:
    """Say whether `encode_body` can write a payload like this one."""
    if isinstance(payload, str) or is_json(content_type):
        return True
    return media_type(content_type) == FORM and isinstance(payload, dict)


def media_type(content_type: str) -> str:
    """Give the type without parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def is_json(content_type: str) -> bool:
    """Say whether a content type is a JSON one: `application/json` or a `+json` suffix (RFC 6839 section 3.1)."""
    kind = media_type(content_type)
    return kind.endswith(("/json", "+json"))


def _form_fields(fields: dict[str, Any]) -> str:
    pairs = [(str(name), value) for name, entry in fields.items() for value in _as_list(entry)]
    return "&".join(f"{_form(name)}={_form(_text(value))}" for name, value in pairs)


def is_xml(content_type: str) -> bool:
    """Say whether a content type is an XML one: `application/xml`, `text/xml` or a `+xml` suffix (RFC 7303)."""
    return media_type(content_type).endswith(("/xml", "+xml"))


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _form(text: str) -> str:
    return quote(text, safe="*-._").replace("%20", "+")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


def _encode(value: Any, spec: ParameterSpec) -> str:
    if spec.location == "header":
        return _text(value)
    if type(value) is str and _UNRESERVED.fullmatch(value):
        return value  # nothing to encode: the usual case, and five times as fast
    if spec.style == "cookie":
        return _cookie_text(spec, _text(value))
    reserved = _RESERVED if spec.allow_reserved and spec.location == "query" else ""
    return quote(_text(value), safe="-._~" + reserved)


def _cookie_text(spec: ParameterSpec, text: str) -> str:
    """Give the text as it is: style `cookie` has no escapes, so what would end the value is refused."""
    if ";" in text or _HEADER_REFUSED & set(text):
        message = f"cookie '{spec.name}' has a semicolon or a control character in its value"
        raise RequestInvalid(message, hint="its style is `cookie`, which has no way to write it")
    return text


def _querystring(spec: ParameterSpec, value: Any) -> list[str]:
    """Write the whole query: a form as it is given, but for what no query can hold; of other types the escaped text."""
    given = spec.media_type or FORM
    if not isinstance(value, str):
        # "For `querystring` parameters, the value MUST resolve to a string" (Arazzo, section "Parameter Object")
        what = "a text such as `a=1&b=2`" if media_type(given) == FORM else "a text"
        message = f"parameter '{spec.name}' is the whole query, of type {given}: {what} is expected, not {_kind(value)}"
        raise RequestInvalid(message)
    if media_type(given) == FORM:
        return [_NOT_IN_A_QUERY.sub(lambda found: quote(found[0], safe=""), value)] if value else []
    if is_json(given):
        _check_json(spec, value)
    return [quote(value, safe="-._~")]


def _check_json(spec: ParameterSpec, text: str) -> None:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        message = f"parameter '{spec.name}' is the whole query, of type {spec.media_type}, but its text is not JSON"
        raise RequestInvalid(message, hint='write it as JSON, such as `{"a": 1}`') from error


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    return {bool: "a boolean", list: "an array", dict: "an object"}.get(type(value), "a number")


def _header(spec: ParameterSpec, value: Any) -> tuple[str, str]:
    if not _FIELD_NAME.fullmatch(spec.name):
        raise RequestInvalid(f"{spec.name!r} cannot be the name of a header field")
    text = _simple(spec, value)
    if _HEADER_REFUSED & set(text):
        raise RequestInvalid(
            f"header '{spec.name}' has a line break or another control character in its value", hint="check the input"
        )
    return spec.name, text.strip()


def _path_value(spec: ParameterSpec, value: Any) -> str:
    match spec.style:
        case "label":
            text = "." + _expanded(spec, value, "." if spec.explode else ",")
        case "matrix":
            text = _matrix(spec, value)
        case _:
            text = _simple(spec, value)
    if not text or value is None or value in ([], {}):
        raise RequestInvalid(f"path parameter '{spec.name}' is empty", hint="a path needs a value in its place")
    return text


def _check_dots(template: str, path: str) -> None:
    """Refuse values that make a segment `.` or `..`: it would name another path (RFC 3986 section 5.2.4)."""
    if path == template:
        return
    written = template.split("/")
    for segment in path.split("/"):
        if segment in (".", "..") and segment not in written:
            hint = "a path parameter must not lead up or nowhere"
            raise RequestInvalid(f"a value makes '{segment}' of a part of the path {template}", hint=hint)


def _simple(spec: ParameterSpec, value: Any) -> str:
    delimiters = _IN_HEADERS if spec.location == "header" else _DELIMITERS
    return _expanded(spec, value, delimiters.get(spec.style, ","))


def _expanded(spec: ParameterSpec, value: Any, delimiter: str) -> str:
    if spec.media_type is not None:
        return _encode(value if isinstance(value, str) else msgspec.json.encode(value).decode(), spec)
    if isinstance(value, list):
        return delimiter.join(_encode(item, spec) for item in value)
    if isinstance(value, dict):
        joint = "=" if spec.explode else ","
        return delimiter.join(f"{_encode(str(name), spec)}{joint}{_encode(item, spec)}" for name, item in value.items())
    return _encode(value, spec)


def _matrix(spec: ParameterSpec, value: Any) -> str:
    name = _encode(spec.name, spec)
    if value == "":
        return f";{name}"
    if spec.explode and isinstance(value, list):
        return "".join(f";{name}={_encode(item, spec)}" for item in value)
    if spec.explode and isinstance(value, dict):
        return "".join(f";{_encode(str(key), spec)}={_encode(item, spec)}" for key, item in value.items())
    return f";{name}={_expanded(spec, value, ',')}"


def _pairs(spec: ParameterSpec, value: Any) -> list[str]:
    name = spec.name if spec.style == "cookie" else quote(spec.name, safe="-._~[]")
    if value is None and not spec.required:
        return []
    if value in ([], {}):
        return []  # "a variable defined as a list is considered undefined if the list has no members" (RFC 6570, 2.3)
    if spec.media_type is not None:
        return [f"{name}={_expanded(spec, value, ',')}"]
    if isinstance(value, dict):
        if spec.style == "deepObject":
            return [f"{name}%5B{_encode(str(key), spec)}%5D={_encode(item, spec)}" for key, item in value.items()]
        if spec.explode:
            return [f"{_encode(str(key), spec)}={_encode(item, spec)}" for key, item in value.items()]
        delimiter = _DELIMITERS.get(spec.style, ",")
        members = [_encode(part, spec) for key, item in value.items() for part in (str(key), item)]
        return [f"{name}={delimiter.join(members)}"]
    if isinstance(value, list):
        if spec.style == "deepObject":
            raise RequestInvalid(f"parameter '{spec.name}' has style deepObject, which has no form for an array")
        if spec.explode:
            return [f"{name}={_encode(item, spec)}" for item in value]
        return [f"{name}={_DELIMITERS.get(spec.style, ',').join(_encode(item, spec) for item in value)}"]
    return [f"{name}={_encode(value, spec)}"]
