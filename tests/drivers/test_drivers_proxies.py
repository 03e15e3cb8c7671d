"""Proxies of the environment, and what is not sent through them."""

from __future__ import annotations

import asyncio

import pytest
from faulty import Scripted, acting
from served import client, request

import treadle
from loader import cases
from treadle.drivers.proxies import VARIABLES
from treadle.errors import RunRefused


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in (*VARIABLES, "no_proxy", "NO_PROXY", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)


def _proxied(monkeypatch, url: str, **environment: str):
    """Send a request; gives its result and what the proxy saw."""

    async def run():
        async with acting(Scripted()) as proxy:
            for name, value in environment.items():
                monkeypatch.setenv(name, value.format(proxy=f"127.0.0.1:{proxy.port}"))
            async with client(transport_retries=0) as http:
                return await http.send(request("POST", url)), proxy.seen

    return asyncio.run(run())


@pytest.mark.parametrize("case", cases("drivers/no_proxy.yaml"))
def test_exceptions(case, monkeypatch):
    result, seen = _proxied(
        monkeypatch, f"http://{case['host']}/x", http_proxy="http://{proxy}", no_proxy=case["no_proxy"]
    )
    assert bool(seen) is not case["direct"]
    assert getattr(result, "status", None) == (None if case["direct"] else 200)


@pytest.mark.parametrize(
    ("environment", "seen"),
    [
        ({"http_proxy": "http://{proxy}"}, True),
        ({"HTTP_PROXY": "http://{proxy}"}, True),
        ({"all_proxy": "http://{proxy}"}, True),
        ({"http_proxy": "{proxy}"}, True),
        ({"https_proxy": "http://{proxy}"}, False),
        ({"HTTP_PROXY": "http://{proxy}", "REQUEST_METHOD": "GET"}, False),
        ({}, False),
    ],
)
def test_variables(environment, seen, monkeypatch):
    assert bool(_proxied(monkeypatch, "http://a.invalid/x", **environment)[1]) is seen


def test_a_proxy_of_another_kind(monkeypatch):
    result, _ = _proxied(monkeypatch, "http://a.invalid/x", all_proxy="socks5://me:geheim@{proxy}")
    assert (result.kind, result.sent) == ("proxy", False)
    assert result.message.startswith("the proxy socks5://***@127.0.0.1:")
    assert result.message.endswith(" is none that is spoken to by HTTP")


def test_options_are_shown_without_passwords():
    options = treadle.Options(proxy="http://me:geheim@proxy.test", client_key_password="geheim")
    assert repr(options) == "Options(client_key_password='***', proxy='http://***@proxy.test')"
    assert repr(options.connection()) == "<Connection through http://***@proxy.test, 30 s>"


def test_a_proxy_that_is_none_is_shown_without_its_password():
    with pytest.raises(RunRefused) as refused:
        treadle.Options(proxy="socks5://me:geheim@127.0.0.1:1")
    assert refused.value.message == "the proxy 'socks5://***@127.0.0.1:1' is no http(s) URL"
    with pytest.raises(RunRefused) as refused:
        treadle.Options(proxy="me:geheim@127.0.0.1:1")
    assert "geheim" not in refused.value.message
