"""Commands that are one bundled workflow each: made from the rows of a bundle, shown as a table or as JSON."""

import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

from treadle.pointer import follow, parse
from treadle.surfaces.dataiku_options import SERVER_OPTIONS, server_of
from treadle.surfaces.guard import EXIT_INVALID, guarded
from treadle.surfaces.options import SOME, with_options
from treadle.vendors.bundle import Argument, Bundle, Column, Command


def commands_of(bundle: Bundle) -> list[click.Command]:
    """Make the commands of a bundle's rows."""
    return [_command(bundle, row) for row in bundle.commands]


def _command(bundle: Bundle, row: Command) -> click.Command:
    def call(**options: Any) -> None:
        sys.exit(guarded(lambda: _call(bundle, row, options)))

    example = f"{bundle.name} {row.name} {row.example}".rstrip()
    call.__doc__ = f"{row.help}\n\n\b\nExample:\n  treadle {example}\n"
    call = with_options(SERVER_OPTIONS)(call)
    call = click.option("--json", "as_json", is_flag=True, help="The outputs of the workflow, as JSON.")(call)
    for argument in reversed(row.arguments):
        call = _parameter(argument)(call)
    return click.command(row.name)(call)


def _parameter(argument: Argument) -> Any:
    if argument.name.startswith("--"):
        kind = SOME if argument.number else click.STRING
        return click.option(argument.name, argument.input.lower(), type=kind, metavar="N", help=argument.help)
    return click.argument(argument.input.lower(), metavar=argument.name)


def _call(bundle: Bundle, row: Command, options: dict[str, Any]) -> int:
    server = server_of(options)
    given = {argument.input: options[argument.input.lower()] for argument in row.arguments}
    inputs = {name: value for name, value in given.items() if value is not None}
    return asyncio.run(_called(bundle, row, inputs, server, as_json=options["as_json"]))


async def _called(bundle: Bundle, row: Command, inputs: dict[str, Any], server: Any, *, as_json: bool) -> int:
    from treadle.runner import Runner  # noqa: PLC0415
    from treadle.surfaces.report import json_text, write_problem  # noqa: PLC0415
    from treadle.vendors.dataiku.work import Server, Work  # noqa: PLC0415

    async with Runner(**server.options) as runner:
        work = Work(runner, await runner.load(bundle.name), Server(server.root, server.scheme))
        phase = await work.read(row.workflow, inputs)
    if not phase.succeeded:
        message, hint = phase.problem
        write_problem(message, hint, sys.stderr)
        return EXIT_INVALID if phase.status == "failed" else 4
    print(json_text(phase.outputs, sys.stdout) if as_json else "\n".join(_lines(row, phase.outputs)))
    sys.stdout.flush()
    return 0


def _lines(row: Command, outputs: Any) -> list[str]:
    shown = _at(outputs, row.shows)
    if not row.columns:
        return str(shown).rstrip("\n").splitlines()
    items = shown if isinstance(shown, list) else [shown]
    table = [[column.heading for column in row.columns]]
    table += [[_cell(column, item) for column in row.columns] for item in items]
    widths = [max(len(line[number]) for line in table) for number in range(len(row.columns))]
    return [_row(line, widths) for line in table]


def _row(line: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()


def _cell(column: Column, item: Any) -> str:
    value = _at(item, column.pointer)
    match column.form:
        case "time":
            return datetime.fromtimestamp(value / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S") if value else ""
        case "flag":
            return "yes" if value else "no"
        case _:
            return "" if value is None else str(value)


def _at(value: Any, pointer: str) -> Any:
    """Give what a pointer names, or None where it is not there."""
    found = follow(value, parse(pointer))
    return None if found.rest else found.value
