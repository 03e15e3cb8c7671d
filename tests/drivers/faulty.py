"""A server that does, connection by connection, what a case says: bytes as they are, silence, resets, a tunnel."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from msgspec import Struct


class Scripted(Struct, forbid_unknown_fields=True, frozen=True):
    """What a server does.

    Attributes:
        answers: for each connection (the last one again and again) texts that are sent, and words: `hang` until the
            other side has gone; `reset` the connection; `drip` the next text byte by byte for ever, the last one again
            and again; `tunnel` to where a CONNECT wants to go.
        tls: the kind of its certificate, where it has one.
        client: it asks for the client's certificate.
        host: where it listens.
        at_once: it does not wait for a request.
    """

    answers: tuple[tuple[str, ...], ...] = (("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",),)
    tls: str | None = None
    client: bool = False
    host: str = "127.0.0.1"
    at_once: bool = False


class Faulty:
    """A running server; `seen` is what came in, the head of each request."""

    def __init__(self, script: Scripted) -> None:
        self.script = script
        self.seen: list[str] = []
        self.connections = 0
        self.port = 0

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers = self.script.answers
        answer = answers[min(self.connections, len(answers) - 1)]
        self.connections += 1
        async with AsyncExitStack() as stack:
            stack.callback(writer.close)
            with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
                if not self.script.at_once:
                    self.seen.append((await reader.readuntil(b"\r\n\r\n")).decode("latin-1"))
                await self._act(answer, reader, writer)

    async def _act(self, answer: Sequence[str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for at, act in enumerate(answer):
            if act == "hang":
                await reader.read()
            elif act == "reset":
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
            elif act == "drip":
                await _drip(answer[at + 1], reader, writer)
                return
            elif act == "tunnel":
                await self._tunnel(reader, writer)
            else:
                writer.write(act.encode("latin-1"))
                await writer.drain()

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = self.seen[-1].split()[1].rpartition(":")
        inner_reader, inner_writer = await asyncio.open_connection(host.strip("[]"), int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while part := await reader.read(65536):
            writer.write(part)
            await writer.drain()
    writer.close()


async def _drip(text: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send a byte each hundredth of a second, as a slow server does, until the other side has had enough."""
    gone = asyncio.ensure_future(reader.read())
    for at in range(100_000):
        writer.write(text[min(at, len(text) - 1)].encode())
        await writer.drain()
        done, _ = await asyncio.wait([gone], timeout=0.01)
        if done:
            break


@asynccontextmanager
async def acting(script: Scripted, tls: ssl.SSLContext | None = None) -> AsyncIterator[Faulty]:
    """Serve a script."""
    faulty = Faulty(script)
    server = await asyncio.start_server(faulty.connected, script.host, 0, ssl=tls)
    async with server:
        faulty.port = server.sockets[0].getsockname()[1]
        yield faulty
