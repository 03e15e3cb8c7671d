"""Where values come from that are not kept with a run: an environment variable, a file, the keyring, a terminal.

A run that is resumed takes them from there again, so one that was changed meanwhile works. What a value is for is none of
this module's business.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from treadle.document.reader import read
from treadle.drivers.journals.protocol import GIVEN
from treadle.drivers.policy_file import refuse_file
from treadle.drivers.texts import is_text
from treadle.engine.inputs import Text
from treadle.errors import DocumentInvalid, RunRefused
from treadle.files import GivenFile

PROMPT = "prompt"
"""Somebody typed the value in at a terminal."""
INPUTS = "inputs:"
"""What the origin of an input begins with that stands in a file of inputs; the file's path follows."""


class Reference(Struct, frozen=True):
    """A value that stands elsewhere: in an environment variable, a file, or the system's keyring."""

    kind: Literal["env", "file", "keyring"]
    name: str

    def __str__(self) -> str:
        return f"@{self.name}" if self.kind == "file" else f"{self.kind}:{self.name}"


def reference(text: str, folder: Path | None = None) -> "str | Reference":
    """Read a value as people write it: a text, env:VARIABLE, @file (as seen from `folder`), keyring:SERVICE/USER."""
    if text.startswith("env:"):
        return Reference("env", text[4:])
    if text.startswith("keyring:"):
        return Reference("keyring", text[8:])
    if text.startswith("@"):
        return Reference("file", str(folder / text[1:]) if folder is not None else text[1:])
    return text


def value_of(value: Reference, what: str) -> str:
    """Give the value from where it stands.

    Raises:
        RunRefused: it is not there; `what` begins the message.
    """
    match value.kind:
        case "env":
            if not os.environ.get(value.name):
                message = f"{what}: the environment has no variable {value.name}"
                raise RunRefused(message, hint=f"set it first: export {value.name}=…")
            return os.environ[value.name]
        case "file":
            try:
                return Path(value.name).read_text("utf-8-sig").removesuffix("\n").removesuffix("\r")
            except OSError as error:
                raise RunRefused(f"{what}: {value.name} cannot be read: {error.strerror}") from error
            except UnicodeDecodeError as error:
                raise RunRefused(f"{what}: {value.name} is not UTF-8 text") from error
    from treadle.drivers.keyrings import from_keyring  # noqa: PLC0415 - behind an extra

    service, joint, user = value.name.rpartition("/")
    if not joint or not service or not user:
        raise RunRefused(f"{what}: `{value}` is not keyring:SERVICE/USER")
    return from_keyring(service, user, what)


def input_of(name: str, origin: str) -> Text:
    """Give an input whose value stands in the environment or the keyring (`env:VARIABLE`, `keyring:SERVICE/USER`).

    Raises:
        RunRefused: it is not there, or is no text.
    """
    kind, _, place = origin.partition(":")
    if kind == "env" and place in os.environ:
        value = os.environ[place]  # which may be empty: that is a text too
        if not is_text(value):
            message = f"input '{name}': the environment variable {place} has bytes that are no UTF-8 text"
            raise RunRefused(message, hint=f"give it as UTF-8, or as -i {name}=@FILE")
        return Text(value)
    return Text(value_of(Reference("env" if kind == "env" else "keyring", place), f"input '{name}'"))


def keeps_secret(origin: str) -> bool:
    """Say whether an input that comes from there is secret, whatever the workflow says of it."""
    return origin == PROMPT or origin.startswith(("env:", "keyring:"))


def is_there_later(path: str) -> bool:
    """Say whether what is read from a path can be read there again; of a pipe or a terminal it cannot."""
    return Path(path).is_file()


def given_again(origins: Mapping[str, str], given: Mapping[str, Any]) -> dict[str, Any]:
    """Give the secret inputs of a run anew: as they are given now, or from where they came.

    Raises:
        RunRefused: one is not there any more, or only the caller can give it.
    """
    found: dict[str, Any] = {}
    files: dict[str, dict[str, Any]] = {}
    for name, origin in origins.items():
        if name in given:
            found[name] = given[name]
        elif origin in (GIVEN, PROMPT):
            message = f"input '{name}' is secret, so it was not stored"
            raise RunRefused(message, hint=f"give it again: -i {name}=env:VARIABLE")
        elif origin.startswith(INPUTS):
            path = origin.removeprefix(INPUTS)
            files[path] = files.get(path) or inputs_of_file(path)
            if name not in files[path]:
                message = f"input '{name}' came from {path}, which does not have it now"
                raise RunRefused(message, hint=f"put it there, or give the input: -i {name}=env:VARIABLE")
            found[name] = files[path][name]
        elif origin.startswith("@"):
            found[name] = GivenFile(origin[1:])
        elif origin.startswith("env:") and origin[4:] not in os.environ:
            message = f"input '{name}' came from the environment, which has no variable {origin[4:]} now"
            raise RunRefused(message, hint=f"set it, or give the input: -i {name}=env:VARIABLE")
        else:
            found[name] = input_of(name, origin)
    return found


def typed_in(origins: Mapping[str, str]) -> list[str]:
    """Give the inputs that nobody has but whoever gave them."""
    return [name for name, origin in origins.items() if origin in (GIVEN, PROMPT)]


def inputs_of_file(path: str) -> dict[str, Any]:
    """Read a file of inputs, JSON or YAML; `-` is standard input.

    Raises:
        RunRefused: it cannot be read, or is no object; the message shows none of it.
    """
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
