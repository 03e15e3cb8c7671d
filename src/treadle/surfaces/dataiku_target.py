"""What the commands are about: scenarios, runs and fires as people write them, and how a scenario ended."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from treadle.errors import RunRefused

OUTCOME_CODES = {"SUCCESS": 0, "WARNING": 0, "FAILED": 1, "ABORTED": 5}
REFUSED, FAILED, TIMED_OUT, IN_DOUBT, CANCELLED, WARNED = 2, 1, 3, 4, 6, 7
BADNESS = (0, WARNED, CANCELLED, 5, FAILED, TIMED_OUT, REFUSED, IN_DOUBT, 130, 143)
"""Exit codes from the best to the worst: what is not known is worse than what is."""


class Target(NamedTuple):
    """A scenario, with the run or fire of it that is meant where one is."""

    project: str
    scenario: str
    trigger: str | None = None
    fire: str | None = None
    run: str | None = None

    @property
    def name(self) -> str:
        """PROJECT.SCENARIO."""
        return f"{self.project}.{self.scenario}"

    @property
    def token(self) -> str:
        """What `treadle dataiku wait` takes: the run where it is known, else the fire."""
        if self.run is not None:
            return f"{self.name}/{self.run}"
        return f"{self.name}/{self.trigger}/{self.fire}" if self.fire is not None else self.name


class Ended(msgspec.Struct, kw_only=True, rename="camel"):
    """How a scenario ended, as `--json` gives it; durations in seconds, times in epoch milliseconds.

    Attributes:
        outcome: of the run, as DSS says it; None where there is none or it is not known.
        status: succeeded, warning, failed, aborted, cancelled, timed-out, in-doubt, interrupted, refused, triggered,
            started, skipped.
    """

    project: str
    scenario: str
    status: str
    exit_code: int
    outcome: str | None = None
    run_id: str | None = None
    trigger_id: str | None = None
    trigger_run_id: str | None = None
    start: int | None = None
    end: int | None = None
    duration: float | None = None
    url: str | None = None
    error: dict[str, Any] | None = None
    jobs: list[str] = []
    log: list[str] = []
    message: str | None = None
    hint: str | None = None
    resume: str | None = None


def worst(codes: Iterable[int]) -> int:
    """Give the worst exit code of several."""
    return max(codes, key=BADNESS.index, default=0)


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


def waited(tokens: tuple[str, ...]) -> list[Target]:
    """Read what is waited for: PROJECT.SCENARIO/RUN_ID, or PROJECT.SCENARIO/TRIGGER/FIRE.

    Raises:
        RunRefused: one is neither.
    """
    found = []
    for token in tokens:
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
