"""What the simulator has besides DSS: the control API under /_sim/, and the page at / that shows what goes on.

No key is asked for: who reaches the port may steer the simulator. Pages of other sites in a browser may not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import resources
from typing import Any, Final

import msgspec
from aiohttp import web
from msgspec import Struct

from treadle.vendors.dataiku.simulator import config
from treadle.vendors.dataiku.simulator.answers import json_answer
from treadle.vendors.dataiku.simulator.description import ConfigInvalid
from treadle.vendors.dataiku.simulator.faults import Fault
from treadle.vendors.dataiku.simulator.histories import Seconds
from treadle.vendors.dataiku.simulator.instance import Instance
from treadle.vendors.dataiku.simulator.overview import faults_seen, overview, requests_seen

_ROOT: Final = "/_sim"
# Nothing but what stands in the package, whatever a scenario is called.
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_FILES: Final = {"/": "index.html", f"{_ROOT}/page.css": "page.css", f"{_ROOT}/page.js": "page.js"}
_TYPES: Final = {"html": "text/html", "css": "text/css", "js": "text/javascript"}


class _Advance(Struct, forbid_unknown_fields=True):
    advance: Seconds


class _FaultList(Struct, forbid_unknown_fields=True):
    faults: tuple[Fault, ...]
    seed: int = 0


def owns(path: str) -> bool:
    """Tell whether a path is the simulator's own, and no request to the simulated DSS."""
    return path in _FILES or path == _ROOT or path.startswith(_ROOT + "/")


def add_routes(app: web.Application, instance: Instance) -> None:
    """Add the control API and the page."""
    for path, name in _FILES.items():
        app.router.add_route("GET", path, _file(name))
    control = _Control(instance)
    for method, path, handler in (
        ("GET", "/state", control.state),
        ("GET", "/requests", control.requests),
        ("DELETE", "/requests", control.forget_requests),
        ("GET", "/clock", control.time),
        ("POST", "/clock", control.advance),
        ("GET", "/faults", control.faults),
        ("PUT", "/faults", control.set_faults),
        ("DELETE", "/faults", control.remove_faults),
        ("PUT", "/configuration", control.configure),
        ("POST", "/reset", control.reset),
    ):
        app.router.add_route(method, _ROOT + path, _guarded(handler))


class _Control:
    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    async def state(self, _: web.Request) -> Any:
        """Show everything that the page shows."""
        return overview(self._instance)

    async def requests(self, request: web.Request) -> Any:
        """List the requests after a number, oldest first."""
        after = request.query.get("after", "0")
        if not after.isascii() or not after.isdigit():
            raise ConfigInvalid(f"after has to be the number of a request, not {after!r}")
        return requests_seen(self._instance, int(after))

    async def forget_requests(self, _: web.Request) -> Any:
        """Empty the request log; the numbers go on."""
        self._instance.requests.clear()
        return []

    async def time(self, _: web.Request) -> Any:
        """Tell the time."""
        return {"now": self._instance.clock.now(), "elapsed": self._instance.clock.now() - self._instance.started}

    async def advance(self, request: web.Request) -> Any:
        """Move the clock on; a real one jumps."""
        self._instance.clock.advance((await _body(request, _Advance)).advance)
        return await self.time(request)

    async def faults(self, _: web.Request) -> Any:
        """List the faults, with how many requests matched each and how often it happened."""
        return faults_seen(self._instance)

    async def set_faults(self, request: web.Request) -> Any:
        """Put faults in the place of those that are there."""
        wanted = await _body(request, _FaultList)
        self._instance.set_faults(wanted.faults, wanted.seed)
        return faults_seen(self._instance)

    async def remove_faults(self, _: web.Request) -> Any:
        """Let everything go well."""
        self._instance.set_faults((), 0)
        return []

    async def configure(self, request: web.Request) -> Any:
        """Begin anew as another configuration says, in YAML or JSON."""
        self._instance.configure(config.read((await request.read()).decode(), "configuration"))
        return overview(self._instance)

    async def reset(self, _: web.Request) -> Any:
        """Begin anew."""
        self._instance.reset()
        return overview(self._instance)


async def _body(request: web.Request, into: Any) -> Any:
    return msgspec.json.decode(await request.read(), type=into)


def _guarded(handler: Callable[[web.Request], Awaitable[Any]]) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Answer in JSON, refuse what cannot be read, and what another site's page sends."""

    async def handle(request: web.Request) -> web.Response:
        origin = request.headers.get("Origin")
        if origin is not None and origin.partition("://")[2] != request.host:
            return json_answer({"message": f"a page of {origin} may not steer this simulator"}, 403)
        try:
            return json_answer(await handler(request))
        except (ConfigInvalid, msgspec.MsgspecError, UnicodeDecodeError) as error:
            return json_answer({"message": str(error)}, 400)

    return handle


def _file(name: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(_: web.Request) -> web.Response:
        text = resources.files(__package__).joinpath("page", name).read_text(encoding="utf-8")
        content_type = _TYPES[name.rpartition(".")[2]]
        return web.Response(text=text, content_type=content_type, headers=_HEADERS)

    return handle
