"""Inputs as people give them: `-i name=text`, `:=json`, `=@file`, `=env:VARIABLE`, `=keyring:SERVICE/USER`, and files of them."""

import os
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from treadle.drivers.origins import INPUTS, input_of, inputs_of_file, is_there_later
from treadle.drivers.policy_file import refuse_file
from treadle.drivers.texts import is_text
from treadle.engine.inputs import Text
from treadle.errors import RunRefused
from treadle.files import GivenFile


class Given(NamedTuple):
    """Inputs by name, and where those came from whose value stands elsewhere.

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
    values: dict[str, Any] = {} if file is None else inputs_of_file(file)
    origins = {} if file is None or not is_there_later(file) else dict.fromkeys(values, f"{INPUTS}{_whole(file)}")
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
            if is_there_later(text[1:]):
                origins[name] = f"@{_whole(text[1:])}"
        elif text.startswith(("env:", "keyring:")):
            values[name] = input_of(name, text)
            origins[name] = text
        else:
            values[name] = Text(text)
    return Given(values, origins)


def _whole(path: str) -> str:
    return os.path.abspath(path)  # noqa: PTH100 - links stay what they are


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
