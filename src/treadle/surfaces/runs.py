"""The commands of `treadle runs`: durable runs on this machine."""

import sys
from collections.abc import Coroutine
from typing import Any

import click

from treadle.surfaces.guard import guarded
from treadle.surfaces.options import JOURNAL_OPTIONS, KEEP_OPTIONS, GoingOn, Line, with_options

STATUSES = ("running", "waiting", "interrupted", "in-doubt", "succeeded", "failed", "limited", "cancelled")
_JSON = (("json", {"is_flag": True, "help": "One JSON value on stdout."}),)
_SECRETS = click.option(
    "-i", "--input", "given", multiple=True, metavar="NAME=VALUE", type=Line(), envvar="TREADLE_INPUT",
    help="A secret input, in the forms that run takes; without it, it is taken from where it came.",
)  # fmt: skip
_GO_ON: tuple[tuple[str, dict[str, Any]], ...] = (
    ("report", {"metavar": "FILE", "help": "Write the report treadle.report/1 here; of several runs, a list."}),
    ("json", {"is_flag": True, "help": "The report on stdout, not the outputs; of several runs, a list."}),
    ("quiet", {"short": "-q", "is_flag": True, "help": "Errors only on stderr."}),
    ("verbose", {"short": "-v", "is_flag": True, "help": "Every request, criterion and pause."}),
)
"""What the commands have that go on with runs."""
_FILTERS: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "status",
        {"multiple": True, "type": click.Choice(STATUSES), "help": "Only runs of this status; may be repeated."},
    ),
    ("workflow", {"metavar": "ID", "help": "Only runs of this workflow."}),
    ("limit", {"type": click.IntRange(min=1), "metavar": "N", "help": "Only the latest ones."}),
)


@click.group()
def runs() -> None:
    """Durable runs on this machine: what became of them, and how they go on.

    RUN is the id of a run, or as much of its beginning as tells it from all others.

    \b
    Example:
      treadle runs list
    """  # noqa: D301


@runs.command("list")
@with_options(_FILTERS)
@with_options(JOURNAL_OPTIONS)
@with_options(_JSON)
def list_(**options: Any) -> None:
    """List runs, the latest first.

    \b
    Example:
      treadle runs list --status interrupted --status in-doubt
    """  # noqa: D301
    from treadle.surfaces import runlist  # noqa: PLC0415

    sys.exit(guarded(lambda: _ended(runlist.show_list(**options))))


@runs.command()
@click.argument("run")
@with_options(JOURNAL_OPTIONS)
@with_options(_JSON)
def show(**options: Any) -> None:
    """Show a run: its steps, what it waits for, what is in doubt, and what happened when.

    \b
    Example:
      treadle runs show 5f2a
    """  # noqa: D301
    from treadle.surfaces import runlist  # noqa: PLC0415

    sys.exit(guarded(lambda: _ended(runlist.show_run(**options))))


@runs.command()
@click.argument("run")
@click.option("-f", "--follow", is_flag=True, envvar="TREADLE_FOLLOW", help="Go on as long as somebody drives the run.")
@with_options(JOURNAL_OPTIONS)
@click.option("--json", is_flag=True, envvar="TREADLE_JSON", help="One JSON object a line.")
def logs(**options: Any) -> None:
    """Show what happened in a run, line by line.

    \b
    Example:
      treadle runs logs 5f2a --follow
    """  # noqa: D301
    from treadle.surfaces import runlist  # noqa: PLC0415

    sys.exit(guarded(lambda: _ended(runlist.show_logs(**options))))


@runs.command()
@click.argument("run", nargs=-1, required=True)
@with_options(JOURNAL_OPTIONS)
def cancel(**options: Any) -> None:
    """Cancel runs, also those that another process drives; a request under way gets its answer first.

    \b
    Example:
      treadle runs cancel 5f2a
    """  # noqa: D301
    from treadle.surfaces import runlist  # noqa: PLC0415

    sys.exit(guarded(lambda: _ended(runlist.cancel_runs(**options))))


@runs.command()
@click.argument("run", nargs=-1)
@with_options(KEEP_OPTIONS)
@with_options(JOURNAL_OPTIONS)
def delete(**options: Any) -> None:
    """Delete runs that nobody drives; with --keep also all that ended longer ago, except those in doubt.

    \b
    Example:
      treadle runs delete --keep 30d
    """  # noqa: D301
    from treadle.surfaces import runlist  # noqa: PLC0415

    sys.exit(guarded(lambda: _ended(runlist.delete_runs(**options))))


@runs.command(
    cls=GoingOn, epilog="Exit codes are those of run; of several runs, the worst. Without RUN: 0 where there is none."
)
@click.argument("run", nargs=-1)
@click.option(
    "--in-doubt",
    metavar="retry|skip=JSON|fail",
    envvar="TREADLE_IN_DOUBT",
    help="A request that may have taken effect: send it again, go on with these outputs, or take it as failed.",
)
@_SECRETS
@with_options(_GO_ON)
@with_options(JOURNAL_OPTIONS)
@with_options(KEEP_OPTIONS)
def resume(**options: Any) -> None:
    """Go on with runs where they stand; without RUN, with all that are interrupted or in doubt.

    Credentials and connections are those that a run began with; an option that is given here wins.

    \b
    Example:
      treadle runs resume
    """  # noqa: D301
    from treadle.surfaces import resuming  # noqa: PLC0415

    sys.exit(guarded(lambda: _ended(resuming.resume(resuming.wished(**options)))))


@runs.command(cls=GoingOn, epilog="Exit codes are those of run.")
@click.argument("run")
@click.option("--from", "step", metavar="STEP", help="Take over what was done before this step; else from the start.")
@_SECRETS
@with_options(_GO_ON)
@with_options(JOURNAL_OPTIONS)
@with_options(KEEP_OPTIONS)
def retry(**options: Any) -> None:
    """Make a new run of the same program and inputs, which begins with a step; the old run stays as it is.

    Credentials and connections are those of the old run; an option that is given here wins.

    \b
    Example:
      treadle runs retry 5f2a --from awaitRun
    """  # noqa: D301
    from treadle.surfaces import resuming  # noqa: PLC0415

    sys.exit(guarded(lambda: _ended(resuming.retry(resuming.wished(**options)))))


def _ended(work: Coroutine[Any, Any, int]) -> int:
    import asyncio  # noqa: PLC0415

    return asyncio.run(work)
