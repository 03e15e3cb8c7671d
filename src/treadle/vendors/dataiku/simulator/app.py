"""The HTTP side of the simulator as an aiohttp application: routes, keys, errors, request log. Listening is in `server`."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from html import escape
from http import HTTPStatus
from typing import Final

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from treadle.vendors.dataiku.simulator import shapes
from treadle.vendors.dataiku.simulator.clock import Clock
from treadle.vendors.dataiku.simulator.endpoints import SCENARIO_ROUTES, Answer, BadRequestError, Call, Endpoint
from treadle.vendors.dataiku.simulator.keys import Keyring, NotAllowedError, NotAuthenticatedError, check_access
from treadle.vendors.dataiku.simulator.world import UnknownError, World

# The documented root, and the one that the official Python client uses for the same API.
PREFIXES: Final = ("/public/api", "/dip/publicapi")

_ERRORS: Final[dict[type[Exception], tuple[int, str]]] = {
    BadRequestError: (400, "java.lang.IllegalArgumentException"),
    NotAuthenticatedError: (401, "com.dataiku.dip.exceptions.NotAuthenticatedException"),
    # The class of a 403 is not known from any source; this one is a guess.
    NotAllowedError: (403, "com.dataiku.dip.exceptions.UnauthorizedException"),
    UnknownError: (404, "com.dataiku.dip.server.controllers.NotFoundException"),
}


@dataclass(slots=True)
class RecordedRequest:
    """A request as it came in. `path` is as sent, with its query; `status` is None until, or unless, it was answered."""

    method: str
    path: str
    headers: Mapping[str, str]
    at: float
    status: int | None = None


class ErrorBody(msgspec.Struct, rename="camel"):
    """An error as DSS words it."""

    error_type: str
    message: str
    detailed_message: str


def application(
    world: World, clock: Clock, requests: deque[RecordedRequest], middlewares: Iterable[Middleware] = ()
) -> web.Application:
    """Build the application. `middlewares` stand between the request log and DSS itself, where a proxy would."""
    app = web.Application(middlewares=[_recorder(clock, requests), *middlewares, _wrong_routes, _backend(world)])
    site = _Site(world, clock)
    listing = "/projects/{project}/scenarios"
    for prefix in PREFIXES:
        _add(app, "GET", prefix + "/auth/info", site.auth_info)
        app.router.add_route("GET", prefix + listing + "/", site.list_scenarios)
        if not world.simulation.strict_list_slash:
            app.router.add_route("GET", prefix + listing, site.list_scenarios)
        for method, path, endpoint in SCENARIO_ROUTES:
            _add(app, method, prefix + listing + path, site.on_scenario(endpoint))
    return app


class _Site:
    """The handlers: a key, a look at the clock, the state of that moment, an answer."""

    def __init__(self, world: World, clock: Clock) -> None:
        self._world = world
        self._clock = clock
        self._keyring = Keyring(world.simulation.keys)

    async def auth_info(self, request: web.Request) -> web.Response:
        """Say whose key it is."""
        return _answer(shapes.auth_info_body(self._keyring.authenticate(request.headers.get("Authorization"))))

    async def list_scenarios(self, request: web.Request) -> web.Response:
        """List the scenarios of a project."""
        project = self._project(request)
        return _answer([shapes.list_item(live) for live in self._world.scenarios(project, self._clock.now())])

    def on_scenario(self, endpoint: Endpoint) -> Callable[[web.Request], Awaitable[web.Response]]:
        """Make a handler of an endpoint."""

        async def handle(request: web.Request) -> web.Response:
            project = self._project(request)
            # The body first: between the look at the clock and the answer nothing else may happen.
            body = await request.read()
            live = self._world.scenario(project, request.match_info["scenario"], self._clock.now())
            call = Call(request.match_info, request.query, body, self._world.simulation.published_shapes)
            return _answer(endpoint(live, call))

        return handle

    def _project(self, request: web.Request) -> str:
        key = self._keyring.authenticate(request.headers.get("Authorization"))
        project = request.match_info["project"]
        check_access(key, project)
        return project


def _add(app: web.Application, method: str, path: str, handler: Handler) -> None:
    """Add a route in both slash forms."""
    app.router.add_route(method, path, handler)
    app.router.add_route(method, path + "/", handler)


def _answer(body: Answer | list[shapes.ListItem]) -> web.Response:
    if isinstance(body, str):
        return web.Response(text=body, content_type="text/plain")
    return _json(body)


def _json(body: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json", charset="utf-8")


def _recorder(clock: Clock, requests: deque[RecordedRequest]) -> Middleware:
    @web.middleware
    async def record(request: web.Request, handler: Handler) -> web.StreamResponse:
        clock.request()
        entry = RecordedRequest(request.method, request.raw_path, request.headers, clock.now())
        requests.append(entry)
        try:
            response = await handler(request)
        except web.HTTPException as error:
            entry.status = error.status
            raise
        entry.status = response.status
        return response

    return record


@web.middleware
async def _wrong_routes(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer in HTML where no route was found, or none for the method: such a request does not reach DSS's API."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        return web.Response(
            text=html_page(error.status), status=error.status, headers=headers, content_type="text/html"
        )


def html_page(status: int) -> str:
    """Give a page as the web server in front of DSS shows it."""
    title = escape(f"{status} {HTTPStatus(status).phrase}")
    return (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n"
        f"<center><h1>{title}</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    )


def _backend(world: World) -> Middleware:
    """Put DSS's headers on what DSS answers, and its words to what it refuses."""
    headers = {
        "DSS-Version": world.simulation.dss_version,
        "DSS-API-Version": world.simulation.dss_api_version,
    }

    @web.middleware
    async def backend(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except tuple(_ERRORS) as error:
            status, java_class = _ERRORS[type(error)]
            response = _json(ErrorBody(java_class, str(error), str(error)), status)
        response.headers.update(headers)
        return response

    return backend
