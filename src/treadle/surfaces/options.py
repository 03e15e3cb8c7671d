"""Options that more than one command has, and how each can be given in the environment too."""

import math
import os
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import click

from treadle.surfaces.guard import Refusal


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


def use_profile(context: click.Context, _option: click.Parameter, name: str | None) -> str | None:
    """Take the values of options that are given nowhere else from a profile of the config file; give its name."""
    from treadle.drivers.config import read_profile  # noqa: PLC0415 - help does without it
    from treadle.drivers.settings import Options  # noqa: PLC0415
    from treadle.errors import TreadleError  # noqa: PLC0415

    known = {option.name: option.multiple for option in context.command.params}
    try:
        profile = read_profile(name, Options.__struct_fields__)
        if profile is None:
            return None
        context.default_map = {
            option: _as_given(option, value, profile.name, several=known[option])
            for option, value in profile.options.items()
            if option in known
        }
    except TreadleError as error:
        raise Refusal(error) from error
    return profile.name


def use_named_profile(context: click.Context, option: click.Parameter, name: str | None) -> str | None:
    """Do as `use_profile` where one is named; a run that goes on has that which it began with."""
    return None if name is None else use_profile(context, option, name)


def _as_given(option: str, value: Any, profile: str, *, several: bool) -> Any:
    """Give a value as the command line has it: `server = {name = "URL"}` becomes NAME=URL.

    Raises:
        RunRefused: it is a list or a table, where there is one value, or has one inside.
    """
    from treadle.errors import RunRefused  # noqa: PLC0415 - help does without it

    given = [f"{name}={entry}" for name, entry in value.items()] if isinstance(value, dict) else value
    given = [given] if several and not isinstance(given, list) else given
    if isinstance(given, list) and not (several and all(isinstance(entry, str) for entry in given)):
        wanted = "takes a text or a list of them" if several else "takes one value"
        raise RunRefused(f"profile {profile}: '{option.replace('_', '-')}' {wanted}", hint="see docs/credentials.md")
    return given


COUNT = click.IntRange(min=0)
SOME = click.IntRange(min=1)
FILE = click.Path(exists=True, dir_okay=False, readable=True)
FILE_OR_FOLDER = click.Path(exists=True, readable=True)
RUN_OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("server", {"multiple": True, "metavar": "[SOURCE=]URL", "help": "Base URL of the API, for all sources or one."}),
    (
        "source",
        {"multiple": True, "metavar": "NAME=FILE-OR-URL", "help": "Load this in place of a source description's url."},
    ),
    (
        "server-var",
        {
            "multiple": True,
            "metavar": "[SOURCE.]NAME=VALUE",
            "help": "Value of a variable in a description's server URL.",
        },
    ),
    ("no-cache", {"is_flag": True, "help": "Fetch documents anew, and keep no copy of them."}),
    ("strict", {"is_flag": True, "help": "Refuse the loose syntax of real documents."}),
    ("timeout", {"type": Seconds(zero=False), "metavar": "S", "help": "Limit of the whole run, in seconds."}),
    (
        "poll-interval",
        {"type": Seconds(), "default": 1.0, "metavar": "S", "help": "First pause of a loop; 0 for none."},
    ),
    ("poll-max-interval", {"type": Seconds(), "default": 15.0, "metavar": "S", "help": "Longest pause of a loop."}),
    ("max-steps", {"type": COUNT, "default": 100_000, "metavar": "N", "help": "Limit of step visits."}),
    ("record", {"metavar": "FILE", "help": "Write every exchange to this HTTP Archive (HAR), secrets masked."}),
    ("replay", {"metavar": "FILE", "help": "Take answers from this recording; nothing is sent, nobody waits."}),
    (
        "credential",
        {
            "multiple": True,
            "type": Line(),
            "metavar": "SCHEME[.FIELD]=VALUE",
            "help": "A credential for a security scheme: text, env:VARIABLE, @file or keyring:SERVICE/USER. "
            "See docs/credentials.md.",
        },
    ),
    (
        "profile",
        {
            "metavar": "NAME",
            "is_eager": True,
            "callback": use_profile,
            "help": "Options and credentials of this profile of the config file.",
        },
    ),
    ("keep-tokens", {"is_flag": True, "help": "Keep tokens in the system's keyring, and take them from there."}),
)
"""The options of Options that concern a run, as they stand on the command line."""
CONNECTION_OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "request-timeout",
        {"type": Seconds(zero=False), "default": 30.0, "metavar": "S", "help": "Limit of one request."},
    ),
    ("connect-timeout", {"type": Seconds(zero=False), "metavar": "S", "help": "Limit of a connection and its TLS."}),
    ("read-timeout", {"type": Seconds(zero=False), "metavar": "S", "help": "Longest silence within an answer."}),
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
    ("max-connections", {"type": SOME, "default": 100, "metavar": "N", "help": "Requests under way at once."}),
    ("max-connections-per-host", {"type": SOME, "metavar": "N", "help": "Requests under way at once to one server."}),
    (
        "rate",
        {
            "multiple": True,
            "metavar": "[HOST=]N/UNIT",
            "help": "Requests to a host in a unit of time: 10/s, 100/m, 50/h.",
        },
    ),
    ("insecure", {"is_flag": True, "help": "Do not verify TLS certificates."}),
    (
        "ca-cert",
        {
            "type": FILE_OR_FOLDER,
            "metavar": "FILE",
            "help": "Trust these CA certificates too (PEM; a file or a folder).",
        },
    ),
    ("client-cert", {"type": FILE, "metavar": "FILE", "help": "Client certificate (PEM)."}),
    (
        "client-key",
        {
            "type": FILE,
            "metavar": "FILE",
            "help": "Key of the client certificate (PEM); its password is TREADLE_CLIENT_KEY_PASSWORD.",
        },
    ),
    ("proxy", {"metavar": "URL", "help": "Send requests through this proxy: http://[USER:PASSWORD@]HOST:PORT."}),
    (
        "allow-host",
        {"multiple": True, "metavar": "HOST", "help": "Send requests to this host only: HOST, *.DOMAIN, HOST:PORT."},
    ),
    ("deny-private", {"is_flag": True, "help": "Refuse addresses that are not on the public internet."}),
)
"""The options of Options that concern every request, those that bring sources too."""


_AGAIN_OF_RUN = ("timeout", "credential", "profile", "keep-tokens")
_NOT_AGAIN = ("max-retry-after", "idempotency-key")
"""What the course of a run depends on."""


def _again(name: str, settings: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    changed = {key: value for key, value in settings.items() if key != "default"}
    if settings.get("is_flag"):
        changed["off"] = True
    return name, {**changed, "callback": use_named_profile} if name == "profile" else changed


@cache
def again_options() -> tuple[tuple[str, dict[str, Any]], ...]:
    """Give the options that a run goes on with as it began, unless they are given again."""
    of_run = [row for row in RUN_OPTIONS if row[0] in _AGAIN_OF_RUN]
    of_connection = [row for row in CONNECTION_OPTIONS if row[0] not in _NOT_AGAIN]
    return tuple(_again(*row) for row in (*of_run, *of_connection))


class GoingOn(click.Command):
    """A command that goes on with runs: `again_options` are among its options, made when they are asked for.

    Most commands are others, and to make those of two commands more is a part of their start.
    """

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Give all parameters."""
        if not any(param.name == "insecure" for param in self.params):
            made = click.Command(None)
            with_options(again_options())(made)
            self.params += reversed(made.params)
        return super().get_params(ctx)


def complete_connection(options: dict[str, Any]) -> None:
    """Add what is no option because a command line is no place for it, and refuse what is of no use.

    Raises:
        RunRefused: there is a key and no certificate.
    """
    from treadle.errors import RunRefused  # noqa: PLC0415 - help does without it

    if options["client_key"] and not options["client_cert"]:
        raise RunRefused("--client-key is of no use without --client-cert", hint="name the certificate too")
    options["client_key_password"] = os.environ.get("TREADLE_CLIENT_KEY_PASSWORD")


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
    """Add options by rows of name and settings; each can be given as TREADLE_<NAME> too.

    Beside the settings of click there are `short`, a name of one letter, and `off`, for a flag that has `--no-` as well.
    """

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for name, settings in reversed(rows):
            variable = f"TREADLE_{name.upper().replace('-', '_')}"
            flags = [settings["short"]] if "short" in settings else []
            rest = {key: value for key, value in settings.items() if key not in ("short", "off")}
            flags.append(f"--{name}/--no-{name}" if "off" in settings else f"--{name}")
            command = click.option(*flags, envvar=variable, show_default="default" in settings, **rest)(command)
        return command

    return add
