"""An API that takes bearer tokens and a token endpoint that gives them, over TLS with a CA of its own; and a browser."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import trustme
from aiohttp import web


class Service:
    """Answers `GET /v1/orders` to who has a token, and `POST /token` to the client that it knows."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.port = 0

    async def handle(self, request: web.BaseRequest) -> web.Response:
        self.seen.append(f"{request.method} {request.path}")
        form = {name: values[0] for name, values in parse_qs(await request.text()).items()}
        if request.path == "/token":
            return self.token(request, form)
        if request.headers.get("Authorization") != "Bearer t0k3n":
            return web.json_response({"message": "who are you?"}, status=401)
        return web.json_response([{"id": 1}])

    def token(self, request: web.BaseRequest, form: dict[str, str]) -> web.Response:
        known = form.get("grant_type") == "client_credentials" and form.get("scope") == "orders:read"
        if known and request.headers.get("Authorization") == "Basic cmVwb3J0aW5nOmh1bnRlcjIyMjI=":
            return web.json_response({"access_token": "t0k3n", "token_type": "Bearer", "expires_in": 300})
        return web.json_response({"error": "invalid_client"}, status=401)


@contextmanager
def over_tls(folder: Path, service: Any = None, *, mutual: bool = False) -> Iterator[Any]:
    """Serve with a certificate of a CA that only `folder/ca.pem` knows; `mutual` asks for one in `folder/ann.pem`."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    if mutual:
        authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
        authority.issue_cert("ann@example.test").private_key_and_cert_chain_pem.write_to_path(str(folder / "ann.pem"))
    with serving(service or Service(), context) as running:
        yield running


@contextmanager
def serving(service: Any, context: ssl.SSLContext | None = None) -> Iterator[Any]:
    """Serve from a thread with an event loop of its own."""
    started = threading.Event()
    loop = asyncio.new_event_loop()

    async def main() -> None:
        runner = web.ServerRunner(web.Server(service.handle), shutdown_timeout=0.01)
        await runner.setup()
        await web.TCPSite(runner, "localhost", 0, ssl_context=context).start()
        service.port = runner.addresses[0][1]
        service.stop = asyncio.Event()
        started.set()
        await service.stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()), daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield service
    finally:
        loop.call_soon_threadsafe(service.stop.set)
        thread.join(10)
        loop.close()
