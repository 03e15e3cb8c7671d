"""Connections: which request gets a new one, who repeats, how long redirects may take, what a proxy may refuse."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from served import StillClock, client, request, serving, speaking

from treadle.drivers import transport
from treadle.drivers.connection import Connection
from treadle.drivers.http import Http
from treadle.drivers.transport import Transport
from treadle.engine.journal import Repeated

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@asynccontextmanager
async def counting(answers_each: int):
    """Answer that many requests on a connection, then read one more and close it; gives requests by connection."""
    connections: list[list[bytes]] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests: list[bytes] = []
        connections.append(requests)
        try:
            while True:
                requests.append((await reader.readuntil(b"\r\n\r\n")).split()[0])
                if len(requests) > answers_each:
                    break
                writer.write(ANSWER)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            requests.append(b"(closed)")
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", connections


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_the_library_repeats_nothing_by_itself(method):
    async def run():
        async with counting(1) as (url, connections), client(transport_retries=0) as http:
            await http.send(request("GET", url))
            return await http.send(request(method, url)), list(map(list, connections))

    result, connections = asyncio.run(run())
    assert (result.kind, connections) == ("reset", [[b"GET", method.encode()]])


@pytest.mark.parametrize(("stale_after", "connections"), [(-1.0, 2), (3600.0, 1)])
def test_a_post_after_a_pause_gets_a_connection_of_its_own(stale_after, connections, monkeypatch):
    monkeypatch.setattr(transport, "STALE_AFTER", stale_after)

    async def run():
        async with counting(5) as (url, seen), client() as http:
            for method in ("GET", "POST", "GET"):
                assert (await http.send(request(method, url))).status == 200
            return len(seen)

    assert asyncio.run(run()) == connections


def test_redirects_share_the_time_of_their_step():
    clock = StillClock()
    hops = []

    async def handler(incoming: web.BaseRequest) -> web.Response:
        hops.append(incoming.path)
        clock.time += 0.7
        return web.Response(status=302, headers={"Location": f"/{len(hops)}"})

    async def run():
        async with serving(handler) as url, client(clock, transport_retries=0) as http:
            return await http.send(request("GET", url, timeout=1.0))

    result = asyncio.run(run())
    assert result.kind == "timeout"
    assert result.hint == "the step's own timeout, or what was left of it"
    assert len(hops) <= 3


def test_redirects_without_a_limit_of_the_step_share_the_time_of_one_request():
    clock = StillClock()

    async def handler(_: web.BaseRequest) -> web.Response:
        clock.time += 20
        return web.Response(status=302, headers={"Location": "/again"})

    async def run():
        async with serving(handler) as url, client(clock, transport_retries=0) as http:
            return await http.send(request("GET", url))

    assert asyncio.run(run()).kind == "timeout"


def test_a_proxy_that_refuses_leaves_no_doubt():
    async def run():
        refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
        async with speaking(refusal) as (url, _), client(proxy=url) as http:
            return await http.send(request("POST", "https://127.0.0.1:1/x"))

    result = asyncio.run(run())
    assert (result.kind, result.sent) == ("proxy", False)
    assert result.message == "the proxy refused to connect: 407 Proxy Authentication Required"


def test_repeats_are_told():
    told: list[Repeated] = []

    async def run():
        clock = StillClock()
        pool = Transport(Connection(), "treadle-tests", clock=clock)
        async with speaking(b"HTTP/1.1 503 No\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", ANSWER) as (url, _):
            try:
                return await Http(pool, clock, told.append).send(request("GET", url))
            finally:
                await pool.close()

    assert asyncio.run(run()).status == 200
    assert [(one.step_id, one.attempt, one.seconds, one.why) for one in told] == [("s", 1, 7.0, "status 503")]
