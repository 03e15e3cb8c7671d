"""Content codings of answers: what is asked for is read, with limits on what comes out of it."""

from __future__ import annotations

import asyncio
import gzip
import sys
import tracemalloc
import zlib

import brotli
import pytest
from aiohttp import web
from served import client, request, serving

from treadle.engine.effects import HttpFailed, HttpResponse

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

TEXT = b'{"a": "' + b"x" * 5_000 + b'"}'


def raw_deflate(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(content) + packer.flush()


PACKED = {
    "gzip": ("gzip", gzip.compress),
    "GZip in capitals": ("GZip", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate),
    "br": ("br", lambda content: brotli.compress(content, quality=2)),
    "zstd": ("zstd", zstd.compress),
    "identity": ("identity", bytes),
}


def answered(coding: str, content: bytes, **limits):
    async def handler(_got: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=content, headers={"Content-Encoding": coding})

    async def run():
        async with serving(handler) as url, client(**limits) as http:
            return await http.send(request("GET", url))

    return asyncio.run(run())


@pytest.mark.parametrize("way", PACKED)
def test_what_is_packed_is_unpacked(way):
    coding, pack = PACKED[way]
    found = answered(coding, pack(TEXT))
    assert isinstance(found, HttpResponse)
    assert found.body == TEXT


def test_what_can_be_read_is_asked_for():
    async def handler(got: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=got.headers["Accept-Encoding"])

    async def run():
        async with serving(handler) as url, client() as http:
            return await http.send(request("GET", url))

    assert {coding.strip() for coding in asyncio.run(run()).body.decode().split(",")} == {
        "gzip",
        "deflate",
        "br",
        "zstd",
    }


@pytest.mark.parametrize("way", [way for way in PACKED if way != "identity"])
def test_a_bomb_stops_at_the_limit(way):
    coding, pack = PACKED[way]
    bomb = pack(bytes(30_000_000))
    tracemalloc.start()
    found = answered(coding, bomb, max_body=100_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(found, HttpFailed)
    assert found.kind == "body-too-large"
    assert peak < 15_000_000


@pytest.mark.parametrize("coding", ["compress", "gzip, br", "x-own"])
def test_a_coding_that_nobody_asked_for_is_refused(coding):
    found = answered(coding, b"abc")
    assert isinstance(found, HttpFailed)
    assert found.message == f"the answer (status 200) is in the content coding '{coding}', which nobody asked for"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_what_is_not_in_its_coding(coding):
    found = answered(coding, b"this is not packed at all")
    assert isinstance(found, HttpFailed)


@pytest.mark.parametrize("kind", ["text/event-stream", "application/json"])
def test_a_stream_without_end_is_read_to_the_limit_and_no_further(kind):
    closed = asyncio.Event()

    async def handler(got: web.BaseRequest) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": kind})
        answer.enable_chunked_encoding()
        await answer.prepare(got)
        try:
            while True:
                await answer.write(b"data: 1\n\n" * 1_000)
        finally:
            closed.set()

    async def run():
        async with serving(handler) as url, client(max_body=100_000) as http:
            found = await http.send(request("GET", url))
            await asyncio.wait_for(closed.wait(), 10)
            return found

    found = asyncio.run(run())
    assert (found.kind, found.sent) == ("body-too-large", True)
