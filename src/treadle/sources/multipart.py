"""Multipart bodies as parts: what each holds and what it says of itself (RFC 7578, RFC 2046).

The boundary is chosen, and files are read, by whoever sends a body; nothing here knows them.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec

from treadle.errors import RequestInvalid
from treadle.files import Binary, File
from treadle.sources.media import charset_of, is_json, is_range, media_type
from treadle.sources.operation import FORM, Encoding, MediaSpec
from treadle.sources.parameters import text_of

OCTETS = "application/octet-stream"
MAX_DEPTH = 10
"""How deep multipart bodies may stand in each other."""
_PLAIN = Encoding()
_NO_FIELDS = MediaSpec()
_ESCAPED = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})
"""What would end a name in a part's header; the escapes are those of browsers (HTML, "multipart/form-data")."""
_CONTROL = frozenset(map(chr, (*range(9), *range(10, 32), 127)))


class Part(NamedTuple):
    """One part: its header fields and what it holds."""

    headers: tuple[tuple[str, str], ...]
    content: "bytes | File | Multipart"


class Multipart(NamedTuple):
    """A multipart body without a boundary."""

    parts: tuple[Part, ...]


Encode = Callable[[Any, str, MediaSpec], "bytes | File | Multipart"]


def put_together(payload: Any, kind: str, spec: MediaSpec, encode: Encode, depth: int = 0) -> Multipart:
    """Make the parts of a payload: of an object one for each member, of an array one for each item.

    A member that is an array makes a part of each of its items (RFC 7578 section 4.3); what is null is left out.

    Args:
        payload: an object or an array.
        kind: the media type of the whole, without parameters.
        spec: how the parts are written.
        encode: writes the content of one part for its media type.
        depth: how many multipart bodies this one stands in.

    Raises:
        RequestInvalid: a value has no form in its place.
    """
    if depth > MAX_DEPTH:
        raise RequestInvalid(f"multipart bodies stand in each other deeper than {MAX_DEPTH}")
    write = _Writing(kind, encode, depth)
    if isinstance(payload, list):
        encodings = (*spec.prefix, *([spec.item or _PLAIN] * (len(payload) - len(spec.prefix))))
        found = [write.part(None, value, encoding) for value, encoding in zip(payload, encodings, strict=False)]
        return Multipart(tuple(found))
    parts: list[Part] = []
    for name, entry in payload.items():
        encoding = spec.encodings.get(str(name), _PLAIN)
        if encoding.style is not None and kind == "multipart/form-data":
            parts += (write.part(inner, text, _PLAIN) for inner, text in _styled(str(name), entry, encoding))
        elif encoding.inner is not None:
            parts.append(write.part(str(name), entry, encoding))
        else:
            values = entry if isinstance(entry, list) else [entry]
            parts += (write.part(str(name), value, encoding) for value in values if value is not None)
    return Multipart(tuple(parts))


class _Writing:
    """Writes the parts of one body."""

    def __init__(self, kind: str, encode: Encode, depth: int) -> None:
        self._kind = kind
        self._encode = encode
        self._depth = depth

    def part(self, name: str | None, value: Any, encoding: Encoding) -> Part:
        """Write one part."""
        content_type, content = self._content(value, encoding)
        headers = []
        if name is not None:
            # Object payloads of other multipart types name their parts the same way (3.2, "Encoding By Position").
            headers.append(
                ("Content-Disposition", f'form-data; name="{_quoted(name)}"{_filename(name, value, encoding)}')
            )
        elif isinstance(value, File):
            headers.append(("Content-Disposition", f'attachment; filename="{_quoted(value.name)}"'))
        if content_type is not None:
            headers.append(("Content-Type", content_type))
        headers += encoding.headers
        for field, text in headers:
            if not _CONTROL.isdisjoint(text) or not _CONTROL.isdisjoint(field):
                raise RequestInvalid(f"header '{field}' of a part has a line break or another control character")
        return Part(tuple(headers), content)

    def _content(self, value: Any, encoding: Encoding) -> "tuple[str | None, bytes | File | Multipart]":
        given = encoding.content_type
        if isinstance(value, File | Binary):
            own = value.media_type or OCTETS
            return _accepted(given, own), value if isinstance(value, File) else value.content
        chosen = _first_concrete(given)
        if isinstance(value, dict | list):
            chosen = chosen or "application/json"
            if media_type(chosen).startswith("multipart/"):
                spec = encoding.inner or _NO_FIELDS
                return chosen, put_together(value, media_type(chosen), spec, self._encode, self._depth + 1)
            return chosen, self._encode(value, chosen, _NO_FIELDS)
        if encoding.binary:
            chosen = chosen or OCTETS
        elif chosen is None and self._kind != "multipart/form-data":
            chosen = "text/plain; charset=utf-8"  # there the default is US-ASCII (RFC 2046 section 5.2)
        if chosen is not None and is_json(chosen):
            return chosen, msgspec.json.encode(value)  # a string with its quotes
        return chosen, encoded(text_of(value), chosen or "")


def encoded(text: str, content_type: str) -> bytes:
    """Give a text in the charset that its media type names; JSON and forms are UTF-8 whatever that is.

    Raises:
        RequestInvalid: it has letters that are not in that charset, or nobody knows it.
    """
    charset = charset_of(content_type)
    if charset is None or is_json(content_type) or media_type(content_type) == FORM:
        return text.encode()
    try:
        return text.encode(charset)
    except (LookupError, ValueError) as error:
        known = isinstance(error, UnicodeError)
        why = f"has letters that '{charset}' has not" if known else f"is to go out in '{charset}', which is no charset"
        raise RequestInvalid(f"the text of the body {why}", hint=f"say `charset=utf-8` in `{content_type}`") from error


def _accepted(given: str | None, own: str) -> str:
    """Give the media type of a file: its own where the description takes that, else the first one that it names."""
    ranges = [entry.strip() for entry in (given or "*/*").split(",")]
    for entry in ranges:
        kind, wanted = media_type(own), media_type(entry)
        if wanted in (kind, "*/*") or (wanted.endswith("/*") and kind.startswith(wanted[:-1])):
            return own
    return next((entry for entry in ranges if not is_range(entry)), own)


def _first_concrete(given: str | None) -> str | None:
    return next((entry.strip() for entry in (given or "").split(",") if entry.strip() and not is_range(entry)), None)


def _filename(name: str, value: Any, encoding: Encoding) -> str:
    """Give the part's file name; servers take a part for a file by it."""
    if isinstance(value, File):
        return f'; filename="{_quoted(value.name)}"'
    return f'; filename="{_quoted(name)}"' if isinstance(value, Binary) or encoding.binary else ""


def _quoted(text: str) -> str:
    return text.translate(_ESCAPED)


def _styled(name: str, entry: Any, encoding: Encoding) -> Iterator[tuple[str, str]]:
    """Write a value by style, as names and texts: "URI percent-encoding MUST NOT be applied" (section "Encoding Object")."""
    delimiter = {"spaceDelimited": " ", "pipeDelimited": "|", "tabDelimited": "\t"}.get(encoding.style or "form", ",")
    if isinstance(entry, dict):
        members = {str(key): text_of(value) for key, value in entry.items() if value is not None}
        if encoding.style == "deepObject":
            yield from ((f"{name}[{key}]", text) for key, text in members.items())
        elif encoding.explode:
            yield from members.items()
        elif members:
            yield name, delimiter.join(text for pair in members.items() for text in pair)
    elif isinstance(entry, list):
        items = [text_of(value) for value in entry if value is not None]
        if encoding.explode:
            yield from ((name, text) for text in items)
        elif items:
            yield name, delimiter.join(items)
    elif entry is not None:
        yield name, text_of(entry)
