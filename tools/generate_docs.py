"""Write the generated parts of docs/, or with --check say which of them are stale.

What is generated: the command line's help pages, effects and records of a run, the table of what follows a step, the
dialects. Each is read from the code that works by it.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from treadle.document.dialects import DIALECTS
from treadle.engine import effects, journal
from treadle.engine.transitions import TRANSITIONS
from treadle.surfaces.cli import main as command_line

DOCS = Path(__file__).parent.parent / "docs"
NOTE = "<!-- Written by `make docs`; do not edit here. -->\n"


_RECORDS_INTRODUCTION = f"""\
A run asks for effects, takes results, and gives records. A journal is its records, one JSON object a line; this is
version {journal.VERSION}. Times are seconds since the epoch, lengths of time are seconds.
"""


def cli_page() -> str:
    """Give the help page of each command, as a terminal shows it."""
    parts = ["# Command line\n", NOTE]
    for words, command in _commands(command_line, ("treadle",)):
        context = click.Context(command, info_name=" ".join(words), max_content_width=100, terminal_width=100)
        context.help_option_names = ["-h", "--help"]
        parts.append(f"## {' '.join(words)}\n\n```text\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


def _commands(command: click.Command, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield words, command
    if isinstance(command, click.Group):
        for name, sub in sorted(command.commands.items()):
            yield from _commands(sub, (*words, name))


def records_page() -> str:
    """Give the effects a run asks for, their results, and the records it writes, with their fields."""
    groups = {
        "Effects": (effects.SendHttp, effects.Sleep),
        "Results": (effects.HttpResponse, effects.HttpFailed, effects.Slept),
        "Records": (
            journal.RunBegan, journal.StepBegan, journal.Delivered, journal.StepEnded, journal.Waiting, journal.Warned, journal.Repeated,
            journal.Stopped, journal.RunEnded,
        ),
    }  # fmt: skip
    parts = [
        "# Effects and records\n",
        NOTE,
        _RECORDS_INTRODUCTION,
    ]
    for title, structs in groups.items():
        parts.append(f"## {title}\n")
        parts += [_struct(struct) for struct in structs]
    return "\n".join(parts)


def _struct(struct: type[msgspec.Struct]) -> str:
    fields = ", ".join(f"`{field.encode_name}`" for field in msgspec.structs.fields(struct)) or "no fields"
    text = " ".join((struct.__doc__ or "").split())
    return f"**{struct.__name__}**: {text}\n\nFields: {fields}.\n"


def dialects_page() -> str:
    """Give the loose readings and what the specification asks for."""
    rows = "\n".join(f"| `{rule}` | {text} |" for rule, text in DIALECTS.items())
    return (
        f"# Dialects\n\n{NOTE}\nReal documents are written in looser syntax than the specification's. Treadle reads these forms, warns once\n"
        "for each text with the correct form, and refuses them under `--strict`.\n\n"
        f"| warning | what the specification asks for |\n|---|---|\n{rows}\n"
    )


def transitions_block() -> str:
    """Give the table of what follows a step."""
    rows = "\n".join(f"| {status} | {matched} | {then} |" for (status, matched), then in TRANSITIONS.items())
    return f"| the step | the action | then |\n|---|---|---|\n{rows}"


def pages() -> dict[Path, str]:
    """Give every generated text by the file it stands in."""
    driving = DOCS / "driving-the-engine.md"
    block = f"<!-- transitions -->\n{transitions_block()}\n<!-- /transitions -->"
    pattern = re.compile("<!-- transitions -->.*<!-- /transitions -->", re.DOTALL)
    return {
        DOCS / "reference" / "cli.md": cli_page(),
        DOCS / "reference" / "records.md": records_page(),
        DOCS / "reference" / "dialects.md": dialects_page(),
        driving: pattern.sub(lambda _: block, driving.read_text("utf-8")),
    }


def main(arguments: list[str]) -> int:
    """Write or check; return the exit code."""
    stale = [path for path, text in pages().items() if not path.exists() or path.read_text("utf-8") != text]
    if "--check" in arguments:
        for path in stale:
            print(f"{path.relative_to(DOCS.parent)} is stale: run `make docs`", file=sys.stderr)
        return 1 if stale else 0
    for path in stale:
        path.write_text(pages()[path], "utf-8")
        print(f"wrote {path.relative_to(DOCS.parent)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
