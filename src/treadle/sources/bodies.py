"""Payloads as they go out, by media type: JSON, forms, text, bytes, files. Multipart bodies are in `multipart`."""

from typing import Any
from urllib.parse import quote

import msgspec

from treadle.errors import RequestInvalid
from treadle.files import Binary, File, in_words
from treadle.sources.media import is_json, is_range, media_type
from treadle.sources.multipart import Multipart, encoded, put_together
from treadle.sources.operation import FORM, BodySpec, Encoding, MediaSpec, ParameterSpec
from treadle.sources.parameters import text_of, writer

Body = bytes | File | Multipart
_PLAIN = MediaSpec()
_OCTETS = "application/octet-stream"
_DEFAULTS = {"text/*": "text/plain", "*/*": "application/json", "application/*": "application/json"}


def encode_body(payload: Any, content_type: str, spec: MediaSpec = _PLAIN) -> Body:
    """Serialise a payload for a media type: text goes out as it is, everything else as the type asks.

    Raises:
        RequestInvalid: the payload has no form in that type.
    """
    if isinstance(payload, str):
        return encoded(payload, content_type)
    if is_json(content_type) and not isinstance(payload, File | Binary):
        return _json(payload)
    kind = media_type(content_type)
    if kind.startswith("multipart/"):
        if _has_parts(payload, kind):
            return put_together(payload, kind, spec, encode_body)
    elif isinstance(payload, File):
        return payload
    elif isinstance(payload, Binary):
        return payload.content
    elif kind == FORM and isinstance(payload, dict):
        return form_fields(payload, spec).encode()
    elif kind.startswith("text/") and _is_scalar(payload):
        return encoded(text_of(payload), content_type)
    what = in_words(payload) or f"a payload of type {type(payload).__name__}"
    raise RequestInvalid(f"{what} cannot be written as {content_type}", hint=body_hint(kind))


def body_hint(kind: str) -> str:
    """Say how a payload can be given for a media type without parameters."""
    return "give it as an object" if kind == FORM or kind.startswith("multipart/") else "give it as text"


def _has_parts(payload: Any, kind: str) -> bool:
    """Say whether a payload can be taken apart: the parts of a form have names, those of other types need none."""
    return isinstance(payload, dict) or (isinstance(payload, list) and kind != "multipart/form-data")


def _is_scalar(payload: Any) -> bool:
    return isinstance(payload, bool | int | float)


def _json(payload: Any) -> bytes:
    try:
        return msgspec.json.encode(payload)
    except TypeError as error:  # all else that a value can be has a form in JSON
        hint = "mark the input with `contentEncoding: base64` to send a file inside of JSON, or send it in a part"
        raise RequestInvalid("a file or binary data cannot be written as JSON", hint=hint) from error


def has_form(payload: Any, content_type: str) -> bool:
    """Say whether `encode_body` can write a payload like this one."""
    if isinstance(payload, str) or is_json(content_type):
        return True
    kind = media_type(content_type)
    if kind.startswith("multipart/"):
        return _has_parts(payload, kind)
    return isinstance(payload, dict) if kind == FORM else kind.startswith("text/") and _is_scalar(payload)


def form_fields(fields: dict[str, Any], spec: MediaSpec = _PLAIN) -> str:
    """Write a form (section "Encoding the x-www-form-urlencoded Media Type"); a field that is null is left out."""
    pairs: list[str] = []
    for name, entry in fields.items():
        encoding = spec.encodings.get(str(name))
        if encoding is not None and encoding.style is not None:
            pairs += _styled(str(name), entry, encoding)
            continue
        for value in entry if isinstance(entry, list) else [entry]:
            if value is not None:
                pairs.append(f"{_form(str(name))}={_form(_field(str(name), value, encoding))}")
    return "&".join(pairs)


def _styled(name: str, entry: Any, encoding: Encoding) -> list[str]:
    style = encoding.style or "form"
    return writer(ParameterSpec(name, "query", False, style, encoding.explode, encoding.allow_reserved))(entry)  # noqa: FBT003 - not required


def _field(name: str, value: Any, encoding: Encoding | None) -> str:
    if isinstance(value, File | Binary):
        hint = "send it as multipart/form-data, or mark the input with `contentEncoding: base64`"
        raise RequestInvalid(f"field '{name}' of a form is {in_words(value)}, which a form cannot hold", hint=hint)
    if encoding is not None and encoding.content_type is not None and is_json(encoding.content_type):
        return _json(value).decode()
    return text_of(value)


def _form(text: str) -> str:
    return quote(text, safe="*-._").replace("%20", "+")


def content_type_of(declared: BodySpec | None, payload: Any, *, known: bool) -> str:
    """Choose the media type where a step does not say it: the first of the operation that can write such a payload.

    Args:
        declared: what the operation takes.
        payload: the payload as the document writes it.
        known: whether its kind is known before anything runs.
    """
    types = declared.media_types if declared is not None else ()
    if declared is not None and isinstance(payload, dict):
        for name in types:
            spec = declared.media.get(media_type(name))
            if spec is not None and any(spec.encodings[key].binary for key in payload if key in spec.encodings):
                return name  # it has a file, which no other type can hold
    fitting = [_concrete(name, payload) for name in types if not known or has_form(payload, _concrete(name, payload))]
    if fitting or types:
        return (fitting or [_concrete(types[0], payload)])[0]
    return "text/plain" if isinstance(payload, str) else "application/json"


def _concrete(name: str, payload: Any) -> str:
    """Give a media type for a range of them; `image/*` stays until it is known what is sent."""
    if not is_range(name):
        return name
    if isinstance(payload, str) and media_type(name) == "*/*":
        return "text/plain"
    return _DEFAULTS.get(media_type(name), name)


def sent_type(content_type: str, payload: Any) -> str:
    """Give the Content-Type of a payload; a file or an answer that is sent on says what a range leaves open."""
    if not is_range(content_type):
        return content_type
    return (payload.media_type if isinstance(payload, File | Binary) else None) or _OCTETS
