"""Bodies by media type: forms, multipart bodies, files, and which media type an operation's body gets."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader import cases
from treadle.errors import RequestInvalid
from treadle.files import Binary, File
from treadle.sources.bodies import content_type_of, encode_body, form_fields, sent_type
from treadle.sources.content import read_body
from treadle.sources.media import media_type
from treadle.sources.multipart import Multipart
from treadle.sources.operation import BodySpec
from treadle.sources.references import Registry

TYPES = {"png": "image/png", "jpeg": "image/jpeg", "txt": "text/plain"}


def _value(written):
    if isinstance(written, dict) and "$file" in written:
        name = written["$file"]
        return File(f"/files/{name}", name, TYPES.get(name.rpartition(".")[2]))
    if isinstance(written, dict) and "$binary" in written:
        return Binary(written["$binary"].encode(), "application/x-kept")
    if isinstance(written, dict):
        return {name: _value(entry) for name, entry in written.items()}
    return [_value(entry) for entry in written] if isinstance(written, list) else written


def _shown(body):
    if isinstance(body, File):
        return {"$file": body.name}
    if isinstance(body, Multipart):
        return [[dict(part.headers), _shown(part.content)] for part in body.parts]
    return body.decode()


@pytest.mark.parametrize("case", cases("sources/bodies.yaml"))
def test_a_body(case):
    described = {"content": {case["type"]: case["media"]}}
    spec = read_body(described, Registry({"a": described}), "a")
    media = [spec.media[media_type(case["type"])]] if media_type(case["type"]) in spec.media else []
    if "refused" in case:
        with pytest.raises(RequestInvalid) as refused:
            encode_body(_value(case["payload"]), case["type"], *media)
        assert case["refused"] in refused.value.message
        return
    assert _shown(encode_body(_value(case["payload"]), case["type"], *media)) == case.get("parts", case.get("body"))


def test_parts_in_parts_have_an_end():
    described: dict = {"contentType": "multipart/mixed"}
    payload: list = ["x"]
    for _ in range(12):
        described, payload = {"contentType": "multipart/mixed", "itemEncoding": described}, [payload]
    spec = read_body({"content": {"multipart/mixed": {"itemEncoding": described}}}, Registry(), "a")
    with pytest.raises(RequestInvalid, match="deeper than 10"):
        encode_body(payload, "multipart/mixed", spec.media["multipart/mixed"])


FILE = File("/files/x.png", "x.png", "image/png")


@pytest.mark.parametrize(
    ("types", "payload", "chosen"),
    [
        ((), {}, "application/json"),
        ((), "a", "text/plain"),
        (("application/xml", "application/json"), {}, "application/json"),
        (("application/xml", "application/x-www-form-urlencoded"), {}, "application/x-www-form-urlencoded"),
        (("application/xml",), {}, "application/xml"),
        (("*/*",), {}, "application/json"),
        (("*/*",), "a", "text/plain"),
        (("text/*",), "a", "text/plain"),
        (("image/*",), "$inputs.a", "image/*"),
        (("application/octet-stream", "text/plain"), 5, "text/plain"),
    ],
)
def test_the_media_type_where_the_step_is_silent(types, payload, chosen):
    preferred = tuple(sorted(types, key=lambda name: "json" not in name))
    assert content_type_of(BodySpec(preferred) if types else None, payload, known=payload != "$inputs.a") == chosen


def test_a_payload_with_a_file_goes_as_parts():
    schema = {"properties": {"icon": {"type": "string", "format": "binary"}}}
    described = {"content": {"application/json": {}, "multipart/form-data": {"schema": schema}}}
    spec = read_body(described, Registry({"a": described}), "a")
    assert content_type_of(spec, {"icon": "$inputs.icon"}, known=True) == "multipart/form-data"
    assert content_type_of(spec, {"name": "$inputs.icon"}, known=True) == "application/json"


def test_what_is_sent_says_what_a_range_leaves_open():
    assert sent_type("image/*", FILE) == "image/png"
    assert sent_type("image/*", "text") == "application/octet-stream"
    assert sent_type("image/gif", FILE) == "image/gif"


@given(st.dictionaries(st.text(), st.text() | st.lists(st.text())))
def test_a_form_comes_back(fields):
    pairs = [(name, text) for name, value in fields.items() for text in (value if isinstance(value, list) else [value])]
    assert parse_qsl(form_fields(fields), keep_blank_values=True) == pairs
