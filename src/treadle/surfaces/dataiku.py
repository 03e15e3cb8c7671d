"""The commands of `treadle dataiku`."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click

from treadle.surfaces.dataiku_rows import commands_of
from treadle.surfaces.dataiku_run import run, wait
from treadle.surfaces.guard import guarded
from treadle.surfaces.interrupt import handed_to
from treadle.surfaces.options import Line, with_options
from treadle.surfaces.streams import say, tell
from treadle.vendors.dataiku import DATAIKU


@click.group()
def dataiku() -> None:
    """Dataiku DSS: run scenarios and know how they ended; a simulator to try things on.

    The server and the key come from DKU_DSS_URL and DKU_API_KEY, or from ~/.dataiku/config.json.

    \b
    Example:
      treadle dataiku run DEMO NIGHTLY
    """  # noqa: D301


for _command in (run, wait, *commands_of(DATAIKU)):
    dataiku.add_command(_command)


SIMULATION_OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("host", {"default": "127.0.0.1", "help": "Address to listen on."}),
    ("port", {"type": click.IntRange(0, 65535), "default": 11200, "help": "Port to listen on; 0 for a free one."}),
    ("config", {"metavar": "FILE", "help": "Scenarios, keys and times, as YAML; without it a small default world."}),
    ("start-delay", {"type": click.FloatRange(0), "metavar": "S", "help": "From a fire to its run, in seconds."}),
    (
        "speed",
        {"type": click.FloatRange(0.001), "default": 1.0, "metavar": "X", "help": "Simulated seconds in a second."},
    ),
    (
        "scenario",
        {
            "type": Line(),
            "multiple": True,
            "metavar": "NAME=VALUE,...",
            "help": "One more scenario: id=HELLO,run_time=4,outcomes=FAILED+SUCCESS.",
        },
    ),
    (
        "fault",
        {
            "type": Line(),
            "multiple": True,
            "metavar": "NAME=VALUE,...",
            "help": "What goes wrong: do=502,path=*/light,first=3,count=2 (docs/dataiku/simulator.md has them all).",
        },
    ),
    ("seed", {"type": int, "metavar": "N", "help": "Seed of the chances that faults have."}),
    ("virtual-clock", {"is_flag": True, "help": "Time moves only by --tick and by POST /_sim/clock."}),
    ("tick", {"type": click.FloatRange(0, 1e9), "metavar": "S", "help": "With --virtual-clock: seconds a request."}),
    ("tls", {"is_flag": True, "help": "Serve https with a certificate made for the occasion."}),
    ("tls-certificate", {"metavar": "FILE", "help": "With --tls: write the certificate there, for --ca-cert."}),
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
    from treadle.vendors.dataiku.simulator.server import Simulator, serve_until_cancelled  # noqa: PLC0415

    simulation, clock = _simulation(options), _clock(options)
    if options["tls_certificate"] and not options["tls"]:
        raise RunRefused("--tls-certificate says where the certificate goes, but without --tls there is none")
    gc.enable()

    def started(simulator: Simulator) -> None:
        if options["tls_certificate"] and simulator.certificate is not None:
            Path(options["tls_certificate"]).write_text(simulator.certificate, encoding="ascii")
        keys = ", ".join(key.key for key in simulation.keys)
        tell(say, f"DSS simulator: {simulator.api_url} (keys: {keys}), page: {simulator.url}/; Ctrl-C stops it")

    async def serve() -> None:
        task = asyncio.current_task()

        def stop(_number: signal.Signals) -> None:
            if task is not None:
                task.cancel()

        with handed_to(asyncio.get_running_loop(), stop):
            await serve_until_cancelled(
                simulation, started=started, clock=clock, host=options["host"], port=options["port"],
                tls=options["tls"],
            )  # fmt: skip

    return _until_stopped(serve(), f"{options['host']}:{options['port']}")


def _until_stopped(serving: Coroutine[Any, Any, None], where: str) -> int:
    from treadle.errors import RunRefused  # noqa: PLC0415

    try:
        asyncio.run(serving)
    except asyncio.CancelledError:
        return 0
    except OSError as error:
        if error.filename is not None:
            raise
        raise RunRefused(f"cannot listen on {where}: {error.strerror}", hint="try --port 0 for a free port") from error
    return 0


def _clock(options: dict[str, Any]) -> Any:
    from treadle.errors import RunRefused  # noqa: PLC0415
    from treadle.vendors.dataiku.simulator.clock import RealClock, VirtualClock  # noqa: PLC0415

    if options["virtual_clock"]:
        return VirtualClock(tick=options["tick"] or 0.0)
    if options["tick"] is not None:
        raise RunRefused("--tick moves a virtual clock: it needs --virtual-clock")
    return RealClock(options["speed"])


def _simulation(options: dict[str, Any]) -> Any:
    from treadle.errors import RunRefused  # noqa: PLC0415
    from treadle.vendors.dataiku.simulator import config  # noqa: PLC0415
    from treadle.vendors.dataiku.simulator.description import ConfigInvalid  # noqa: PLC0415

    try:
        simulation = config.read_file(Path(options["config"])) if options["config"] else config.default()
        changes: dict[str, Any] = {
            "scenarios": (*simulation.scenarios, *map(config.read_scenario, options["scenario"])),
            "faults": (*simulation.faults, *map(config.read_fault, options["fault"])),
        }
        for name in ("start_delay", "seed"):
            if options[name] is not None:
                changes[name] = options[name]
        if options["published_shapes"]:
            changes["published_shapes"] = True
        return config.changed(simulation, changes)
    except ConfigInvalid as error:
        raise RunRefused(str(error)) from error
    except OSError as error:
        raise RunRefused(f"--config {options['config']} cannot be read: {error.strerror}") from error


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
