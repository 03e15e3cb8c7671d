"""Options that more than one command has, and how each can be given in the environment too."""

import math
import re
from collections.abc import Callable
from typing import Any

import click


class Seconds(click.ParamType[float]):
    """A number of seconds: finite, not negative, and above zero where `zero` makes no sense."""

    name = "seconds"

    def __init__(self, *, zero: bool = True) -> None:
        self._zero = zero

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read the number."""
        try:
            seconds = float(value)
        except ValueError:
            seconds = math.nan
        if not math.isfinite(seconds) or seconds < 0 or (seconds == 0 and not self._zero):
            least = "that is not negative" if self._zero else "above 0"
            self.fail(f"{value!r} is not a number of seconds {least}", param, ctx)
        return seconds


class Age(click.ParamType[float]):
    """A length of time as people write it: `90s`, `15m`, `12h`, `30d`, `4w`; in seconds."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read the length."""
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"\s*(\d{1,9})\s*([smhdw])\s*", str(value))
        if found is None:
            self.fail(f"{value!r} is not a length of time such as 12h or 30d", param, ctx)
        return float(found[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}[found[2]]


class Line(click.types.StringParamType):
    """A text which the environment holds as a line: it may have blanks."""

    envvar_list_splitter = "\n"


COUNT = click.IntRange(min=0)
FILE = click.Path(exists=True, dir_okay=False, readable=True)
RUN_OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("server", {"multiple": True, "metavar": "[SOURCE=]URL", "help": "Base URL of the API, for all sources or one."}),
    (
        "source",
        {"multiple": True, "metavar": "NAME=FILE-OR-URL", "help": "Load this in place of a source description's url."},
    ),
    ("strict", {"is_flag": True, "help": "Refuse the loose syntax of real documents."}),
    ("timeout", {"type": Seconds(zero=False), "metavar": "S", "help": "Limit of the whole run, in seconds."}),
    (
        "request-timeout",
        {"type": Seconds(zero=False), "default": 30.0, "metavar": "S", "help": "Limit of one request."},
    ),
    (
        "poll-interval",
        {"type": Seconds(), "default": 1.0, "metavar": "S", "help": "First pause of a loop; 0 for none."},
    ),
    ("poll-max-interval", {"type": Seconds(), "default": 15.0, "metavar": "S", "help": "Longest pause of a loop."}),
    ("max-steps", {"type": COUNT, "default": 100_000, "metavar": "N", "help": "Limit of step visits."}),
    (
        "transport-retries",
        {"type": COUNT, "default": 3, "metavar": "N", "help": "Repeats of a safe request that met a passing failure."},
    ),
    ("max-retry-after", {"type": Seconds(), "default": 300.0, "metavar": "S", "help": "Longest Retry-After obeyed."}),
    (
        "idempotency-key",
        {
            "is_flag": True,
            "help": "Send Idempotency-Key with every POST and PATCH, also where the API does not ask for it.",
        },
    ),
    ("max-body", {"type": COUNT, "default": 64 * 1024 * 1024, "metavar": "BYTES", "help": "Largest answer read."}),
    ("insecure", {"is_flag": True, "help": "Do not verify TLS certificates."}),
    ("ca-cert", {"type": FILE, "metavar": "FILE", "help": "Trust the CA certificates in this file (PEM)."}),
    ("client-cert", {"type": FILE, "metavar": "FILE", "help": "Client certificate (PEM)."}),
    ("client-key", {"type": FILE, "metavar": "FILE", "help": "Key of the client certificate (PEM)."}),
    ("proxy", {"metavar": "URL", "help": "Send requests through this proxy."}),
)
"""The options of Options, as they stand on the command line."""

JOURNAL_OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "state",
        {"metavar": "PATH", "help": "The journal of runs; without it one in the folder that the system has for that."},
    ),
)
"""Where the journal is, for all commands that use it."""

KEEP_OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "keep",
        {"type": Age(), "metavar": "AGE", "help": "Afterwards, forget runs that ended longer ago than this (30d)."},
    ),
)
"""How long runs that have ended are kept; without it, until they are deleted."""


def with_options(rows: tuple[tuple[str, dict[str, Any]], ...]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add options by rows of name and settings, `short` among them; each can be given as TREADLE_<NAME> too."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for name, settings in reversed(rows):
            variable = f"TREADLE_{name.upper().replace('-', '_')}"
            flags = [settings["short"]] if "short" in settings else []
            rest = {key: value for key, value in settings.items() if key != "short"}
            shown = "default" in settings
            command = click.option(*flags, f"--{name}", envvar=variable, show_default=shown, **rest)(command)
        return command

    return add
