"""Servers on Unix sockets: who may name one, and that they are servers like others."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from tempfile import TemporaryDirectory
from urllib.parse import quote

import pytest
from aiohttp import web
from served import client, request, serving

import treadle
from treadle.drivers.redirects import origin
from treadle.errors import RunRefused

DOCUMENT = """
arazzo: 1.0.1
info: {title: t, version: '1'}
sourceDescriptions: [{name: api, url: api.yaml, type: openapi}]
workflows:
  - workflowId: w
    steps: [{stepId: ask, operationId: ask, successCriteria: [{condition: $statusCode == 200}]}]
"""


@asynccontextmanager
async def listening(handler):
    """Serve a handler on a socket; gives its URL."""
    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.01)
    await runner.setup()
    with TemporaryDirectory() as folder:
        try:
            await web.UnixSite(runner, f"{folder}/Api.sock").start()
            yield f"http+unix://{quote(folder, safe='')}%2FApi.sock"
        finally:
            await runner.cleanup()


def _api(server: str) -> str:
    return f"{{openapi: 3.1.0, servers: [{{url: '{server}'}}], paths: {{/x: {{post: {{operationId: ask}}}}}}}}"


def test_a_server_on_a_socket():
    seen: list[tuple[str, str, str]] = []

    async def handler(got: web.BaseRequest) -> web.Response:
        seen.append((got.method, got.raw_path, got.headers["Host"]))
        return web.Response(body=await got.read())

    async def run():
        async with listening(handler) as url, client() as http:
            return await http.send(request("POST", f"{url}/base/x%2Fy?q=1", body=b"hello"))

    assert asyncio.run(run()).body == b"hello"
    assert seen == [("POST", "/base/x%2Fy?q=1", "localhost")]


def test_redirects_and_cookies_stay_at_the_socket():
    seen: list[tuple[str, str | None]] = []

    async def handler(got: web.BaseRequest) -> web.Response:
        seen.append((got.raw_path, got.headers.get("Cookie")))
        headers = {"Location": "../b", "Set-Cookie": "session=one; Path=/"}
        return web.Response(status=302, headers=headers) if got.path == "/a/x" else web.Response()

    async def run():
        async with listening(handler) as url, client() as http:
            return await http.send(request("GET", f"{url}/a/x", ("Authorization", "Bearer x")))

    assert asyncio.run(run()).status == 200
    assert seen == [("/a/x", None), ("/b", "session=one")]


def test_a_redirect_from_a_socket_to_a_host_takes_no_credential_along():
    seen: list[str | None] = []

    async def elsewhere(got: web.BaseRequest) -> web.Response:
        seen.append(got.headers.get("Authorization"))
        return web.Response()

    async def run():
        async with serving(elsewhere) as other:

            async def handler(_: web.BaseRequest) -> web.Response:
                return web.Response(status=302, headers={"Location": other})

            async with listening(handler) as url, client() as http:
                return await http.send(request("GET", url, ("Authorization", "Bearer x")))

    assert asyncio.run(run()).status == 200
    assert seen == [None]


def test_a_host_redirects_to_no_socket():
    async def handler(_: web.BaseRequest) -> web.Response:
        return web.Response(status=302, headers={"Location": "http+unix://%2Frun%2Fdocker.sock/"})

    async def run():
        async with serving(handler) as url, client() as http:
            return await http.send(request("GET", url))

    assert asyncio.run(run()).kind == "redirect"


def test_two_sockets_are_two_origins():
    assert origin("http+unix://%2Frun%2Fa.sock/x") != origin("http+unix://%2Frun%2FA.sock/x")
    assert origin("http+unix://%2Frun%2Fa.sock/x") == origin("http+unix://%2Frun%2Fa.sock")


def test_nobody_listens():
    async def run():
        async with client(transport_retries=0) as http:
            return await http.send(request("POST", "http+unix://%2Fno%2Fsuch.sock/x"))

    result = asyncio.run(run())
    assert (result.kind, result.sent) == ("connection", False)
    assert result.message == "no connection to the Unix socket /no/such.sock: No such file or directory"


@pytest.mark.parametrize(
    "url", ["http+unix://", "http+unix:///run/x.sock", "http+unix://run%2Fx.sock/", "http+unix://x/"]
)
def test_what_names_no_socket(url):
    async def run():
        async with client() as http:
            return await http.send(request("POST", url))

    assert asyncio.run(run()).kind == "url"
    with pytest.raises(RunRefused, match="is no http"):
        treadle.Options(server=url)


@pytest.mark.parametrize("named", ["by the description", "by the user"])
def test_a_socket_that_a_file_or_the_user_names(named, tmp_path):
    async def handler(_: web.BaseRequest) -> web.Response:
        return web.Response()

    async def run():
        async with listening(handler) as url:
            (tmp_path / "doc.yaml").write_text(DOCUMENT)
            (tmp_path / "api.yaml").write_text(
                _api(f"{url}/base" if named == "by the description" else "http://x.invalid")
            )
            async with treadle.Runner(server=None if named == "by the description" else url) as runner:
                return await runner.run(tmp_path / "doc.yaml")

    outcome = asyncio.run(run())
    assert outcome.error is None
    assert outcome.steps[0]["request"]["url"].startswith("http+unix://%2F")


@pytest.mark.parametrize("named", [False, True])
def test_a_description_from_the_network_names_none(named, tmp_path):
    socket = "http+unix://%2Fno%2Fsuch.sock"

    async def handler(_: web.BaseRequest) -> web.Response:
        return web.Response(text=_api(socket))

    async def run():
        (tmp_path / "doc.yaml").write_text(DOCUMENT)
        async with serving(handler) as url:
            server = {"api": socket} if named else None
            async with treadle.Runner(server=server, source={"api": f"{url}/api.yaml"}) as runner:
                return await runner.run(tmp_path / "doc.yaml")

    if named:
        assert asyncio.run(run()).error.kind == "connection"
        return
    with pytest.raises(RunRefused) as refused:
        asyncio.run(run())
    assert refused.value.message == "source 'api' names a Unix socket, which nothing from the network may"
    assert refused.value.hint == f"name it yourself, if you mean it: --server api={socket}"
