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
from treadle.vendors.dataiku.simulator.app import PREFIXES, RecordedRequest, application
from treadle.vendors.dataiku.simulator.clock import Clock, RealClock
from treadle.vendors.dataiku.simulator.description import Simulation
from treadle.vendors.dataiku.simulator.world import World

# A simulator may serve for days; what is older is forgotten.
_REMEMBERED_REQUESTS: Final = 100_000
# How long a request that is still being answered may hold up the end.
_GRACE: Final = 1.0


@dataclass(frozen=True, slots=True)
class Simulator:
    """A simulated DSS that is listening. From another thread, look at `world` only while no request is under way."""

    url: str
    world: World
    clock: Clock
    requests: deque[RecordedRequest]

    @property
    def api_url(self) -> str:
        """Give the root of the documented REST API; the official client wants `url` instead."""
        return self.url + PREFIXES[0]


@asynccontextmanager
async def serve(
    simulation: Simulation | None = None,
    *,
    clock: Clock | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    middlewares: Iterable[Middleware] = (),
) -> AsyncIterator[Simulator]:
    """Serve on the running event loop for the length of the block; port 0 takes a free one.

    Without a simulation it is the default world, without a clock the real one. `middlewares` are aiohttp middlewares, the
    first one outermost: they see each request before DSS does and may answer in its place, as a proxy would.
    """
    if simulation is None:
        simulation = config.default()
    if clock is None:
        clock = RealClock()
    world = World(simulation, clock.now())
    requests: deque[RecordedRequest] = deque(maxlen=_REMEMBERED_REQUESTS)
    runner = web.AppRunner(application(world, clock, requests, middlewares), access_log=None, shutdown_timeout=_GRACE)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        taken_port = runner.addresses[0][1]
        authority = f"[{host}]:{taken_port}" if ":" in host else f"{host}:{taken_port}"
        yield Simulator(f"http://{authority}", world, clock, requests)
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
) -> None:
    """Serve until the task is cancelled; `started` is called once, when the port is open."""
    async with serve(simulation, clock=clock, host=host, port=port, middlewares=middlewares) as simulator:
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
) -> Iterator[Simulator]:
    """Serve from a thread of its own for the length of the block, for callers that have no event loop."""
    listening: futures.Future[tuple[Simulator, Callable[[], object]]] = futures.Future()

    async def main() -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        async with serve(simulation, clock=clock, host=host, port=port, middlewares=middlewares) as simulator:
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
