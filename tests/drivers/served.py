"""Local servers for the tests of the drivers, on the test's own event loop, and a clock that needs no waiting."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from aiohttp import web

from treadle.drivers.connection import Connection
from treadle.drivers.http import Http
from treadle.drivers.policy import Policy
from treadle.drivers.transport import Transport
from treadle.engine.effects import SendHttp
from treadle.sources.request import HttpRequest

NOON = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class StillClock:
    """Time passes only where somebody sleeps."""

    def __init__(self, now: float = NOON) -> None:
        self.time = now
        self.sleeps: list[float] = []

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)


@asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Serve a handler, over TLS where its settings are given; gives the base URL."""
    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.01)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        yield f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def speaking(*answers: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Serve bytes as they are, one answer a connection, the last one again and again; gives what came in, too."""
    seen: list[bytes] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            seen.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answers[min(len(seen), len(answers)) - 1])
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", seen


@asynccontextmanager
async def client(
    clock: StillClock | None = None, policy: Policy | None = None, **connection: object
) -> AsyncIterator[Http]:
    """Give a performer of requests with a pool of its own."""
    clock = clock or StillClock()
    transport = Transport(Connection(**connection), "treadle-tests", policy=policy, clock=clock)  # type: ignore[arg-type]
    try:
        yield Http(transport, clock)
    finally:
        await transport.close()


def request(
    method: str, url: str, *headers: tuple[str, str], body: bytes | None = None, timeout: float | None = None
) -> SendHttp:
    return SendHttp("s/1/1", "s", HttpRequest(method, url, headers, body), timeout)
