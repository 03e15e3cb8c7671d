"""The commands of `treadle dataiku`."""

import asyncio
import gc
import os
import signal
import sys
from pathlib import Path
from typing import Any

import click

from treadle.surfaces.guard import guarded
from treadle.surfaces.interrupt import handed_to
from treadle.surfaces.options import with_options
from treadle.surfaces.streams import say, tell


@click.group()
def dataiku() -> None:
    """Dataiku DSS: a simulator to try things on, and the bundled workflows.

    \b
    Example:
      treadle dataiku simulate --port 11200
    """  # noqa: D301


SIMULATION_OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("host", {"default": "127.0.0.1", "help": "Address to listen on."}),
    ("port", {"type": click.IntRange(0, 65535), "default": 11200, "help": "Port to listen on; 0 for a free one."}),
    ("config", {"metavar": "FILE", "help": "Scenarios, keys and times, as YAML; without it a small default world."}),
    ("start-delay", {"type": click.FloatRange(0), "metavar": "S", "help": "From a fire to its run, in seconds."}),
    (
        "speed",
        {"type": click.FloatRange(0.001), "default": 1.0, "metavar": "X", "help": "Simulated seconds in a second."},
    ),
    ("published-shapes", {"is_flag": True, "help": "Answer also what published descriptions promise (id, lastRun)."}),
)


@dataiku.command()
@with_options(SIMULATION_OPTIONS)
def simulate(**options: Any) -> None:
    """Serve a simulated DSS until interrupted.

    \b
    Example:
      treadle dataiku simulate --port 11200 --published-shapes
    """  # noqa: D301
    sys.exit(guarded(lambda: _simulate(options)))


def _simulate(options: dict[str, Any]) -> int:
    from treadle.errors import RunRefused  # noqa: PLC0415
    from treadle.vendors.dataiku.simulator.clock import RealClock  # noqa: PLC0415
    from treadle.vendors.dataiku.simulator.server import Simulator, serve_until_cancelled  # noqa: PLC0415

    simulation = _simulation(options)
    gc.enable()

    def started(simulator: Simulator) -> None:
        keys = ", ".join(key.key for key in simulation.keys)
        tell(say, f"DSS simulator: {simulator.api_url} (keys: {keys}); Ctrl-C stops it")

    async def serve() -> None:
        task = asyncio.current_task()

        def stop(_number: signal.Signals) -> None:
            if task is not None:
                task.cancel()

        with handed_to(asyncio.get_running_loop(), stop):
            await serve_until_cancelled(
                simulation, started=started, clock=RealClock(options["speed"]), host=options["host"],
                port=options["port"],
            )  # fmt: skip

    try:
        asyncio.run(serve())
    except asyncio.CancelledError:
        return 0
    except OSError as error:
        where = f"{options['host']}:{options['port']}"
        raise RunRefused(f"cannot listen on {where}: {error.strerror}", hint="try --port 0 for a free port") from error
    return 0


def _simulation(options: dict[str, Any]) -> Any:
    import msgspec  # noqa: PLC0415

    from treadle.errors import RunRefused  # noqa: PLC0415
    from treadle.vendors.dataiku.simulator import config  # noqa: PLC0415
    from treadle.vendors.dataiku.simulator.description import ConfigInvalid  # noqa: PLC0415

    try:
        simulation = config.read_file(Path(options["config"])) if options["config"] else config.default()
    except ConfigInvalid as error:
        raise RunRefused(str(error)) from error
    except OSError as error:
        raise RunRefused(f"--config {options['config']} cannot be read: {error.strerror}") from error
    changes: dict[str, Any] = {}
    if options["start_delay"] is not None:
        changes["start_delay"] = options["start_delay"]
    if options["published_shapes"]:
        changes["published_shapes"] = True
    return msgspec.structs.replace(simulation, **changes)


@dataiku.command()
def demo() -> None:
    """Start the simulator and run the bundled workflow against it.

    \b
    Example:
      treadle dataiku demo
    """  # noqa: D301
    from treadle.vendors.dataiku.simulator.clock import RealClock  # noqa: PLC0415
    from treadle.vendors.dataiku.simulator.server import running  # noqa: PLC0415

    with running(clock=RealClock(speed=2)) as simulator:
        os.environ["DKU_API_KEY"] = "demo-key"
        arguments = [
            "run", "dataiku", "run-scenario-and-poll", "-i", "apiKey=env:DKU_API_KEY", "-i", "projectKey=DEMO",
            "-i", "scenarioId=NIGHTLY", "--server", simulator.api_url,
        ]  # fmt: skip
        tell(say, f"$ treadle {' '.join(arguments)}")
        click.get_current_context().find_root().command.main(arguments)
