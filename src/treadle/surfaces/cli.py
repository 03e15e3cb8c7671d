"""The command line. Each command is a few lines over the layers below, which are imported when a command needs them."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from treadle.surfaces.dataiku import dataiku
from treadle.surfaces.guard import EXIT_INVALID, guarded
from treadle.surfaces.options import (
    CONNECTION_OPTIONS,
    JOURNAL_OPTIONS,
    KEEP_OPTIONS,
    RUN_OPTIONS,
    Line,
    complete_connection,
    with_options,
)
from treadle.surfaces.runs import runs
from treadle.surfaces.streams import colour, prepare_streams, say, tell
from treadle.version import __version__

if TYPE_CHECKING:
    from treadle.drivers.documents import LoadedDocument
    from treadle.drivers.prepared import Prepared
    from treadle.runner import Runner
    from treadle.surfaces.bodyfolder import BodyFolder
    from treadle.surfaces.inputs import Given


class Results(NamedTuple):
    """Where the results of a run go besides stdout."""

    report: Path | None
    bodies: "BodyFolder"


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
    type=Line(),
    help="An input: NAME=text, NAME:=json, NAME=@file (its text without the last line end, "
    "or the file itself where the input is marked as one), or NAME=env:VARIABLE or NAME=keyring:SERVICE/USER for a secret. "
    "The environment variable TREADLE_INPUT holds one a line.",
)  # fmt: skip
@click.option("--inputs", metavar="FILE", envvar="TREADLE_INPUTS", help="A JSON or YAML object of inputs; - for stdin.")
@with_options(RUN_OPTIONS)
@with_options(CONNECTION_OPTIONS)
@with_options(JOURNAL_OPTIONS)
@with_options(KEEP_OPTIONS)
@click.option(
    "--no-journal",
    is_flag=True,
    envvar="TREADLE_NO_JOURNAL",
    help="Keep no journal: the run cannot be resumed.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    envvar="TREADLE_DRY_RUN",
    help="Print what would be done, as far as the inputs tell; send nothing.",
)
@click.option("--report", metavar="FILE", envvar="TREADLE_REPORT", help="Write the report treadle.report/1 here.")
@click.option(
    "--save-bodies",
    metavar="DIR",
    envvar="TREADLE_SAVE_BODIES",
    help="Put outputs that are binary data into files of this folder; without it, beside the report.",
)
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
    from treadle.surfaces.bodyfolder import body_folder  # noqa: PLC0415
    from treadle.surfaces.inputs import given_inputs  # noqa: PLC0415
    from treadle.surfaces.reportfile import report_file  # noqa: PLC0415

    report_path = report_file(options.pop("report"))
    results = Results(report_path, body_folder(options.pop("save_bodies"), report_path))
    options = _prepared_options(options)
    # Before the event loop, which would keep Ctrl-C from ending a read of standard input.
    given = given_inputs(options.pop("given"), options.pop("inputs"), lines_of=_variable("given", "TREADLE_INPUT"))
    return asyncio.run(_run_with(document, workflow, given, results, options))


def _prepared_options(options: dict[str, Any]) -> dict[str, Any]:
    """Give the options that more than one command has as a Runner takes them."""
    complete_connection(options)
    named = {name: _named(options[name], name.replace("_", "-")) for name in ("server", "source", "server_var")}
    given = {name: value for name, value in options.items() if name != "credential"}
    return {**given, **named, "credentials": _credentials(options["credential"])}


def _credentials(given: tuple[str, ...]) -> dict[str, Any] | None:
    if not given:
        return None
    from treadle.drivers.credentials import parsed  # noqa: PLC0415

    return parsed(given)


def _variable(option: str, variable: str) -> str | None:
    """Give the name of the variable where an option came from the environment."""
    source = click.get_current_context().get_parameter_source(option)
    return variable if source is click.core.ParameterSource.ENVIRONMENT else None


async def _run_with(
    document: str, workflow: str | None, given: "Given", results: Results, options: dict[str, Any]
) -> int:
    from treadle.drivers.journals.place import state_file  # noqa: PLC0415
    from treadle.drivers.run import Interruption  # noqa: PLC0415
    from treadle.drivers.transport import preload  # noqa: PLC0415
    from treadle.runner import Runner  # noqa: PLC0415
    from treadle.surfaces.running import exit_code, forget_old, nothing_sent, show_outcome, stopping, watched  # noqa: PLC0415

    shown = {name: options.pop(name) for name in ("quiet", "verbose")}
    as_json, dry, keep = options.pop("as_json"), options.pop("dry_run"), options.pop("keep")
    no_journal = options.pop("no_journal") or dry or options["replay"] is not None
    state, journaled = options.pop("state"), not no_journal
    interruption = Interruption()
    journal = state_file(state) if journaled else None
    async with Runner(journal=journal, prompt=lambda line: tell(say, line), **options) as runner, _recorded(runner):
        # Until here a signal ends the process at once: nothing was sent, and there is nothing to tidy up.
        loaded = await runner.load(document)
        given = given if dry else await _complete(runner, loaded, workflow, given)
        prepared = await runner.prepare(loaded, workflow, given.values, origins=given.origins)
        if not shown["quiet"]:
            tell(_show_warnings, prepared)
        if dry:
            _show_plan(runner, prepared, as_json=as_json)
            return 0
        if options["proxy"] is None and options["replay"] is None:
            preload()
        with nothing_sent():
            opened = runner.open_journal()
        interruption.attach()
        with stopping([interruption], kept=journaled) as received, watched(**shown) as observe:
            outcome = await runner.execute(prepared, observe=observe, interruption=interruption)
        show_outcome(outcome, state, results.report, as_json=as_json, keep=results.bodies.keep)
        if opened is not None and keep is not None:
            await forget_old(opened, keep)
    return exit_code(outcome, received)


async def _complete(runner: "Runner", loaded: "LoadedDocument", workflow: str | None, given: "Given") -> "Given":
    """Ask whoever sits at a terminal for the secret inputs that have to be given and are not."""
    if sys.stdin is None or not sys.stdin.isatty():
        return given
    from treadle.drivers.origins import PROMPT  # noqa: PLC0415
    from treadle.engine.entry import lacking  # noqa: PLC0415
    from treadle.runner import only_workflow  # noqa: PLC0415
    from treadle.surfaces.asking import asked  # noqa: PLC0415

    program, _ = await runner.check(loaded, workflow or only_workflow(loaded))
    if program is not None:  # else `prepare` says what is wrong
        for name in lacking(program, given.values):
            given.values[name] = asked(name, f"workflow {program.workflow_id}")
            given.origins[name] = PROMPT
    return given


@asynccontextmanager
async def _recorded(runner: "Runner") -> AsyncIterator[None]:
    """Write the recording in the end, however that comes; that it fails is said and changes nothing."""
    try:
        yield
    finally:
        problem = runner.save_recording()
        if problem is not None:
            tell(say, f"treadle: {problem}")


def _show_warnings(prepared: "Prepared") -> None:
    from treadle.surfaces.report import text_of_file, write_diagnostics  # noqa: PLC0415

    write_diagnostics(prepared.diagnostics, sys.stderr, text_of_file, colour=colour())


def _show_plan(runner: "Runner", prepared: "Prepared", *, as_json: bool) -> None:
    from treadle.engine.plan import plan  # noqa: PLC0415
    from treadle.surfaces.plan import plan_lines  # noqa: PLC0415
    from treadle.surfaces.report import json_text  # noqa: PLC0415

    whole = plan(prepared.program, prepared.inputs, prepared.secrets)
    whole["credentials"] += runner.needed_credentials(prepared.program)
    shown = prepared.secrets.value(whole)
    print(json_text(shown, sys.stdout) if as_json else "\n".join(plan_lines(shown)))
    sys.stdout.flush()


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
    "server-var": ("NAME=VALUE or SOURCE.NAME=VALUE", "region=eu"),
}


@main.command()
@click.argument("documents", metavar="SOURCE...", nargs=-1, required=True)
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True, envvar="TREADLE_FORMAT"
)
@click.option("--strict", is_flag=True, envvar="TREADLE_STRICT", help="Refuse the loose syntax of real documents.")
@click.option(
    "--offline",
    is_flag=True,
    envvar="TREADLE_OFFLINE",
    help="Fetch nothing; what needs a source out of reach is not checked.",
)
@click.option("--source", multiple=True, metavar="NAME=FILE-OR-URL", envvar="TREADLE_SOURCE", help="As for run.")
@click.option("--server", multiple=True, metavar="[SOURCE=]URL", envvar="TREADLE_SERVER", help="As for run.")
@click.option(
    "--server-var", multiple=True, metavar="[SOURCE.]NAME=VALUE", envvar="TREADLE_SERVER_VAR", help="As for run."
)
@click.option("--no-cache", is_flag=True, envvar="TREADLE_NO_CACHE", help="As for run.")
@with_options(CONNECTION_OPTIONS)
def check(documents: tuple[str, ...], **options: Any) -> None:
    """Load and compile documents without running them, and show every diagnostic.

    \b
    Example:
      treadle check dataiku --strict
    """  # noqa: D301
    sys.exit(guarded(lambda: _check(documents, **options)))


def _check(sources: tuple[str, ...], form: str, **options: Any) -> int:
    import msgspec  # noqa: PLC0415

    from treadle import api  # noqa: PLC0415
    from treadle.diagnostics import errors  # noqa: PLC0415
    from treadle.surfaces.report import counted, json_text, text_of_file, write_diagnostics  # noqa: PLC0415

    complete_connection(options)
    for name in ("source", "server", "server_var"):
        options[name] = _named(options[name], name.replace("_", "-"))
    found = api.check(*sources, **options)
    if form == "json":
        print(json_text(msgspec.to_builtins(found), sys.stdout))
    else:
        write_diagnostics(found, sys.stdout, text_of_file, colour=False)
        failed = len(errors(found))
        said = f"{counted(failed, 'error')}, {counted(len(found) - failed, 'warning')}"
        print(f"{counted(len(sources), 'document')}: {said}")
    sys.stdout.flush()
    return EXIT_INVALID if errors(found) else 0


@main.command()
@click.argument("document", metavar="SOURCE")
@click.argument("workflow", required=False)
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True, envvar="TREADLE_FORMAT"
)
@click.option(
    "--credentials", "listed", is_flag=True, help="List the credentials it will need and from where they would come."
)
@with_options(RUN_OPTIONS)
@with_options(CONNECTION_OPTIONS)
def show(document: str, workflow: str | None, form: str, *, listed: bool, **options: Any) -> None:
    """Show what is in a document: workflows, inputs, steps, outputs. Nothing is sent to the described APIs.

    \b
    Example:
      treadle show dataiku --credentials
    """  # noqa: D301
    sys.exit(guarded(lambda: _show(document, workflow, form, options, listed=listed)))


def _show(document: str, workflow: str | None, form: str, options: dict[str, Any], *, listed: bool) -> int:
    from treadle.surfaces.report import json_text  # noqa: PLC0415
    from treadle.surfaces.show import show_lines  # noqa: PLC0415

    value = asyncio.run(_shown(document, workflow, _prepared_options(options), listed=listed))
    print(json_text(value, sys.stdout) if form == "json" else "\n".join(show_lines(value)))
    sys.stdout.flush()
    return 0


async def _shown(document: str, workflow: str | None, options: dict[str, Any], *, listed: bool) -> dict[str, Any]:
    from treadle.engine.secrets import Secrets  # noqa: PLC0415
    from treadle.errors import RunRefused  # noqa: PLC0415
    from treadle.runner import Runner  # noqa: PLC0415
    from treadle.surfaces.show import shown  # noqa: PLC0415

    async with Runner(**options) as runner:
        loaded = await runner.load(document)
        ids = [workflow] if workflow is not None else loaded.workflow_ids
        flows = [found for found in loaded.document.workflows if found.workflow_id in ids]
        if not flows:
            known = ", ".join(loaded.workflow_ids)
            raise RunRefused(f"{loaded.name} has no workflow '{workflow}'", hint=f"it has {known}")
        value = shown(loaded.document, flows, loaded.reading.value)
        if listed:
            value["credentials"] = await runner.credentials_of(loaded, ids)
        whole: dict[str, Any] = Secrets(runner.known_secrets()).value(value)
        return whole


main.add_command(dataiku)
main.add_command(runs)
