"""Does to requests what `faults` says, between the request log and DSS, where a proxy would stand."""

from __future__ import annotations

import asyncio
import time
from email.utils import formatdate
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from treadle.vendors.dataiku.simulator.answers import dss_headers, error_answer, html_answer
from treadle.vendors.dataiku.simulator.faults import Fault, Request
from treadle.vendors.dataiku.simulator.instance import Instance
from treadle.vendors.dataiku.simulator.keys import key_in

# The documented root, and the one that the official Python client uses for the same API.
PREFIXES: Final = ("/public/api", "/dip/publicapi")
# Where the faults that a request met are noted, for the request log.
MET: Final = web.RequestKey("met", tuple[str, ...])

_SAID_BY_DSS: Final = {
    401: "Unknown API Key",
    403: "The API key may not do this",
    500: "The simulated failure of a backend",
}


def faulty(instance: Instance) -> Middleware:
    """Make the middleware."""

    @web.middleware
    async def stand_between(request: web.Request, handler: Handler) -> web.StreamResponse:
        met = instance.faults.meet(
            Request(request.method, below_root(request.path), key_in(request.headers.get("Authorization", "")),
                    instance.clock.now() - instance.started)
        )  # fmt: skip
        request[MET] = met.names
        if met.latency:
            await asyncio.sleep(met.latency)
        if met.fault is None:
            return await handler(request)
        return await _happen(met.fault, request, handler, instance)

    return stand_between


def below_root(path: str) -> str:
    """Give a path without the API's root and without a slash at its end."""
    for prefix in PREFIXES:
        if path.startswith(prefix + "/"):
            path = path.removeprefix(prefix)
    return path.rstrip("/") or "/"


async def _happen(fault: Fault, request: web.Request, handler: Handler, instance: Instance) -> web.StreamResponse:
    response: web.StreamResponse | None = None
    if fault.effect or fault.do == "truncate":
        response = await handler(request)
    if isinstance(fault.do, int):
        return _refusal(fault, fault.do, instance)
    if fault.do == "hang":
        # Until the client goes away or the simulator ends.
        await asyncio.Event().wait()
    if fault.do == "truncate" and isinstance(response, web.Response):
        return await _cut(fault, request, response)
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _refusal(fault: Fault, status: int, instance: Instance) -> web.Response:
    if status in _SAID_BY_DSS:
        response = error_answer(status, _SAID_BY_DSS[status])
        response.headers.update(dss_headers(instance.simulation))
    else:
        response = html_answer(status)
    if fault.retry_after is not None:
        response.headers["Retry-After"] = _retry_after(fault.retry_after, fault.retry_after_form)
    return response


def _retry_after(seconds: int, form: str) -> str:
    """Give the wish in its form. A date is by the real clock: it is the client's that it is held against."""
    return str(seconds) if form == "seconds" else formatdate(time.time() + seconds, usegmt=True)


async def _cut(fault: Fault, request: web.Request, whole: web.Response) -> web.StreamResponse:
    """Promise the whole body, send the beginning of it, and close."""
    body = whole.body if isinstance(whole.body, bytes) else b""
    kept = len(body) // 2 if fault.bytes is None else min(fault.bytes, len(body))
    cut = web.StreamResponse(status=whole.status, headers=whole.headers)
    cut.content_length = len(body)
    await cut.prepare(request)
    await cut.write(body[:kept])
    if request.transport is not None:
        request.transport.close()
    return cut
