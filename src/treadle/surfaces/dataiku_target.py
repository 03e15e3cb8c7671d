"""What the commands are about: scenarios, runs, fires and parameters as people write them."""

import re
import sys
from pathlib import Path
from typing import Any

import msgspec

from treadle.errors import RunRefused
from treadle.vendors.dataiku.scenario import Target


def targets(arguments: tuple[str, ...], file: str | None) -> list[Target]:
    """Read `PROJECT SCENARIO...`, `PROJECT.SCENARIO...`, and the lines of a file.

    Raises:
        RunRefused: there is none, or one is not understood.
    """
    found = _pairs(arguments)
    if file is not None:
        for number, line in enumerate(_text("--from", file).splitlines(), 1):
            words = line.partition("#")[0].split()
            if words:
                found += _pairs(tuple(words), f"{file}, line {number}: ")
    if not found:
        raise RunRefused("no scenario is named", hint="for example: treadle dataiku run DEMO NIGHTLY")
    twice = next((target for target in found if found.count(target) > 1), None)
    if twice is not None:
        raise RunRefused(f"{twice.name} is named twice", hint="DSS runs a scenario once at a time")
    return found


def _pairs(words: tuple[str, ...], where: str = "") -> list[Target]:
    if not words:
        return []
    if "." not in words[0]:
        project, *rest = words
        if not rest:
            hint = f"write {project} SCENARIO, or {project}.SCENARIO"
            raise RunRefused(f"{where}no scenario of project {project} is named", hint=hint)
    else:
        project, rest = "", list(words)
    pairs = [word.split(".") if "." in word else [project, word] for word in rest]
    for word, pair in zip(rest, pairs, strict=True):
        if len(pair) != 2 or not all(pair) or "/" in word:
            raise RunRefused(f"{where}'{word}' is no PROJECT.SCENARIO", hint="for example DEMO.NIGHTLY")
    return [Target(pair[0], pair[1]) for pair in pairs]


def waited(tokens: tuple[str, ...]) -> list[Target | str]:
    """Read what is waited for: PROJECT.SCENARIO/RUN_ID, PROJECT.SCENARIO/TRIGGER/FIRE, or the id of a durable run.

    Raises:
        RunRefused: one is neither.
    """
    found: list[Target | str] = []
    for token in tokens:
        if re.fullmatch("[0-9a-f]{1,16}", token):
            found.append(token)
            continue
        name, *rest = token.split("/")
        pair = name.split(".")
        if len(pair) != 2 or not all([*pair, *rest]) or len(rest) not in (1, 2):
            hint = "for example DEMO.NIGHTLY/2016-04-15-14-57-39-101, as `treadle dataiku run --detach` prints it"
            raise RunRefused(f"'{token}' is no PROJECT.SCENARIO/RUN", hint=hint)
        target = Target(pair[0], pair[1])
        by_run = len(rest) == 1
        found.append(target._replace(run=rest[0]) if by_run else target._replace(trigger=rest[0], fire=rest[1]))
    return found


def trigger_params(pairs: tuple[str, ...], file: str | None) -> dict[str, Any]:
    """Read the parameters of a trigger: a JSON object, and NAME=text or NAME:=json upon it.

    Raises:
        RunRefused: one is not understood; values are not shown.
    """
    params: dict[str, Any] = {}
    if file is not None:
        params = _decoded(_text("--params", file), f"--params {file}")
        if not isinstance(params, dict):
            raise RunRefused(f"--params {file} is no JSON object", hint='write it as {"name": "value"}')
    for number, pair in enumerate(pairs, 1):
        name, joint, text = pair.partition("=")
        if not joint or not name.rstrip(":"):
            raise RunRefused(f"--param number {number} is not NAME=VALUE", hint="for example --param day=2016-04-15")
        params[name.removesuffix(":")] = _decoded(text, f"--param {name}") if name.endswith(":") else text
    return params


def _decoded(text: str, where: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise RunRefused(f"{where} is no JSON: {error}", hint='write it as {"name": "value"}') from error


def _text(option: str, file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text("utf-8-sig")
    except OSError as error:
        raise RunRefused(f"{option} {file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RunRefused(f"{option} {file} is not UTF-8 text", hint="save it as UTF-8") from error
