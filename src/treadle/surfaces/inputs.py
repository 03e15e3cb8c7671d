"""Inputs as people give them: `-i name=text`, `name:=json`, `name=@file`, `name=env:VARIABLE`, and files of them."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from treadle.document.reader import read
from treadle.engine.inputs import Text
from treadle.errors import DocumentInvalid, RunRefused


class Given(NamedTuple):
    """Inputs by name, where a Text is still to be converted by its schema, and the names of those that are secret."""

    values: dict[str, Any]
    secret: frozenset[str]


def given_inputs(options: Iterable[str], file: str | None) -> Given:
    """Read the inputs of a command line; an option overrides the same name in the file.

    Raises:
        RunRefused: one cannot be read; the message names it and never shows a value.
    """
    values: dict[str, Any] = {} if file is None else _from_file(file)
    secret = set()
    for option in options:
        name, joint, text = option.partition("=")
        if not joint or not name.rstrip(":"):
            shown = name if not joint else "="
            raise RunRefused(f"-i {shown!r} is no NAME=VALUE", hint="for example -i projectKey=DEMO")
        if name.endswith(":"):
            name = name[:-1]
            values[name] = _json(name, text)
        elif text.startswith("@"):
            values[name] = Text(_file_text(name, text[1:]))
        elif text.startswith("env:"):
            variable = text[4:]
            if variable not in os.environ:
                message = f"input '{name}': the environment has no variable {variable}"
                raise RunRefused(message, hint=f"set it first: export {variable}=…")
            values[name] = Text(os.environ[variable])
            secret.add(name)
        else:
            values[name] = Text(text)
    return Given(values, frozenset(secret))


def _json(name: str, text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        hint = f"for text, write -i {name}=TEXT"
        raise RunRefused(f"input '{name}': what follows ':=' is no JSON: {error}", hint=hint) from error


def _file_text(name: str, path: str) -> str:
    try:
        return Path(path).read_text("utf-8")
    except OSError as error:
        hint = f"write -i {name}:='\"@…\"' for a text that starts with '@'"
        raise RunRefused(f"input '{name}': {path} cannot be read: {error.strerror}", hint=hint) from error
    except UnicodeDecodeError as error:
        raise RunRefused(f"input '{name}': {path} is not UTF-8 text") from error


def _from_file(path: str) -> dict[str, Any]:
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text("utf-8-sig")
        value = read(text, "standard input" if path == "-" else path).value
    except OSError as error:
        raise RunRefused(f"--inputs {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RunRefused(f"--inputs {path} is not UTF-8 text") from error
    except DocumentInvalid as error:
        raise RunRefused(f"--inputs {path}: {error.message}", hint="give one JSON or YAML object") from error
    if not isinstance(value, dict):
        raise RunRefused(f"--inputs {path} holds no object", hint="give one JSON or YAML object")
    return {str(name): entry for name, entry in value.items()}
