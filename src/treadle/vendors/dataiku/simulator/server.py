"""A simulated DSS that listens: for asynchronous tests, for synchronous ones, and until somebody cancels it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent import futures
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from treadle.vendors.dataiku.simulator import config
from treadle.vendors.dataiku.simulator.app import application
from treadle.vendors.dataiku.simulator.clock import Clock, RealClock
from treadle.vendors.dataiku.simulator.description import Simulation
from treadle.vendors.dataiku.simulator.instance import Instance, RecordedRequest
from treadle.vendors.dataiku.simulator.proxy import PREFIXES
from treadle.vendors.dataiku.simulator.tls import self_signed
from treadle.vendors.dataiku.simulator.world import World

# How long a request that is still being answered may hold up the end.
_GRACE: Final = 1.0


@dataclass(frozen=True, slots=True)
class Simulator:
    """A simulated DSS that is listening. From another thread, look at `world` only while no request is under way.

    Attributes:
        url: the root of the server; the official client wants this one.
        instance: the simulated DSS.
        certificate: what a client has to trust, in PEM, where TLS is served.
    """

    url: str
    instance: Instance
    certificate: str | None = None

    @property
    def api_url(self) -> str:
        """Give the root of the documented REST API."""
        return self.url + PREFIXES[0]

    @property
    def world(self) -> World:
        """The state of its scenarios and jobs."""
        return self.instance.world

    @property
    def clock(self) -> Clock:
        """Its clock."""
        return self.instance.clock

    @property
    def requests(self) -> deque[RecordedRequest]:
        """The requests as they came in."""
        return self.instance.requests


@asynccontextmanager
async def serve(
    simulation: Simulation | None = None,
    *,
    clock: Clock | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    middlewares: Iterable[Middleware] = (),
    tls: bool = False,
) -> AsyncIterator[Simulator]:
    """Serve on the running event loop for the length of the block; port 0 takes a free one.

    Without a simulation it is the default world, without a clock the real one. `middlewares` are aiohttp middlewares, the
    first one outermost: they see each request before DSS does and may answer in its place, as a proxy would. With `tls` a
    certificate is made for the occasion, which nobody trusts; that takes the package cryptography (TlsUnavailable).
    """
    if simulation is None:
        simulation = config.default()
    if clock is None:
        clock = RealClock()
    instance = Instance(simulation, clock)
    identity = self_signed(host) if tls else None
    runner = web.AppRunner(
        application(instance, middlewares), access_log=None, shutdown_timeout=_GRACE, handler_cancellation=True
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, ssl_context=None if identity is None else identity.context).start()
        taken_port = runner.addresses[0][1]
        authority = f"[{host}]:{taken_port}" if ":" in host else f"{host}:{taken_port}"
        if identity is None:
            yield Simulator(f"http://{authority}", instance)
        else:
            yield Simulator(f"https://{authority}", instance, identity.certificate)
    finally:
        # asyncio loses a connection that is being accepted while the server closes: its socket would stay open.
        await asyncio.sleep(0)
        await runner.cleanup()


async def serve_until_cancelled(
    simulation: Simulation | None = None,
    *,
    started: Callable[[Simulator], None],
    clock: Clock | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    middlewares: Iterable[Middleware] = (),
    tls: bool = False,
) -> None:
    """Serve until the task is cancelled; `started` is called once, when the port is open."""
    async with serve(simulation, clock=clock, host=host, port=port, middlewares=middlewares, tls=tls) as simulator:
        started(simulator)
        await asyncio.Event().wait()


@contextmanager
def running(
    simulation: Simulation | None = None,
    *,
    clock: Clock | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    middlewares: Iterable[Middleware] = (),
    tls: bool = False,
) -> Iterator[Simulator]:
    """Serve from a thread of its own for the length of the block, for callers that have no event loop."""
    listening: futures.Future[tuple[Simulator, Callable[[], object]]] = futures.Future()

    async def main() -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        async with serve(simulation, clock=clock, host=host, port=port, middlewares=middlewares, tls=tls) as simulator:
            listening.set_result((simulator, lambda: loop.call_soon_threadsafe(stop.set)))
            await stop.wait()

    with futures.ThreadPoolExecutor(1, thread_name_prefix="dss-simulator") as threads:
        ended = threads.submit(lambda: asyncio.run(main()))
        either: tuple[futures.Future[Any], ...] = (listening, ended)
        futures.wait(either, return_when=futures.FIRST_COMPLETED)
        if not listening.done():
            # It ended before it listened, as when the port is taken; its exception is the caller's.
            ended.result()
        simulator, stop = listening.result()
        try:
            yield simulator
        finally:
            stop()
            ended.result()
