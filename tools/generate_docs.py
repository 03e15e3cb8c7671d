"""Write the generated parts of docs/, or with --check say which of them are stale.

What is generated: the command line's help pages, effects and records of a run, the table of what follows a step, the
dialects, the conformance matrix. Each is read from what it is about. Pages show files that stand beside them in full.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import fast_yaml
import msgspec

from treadle.document.dialects import DIALECTS
from treadle.engine import effects, journal
from treadle.surfaces.cli import main as command_line

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
from conformance import matrix  # noqa: E402 - the suite is no part of the package, it stands beside it
from tables import TABLES  # noqa: E402 - stands beside this script

DOCS = ROOT / "docs"
EXAMPLES = ROOT / "tests" / "cases" / "dialects.yaml"
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
            journal.RunBegan, journal.StepBegan, journal.Delivered, journal.StepEnded, journal.Transferred, journal.Waiting,
            journal.Warned, journal.Repeated, journal.Queued, journal.CookiesKept, journal.Learnt, journal.Resolved, journal.Withdrawn,
            journal.Looked, journal.Stopped, journal.Checkpoint, journal.RunEnded,
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


_DIALECTS_INTRODUCTION = """\
Real documents are written in looser syntax than the specification's. Treadle reads these forms and warns once for each
text, with its place and the correct form. With `--strict` each is an error: the document is refused before anything is
sent. A test compiles and runs each example here, as it is written and in its correct form.
"""


def dialects_page() -> str:
    """Give each dialect: what the specification asks for, what people write, how it is read, the correct form."""
    entries = {entry["rule"]: entry for entry in fast_yaml.safe_load(EXAMPLES.read_text("utf-8"))}
    rows = "\n".join(f"| [`{rule}`](#{rule}) | {why} |" for rule, why in DIALECTS.items())
    parts = [
        f"# Dialects\n\n{NOTE}\n{_DIALECTS_INTRODUCTION}",
        f"| warning | what the specification asks for |\n|---|---|\n{rows}\n",
    ]
    for rule, why in DIALECTS.items():
        entry = entries[rule]
        examples = "\n".join(_example(example) for example in entry["examples"])
        strict = f"\nWith `--strict`: {entry['strict']}\n" if "strict" in entry else ""
        parts.append(f"## {rule}\n\n{why}\n\n| written | read as | correct |\n|---|---|---|\n{examples}\n{strict}")
    return "\n".join(parts)


def _example(example: dict[str, Any]) -> str:
    written, correct = (_fragments(example[form]) for form in ("written", "correct"))
    return f"| {written} | {example['reads']} | {correct} |"


def _fragments(fragments: dict[str, Any]) -> str:
    """Write what stands in a document, each fragment as code in a cell of a table."""
    texts = (_fragment(place, fragment).replace("|", "\\|") for place, fragment in fragments.items())
    return " and ".join(f"`{text}`" for text in texts)


def _fragment(place: str, fragment: Any) -> str:
    if isinstance(fragment, dict):  # a Selector Object
        return "{" + ", ".join(f"{name}: {value}" for name, value in fragment.items()) + "}"
    text = str(fragment)
    match place:
        case "condition" | "operationId" | "operationPath":
            return f"{place}: {text}"
        case "jsonpath":
            return f"condition: {text}, type: jsonpath"
    return text


def filled(path: Path) -> str:
    """Give a page with every table that it has marks for: `<!-- NAME -->` and `<!-- /NAME -->`."""
    text = path.read_text("utf-8")
    for name, draw in TABLES.items():
        start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        if start in text:
            before, _, rest = text.partition(start)
            drawn = draw()
            line = "\n" if "\n" in drawn else ""
            text = before + start + line + drawn + line + end + rest.partition(end)[2]
    return text


_LANGUAGES = {".yml": "yaml", ".service": "ini", ".timer": "ini", ".py": "python", ".sh": "sh", "": "groovy"}


def showing(path: Path) -> str:
    """Give a page with every file that it has marks for: `<!-- file NAME -->` and `<!-- /file -->`."""

    def block(found: re.Match[str]) -> str:
        file = path.parent / found[1]
        fence = f"```{_LANGUAGES.get(file.suffix, 'text')}\n{file.read_text('utf-8')}```"
        return f"<!-- file {found[1]} -->\n{fence}\n<!-- /file -->"

    return re.sub(r"<!-- file (\S+) -->.*?<!-- /file -->", block, path.read_text("utf-8"), flags=re.DOTALL)


def pages() -> dict[Path, str]:
    """Give every generated text by the file it stands in."""
    drawn = [DOCS / "driving-the-engine.md", *sorted((DOCS / "concepts").glob("*.md"))]
    return {
        DOCS / "reference" / "cli.md": cli_page(),
        DOCS / "reference" / "records.md": records_page(),
        DOCS / "reference" / "dialects.md": dialects_page(),
        DOCS / "conformance.md": matrix.page(),
        **{path: filled(path) for path in drawn},
        **{path: showing(path) for path in sorted((DOCS / "dataiku").rglob("*.md"))},
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
