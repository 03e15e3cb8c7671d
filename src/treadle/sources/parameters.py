"""Values of parameters as they go out: styles, explode, percent-encoding, and what is refused.

A parameter is compiled into a writer once (`writer`). The styles are those of OpenAPI 3.2 section "Style Values", which
are RFC 6570's where that has them; Swagger 2.0's collection formats are the same styles in more places, and a tab.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NoReturn
from urllib.parse import quote

import msgspec

from treadle.errors import RequestInvalid
from treadle.files import Binary, File, in_words
from treadle.sources.jsontypes import check_type
from treadle.sources.media import is_json, media_type
from treadle.sources.operation import FORM, ParameterSpec

Writer = Callable[[Any], list[str]]
"""Gives what goes out for a value: pairs of a query or of cookies, the text of a header or of a place in a path."""
Encode = Callable[[Any], str]

_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]*")
_TRIPLE = re.compile(r"(%[0-9A-Fa-f]{2})")
_NOT_IN_A_QUERY = re.compile(r"%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9\-._~!$&'()*+,;=:@/?%]")
"""What a query cannot hold (RFC 3986 section 3.4); an escape can stand in it, a lone percent sign cannot."""
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""What can be the name of a header field or a cookie (RFC 9110 section 5.6.2)."""
OF_THE_BODY = frozenset({"content-length", "transfer-encoding"})
"""Header fields that say how the body is sent."""
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""Characters that no header field may hold (RFC 9110 section 5.5); a tab may stand in one."""
_ALLOWED_RESERVED = {"query": ":/?@!$'()*+,;=", "path": ":@!$&'()*+,;=", "cookie": "!$&'()*+/:=?@"}
"""What allowReserved leaves as it is. Never what would end the value: `/` in a path, `&` in a query, `#` anywhere."""
_OWN_MARKS = {"matrix": ";,=", "label": ".,="}
"""What keeps apart the parts of a value, where it is not the comma alone: in data it is always encoded."""
_DELIMITERS = {"spaceDelimited": " ", "pipeDelimited": "|", "tabDelimited": "\t"}


@lru_cache(4096)
def writer(spec: ParameterSpec) -> Writer:
    """Compile a parameter: give the function that writes its values.

    That one raises RequestInvalid for a value that does not fit; the message names the parameter.
    """
    write = _writer(spec)
    if spec.location == "querystring":
        return write
    nothing = _undefined(spec)
    typed = spec.types and spec.media_type is None

    texts_fit = not typed or "string" in spec.types
    as_it_is = spec.location == "path" and spec.style == "simple"

    def checked(value: Any) -> list[str]:
        if type(value) is str and texts_fit:  # the usual case
            if as_it_is and value and _UNRESERVED.fullmatch(value):
                return [value]
            return write(value)
        if value is None or (not value and value in ([], {})):
            # "a variable defined as a list is considered undefined if the list has no members" (RFC 6570 section 2.3)
            return nothing(value) if spec.media_type is None or value is None else write(value)
        if isinstance(value, File | Binary):
            message = f"parameter '{spec.name}' in {spec.location} is {in_words(value)}, which has no form there"
            raise RequestInvalid(message, hint="send it as a body, or as a part of one")
        if typed:
            check_type(spec, value)
        if type(value) is list or type(value) is dict:
            members = value.values() if type(value) is dict else value
            if None in members and spec.media_type is None:
                defined = _defined(value)
                return write(defined) if defined else nothing(value)
        return write(value)

    return checked


def _defined(value: Any) -> Any:
    """Leave out what is null: an undefined item or member is not written (RFC 6570 section 2.3)."""
    if isinstance(value, dict):
        return {name: entry for name, entry in value.items() if entry is not None}
    return [entry for entry in value if entry is not None]


def _undefined(spec: ParameterSpec) -> Writer:
    """Give what null does, and a container with nothing in it: an optional parameter is left out.

    A required one is refused, unless its schema lets it be null; then it is written as the specification's table says.
    """
    nullable = "null" in spec.types and spec.location != "path"

    def write(value: Any) -> list[str]:
        if not spec.required and spec.location != "path":
            return []
        if value is None and spec.media_type is not None and is_json(spec.media_type):
            return _writer(spec)(value)
        if value is None and nullable and spec.style in ("form", "simple", "cookie"):
            return [""] if spec.location == "header" else [f"{_name(spec)}="]
        what = "null" if value is None else "an empty array" if isinstance(value, list) else "an empty object"
        if value:
            what = "nothing but null"
        place = f"parameter '{spec.name}' in {spec.location}"
        if spec.location == "path":
            raise RequestInvalid(f"path parameter '{spec.name}' is empty", hint="a path needs a value in its place")
        raise RequestInvalid(f"{place} is required, and its value is {what}", hint="give it a value")

    return write


def text_of(value: Any) -> str:
    """Give the text of a value: a string is its own, everything else its JSON text.

    Raises:
        RequestInvalid: it has none, as a file.
    """
    if isinstance(value, str):
        return value
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, RecursionError) as error:
        what = in_words(value) or "a value that nests too deeply, or a file in it,"
        raise RequestInvalid(
            f"{what} has no form as text", hint="send a file as a body, or as a part of one"
        ) from error


# Where a value goes


def _writer(spec: ParameterSpec) -> Writer:
    match spec.location:
        case "path":
            return _path(spec)
        case "header":
            return _header(spec)
        case "querystring":
            return lambda value: _querystring(spec, value)
    return _pairs(spec)


def _path(spec: ParameterSpec) -> Writer:
    write = _expanded(spec)

    def written(value: Any) -> list[str]:
        text = write(value)
        if not text:
            raise RequestInvalid(f"path parameter '{spec.name}' is empty", hint="a path needs a value in its place")
        return [text]

    return written


def _header(spec: ParameterSpec) -> Writer:
    if not TOKEN.fullmatch(spec.name):
        return lambda _value: _refuse(f"{spec.name!r} cannot be the name of a header field")
    if spec.name.lower() in OF_THE_BODY:
        return lambda _value: _refuse(
            f"header '{spec.name}' says how the body is sent, which is not for a document to say"
        )
    write = _expanded(spec)

    def written(value: Any) -> list[str]:
        text = write(value)
        if _CONTROL.search(text):
            message = f"header '{spec.name}' has a line break or another control character in its value"
            raise RequestInvalid(message, hint="check the input")
        return [text.strip()]

    return written


def _refuse(message: str) -> NoReturn:
    raise RequestInvalid(message)


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
    return in_words(value) or {bool: "a boolean", list: "an array", dict: "an object"}.get(type(value), "a number")


# Styles


def _encoder(spec: ParameterSpec, *, name: bool = False) -> Encode:
    """Give the function that writes one value, or one name in it, so that it cannot be taken for anything around it."""
    if spec.location == "header":
        return text_of
    if spec.style == "cookie":
        return (lambda text: _cookie_name(spec, str(text))) if name else lambda value: _cookie_value(spec, value)
    reserved = _ALLOWED_RESERVED[spec.location] if spec.allow_reserved and not name else ""
    marks = _OWN_MARKS.get(spec.style, "" if spec.explode and spec.location != "path" else ",")
    safe = "-._~" + "".join(mark for mark in reserved if mark not in marks)

    def encode(value: Any) -> str:
        if type(value) is str and _UNRESERVED.fullmatch(value):
            return value  # nothing to encode: the usual case, and five times as fast
        text = text_of(value)
        if reserved:  # "as well as percent-encoded triples, to pass through unchanged" (RFC 6570 section 3.2.3)
            return "".join(part if _TRIPLE.fullmatch(part) else quote(part, safe=safe) for part in _TRIPLE.split(text))
        return quote(text, safe=safe)

    return encode


def _cookie_value(spec: ParameterSpec, value: Any) -> str:
    """Give the text as it is: style `cookie` has no escapes, so what would end the value is refused."""
    text = text_of(value)
    if ";" in text or _CONTROL.search(text):
        message = f"cookie '{spec.name}' has a semicolon or a control character in its value"
        raise RequestInvalid(message, hint="its style is `cookie`, which has no way to write it")
    return text


def _cookie_name(spec: ParameterSpec, name: str) -> str:
    if not name or set(name) & {";", "=", ","} or _CONTROL.search(name):
        raise RequestInvalid(f"{name!r} cannot be the name of a cookie", hint=f"it stands in cookie '{spec.name}'")
    return name


def _name(spec: ParameterSpec) -> str:
    return _cookie_name(spec, spec.name) if spec.style == "cookie" else quote(spec.name, safe="-._~")


def _expanded(spec: ParameterSpec) -> Encode:
    """Give the function that writes a value of a path or a header."""
    encode = _encoder(spec)
    if spec.media_type is not None:
        return lambda value: encode(text_of(value))
    match spec.style:
        case "label":
            inner = _listed(spec, "." if spec.explode else ",")
            return lambda value: "." + inner(value)
        case "matrix":
            return _matrix(spec)
    return _listed(spec, _delimiter(spec))


def _delimiter(spec: ParameterSpec) -> str:
    plain = _DELIMITERS.get(spec.style, ",")
    return plain if plain == "," or spec.location == "header" else quote(plain, safe="")


def _listed(spec: ParameterSpec, delimiter: str) -> Encode:
    """Give the function that writes the items of a value one after the other."""
    encode, encode_name = _encoder(spec), _encoder(spec, name=True)
    joint = "=" if spec.explode and spec.style not in _DELIMITERS else delimiter
    mark = _DELIMITERS.get(spec.style)

    def write(value: Any) -> str:
        if type(value) is list:
            if mark is not None:
                _keep_apart(spec, mark, value)
            return delimiter.join([encode(item) for item in value])
        if type(value) is dict:
            if mark is not None:
                _keep_apart(spec, mark, [*value, *value.values()])
            return delimiter.join([f"{encode_name(str(name))}{joint}{encode(item)}" for name, item in value.items()])
        return encode(value)

    return write


def _keep_apart(spec: ParameterSpec, mark: str, items: list[Any]) -> None:
    """Refuse an item with the delimiter in it: encoded or not, it would be read as two (OpenAPI 3.2 appendix E)."""
    if any(mark in text_of(item) for item in items):
        shown = {" ": "a space", "\t": "a tab"}.get(mark, f"'{mark}'")
        message = (
            f"an item of parameter '{spec.name}' in {spec.location} has {shown}, which its style takes for its end"
        )
        raise RequestInvalid(message, hint=f"style {spec.style} has no way to write it")


def _matrix(spec: ParameterSpec) -> Encode:
    encode, encode_name, inner = _encoder(spec), _encoder(spec, name=True), _listed(spec, ",")
    name = encode_name(spec.name)

    def write(value: Any) -> str:
        if value == "":
            return f";{name}"
        if spec.explode and type(value) is list:
            return "".join([f";{name}={encode(item)}" for item in value])
        if spec.explode and type(value) is dict:
            return "".join([f";{encode_name(str(key))}={encode(item)}" for key, item in value.items()])
        return f";{name}={inner(value)}"

    return write


def _pairs(spec: ParameterSpec) -> Writer:
    """Give the function that writes the pairs of a query or of cookies."""
    if spec.style == "cookie" and (not spec.name or set(spec.name) & {";", "=", ","} or _CONTROL.search(spec.name)):
        return lambda _value: _refuse(f"{spec.name!r} cannot be the name of a cookie")
    name, encode, encode_name = _name(spec), _encoder(spec), _encoder(spec, name=True)
    if spec.media_type is not None:
        return lambda value: [f"{name}={encode(text_of(value))}"]
    if spec.style == "deepObject":
        return _deep_object(spec, name, encode, encode_name)
    inner = _listed(spec, _delimiter(spec))

    def write(value: Any) -> list[str]:
        if type(value) is list and spec.explode:
            return [f"{name}={encode(item)}" for item in value]
        if type(value) is dict and spec.explode:
            return [f"{encode_name(str(key))}={encode(item)}" for key, item in value.items()]
        return [f"{name}={inner(value)}"]

    return write


def _deep_object(spec: ParameterSpec, name: str, encode: Encode, encode_name: Encode) -> Writer:
    def write(value: Any) -> list[str]:
        if type(value) is dict:
            return [f"{name}%5B{encode_name(str(key))}%5D={encode(item)}" for key, item in value.items()]
        if type(value) is list:
            raise RequestInvalid(f"parameter '{spec.name}' has style deepObject, which has no form for an array")
        return [f"{name}={encode(value)}"]

    return write
