"""Options of the commands that talk to a DSS, and what a Runner is made with from them."""

import os
from pathlib import Path
from typing import Any, NamedTuple

import click

from treadle.surfaces.options import COUNT, FILE, FILE_OR_FOLDER, JOURNAL_OPTIONS, KEEP_OPTIONS, SOME, Line, Seconds

SERVER_OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("server", {"metavar": "URL", "help": "URL of the DSS, with or without /public/api; else DKU_DSS_URL."}),
    ("instance", {"metavar": "NAME", "help": "An instance of ~/.dataiku/config.json, with its key."}),
    (
        "auth",
        {
            "type": click.Choice(["bearer", "basic"]),
            "default": "bearer",
            "help": "How the API key goes out; DSS before 13.1 takes basic only.",
        },
    ),
    ("insecure", {"is_flag": True, "help": "Do not verify TLS certificates."}),
    ("ca-cert", {"type": FILE_OR_FOLDER, "metavar": "FILE", "help": "Trust these CA certificates too (PEM)."}),
    ("client-cert", {"type": FILE, "metavar": "FILE", "help": "Client certificate (PEM)."}),
    ("client-key", {"type": FILE, "metavar": "FILE", "help": "Key of the client certificate (PEM)."}),
    ("proxy", {"metavar": "URL", "help": "Send requests through this proxy."}),
    (
        "request-timeout",
        {"type": Seconds(zero=False), "default": 30.0, "metavar": "S", "help": "Limit of one request."},
    ),
    (
        "transport-retries",
        {"type": COUNT, "default": 3, "metavar": "N", "help": "Repeats of a safe request that met a passing failure."},
    ),
    ("max-connections", {"type": SOME, "default": 100, "metavar": "N", "help": "Requests under way at once."}),
    (
        "poll-interval",
        {"type": Seconds(), "default": 2.0, "metavar": "S", "help": "First pause between two looks at a run."},
    ),
    ("poll-max-interval", {"type": Seconds(), "default": 15.0, "metavar": "S", "help": "Longest such pause."}),
)
"""Where the DSS is and how requests go there."""
START_OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("from", {"metavar": "FILE", "help": "More scenarios, PROJECT.SCENARIO a line; - for stdin."}),
    (
        "param",
        {
            "type": Line(),
            "multiple": True,
            "metavar": "NAME=VALUE",
            "help": "A parameter of the trigger: NAME=text or NAME:=json.",
        },
    ),
    ("params", {"metavar": "FILE", "help": "A JSON object of trigger parameters; - for stdin."}),
    (
        "when-busy",
        {
            "type": click.Choice(["fail", "wait", "attach"]),
            "default": "fail",
            "help": "A scenario that is running already: give up, run after it, or follow that run.",
        },
    ),
    ("no-wait", {"is_flag": True, "help": "Trigger only, and print what `wait` takes."}),
    ("detach", {"is_flag": True, "help": "Wait for the start only, and print what `wait` takes."}),
    ("dry-run", {"is_flag": True, "help": "Say what would be triggered; send nothing."}),
)
WAIT_OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("concurrency", {"type": SOME, "metavar": "N", "help": "Scenarios at once; all of them without it."}),
    ("fail-fast", {"is_flag": True, "help": "Begin no more after one that did not succeed; wait for those begun."}),
    ("timeout", {"type": Seconds(zero=False), "metavar": "S", "help": "Limit of each scenario, in seconds."}),
    (
        "start-timeout",
        {"type": Seconds(zero=False), "default": 120.0, "metavar": "S", "help": "Limit from the trigger to its run."},
    ),
    ("abort-on-timeout", {"is_flag": True, "help": "Abort the run when its time is over."}),
    ("abort-on-interrupt", {"is_flag": True, "help": "Abort the runs at Ctrl-C or SIGTERM."}),
    ("fail-on-warning", {"is_flag": True, "help": "Exit code 7 for WARNING."}),
    ("no-journal", {"is_flag": True, "help": "Keep no journal: what is interrupted cannot be resumed."}),
    *JOURNAL_OPTIONS,
    *KEEP_OPTIONS,
    ("junit", {"metavar": "FILE", "help": "Write a JUnit report."}),
    ("gitlab-annotations", {"metavar": "FILE", "help": "Write links for artifacts:reports:annotations of GitLab."}),
)
SHOW_OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("json", {"is_flag": True, "help": "One JSON object a scenario, each in a line, as it ends."}),
)


class Server(NamedTuple):
    """A DSS as the command line names it.

    Attributes:
        root: what people open in a browser.
        options: those of a Runner.
        scheme: how the API key goes out.
    """

    root: str
    options: dict[str, Any]
    scheme: str


def server_of(options: dict[str, Any]) -> Server:
    """Take the options of SERVER_OPTIONS out of others and make of them what a Runner needs.

    Raises:
        RunRefused: there is no server or no key.
    """
    from treadle.surfaces.options import complete_connection  # noqa: PLC0415
    from treadle.vendors.dataiku.connection import find_connection  # noqa: PLC0415

    given = {name.replace("-", "_"): options.pop(name.replace("-", "_")) for name, _ in SERVER_OPTIONS}
    file = Path.home() / ".dataiku" / "config.json"
    found = find_connection(given.pop("server"), given.pop("instance"), os.environ, file)
    scheme = given.pop("auth")
    complete_connection(given)
    given["insecure"] = given["insecure"] or found.insecure
    whole = {**given, "server": found.api, "credentials": found.credentials(scheme, os.environ)}
    return Server(found.root, whole, scheme)
