"""Bodies as a server reads them: parts and files, streamed; and files that are not what they were."""

from __future__ import annotations

import asyncio
import os

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st
from served import client, serving

from treadle.drivers.bodies import FileUnreadable, Outgoing
from treadle.engine.effects import HttpFailed, HttpResponse, SendHttp
from treadle.errors import RequestInvalid
from treadle.files import File
from treadle.sources.bodies import encode_body
from treadle.sources.request import HttpRequest

FORM = (("Content-Type", "multipart/form-data"),)


def sent(request_to, handler):
    async def exchange():
        async with serving(handler) as base, client() as http:
            return await http.send(SendHttp("s/1/1", "s", request_to(base)))

    return asyncio.run(exchange())


def read_by_server(payload, media_type="multipart/form-data"):
    """Send a multipart body; give its parts as aiohttp's server reads them: name, file name, type and content."""
    seen = []

    async def handler(request):
        assert "Transfer-Encoding" not in request.headers
        async for part in await request.multipart():
            seen.append(  # noqa: PERF401 - a part is read before the next one comes
                (part.name, part.filename, part.headers.get("Content-Type"), bytes(await part.read()))
            )
        return web.Response()

    headers = (("Content-Type", media_type),)
    body = encode_body(payload, media_type)
    result = sent(lambda base: HttpRequest("POST", base, headers, body), handler)
    assert isinstance(result, HttpResponse)
    return seen


def test_parts_and_files_as_a_server_reads_them(tmp_path):
    big = tmp_path / "big.bin"
    big.write_bytes(os.urandom(700_000))
    payload = {"note": "grün\r\n--", "meta": {"a": 1}, "file": File(str(big), 'b"ig.bin', None), "n": [1, 2]}
    assert read_by_server(payload) == [
        ("note", None, None, "grün\r\n--".encode()),
        ("meta", None, "application/json", b'{"a":1}'),
        ("file", "b%22ig.bin", "application/octet-stream", big.read_bytes()),
        ("n", None, None, b"1"),
        ("n", None, None, b"2"),
    ]


def test_a_boundary_that_is_written_in_the_document_is_not_used():
    assert read_by_server({"a": "--x\r\n\r\nb\r\n--x--"}, "multipart/form-data; boundary=x") == [
        ("a", None, None, b"--x\r\n\r\nb\r\n--x--")
    ]


def test_a_file_is_a_body_of_its_size(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\0" * 100_000)

    async def handler(request):
        return web.json_response(
            [request.headers["Content-Length"], request.headers["Content-Type"], len(await request.read())]
        )

    headers = (("Content-Type", "image/png"),)
    result = sent(lambda base: HttpRequest("PUT", base, headers, File(str(path), "a.png", "image/png")), handler)
    assert result.body == b'["500000", "image/png", 500000]'


async def _read(request):
    await request.read()
    return web.Response()


def test_a_file_that_is_gone_is_not_sent(tmp_path):
    result = sent(lambda base: HttpRequest("POST", base, (), File(str(tmp_path / "gone"), "gone")), _read)
    assert isinstance(result, HttpFailed)
    assert (result.kind, result.sent) == ("file", False)
    assert "gone cannot be read: No such file or directory" in result.message


def test_a_file_that_becomes_shorter(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"x" * 600_000)

    async def read():
        with Outgoing(HttpRequest("POST", "http://x", (), File(str(path), "a"))) as body:
            pieces = body.content()
            await anext(pieces)
            os.truncate(path, 10)
            with pytest.raises(FileUnreadable, match="became shorter while it was sent"):
                await anext(pieces)
            return body.failure

    assert asyncio.run(read()) is not None


LINES = st.text(st.sampled_from('a-\r\n:;="\\ é\0')) | st.text()


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(
        st.text(min_size=1) | LINES.filter(bool), LINES | st.lists(LINES, min_size=1), min_size=1, max_size=4
    )
)
def test_no_value_breaks_a_boundary_or_adds_a_part(payload):
    """Read with the standard library's own reader of messages, which knows nothing of this one."""
    from email import message_from_bytes  # noqa: PLC0415
    from email.policy import HTTP  # noqa: PLC0415

    async def content(body):
        return b"".join([piece async for piece in body.content()])

    try:
        encoded = encode_body(payload, "multipart/form-data")
    except RequestInvalid:  # of a name with a control character that has no escape
        assert any(character < " " or character == "\x7f" for name in payload for character in name)
        return
    with Outgoing(HttpRequest("POST", "http://x", FORM, encoded)) as body:
        raw = asyncio.run(content(body))
        headers = dict(body.headers)
    assert len(raw) == int(headers["Content-Length"])
    boundary = headers["Content-Type"].partition("boundary=")[2].encode()
    values = [text for value in payload.values() for text in (value if isinstance(value, list) else [value])]
    pieces = raw.split(b"--" + boundary)
    assert (pieces[0], pieces[-1]) == (b"", b"--\r\n")
    assert [piece.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for piece in pieces[1:-1]] == [
        v.encode() for v in values
    ]
    assert all(piece.partition(b"\r\n\r\n")[0].count(b"\r\n") == 1 for piece in pieces[1:-1])
    message = message_from_bytes(b"Content-Type: " + headers["Content-Type"].encode() + b"\r\n\r\n" + raw, policy=HTTP)
    assert len(message.get_payload()) == len(values)
