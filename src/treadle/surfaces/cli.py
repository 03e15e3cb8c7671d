"""The command line. Each command is a few lines over the layers below, which are imported when a command needs them."""

import asyncio
import gc
import json
import math
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from treadle.surfaces.guard import EXIT_INVALID, SIGNALS, colour, guarded, prepare_streams, silence, tell
from treadle.version import __version__

if TYPE_CHECKING:
    from treadle.api import Interruption, Outcome, Prepared, Runner
    from treadle.engine.journal import Record
    from treadle.surfaces.inputs import Given

EXIT_CODES = {"succeeded": 0, "failed": 1, "limited": 3, "in-doubt": 4, "cancelled": 130}


class Seconds(click.ParamType[float]):
    """A number of seconds: finite, not negative, and above zero where `zero` makes no sense."""

    name = "seconds"

    def __init__(self, *, zero: bool = True) -> None:
        self._zero = zero

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read the number."""
        try:
            seconds = float(value)
        except ValueError:
            seconds = math.nan
        if not math.isfinite(seconds) or seconds < 0 or (seconds == 0 and not self._zero):
            least = "that is not negative" if self._zero else "above 0"
            self.fail(f"{value!r} is not a number of seconds {least}", param, ctx)
        return seconds


COUNT = click.IntRange(min=0)
FILE = click.Path(exists=True, dir_okay=False, readable=True)
RUN_OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("server", {"multiple": True, "metavar": "[SOURCE=]URL", "help": "Base URL of the API, for all sources or one."}),
    (
        "source",
        {"multiple": True, "metavar": "NAME=FILE-OR-URL", "help": "Load this in place of a source description's url."},
    ),
    ("strict", {"is_flag": True, "help": "Refuse the loose syntax of real documents."}),
    ("timeout", {"type": Seconds(zero=False), "metavar": "S", "help": "Limit of the whole run, in seconds."}),
    (
        "request-timeout",
        {"type": Seconds(zero=False), "default": 30.0, "metavar": "S", "help": "Limit of one request."},
    ),
    (
        "poll-interval",
        {"type": Seconds(), "default": 1.0, "metavar": "S", "help": "First pause of a loop; 0 for none."},
    ),
    ("poll-max-interval", {"type": Seconds(), "default": 15.0, "metavar": "S", "help": "Longest pause of a loop."}),
    ("max-steps", {"type": COUNT, "default": 100_000, "metavar": "N", "help": "Limit of step visits."}),
    (
        "transport-retries",
        {"type": COUNT, "default": 3, "metavar": "N", "help": "Repeats of a safe request that met a passing failure."},
    ),
    ("max-retry-after", {"type": Seconds(), "default": 300.0, "metavar": "S", "help": "Longest Retry-After obeyed."}),
    ("max-body", {"type": COUNT, "default": 64 * 1024 * 1024, "metavar": "BYTES", "help": "Largest answer read."}),
    ("insecure", {"is_flag": True, "help": "Do not verify TLS certificates."}),
    ("ca-cert", {"type": FILE, "metavar": "FILE", "help": "Trust the CA certificates in this file (PEM)."}),
    ("client-cert", {"type": FILE, "metavar": "FILE", "help": "Client certificate (PEM)."}),
    ("client-key", {"type": FILE, "metavar": "FILE", "help": "Key of the client certificate (PEM)."}),
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
    prepare_streams()


@main.command(
    epilog="Exit codes: 0 succeeded, 1 failed, 2 invalid (nothing was sent), 3 limit reached, 4 in doubt, 130 or 143 interrupted."
)
@click.argument("document", metavar="SOURCE")
@click.argument("workflow", required=False)
@click.option(
    "-i", "--input", "given", multiple=True, metavar="NAME=VALUE", envvar="TREADLE_INPUT",
    help="An input: NAME=text, NAME:=json, NAME=@file (without its last line end), or NAME=env:VARIABLE for a secret.",
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
    sys.exit(guarded(lambda: _run(document, workflow, options)))


def _run(document: str, workflow: str | None, options: dict[str, Any]) -> int:
    from treadle.errors import RunRefused  # noqa: PLC0415
    from treadle.surfaces.inputs import given_inputs  # noqa: PLC0415

    if options["client_key"] and not options["client_cert"]:
        raise RunRefused("--client-key is of no use without --client-cert", hint="name the certificate too")
    report_path = _report_path(options.pop("report"))
    options["server"] = _named(options["server"], "server")
    options["source"] = _named(options["source"], "source")
    # Before the event loop, which would keep Ctrl-C from ending a read of standard input.
    given = given_inputs(options.pop("given"), options.pop("inputs"))
    return asyncio.run(_run_with(document, workflow, given, report_path, options))


async def _run_with(
    document: str, workflow: str | None, given: "Given", report_path: Path | None, options: dict[str, Any]
) -> int:
    from treadle.api import Interruption, Runner  # noqa: PLC0415
    from treadle.drivers.transport import preload  # noqa: PLC0415

    shown = {name: options.pop(name) for name in ("as_json", "quiet", "verbose")}
    interruption = Interruption()
    interruption.attach()
    prepared: Prepared | None = None
    outcome: Outcome | None = None
    with _stopping(interruption) as received:
        try:
            async with Runner(**options) as runner:
                prepared = await runner.prepare(document, workflow, given.values, secret_names=given.secret)
                if not shown["quiet"]:
                    tell(_show_warnings, prepared, options["insecure"])
                if options["proxy"] is None:
                    preload()
                outcome = await _execute(runner, prepared, shown, interruption)
        except asyncio.CancelledError:
            if not received:
                raise
    if prepared is None or outcome is None:
        print(f"treadle: interrupted by {received[0].name}; nothing was sent", file=sys.stderr)
        return SIGNALS[received[0]]
    _show_outcome(outcome, prepared, report_path, as_json=shown["as_json"])
    return SIGNALS[received[0]] if received and outcome.status == "cancelled" else EXIT_CODES[outcome.status]


@contextmanager
def _stopping(interruption: "Interruption") -> "Iterator[list[signal.Signals]]":
    """Stop cleanly at the first signal, and give a list that names it; a second one ends the process at once."""
    received: list[signal.Signals] = []
    loop = asyncio.get_running_loop()

    def leave() -> None:
        with suppress(NotImplementedError):
            for number in SIGNALS:
                loop.remove_signal_handler(number)

    def stop(number: signal.Signals) -> None:
        received.append(number)
        leave()
        interruption.request(f"interrupted by {number.name}")

    with suppress(NotImplementedError):  # Windows has no such handlers; Ctrl-C is a KeyboardInterrupt there
        for number in SIGNALS:
            loop.add_signal_handler(number, stop, number)
    try:
        yield received
    finally:
        leave()


async def _execute(
    runner: "Runner", prepared: "Prepared", shown: dict[str, bool], interruption: "Interruption"
) -> "Outcome":
    """Run, and show how it goes."""
    from treadle.surfaces.report import progress  # noqa: PLC0415

    # What is loaded stays until the end, so the collector, which rested while it was made, need not look at it again.
    gc.freeze()
    gc.enable()
    live = sys.stderr.isatty() and not os.environ.get("CI") and os.environ.get("TERM") != "dumb"
    view = progress(prepared.secrets, verbose=shown["verbose"], quiet=shown["quiet"], live=live)

    def observe(record: "Record") -> None:
        tell(view.show, record)

    try:
        return await runner.execute(prepared, observe=observe, interruption=interruption)
    finally:
        view.close()


def _show_warnings(prepared: "Prepared", insecure: bool) -> None:  # noqa: FBT001 - handed on by tell
    from treadle.surfaces.report import text_of_file, write_diagnostics  # noqa: PLC0415

    write_diagnostics(prepared.diagnostics, sys.stderr, text_of_file, colour=colour())
    if insecure:
        print("warning[insecure]: TLS certificates are not verified", file=sys.stderr)


def _show_outcome(outcome: "Outcome", prepared: "Prepared", report_path: Path | None, *, as_json: bool) -> None:
    from treadle.surfaces.report import json_text, write_problem  # noqa: PLC0415

    secrets = prepared.secrets
    if report_path is not None:
        _write_report(report_path, outcome)
    try:
        print(json_text(outcome.report() if as_json else secrets.value(outcome.outputs), sys.stdout))
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read it has gone; how the run ended stays as it is
        silence(sys.stdout)
    if outcome.error is not None:
        hint = outcome.error.hint
        tell(write_problem, secrets.text(outcome.error.message), secrets.text(hint) if hint else None, sys.stderr)


def _report_path(name: str | None) -> Path | None:
    """Make sure before anything is sent that the report can be written; leave no empty one for a run that is refused."""
    from treadle.errors import RunRefused  # noqa: PLC0415

    if name is None:
        return None
    path = Path(name)
    known = path.exists()
    try:
        with path.open("a"):
            pass
        if not known:
            path.unlink()
    except OSError as error:
        hint = "name a file in a folder that is there and can be written to"
        raise RunRefused(f"--report {name} cannot be written: {error.strerror}", hint=hint) from error
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
        if option == "server" and (not joint or "://" in name):
            found[""] = value
        elif name and rest:
            found[name] = rest
        else:
            wanted, example = _FORMS[option]
            raise RunRefused(f"--{option} '{value}' is not {wanted}", hint=f"for example --{option} {example}")
    return found


_FORMS = {
    "source": ("NAME=FILE-OR-URL", "petstore=petstore.yaml"),
    "server": ("URL or SOURCE=URL", "petstore=https://petstore.example.com/v1"),
}


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
    sys.exit(guarded(lambda: _check(documents, **options)))


def _check(
    sources: tuple[str, ...], form: str, *, strict: bool, source: tuple[str, ...], server: tuple[str, ...]
) -> int:
    import msgspec  # noqa: PLC0415

    from treadle import api  # noqa: PLC0415
    from treadle.diagnostics import errors  # noqa: PLC0415
    from treadle.surfaces.report import counted, json_text, text_of_file, write_diagnostics  # noqa: PLC0415

    overrides = {"source": _named(source, "source"), "server": _named(server, "server")}
    found = [diagnostic for name in sources for diagnostic in api.check(name, strict=strict, **overrides)]
    if form == "json":
        print(json_text(msgspec.to_builtins(found), sys.stdout))
    else:
        write_diagnostics(found, sys.stdout, text_of_file, colour=False)
        failed = len(errors(found))
        said = f"{counted(failed, 'error')}, {counted(len(found) - failed, 'warning')}"
        print(f"{counted(len(sources), 'document')}: {said}")
    sys.stdout.flush()
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
    sys.exit(guarded(lambda: _simulate(options)))


def _simulate(options: dict[str, Any]) -> int:
    from treadle.errors import RunRefused  # noqa: PLC0415
    from treadle.vendors.dataiku.simulator.clock import RealClock  # noqa: PLC0415
    from treadle.vendors.dataiku.simulator.server import Simulator, serve_until_cancelled  # noqa: PLC0415

    simulation = _simulation(options)
    gc.enable()

    def started(simulator: Simulator) -> None:
        keys = ", ".join(key.key for key in simulation.keys)
        print(f"DSS simulator: {simulator.api_url} (keys: {keys}); Ctrl-C stops it", file=sys.stderr, flush=True)

    async def serve() -> None:
        task = asyncio.current_task()
        for number in SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, lambda: task and task.cancel())
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
