"""Where redirects lead, and what the server there gets to see: two real servers, with and without TLS."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import AsyncExitStack

import pytest
import trustme
from aiohttp import web
from served import StillClock, request, serving

from loader import cases
from treadle.drivers.connection import Connection
from treadle.drivers.http import Http
from treadle.drivers.transport import Transport
from treadle.engine.effects import HttpFailed
from treadle.engine.secrets import Secrets


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A CA, the file of its certificate, and the TLS settings of a server on this machine."""
    ca = trustme.CA()
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    return str(path), context


async def _followed(case, ca_cert, context):
    seen: dict[str, list[web.BaseRequest]] = {"first": [], "other": [], "plain": []}
    places: dict[str, str] = {}

    def handler(name):
        async def handle(got: web.BaseRequest) -> web.Response:
            seen[name].append(got)
            if name != "first" or len(seen["first"]) > 1:
                return web.Response(body=b"there")
            headers = {"Location": _filled(case["location"], places)}
            if "set" in case:
                headers["Set-Cookie"] = case["set"]
            return web.Response(status=case.get("answer", case.get("status", 302)), headers=headers)

        return handle

    async with AsyncExitStack() as stack:
        tls = context if case.get("tls") else None
        first = await stack.enter_async_context(serving(handler("first"), tls))
        other = await stack.enter_async_context(serving(handler("other"), context if case.get("to_tls") else tls))
        plain = await stack.enter_async_context(serving(handler("plain")))
        places |= {"same": first, "other": other, "plain": plain}
        places |= {"host": other.partition("//")[2], "same host": first.partition("//")[2]}
        transport = Transport(Connection(ca_cert=ca_cert), "treadle-tests")
        stack.push_async_callback(transport.close)
        http = Http(transport, StillClock(), secrets=Secrets(case.get("secrets", ())))
        url = first + case.get("target", "/x")
        result = await http.send(request(case.get("method", "GET"), url, *case.get("headers", {}).items()))
    return result, seen, places


def _filled(text, places):
    for name, value in places.items():
        text = text.replace(f"{{{name}}}", value)
    return text


@pytest.mark.parametrize("case", cases("drivers/redirects.yaml"))
def test_a_redirect(case, authority):
    result, seen, places = asyncio.run(_followed(case, *authority))
    came = [*seen["first"][1:], *seen["other"], *seen["plain"]]
    if "seen" not in case:
        assert came == []
        if "failed" in case:
            assert isinstance(result, HttpFailed)
            assert (result.kind, result.message) == ("redirect", _filled(case["failed"], places))
        else:
            assert result.status == case["status"]
        return
    wanted = case["seen"]
    (got,) = came
    assert (result.status, got.method) == (200, case.get("method", "GET"))
    assert got.raw_path == wanted.get("target", got.raw_path)
    assert {name: got.headers.get(name) for name in wanted.get("headers", {})} == wanted.get("headers", {})
    assert not {name.lower() for name in got.headers} & set(wanted.get("without", ()))
    assert "not" not in wanted or wanted["not"] not in f"{got.raw_path} {dict(got.headers)}"
    names = {"host", "accept", "accept-encoding", "accept-language", "user-agent", "content-type"}
    assert seen["first"][1:] or {name.lower() for name in got.headers} <= names


def test_what_is_learnt_on_the_way_is_a_secret():
    """The run sees the last answer only, but the cookie of one before it must not be shown either."""

    async def run():
        async def handle(got: web.BaseRequest) -> web.Response:
            if got.path == "/y":
                return web.Response()
            body = b'{"access_token": "t0ken-of-the-way"}'
            headers = {"Location": "/y", "Set-Cookie": "sid=c00kie-of-the-way; Path=/"}
            return web.Response(status=302, headers=headers, body=body)

        async with serving(handle) as url:
            transport = Transport(Connection(), "treadle-tests")
            secrets = Secrets()
            await Http(transport, StillClock(), secrets=secrets).send(request("GET", f"{url}/x"))
            await transport.close()
        return secrets.text("a c00kie-of-the-way and a t0ken-of-the-way")

    assert asyncio.run(run()) == "a *** and a ***"
