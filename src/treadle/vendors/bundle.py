"""Bundle: what Treadle ships for one vendor. A vendor is YAML plus a simulator; this names the YAML and its commands."""

from pathlib import Path
from typing import NamedTuple


class Argument(NamedTuple):
    """An argument of a command, and the input of the workflow that it is.

    Attributes:
        name: as it is written on the command line; `--name` is an option, any other name a place.
        input: the input of the workflow.
        help: what it is, for an option.
        number: whether it is a whole number of 1 at least.
    """

    name: str
    input: str
    help: str = ""
    number: bool = False


class Column(NamedTuple):
    """A column of what a command shows.

    Attributes:
        heading: its heading.
        pointer: where its value is in an item (JSON Pointer).
        form: text; time, for milliseconds since the epoch, 0 for none; or flag, which is shown where it is true.
    """

    heading: str
    pointer: str
    form: str = "text"


class Command(NamedTuple):
    """A command that is one bundled workflow.

    Attributes:
        name: the command.
        workflow: what it runs.
        help: one sentence.
        example: what follows `treadle VENDOR NAME` in an example that works.
        arguments: the arguments, each an input.
        shows: pointer to what is shown in the outputs: an array, an object or a text.
        columns: what is shown of each item; none for a text.
    """

    name: str
    workflow: str
    help: str
    example: str
    arguments: tuple[Argument, ...]
    shows: str
    columns: tuple[Column, ...] = ()


class Bundle(NamedTuple):
    """The documents of one vendor.

    Attributes:
        name: what people write in place of a path.
        document: the Arazzo document with its workflows.
        description: the API description those workflows use.
        workflow: the workflow that is meant where none is named.
        commands: commands that are one workflow each.
    """

    name: str
    document: Path
    description: Path
    workflow: str
    commands: tuple[Command, ...] = ()
