"""What goes wrong between a request and its answer: one message, what to do, and whether there is a doubt."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import msgspec
import pytest
from certificates import Certificates
from faulty import Faulty, Scripted, acting
from msgspec import UNSET, Struct, UnsetType

import treadle
from loader import cases
from treadle.surfaces.running import EXIT_CODES

DOCUMENT = """
arazzo: 1.0.1
info: {title: t, version: '1'}
sourceDescriptions: [{name: api, url: api.yaml, type: openapi}]
workflows:
  - workflowId: w
    steps: [{stepId: ask, operationId: ask, successCriteria: [{condition: $statusCode == 200}]}]
"""


class Case(Struct, forbid_unknown_fields=True, frozen=True):
    """One case; `{port}` and `{proxy}` in texts are where the server and the proxy listen.

    Attributes:
        server: what the server does; where there is none, nobody listens.
        proxy: what the proxy does, where requests go through one; `user` is its user and password.
        dead_proxy: requests go through one, and nobody listens there.
        url: where the request goes, if not to the server's own URL.
        exit: the exit code that the command line would have.
        requests: how many connections the server saw, where that matters.
        heads: texts that heads of requests to the server must have, in turn.
    """

    id: str
    exit: int
    server: Scripted | None = None
    proxy: Scripted | None = None
    user: str = ""
    dead_proxy: bool = False
    url: str = ""
    method: str = "POST"
    options: dict[str, str | int | float | bool] = {}
    message: str | None = None
    hint: str | None = None
    requests: int | None = None
    heads: list[str] = []
    to_proxy: list[str] = []
    warnings: list[str] | UnsetType = UNSET


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


async def _run(case: Case, folder, certificates):
    options = {n: v.format(**certificates.paths) if isinstance(v, str) else v for n, v in case.options.items()}
    options.setdefault("transport_retries", 0)
    async with AsyncExitStack() as stack:
        server, proxy = Faulty(Scripted()), Faulty(Scripted())
        tls = None
        if case.server is not None:
            tls = certificates.server(case.server.tls, client=case.server.client) if case.server.tls else None
            server = await stack.enter_async_context(acting(case.server, tls))
        else:
            server.port = await _free_port()
        if case.proxy is not None:
            own = certificates.server(case.proxy.tls) if case.proxy.tls else None
            proxy = await stack.enter_async_context(acting(case.proxy, own))
        elif case.dead_proxy:
            proxy.port = await _free_port()
        if proxy.port:
            scheme = "https" if case.proxy is not None and case.proxy.tls else "http"
            options["proxy"] = f"{scheme}://{case.user}127.0.0.1:{proxy.port}"
        host = "[::1]" if case.server is not None and case.server.host == "::1" else "127.0.0.1"
        url = case.url.replace("{port}", str(server.port)) or f"http{'s' if tls else ''}://{host}:{server.port}"
        async with treadle.Runner(server=url, **options) as runner:
            outcome = await runner.run(folder / "doc.yaml")
    return outcome, server, proxy


async def _free_port() -> int:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    async with server:
        return server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("case", cases("drivers/faults.yaml"))
def test_a_fault(case, tmp_path, certificates):
    wanted = msgspec.convert(case, Case)
    (tmp_path / "doc.yaml").write_text(DOCUMENT)
    description = {"openapi": "3.1.0", "paths": {"/x": {wanted.method.lower(): {"operationId": "ask"}}}}
    (tmp_path / "api.yaml").write_bytes(msgspec.json.encode(description))
    outcome, server, proxy = asyncio.run(_run(wanted, tmp_path, certificates))
    error = outcome.error

    def filled(text: str) -> str:
        return text.replace("{port}", str(server.port)).replace("{proxy}", str(proxy.port))

    assert EXIT_CODES[outcome.status] == wanted.exit, error
    if wanted.message is not None:
        assert error is not None
        assert error.message == f"step 'ask': {wanted.method} " + filled(wanted.message)
        assert error.step_id == "ask"
    if wanted.hint is not None:
        assert error.hint == filled(wanted.hint)
    assert error is None or error.hint or wanted.exit == 0, "nothing is said of what to do"
    if wanted.requests is not None:
        assert server.connections == wanted.requests
    for seen, texts in ((server.seen, wanted.heads), (proxy.seen, wanted.to_proxy)):
        for at, text in enumerate(texts):
            assert filled(text) in seen[at]
    if wanted.warnings is not UNSET:
        assert [str(one) for one in outcome.diagnostics] == wanted.warnings
    assert "geheim" not in repr(error) + repr(outcome.report())
