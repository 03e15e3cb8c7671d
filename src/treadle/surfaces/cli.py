"""The command line. Each command is a few lines over the layers below, which are imported when a command needs them."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from treadle.version import __version__

if TYPE_CHECKING:
    from treadle.api import Outcome, Prepared, Runner
    from treadle.errors import TreadleError

EXIT_CODES = {"succeeded": 0, "failed": 1, "limited": 3, "in-doubt": 4, "cancelled": 130}
EXIT_INVALID = 2
SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143}

RUN_OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("server", {"multiple": True, "metavar": "[SOURCE=]URL", "help": "Base URL of the API, for all sources or one."}),
    (
        "source",
        {"multiple": True, "metavar": "NAME=FILE-OR-URL", "help": "Load this in place of a source description's url."},
    ),
    ("strict", {"is_flag": True, "help": "Refuse the loose syntax of real documents."}),
    ("timeout", {"type": float, "metavar": "S", "help": "Limit of the whole run, in seconds."}),
    ("request-timeout", {"type": float, "default": 30.0, "metavar": "S", "help": "Limit of one request."}),
    ("poll-interval", {"type": float, "default": 1.0, "metavar": "S", "help": "First pause of a loop; 0 for none."}),
    ("poll-max-interval", {"type": float, "default": 15.0, "metavar": "S", "help": "Longest pause of a loop."}),
    ("max-steps", {"type": int, "default": 100_000, "metavar": "N", "help": "Limit of step visits."}),
    (
        "transport-retries",
        {"type": int, "default": 3, "metavar": "N", "help": "Repeats of a safe request that met a passing failure."},
    ),
    ("max-retry-after", {"type": float, "default": 300.0, "metavar": "S", "help": "Longest Retry-After obeyed."}),
    ("max-body", {"type": int, "default": 64 * 1024 * 1024, "metavar": "BYTES", "help": "Largest answer read."}),
    ("insecure", {"is_flag": True, "help": "Do not verify TLS certificates."}),
    ("ca-cert", {"metavar": "FILE", "help": "Trust the CA certificates in this file (PEM)."}),
    ("client-cert", {"metavar": "FILE", "help": "Client certificate (PEM)."}),
    ("client-key", {"metavar": "FILE", "help": "Key of the client certificate (PEM)."}),
    ("proxy", {"metavar": "URL", "help": "Send requests through this proxy."}),
)
"""The options of Options, as they stand on the command line."""


def with_options(rows: tuple[tuple[str, dict[str, Any]], ...]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add options by rows of name and settings; each can be given as TREADLE_<NAME> too."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for name, settings in reversed(rows):
            variable = f"TREADLE_{name.upper().replace('-', '_')}"
            shown = "default" in settings
            command = click.option(f"--{name}", envvar=variable, show_default=shown, **settings)(command)
        return command

    return add


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, message="treadle %(version)s")
def main() -> None:
    """Run Arazzo documents: API workflows, correctly and fast.

    \b
    Example:
      treadle dataiku demo
    """  # noqa: D301 - \b is click's mark for a paragraph that is not to be wrapped


@main.command(
    epilog="Exit codes: 0 succeeded, 1 failed, 2 invalid (nothing was sent), 3 limit reached, 4 in doubt, 130 interrupted."
)
@click.argument("document", metavar="SOURCE")
@click.argument("workflow", required=False)
@click.option(
    "-i", "--input", "given", multiple=True, metavar="NAME=VALUE", envvar="TREADLE_INPUT",
    help="An input: NAME=text, NAME:=json, NAME=@file, or NAME=env:VARIABLE for a secret.",
)  # fmt: skip
@click.option("--inputs", metavar="FILE", envvar="TREADLE_INPUTS", help="A JSON or YAML object of inputs; - for stdin.")
@with_options(RUN_OPTIONS)
@click.option("--report", metavar="FILE", envvar="TREADLE_REPORT", help="Write the report treadle.report/1 here.")
@click.option("--json", "as_json", is_flag=True, envvar="TREADLE_JSON", help="The report on stdout, not the outputs.")
@click.option("-q", "--quiet", is_flag=True, envvar="TREADLE_QUIET", help="Errors only on stderr.")
@click.option("-v", "--verbose", is_flag=True, envvar="TREADLE_VERBOSE", help="Every request, criterion and pause.")
def run(document: str, workflow: str | None, **options: Any) -> None:
    """Run a workflow; its outputs go to stdout as one JSON object, progress to stderr.

    SOURCE is a path, an http(s) URL or a bundled name (dataiku). WORKFLOW may be left out when there is one.

    \b
    Example:
      treadle run dataiku run-scenario-and-poll -i apiKey=env:DKU_API_KEY \\
          -i projectKey=DEMO -i scenarioId=NIGHTLY --server https://dss.example.com/public/api
    """  # noqa: D301
    sys.exit(_with_errors(lambda: asyncio.run(_run(document, workflow, options))))


async def _run(document: str, workflow: str | None, options: dict[str, Any]) -> int:
    from treadle.api import Runner  # noqa: PLC0415
    from treadle.surfaces.inputs import given_inputs  # noqa: PLC0415
    from treadle.surfaces.report import text_of_file, write_diagnostics  # noqa: PLC0415

    report_path = _report_path(options.pop("report"))
    given = given_inputs(options.pop("given"), options.pop("inputs"))
    shown = {name: options.pop(name) for name in ("as_json", "quiet", "verbose")}
    options["server"] = _named(options["server"], "server")
    options["source"] = _named(options["source"], "source")
    async with Runner(**options) as runner:
        loaded = await runner.load(document)
        prepared = await runner.prepare(loaded, workflow, given.values, secret_names=given.secret)
        if not shown["quiet"]:
            write_diagnostics(prepared.diagnostics, sys.stderr, text_of_file, colour=_colour())
            for message in prepared.unused:
                print(f"warning[unknown-input]: {message}", file=sys.stderr)
            if options["insecure"]:
                print("warning[insecure]: TLS certificates are not verified", file=sys.stderr)
        outcome, interrupted = await _execute(runner, prepared, shown)
    _show_outcome(outcome, prepared, report_path, as_json=shown["as_json"])
    return SIGNALS[interrupted] if interrupted is not None else EXIT_CODES[outcome.status]


async def _execute(
    runner: "Runner", prepared: "Prepared", shown: dict[str, bool]
) -> "tuple[Outcome, signal.Signals | None]":
    """Run, and stop cleanly at the first signal; a second one ends the process at once."""
    from treadle.api import Interruption  # noqa: PLC0415
    from treadle.surfaces.report import progress  # noqa: PLC0415

    live = sys.stderr.isatty() and not os.environ.get("CI") and os.environ.get("TERM") != "dumb"
    view = progress(prepared.secrets, verbose=shown["verbose"], quiet=shown["quiet"], live=live)
    interruption = Interruption()
    received: list[signal.Signals] = []
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        received.append(number)
        for other in SIGNALS:
            loop.remove_signal_handler(other)
        interruption.request(f"interrupted by {number.name}")

    for number in SIGNALS:
        loop.add_signal_handler(number, stop, number)
    try:
        outcome = await runner.execute(
            prepared, observe=view.show if view is not None else None, interruption=interruption
        )
    finally:
        if view is not None:
            view.close()
    return outcome, received[0] if received and outcome.status == "cancelled" else None


def _show_outcome(outcome: "Outcome", prepared: "Prepared", report_path: Path | None, *, as_json: bool) -> None:
    secrets = prepared.secrets
    if report_path is not None:
        _write_report(report_path, outcome)
    print(json.dumps(outcome.report() if as_json else secrets.value(outcome.outputs), indent=2, ensure_ascii=False))
    sys.stdout.flush()
    if outcome.error is not None:
        print(f"treadle: {secrets.text(outcome.error.message)}", file=sys.stderr)
        if outcome.error.hint:
            print(f"  hint: {secrets.text(outcome.error.hint)}", file=sys.stderr)


def _report_path(name: str | None) -> Path | None:
    """Make sure before anything is sent that the report can be written."""
    from treadle.errors import RunRefused  # noqa: PLC0415

    if name is None:
        return None
    path = Path(name)
    try:
        with path.open("a"):
            pass
    except OSError as error:
        raise RunRefused(f"--report {name} cannot be written: {error.strerror}", hint="name another file") from error
    return path


def _write_report(path: Path, outcome: "Outcome") -> None:
    """Write the report; where that fails after all, put it on stderr rather than lose it."""
    text = json.dumps(outcome.report(), indent=2, ensure_ascii=False) + "\n"
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        print(f"treadle: the report could not be written to {path}: {error.strerror}; it follows", file=sys.stderr)
        print(text, file=sys.stderr)


def _named(values: tuple[str, ...], option: str) -> dict[str, str]:
    """Read `NAME=VALUE`, or for a server `URL` alone, under the name ""."""
    from treadle.errors import RunRefused  # noqa: PLC0415

    found = {}
    for value in values:
        name, joint, rest = value.partition("=")
        if joint and "://" not in name:
            found[name] = rest
        elif option == "server":
            found[""] = value
        else:
            raise RunRefused(f"--{option} {value} is no NAME=VALUE", hint="for example --source petstore=petstore.yaml")
    return found


def _colour() -> bool:
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and not os.environ.get("CI")


def _with_errors(work: Callable[[], int]) -> int:
    """Do the work; a refusal becomes its message and exit code 2, a closed pipe ends quietly."""
    from treadle.errors import TreadleError  # noqa: PLC0415

    try:
        return work()
    except TreadleError as error:
        _say(error)
        return EXIT_INVALID
    except KeyboardInterrupt:
        return SIGNALS[signal.SIGINT]
    except BrokenPipeError:
        # Whoever read our output has gone; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _say(error: "TreadleError") -> None:
    from treadle.surfaces.report import write_error  # noqa: PLC0415

    write_error(error, sys.stderr, colour=_colour())


@main.command()
@click.argument("documents", metavar="SOURCE...", nargs=-1, required=True)
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True, envvar="TREADLE_FORMAT"
)
@click.option("--strict", is_flag=True, envvar="TREADLE_STRICT", help="Refuse the loose syntax of real documents.")
@click.option("--source", multiple=True, metavar="NAME=FILE-OR-URL", envvar="TREADLE_SOURCE", help="As for run.")
@click.option("--server", multiple=True, metavar="[SOURCE=]URL", envvar="TREADLE_SERVER", help="As for run.")
def check(documents: tuple[str, ...], **options: Any) -> None:
    """Load and compile documents without running them, and show every diagnostic.

    \b
    Example:
      treadle check dataiku --strict
    """  # noqa: D301
    sys.exit(_with_errors(lambda: _check(documents, **options)))


def _check(
    sources: tuple[str, ...], form: str, *, strict: bool, source: tuple[str, ...], server: tuple[str, ...]
) -> int:
    import msgspec  # noqa: PLC0415

    from treadle import api  # noqa: PLC0415
    from treadle.diagnostics import errors  # noqa: PLC0415
    from treadle.surfaces.report import text_of_file, write_diagnostics  # noqa: PLC0415

    overrides = {"source": _named(source, "source"), "server": _named(server, "server")}
    found = [diagnostic for name in sources for diagnostic in api.check(name, strict=strict, **overrides)]
    if form == "json":
        print(json.dumps(msgspec.to_builtins(found), indent=2))
    else:
        write_diagnostics(found, sys.stdout, text_of_file, colour=False)
        failed = len(errors(found))
        print(f"{len(sources)} document(s): {failed} error(s), {len(found) - failed} warning(s)")
    return EXIT_INVALID if errors(found) else 0


@main.group()
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
    sys.exit(_with_errors(lambda: _simulate(options)))


def _simulate(options: dict[str, Any]) -> int:
    from treadle.errors import RunRefused  # noqa: PLC0415
    from treadle.vendors.dataiku.simulator.clock import RealClock  # noqa: PLC0415
    from treadle.vendors.dataiku.simulator.server import Simulator, serve_until_cancelled  # noqa: PLC0415

    simulation = _simulation(options)

    def started(simulator: Simulator) -> None:
        keys = ", ".join(key.key for key in simulation.keys)
        print(f"DSS simulator: {simulator.api_url} (keys: {keys}); Ctrl-C stops it", file=sys.stderr, flush=True)

    async def serve() -> None:
        task = asyncio.current_task()
        for number in SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, task.cancel if task else _stop)
        await serve_until_cancelled(
            simulation, started=started, clock=RealClock(options["speed"]), host=options["host"], port=options["port"]
        )

    try:
        asyncio.run(serve())
    except asyncio.CancelledError:
        return 0
    except OSError as error:
        where = f"{options['host']}:{options['port']}"
        raise RunRefused(f"cannot listen on {where}: {error.strerror}", hint="try --port 0 for a free port") from error
    return 0


def _stop() -> NoReturn:
    raise KeyboardInterrupt


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
        print(f"$ treadle {' '.join(arguments)}", file=sys.stderr)
        main(arguments)
