"""Requests as a server sees them: the bytes on the wire are those that were built, whatever library sends them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest
from served import client

from arguments import argument
from loader import cases
from treadle.engine.effects import HttpResponse, SendHttp
from treadle.sources.operation import Operation
from treadle.sources.request import build_request

ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"


@asynccontextmanager
async def listening():
    """Serve one answer a connection; gives the base URL and each request as it came in: head and body."""
    seen: list[tuple[bytes, bytes]] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b":0")
            seen.append((head, await reader.readexactly(int(length.partition(b":")[2]))))
            writer.write(ANSWER)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", seen


@pytest.mark.parametrize("case", [case for case in cases("sources/requests.yaml") if "refused" not in case.values[0]])
def test_what_is_built_is_what_is_sent(case):
    async def sent() -> tuple[bytes, bytes]:
        async with listening() as (base, seen), client() as http:
            operation = Operation("api", case.get("method", "GET"), case.get("path", "/x"), base)
            arguments = [argument(written) for written in case.get("parameters", [])]
            request = build_request(operation, f"{base}/v1", arguments, case.get("contentType"), case.get("payload"))
            assert isinstance(await http.send(SendHttp("s/1/1", "s", request)), HttpResponse)
            return seen[0]

    head, body = asyncio.run(sent())
    line, *fields = head.decode().rstrip("\r\n").split("\r\n")
    assert line == f"{case.get('method', 'GET')} /v1{case['url']} HTTP/1.1"
    for name, value in case.get("headers", {}).items():
        assert f"{name}: {value}" in fields
    assert body.decode() == case.get("body", "")
