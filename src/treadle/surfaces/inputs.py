"""Inputs as people give them: `-i name=text`, `name:=json`, `name=@file`, `name=env:VARIABLE`, and files of them."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from treadle.document.reader import read
from treadle.drivers.policy_file import refuse_file
from treadle.drivers.texts import is_text
from treadle.engine.inputs import Text
from treadle.errors import DocumentInvalid, RunRefused
from treadle.files import GivenFile


class Given(NamedTuple):
    """Inputs by name, and where those that are secret came from.

    A Text is still to be converted by its schema; a GivenFile is a file, or the text in it, as the schema says.
    """

    values: dict[str, Any]
    origins: dict[str, str]


def given_inputs(options: Iterable[str], file: str | None, *, lines_of: str | None = None) -> Given:
    """Read the inputs of a command line; an option overrides the same name in the file.

    Where they are the lines of an environment variable, `lines_of` is its name; empty lines are then no inputs.

    Raises:
        RunRefused: one cannot be read; the message names it and never shows a value.
    """
    values: dict[str, Any] = {} if file is None else _from_file(file)
    origins: dict[str, str] = {}
    for number, option in enumerate(options, 1):
        if lines_of and not option.strip():
            continue
        _refuse_bytes(option, number)
        name, joint, text = option.partition("=")
        if not joint or not name.rstrip(":"):
            # Not shown: a lone text may be a key whose name was forgotten.
            lack = "it has no name before '='" if joint else "it has no '='"
            place, example = (f"{lines_of}, line {number},", "") if lines_of else (f"-i number {number}", "-i ")
            raise RunRefused(f"{place} is not NAME=VALUE: {lack}", hint=f"for example {example}projectKey=DEMO")
        origins.pop(name.removesuffix(":"), None)  # the later one counts
        if name.endswith(":"):
            name = name[:-1]
            values[name] = _json(name, text)
        elif text.startswith("@"):
            refuse_file(f"input '{name}' is not read from {text[1:]}")
            values[name] = GivenFile(text[1:])
        elif text.startswith("env:"):
            variable = text[4:]
            if variable not in os.environ:
                message = f"input '{name}': the environment has no variable {variable}"
                raise RunRefused(message, hint=f"set it first: export {variable}=…")
            if not is_text(os.environ[variable]):
                message = f"input '{name}': the environment variable {variable} has bytes that are no UTF-8 text"
                raise RunRefused(message, hint=f"give it as UTF-8, or as -i {name}=@FILE")
            values[name] = Text(os.environ[variable])
            origins[name] = text
        else:
            values[name] = Text(text)
    return Given(values, origins)


def _refuse_bytes(option: str, number: int) -> None:
    if not is_text(option):
        hint = "give it as UTF-8, or as -i NAME=@FILE"
        raise RunRefused(f"-i number {number} has bytes that are no UTF-8 text", hint=hint)


def _json(name: str, text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except RecursionError as error:
        raise RunRefused(f"input '{name}' nests too deeply") from error
    except msgspec.DecodeError as error:
        hint = f"for text, write -i {name}=TEXT"
        raise RunRefused(f"input '{name}': what follows ':=' is no JSON: {error}", hint=hint) from error


def _from_file(path: str) -> dict[str, Any]:
    name = "standard input" if path == "-" else path
    hint = "give one JSON or YAML object, such as {projectKey: DEMO}"
    if path != "-":
        refuse_file(f"--inputs {path} is not read")
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text("utf-8-sig")
        value = read(text, name).value
    except OSError as error:
        hint = "name a file that is there, or - for standard input"
        raise RunRefused(f"--inputs {path} cannot be read: {error.strerror}", hint=hint) from error
    except UnicodeDecodeError as error:
        raise RunRefused(f"--inputs {path}: {name} is not UTF-8 text", hint="save it as UTF-8") from error
    except DocumentInvalid as error:
        # Without the line itself, which may hold a secret.
        found = error.diagnostics[0]
        where = name if found.span is None else str(found.span)
        raise RunRefused(f"--inputs {path}: {where}: {found.message}", hint=found.hint or hint) from error
    if not isinstance(value, dict):
        what = "is empty" if value is None else f"holds {_KINDS.get(type(value), 'a single value')}, not an object"
        raise RunRefused(f"--inputs {path}: {name} {what}", hint=hint)
    return {str(name): entry for name, entry in value.items()}


_KINDS: dict[type, str] = {list: "a list", str: "a text"}
