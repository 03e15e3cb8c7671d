"""`treadle dataiku run` and `wait`: scenarios of a DSS, one or many, to their end."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from treadle.surfaces.dataiku_options import (
    SERVER_OPTIONS,
    SHOW_OPTIONS,
    START_OPTIONS,
    WAIT_OPTIONS,
    Server,
    server_of,
)
from treadle.surfaces.guard import guarded
from treadle.surfaces.interrupt import SIGNALS
from treadle.surfaces.options import with_options
from treadle.surfaces.streams import say, silence, tell

EXIT_CODES = (
    "Exit codes: 0 SUCCESS and WARNING, 1 FAILED, 2 refused (nothing was triggered), 3 time-out, 4 in doubt, 5 ABORTED, "
    "6 the trigger was cancelled, 7 WARNING under --fail-on-warning, 130 or 143 interrupted; with several the worst."
)


@click.command(epilog=EXIT_CODES)
@click.argument("scenarios", metavar="[PROJECT] SCENARIO...", nargs=-1)
@with_options(START_OPTIONS)
@with_options(WAIT_OPTIONS)
@with_options(SHOW_OPTIONS)
@click.option("-q", "--quiet", is_flag=True, envvar="TREADLE_QUIET", help="No progress.")
@click.option("-v", "--verbose", is_flag=True, envvar="TREADLE_VERBOSE", help="Every request and pause.")
@with_options(SERVER_OPTIONS)
def run(scenarios: tuple[str, ...], **options: Any) -> None:
    """Run scenarios, wait until they are over, and say how they ended.

    SCENARIO is an id in PROJECT, or PROJECT.SCENARIO.

    \b
    Example:
      treadle dataiku run DEMO NIGHTLY WEEKLY_REPORT --timeout 3600
    """  # noqa: D301
    sys.exit(guarded(lambda: _run(scenarios, options)))


@click.command(epilog=EXIT_CODES)
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@with_options(WAIT_OPTIONS)
@with_options(SHOW_OPTIONS)
@click.option("-q", "--quiet", is_flag=True, envvar="TREADLE_QUIET", help="No progress.")
@click.option("-v", "--verbose", is_flag=True, envvar="TREADLE_VERBOSE", help="Every request and pause.")
@with_options(SERVER_OPTIONS)
def wait(runs: tuple[str, ...], **options: Any) -> None:
    """Go on waiting for runs that were triggered before.

    RUN is PROJECT.SCENARIO/RUN_ID, or PROJECT.SCENARIO/TRIGGER/FIRE, as `run --detach` and `run --no-wait` print it, or
    the id of a durable run in `treadle runs list`, which then goes on where it stood.

    \b
    Example:
      treadle dataiku wait DEMO.NIGHTLY/2016-04-15-14-57-39-101
    """  # noqa: D301
    sys.exit(guarded(lambda: _wait(runs, options)))


class Job(NamedTuple):
    """What a command does: its scenarios, what is wished for them, and how it is shown."""

    targets: list[Any]
    wishes: Any
    server: Server
    fresh: bool
    concurrency: int | None
    fail_fast: bool
    as_json: bool
    quiet: bool
    verbose: bool
    junit: Path | None
    gitlab: Path | None
    state: str | None
    journal: Path | None
    keep: float | None


def _run(scenarios: tuple[str, ...], options: dict[str, Any]) -> int:
    from treadle.errors import RunRefused  # noqa: PLC0415
    from treadle.surfaces.dataiku_target import targets, trigger_params  # noqa: PLC0415

    if options["no_wait"] and options["detach"]:
        raise RunRefused("--no-wait and --detach exclude each other", hint="--detach waits until the run has started")
    wanted = targets(scenarios, options["from"])
    params = trigger_params(options["param"], options["params"])
    until = "fire" if options["no_wait"] else "start" if options["detach"] else "end"
    job = _job(wanted, options, fresh=True, params=params, when_busy=options["when_busy"], until=until)
    if options["dry_run"]:
        return _show_plan(job)
    return asyncio.run(_all(job))


def _wait(runs: tuple[str, ...], options: dict[str, Any]) -> int:
    from treadle.surfaces.dataiku_target import waited  # noqa: PLC0415

    return asyncio.run(_all(_job(waited(runs), options, fresh=False, params={})))


def _job(wanted: list[Any], options: dict[str, Any], *, fresh: bool, **more: Any) -> Job:
    from treadle.drivers.journals.place import state_file  # noqa: PLC0415
    from treadle.surfaces.reportfile import report_file  # noqa: PLC0415
    from treadle.vendors.dataiku.scenario import Wishes  # noqa: PLC0415

    names = ("timeout", "start_timeout", "abort_on_timeout", "abort_on_interrupt", "fail_on_warning")
    durable = not options["no_journal"]
    wishes = Wishes(**more, **{name: options[name] for name in names}, durable=durable)
    return Job(
        wanted, wishes, server_of(options), fresh, options["concurrency"], options["fail_fast"], options["json"],
        options["quiet"], options["verbose"], report_file(options["junit"], "--junit"),
        report_file(options["gitlab_annotations"], "--gitlab-annotations"),
        options["state"], state_file(options["state"]) if durable else None, options["keep"],
    )  # fmt: skip


def _show_plan(job: Job) -> int:
    import msgspec  # noqa: PLC0415

    for target in job.targets:
        plan = {
            "project": target.project, "scenario": target.scenario, "server": job.server.root,
            "params": sorted(job.wishes.params), "until": job.wishes.until, "timeout": job.wishes.timeout,
            "startTimeout": job.wishes.start_timeout, "whenBusy": job.wishes.when_busy,
        }  # fmt: skip
        if job.as_json:
            print(msgspec.json.encode(plan).decode())
        else:
            params = f" with {', '.join(plan['params'])}" if plan["params"] else ""
            print(f"would run {target.name}{params} on {job.server.root}; nothing was sent")
    return 0


async def _all(job: Job) -> int:
    from treadle.runner import Runner  # noqa: PLC0415
    from treadle.surfaces.running import forget_old, nothing_sent, stopping  # noqa: PLC0415
    from treadle.vendors.dataiku.scenario import worst  # noqa: PLC0415

    if job.server.options["insecure"] and not job.quiet:
        tell(say, "warning[insecure]: TLS certificates are not verified")
    async with Runner(journal=job.journal, **job.server.options) as runner:
        document = await runner.load("dataiku")
        with nothing_sent():
            runner.open_journal()
        courses = [await _course(job, target, runner, document) for target in job.targets]
        view = _view(job, courses)
        interruptions = [course.work.interruption for course in courses]
        try:
            with stopping(interruptions, kept=job.journal is not None) as received:
                for course in courses:
                    course.watcher, course.work.signals = view, received
                ended = await _together(job, courses)
        finally:
            view.close()
        journal = runner.open_journal()
        if job.keep is not None and journal is not None:
            await forget_old(journal, job.keep)
    _tell_the_pipeline(job, ended)
    if not job.as_json:
        _print_all(ended)
    return SIGNALS[received[0]] if received else worst(entry.exit_code for entry in ended)


async def _course(job: Job, target: Any, runner: Any, document: Any) -> Any:
    from treadle.errors import RunRefused  # noqa: PLC0415
    from treadle.vendors.dataiku.course import Course, taken_up  # noqa: PLC0415
    from treadle.vendors.dataiku.work import Server as Place  # noqa: PLC0415
    from treadle.vendors.dataiku.work import Work  # noqa: PLC0415

    work = Work(runner, document, Place(job.server.root, job.server.scheme))
    if not isinstance(target, str):
        return Course(target, work, job.wishes)
    journal = runner.open_journal()
    if journal is None:
        raise RunRefused(f"there is no journal that would have run '{target}'", hint="leave out --no-journal")
    from treadle.drivers.runs import found  # noqa: PLC0415

    kept = await journal.read((await found(journal, target)).run_id)
    return taken_up(kept, job.server.options["server"], work, job.wishes)


def _view(job: Job, courses: Sequence[Any]) -> Any:
    from treadle.surfaces.dataiku_view import LiveView, NoView, PlainView  # noqa: PLC0415
    from treadle.surfaces.running import settle  # noqa: PLC0415

    settle()
    if job.quiet:
        return NoView()
    live = sys.stderr.isatty() and not os.environ.get("CI") and os.environ.get("TERM") != "dumb"
    if live and not job.verbose:
        return LiveView(courses)
    return PlainView(verbose=job.verbose, folded=os.environ.get("GITLAB_CI") == "true")


async def _together(job: Job, courses: Sequence[Any]) -> list[Any]:
    """Look at all scenarios before one is triggered, then follow them all."""
    from treadle.surfaces.running import at_this_place  # noqa: PLC0415

    gate = asyncio.Semaphore(job.concurrency or len(courses))
    failed = False

    async def one(do: Callable[[], Awaitable[Any]]) -> Any:
        async with gate:
            return await do()

    async def follow(course: Any) -> None:
        nonlocal failed
        async with gate:
            if course.work.stopped or (job.fail_fast and failed):
                course.skipped("another scenario did not succeed")
            else:
                await (course.follow() if job.fresh else course.waited())
        course.ended.hint = at_this_place(course.ended.hint, job.state)
        failed = failed or course.ended.exit_code != 0
        if job.as_json:
            _print_json(course.ended)

    if job.fresh:
        refused = [found for found in await asyncio.gather(*(one(course.check) for course in courses)) if found]
        if refused:
            for course in courses:
                if course.ended is None:
                    course.skipped("another scenario cannot be run")
                if job.as_json:
                    _print_json(course.ended)
            return [course.ended for course in courses]
    await asyncio.gather(*(follow(course) for course in courses))
    return [course.ended for course in courses]


def _print_json(ended: Any) -> None:
    import msgspec  # noqa: PLC0415

    _print(msgspec.json.encode(ended).decode())


def _print(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:  # whoever read it has gone; how the scenarios end stays as it is
        silence(sys.stdout)


def _print_all(ended: Sequence[Any]) -> None:
    from treadle.surfaces.dataiku_view import ended_lines  # noqa: PLC0415
    from treadle.surfaces.report import write_problem  # noqa: PLC0415
    from treadle.vendors.dataiku.scenario import Target  # noqa: PLC0415

    said = set()  # what concerns the server is said once, not for each scenario
    for entry in ended:
        if entry.status == "refused" and entry.message not in said:
            said.add(entry.message)
            tell(write_problem, entry.message, entry.hint, sys.stderr)
        elif entry.status in ("triggered", "started"):
            _print(Target(entry.project, entry.scenario, entry.trigger_id, entry.trigger_run_id, entry.run_id).token)
        elif entry.status != "refused":
            _print("\n".join(ended_lines(entry)))


def _tell_the_pipeline(job: Job, ended: Sequence[Any]) -> None:
    from treadle.surfaces import dataiku_ci  # noqa: PLC0415

    problems = []
    if job.junit is not None:
        problems.append(dataiku_ci.write(job.junit, dataiku_ci.junit(ended)))
    if job.gitlab is not None:
        problems.append(dataiku_ci.write(job.gitlab, dataiku_ci.gitlab_annotations(ended).encode()))
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for line in dataiku_ci.github_annotations(ended):
            tell(say, line)
        summary = os.environ.get("GITHUB_STEP_SUMMARY")
        if summary:
            problems.append(dataiku_ci.write(Path(summary), dataiku_ci.github_summary(ended).encode(), mode="ab"))
    for problem in problems:
        if problem is not None:
            tell(say, f"treadle: {problem}")
