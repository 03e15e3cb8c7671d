"""Where requests may go: the hosts that are allowed, the addresses that are not, before any connection is made."""

from __future__ import annotations

import asyncio
import socket

import msgspec
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver
from served import client, request, serving

import treadle
from loader import cases
from treadle.drivers.connection import Connection
from treadle.drivers.policy import Allowed, Denied, Policy, read_rules
from treadle.drivers.transport import Transport
from treadle.errors import RunRefused
from treadle.sources.request import HttpRequest

DENIED = Policy(private=Denied("--deny-private", "leave it out"))
DOCUMENT = """
arazzo: 1.0.1
info: {title: t, version: '1'}
sourceDescriptions: [{name: api, url: api.yaml, type: openapi}]
workflows:
  - workflowId: w
    steps: [{stepId: ask, operationId: ask, successCriteria: [{condition: $statusCode == 200}]}]
"""


class Names(AbstractResolver):
    """Knows the addresses of every name, one answer after the other, and counts how often it is asked."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET):
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return [
            {
                "hostname": host,
                "host": address,
                "port": port,
                "family": family,
                "proto": 0,
                "flags": socket.AI_NUMERICHOST,
            }
            for address in answer
        ]

    async def close(self) -> None:
        """There is nothing to close."""


async def _exchange(url: str, policy: Policy, resolver: Names | None = None, **connection):
    transport = Transport(Connection(**connection), "treadle-tests", policy=policy, resolver=resolver)
    try:
        return await transport.exchange(HttpRequest("POST", url), 5)
    finally:
        await transport.close()


@pytest.mark.parametrize("case", cases("drivers/hosts.yaml"))
def test_allowed_hosts(case):
    rules = read_rules(case["allow"], "--allow-host")
    result = asyncio.run(_exchange(case["url"], Policy((Allowed(rules, "--allow-host", "add it"),))))
    if "refused" in case:
        message = f"requests may not go to {case['refused']}: --allow-host does not name it"
        assert (result.kind, result.message, result.hint, result.sent) == ("policy", message, "add it", False)
    elif case.get("nowhere"):
        assert (result.kind, result.sent) in {("url", False), ("policy", False)}
    else:
        assert result.kind in {"dns", "connection"}


@pytest.mark.parametrize(
    "rule", ["", "*", "*.", "a b", "http://x.test", "x.test/path", "x.test:0", "x.test:99999", "x.test:http", "*.*.test",
             "bücher.test", "u@x.test", "[::1", "x:y:z", "*.127.0.0.1", "unix:relative"],
)  # fmt: skip
def test_a_rule_that_is_none(rule):
    with pytest.raises(RunRefused, match=r"^--allow-host '.*' is no host$"):
        read_rules([rule], "--allow-host")


@pytest.mark.parametrize("case", cases("drivers/private.yaml"))
def test_private_addresses(case):
    names = Names(case.get("resolves", []))
    result = asyncio.run(_exchange(f"http://{case['host']}:1/x", DENIED, names))
    assert result.sent is False
    if "is" not in case:
        assert result.kind in {"url", "policy"}
        return
    assert result.kind == "policy"
    assert result.message.startswith(case["is"])
    assert "--deny-private" in result.message
    assert names.asked == ("resolves" in case)


def test_the_address_that_was_checked_is_the_one_that_is_connected_to():
    # The name has another address when it is asked for again, which nobody does.
    async def run():
        served = []

        async def handler(got: web.BaseRequest) -> web.Response:
            served.append(got.headers["Host"])
            return web.Response()

        async with serving(handler) as url:
            names = Names(["127.0.0.1"], ["127.0.0.2"])
            port = url.rpartition(":")[2]
            # Nothing of the public internet is at hand here, so what may be connected to is told by the host's name.
            allowed = Policy((Allowed(read_rules(["rebound.test"], "--allow-host"), "--allow-host", ""),))
            transport = Transport(Connection(), "treadle-tests", policy=allowed, resolver=names)
            for _ in range(3):
                assert (await transport.exchange(HttpRequest("POST", f"http://rebound.test:{port}/"), 5)).status == 200
            await transport.close()
            return names.asked, served

    asked, served = asyncio.run(run())
    assert asked == 1
    assert len(served) == 3


def test_a_name_that_turns_private_is_refused_with_its_next_connection():
    async def run():
        names = Names(["127.0.0.1"])
        transport = Transport(Connection(), "treadle-tests", policy=DENIED, resolver=names)
        results = [await transport.exchange(HttpRequest("POST", "http://rebound.test/"), 5) for _ in range(2)]
        await transport.close()
        return [result.kind for result in results]

    assert asyncio.run(run()) == ["policy", "policy"]


def test_a_proxy_would_resolve_names_where_nobody_sees_it():
    result = asyncio.run(_exchange("http://x.invalid", DENIED, proxy="http://127.0.0.1:1"))
    assert (result.kind, result.sent) == ("policy", False)
    assert result.message == "x.invalid would be resolved by the proxy, where --deny-private cannot see its address"


def test_a_redirect_keeps_to_the_rules():
    async def run():
        async def elsewhere(_: web.BaseRequest) -> web.Response:
            return web.Response(status=302, headers={"Location": "http://evil.invalid/x"})

        rules = read_rules(["127.0.0.1"], "--allow-host")
        policy = Policy((Allowed(rules, "--allow-host", "add it"),))
        async with serving(elsewhere) as url, client(policy=policy) as http:
            return await http.send(request("GET", url))

    result = asyncio.run(run())
    assert result.message == "requests may not go to evil.invalid:80: --allow-host does not name it"


def _files(folder, server=""):
    (folder / "doc.yaml").write_text(DOCUMENT)
    description = {"openapi": "3.1.0", "servers": [{"url": server}], "paths": {"/x": {"post": {"operationId": "ask"}}}}
    (folder / "api.yaml").write_bytes(msgspec.json.encode(description))
    return folder / "doc.yaml"


def test_what_is_known_before_the_run_is_refused_before_it(tmp_path):
    document = _files(tmp_path)
    for options, message in (
        (
            {"allow_host": "x.invalid"},
            "source 'api': requests may not go to 127.0.0.1:1: --allow-host does not name it",
        ),
        ({"deny_private": True}, "source 'api': 127.0.0.1 is loopback: --deny-private refuses it"),
        ({"allow_host": ("a b",)}, "--allow-host 'a b' is no host"),
    ):
        with pytest.raises(RunRefused) as refused:
            treadle.run(document, server="http://127.0.0.1:1", **options)
        assert refused.value.message == message


def test_a_name_is_looked_up_during_the_run(tmp_path):
    outcome = treadle.run(_files(tmp_path), server="http://localhost:1", deny_private=True)
    assert outcome.status == "failed"
    assert outcome.error.message.startswith("step 'ask': POST http://localhost:1/x: localhost has the address ")
    assert outcome.error.kind == "policy"


def test_documents_come_from_allowed_hosts_too(tmp_path):
    async def handler(_: web.BaseRequest) -> web.Response:
        return web.Response(text="{openapi: 3.1.0, paths: {/x: {post: {operationId: ask}}}}")

    async def run():
        async with serving(handler) as url:
            for allowed in ("127.0.0.1", "x.invalid"):
                async with treadle.Runner(
                    server=url, source={"api": f"{url}/api.yaml"}, allow_host=("127.0.0.1:9", allowed)
                ) as runner:
                    found = await runner.check_all(await runner.load(_files(tmp_path)))
                    yield [str(one) for one in found]

    async def collected():
        return [each async for each in run()]

    fine, refused = asyncio.run(collected())
    assert fine == []
    assert "--allow-host does not name it" in refused[0]


def test_rules_and_a_proxy_do_not_go_together():
    with pytest.raises(RunRefused, match="--deny-private cannot be kept through --proxy"):
        treadle.check("dataiku", deny_private=True, proxy="http://127.0.0.1:1")
