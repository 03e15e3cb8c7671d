"""The HTTP side of the simulator as an aiohttp application: routes, keys, errors, request log. Listening is in `server`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from email.utils import formatdate
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from treadle.vendors.dataiku.simulator import control, shapes
from treadle.vendors.dataiku.simulator.answers import answer, dss_headers, error_answer, html_answer
from treadle.vendors.dataiku.simulator.description import ApiKey, Privilege
from treadle.vendors.dataiku.simulator.endpoints import SCENARIO_ROUTES, Call, Endpoint, boolean
from treadle.vendors.dataiku.simulator.errors import (
    BadRequestError,
    NotAllowedError,
    NotAuthenticatedError,
    UnknownError,
)
from treadle.vendors.dataiku.simulator.instance import Instance
from treadle.vendors.dataiku.simulator.job_endpoints import JOB_ROUTES, JobEndpoint, item_body
from treadle.vendors.dataiku.simulator.keys import check_access, opens
from treadle.vendors.dataiku.simulator.proxy import MET, PREFIXES, faulty
from treadle.vendors.dataiku.simulator.settings import read_object

_STATUS: Final[dict[type[Exception], int]] = {
    BadRequestError: 400,
    NotAuthenticatedError: 401,
    NotAllowedError: 403,
    UnknownError: 404,
}


def application(instance: Instance, middlewares: Iterable[Middleware] = ()) -> web.Application:
    """Build the application. `middlewares` stand between the request log and DSS itself, where a proxy would."""
    of_dss = (_recorder(instance), *middlewares, faulty(instance), _wrong_routes, _backend(instance))
    app = web.Application(middlewares=[_but_not_for_control(middleware) for middleware in of_dss])
    control.add_routes(app, instance)
    site = _Site(instance)
    scenarios = "/projects/{project}/scenarios"
    for prefix in PREFIXES:
        _add(app, "GET", prefix + "/auth/info", site.auth_info)
        _add(app, "GET", prefix + "/projects", site.list_projects)
        _add(app, "GET", prefix + "/jobs/running", site.all_running_jobs)
        app.router.add_route("GET", prefix + scenarios + "/", site.list_scenarios)
        app.router.add_route("POST", prefix + scenarios + "/", site.create_scenario)
        app.router.add_route("GET", prefix + scenarios, site.list_scenarios_without_slash)
        _add(app, "DELETE", prefix + scenarios + "/{scenario}", site.delete_scenario)
        for method, path, privilege, endpoint in SCENARIO_ROUTES:
            _add(app, method, prefix + scenarios + path, site.on_scenario(endpoint, privilege))
        for method, path, privilege, job_endpoint in JOB_ROUTES:
            _add(app, method, prefix + "/projects/{project}/jobs" + path, site.on_jobs(job_endpoint, privilege))
    return app


class _Site:
    """The handlers: a key, a look at the clock, the state of that moment, an answer."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    async def auth_info(self, request: web.Request) -> web.Response:
        """Say whose key it is."""
        return answer(shapes.auth_info_body(self._key(request)))

    async def list_projects(self, request: web.Request) -> web.Response:
        """List the projects that the key opens."""
        key = self._key(request)
        return answer([shapes.project_item(name) for name in self._instance.world.projects() if opens(key, name)])

    async def all_running_jobs(self, request: web.Request) -> web.Response:
        """List the jobs that are not over in all projects that the key opens; there is one user, so `allUsers` is all."""
        key = self._key(request)
        boolean("allUsers", request.query.get("allUsers", "true"))
        world, now = self._instance.world, self._instance.clock.now()
        projects = [world.jobs(project, now) for project in world.projects() if opens(key, project)]
        return answer([item_body(jobs, job) for jobs in projects for job in jobs.newest(only_unfinished=True)])

    async def list_scenarios(self, request: web.Request) -> web.Response:
        """List the scenarios of a project."""
        project, _ = self._project(request, "READ_CONF")
        return answer(
            [shapes.list_item(live) for live in self._instance.world.scenarios(project, self._instance.clock.now())]
        )

    async def list_scenarios_without_slash(self, request: web.Request) -> web.Response:
        """Do as DSS does, whose list is only found with a slash at its end; unless the simulation is forgiving."""
        if self._instance.simulation.strict_list_slash:
            raise web.HTTPNotFound
        return await self.list_scenarios(request)

    async def create_scenario(self, request: web.Request) -> web.Response:
        """Make a new scenario."""
        project, key = self._project(request, "WRITE_CONF")
        sent = read_object(await request.read())
        live = self._instance.world.create(project, sent, key.id, self._instance.clock.now())
        return answer(shapes.CreatedBody(live.description.id))

    async def delete_scenario(self, request: web.Request) -> web.Response:
        """Forget a scenario."""
        project, _ = self._project(request, "WRITE_CONF")
        scenario = request.match_info["scenario"]
        self._instance.world.delete(project, scenario, self._instance.clock.now())
        return answer(shapes.message(f"Deleted scenario {project}.{scenario}"))

    def on_scenario(self, endpoint: Endpoint, privilege: Privilege) -> Callable[[web.Request], Awaitable[web.Response]]:
        """Make a handler of an endpoint of one scenario."""

        async def handle(request: web.Request) -> web.Response:
            project, key = self._project(request, privilege)
            # The body first: between the look at the clock and the answer nothing else may happen.
            call = self._call(request, await request.read(), key)
            world = self._instance.world
            return answer(endpoint(world.scenario(project, call.path["scenario"], self._instance.clock.now()), call))

        return handle

    def on_jobs(self, endpoint: JobEndpoint, privilege: Privilege) -> Callable[[web.Request], Awaitable[web.Response]]:
        """Make a handler of an endpoint of a project's jobs."""

        async def handle(request: web.Request) -> web.Response:
            project, key = self._project(request, privilege)
            call = self._call(request, await request.read(), key)
            return answer(endpoint(self._instance.world.jobs(project, self._instance.clock.now()), call))

        return handle

    def _call(self, request: web.Request, body: bytes, key: ApiKey) -> Call:
        return Call(request.match_info, request.query, body, key.id, self._instance.simulation.published_shapes)

    def _key(self, request: web.Request) -> ApiKey:
        return self._instance.keyring.authenticate(request.headers.get("Authorization"))

    def _project(self, request: web.Request, privilege: Privilege) -> tuple[str, ApiKey]:
        key = self._key(request)
        project = request.match_info["project"]
        check_access(key, project, privilege)
        return project, key


def _add(app: web.Application, method: str, path: str, handler: Callable[[web.Request], Awaitable[Any]]) -> None:
    """Add a route in both slash forms."""
    app.router.add_route(method, path, handler)
    app.router.add_route(method, path + "/", handler)


def _but_not_for_control(inner: Middleware) -> Middleware:
    """Leave out what belongs to the simulator and not to the simulated DSS."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if control.owns(request.path):
            return await handler(request)
        return await inner(request, handler)

    return middleware


def _recorder(instance: Instance) -> Middleware:
    @web.middleware
    async def record(request: web.Request, handler: Handler) -> web.StreamResponse:
        entry = instance.record(request.method, request.raw_path, request.headers)
        try:
            response = await handler(request)
        except web.HTTPException as error:
            entry.status = error.status
            raise
        finally:
            entry.faults = request.get(MET, ())
        # Where the connection was closed, no status got out.
        if request.transport is not None and not request.transport.is_closing():
            entry.status = response.status
        return response

    return record


@web.middleware
async def _wrong_routes(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer in HTML where no route was found, or none for the method: such a request does not reach DSS's API."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        return html_answer(error.status, {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None)


def _backend(instance: Instance) -> Middleware:
    """Put DSS's headers on what DSS answers, and its words to what it refuses."""

    @web.middleware
    async def backend(request: web.Request, handler: Handler) -> web.StreamResponse:
        response: web.StreamResponse
        try:
            response = await handler(request)
        except tuple(_STATUS) as error:
            response = error_answer(_STATUS[type(error)], str(error))
        response.headers.update(dss_headers(instance.simulation))
        response.headers["Date"] = formatdate(instance.clock.now(), usegmt=True)
        return response

    return backend
