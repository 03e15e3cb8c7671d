"""The course of one scenario: looked at, then followed by one durable run of a bundled workflow, then put into words.

What happens in between, and in which order, is the workflow's business (`run-scenario`, `follow-fire`, `await-run`).
"""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from treadle.engine.journal import Record
from treadle.vendors.dataiku import scenario as codes
from treadle.vendors.dataiku.problems import near_names
from treadle.vendors.dataiku.progress import Progress
from treadle.vendors.dataiku.reading import first_error, job_ids, last_lines, newer, running, seconds_of, web_page
from treadle.vendors.dataiku.scenario import Ended, Target
from treadle.vendors.dataiku.work import Phase, Work

_ASIDE = 15.0
"""Seconds for what is not the point: the log of a failed run, an abort."""


class Wishes(NamedTuple):
    """What the command line asks for; times in seconds.

    Attributes:
        until: fire, start or end: what is waited for.
        durable: a journal has the run that follows the scenario, so it can be resumed.
    """

    params: dict[str, Any]
    timeout: float | None = None
    start_timeout: float = 120.0
    when_busy: str = "fail"
    abort_on_timeout: bool = False
    abort_on_interrupt: bool = False
    fail_on_warning: bool = False
    until: str = "end"
    durable: bool = True


class Watcher(Protocol):
    """Is shown how a scenario goes."""

    def changed(self, course: "Course") -> None:
        """Take in that something about a scenario changed."""

    def record(self, course: "Course", record: Record) -> None:
        """Take in what happened in the run that follows it."""


class Course:
    """One scenario on its way.

    Attributes:
        progress: where it is.
        work: runs the workflows.
        began: when it was begun to be followed, on the loop's clock.
        ended: how it ended.
        watcher: is shown how it goes.
        signals: the signals that came; the first one gives the exit code of an interruption.
    """

    def __init__(self, target: Target, work: Work, wishes: Wishes) -> None:
        self.progress = Progress(target)
        self.work = work
        self.began: float | None = None
        self.ended: Ended | None = None
        self.watcher: Watcher | None = None
        self.signals: Sequence[int] = ()
        self._wishes = wishes
        self._run_id: str | None = None

    @property
    def target(self) -> Target:
        """The scenario, with its fire and run as they become known."""
        return self.progress.target

    # Before anything is triggered

    async def check(self) -> Ended | None:
        """Look at the scenario; give why it cannot be run, or None."""
        phase = await self.work.read("check-scenario", self.target.inputs)
        if not phase.succeeded:
            if phase.status == "cancelled":
                return self._interrupted()
            message, hint = phase.problem
            if phase.last.status == 404 and phase.last.body is not None:
                message, hint = await self._unknown(phase)
            return self._end("refused", codes.REFUSED, message=message, hint=hint)
        settings = phase.outputs["settings"]
        steps = (settings.get("params") or {}).get("steps")
        if settings.get("type") == "step_based" and not steps:
            message = f"{self.target.name} has no steps: there is nothing to run"
            return self._end("refused", codes.REFUSED, message=message, hint="add steps to it in DSS")
        return None

    async def _unknown(self, phase: Phase) -> tuple[str, str | None]:
        project, scenario = self.target.project, self.target.scenario
        found = await self.work.read("list-scenarios", {"projectKey": project})
        if not found.succeeded:
            said = phase.last.said or "404"
            projects = await self.work.read("list-projects", {})
            known = [entry["projectKey"] for entry in projects.outputs["projects"]] if projects.succeeded else []
            message = f"there is no project {project}, or the key may not see it ({said})"
            return message, near_names(project, known) or "the key opens no project"
        names = [entry["id"] for entry in found.outputs["scenarios"]]
        message = f"project {project} has no scenario {scenario}"
        return message, near_names(scenario, names) or "the project has no scenarios"

    # From the trigger to the end

    async def follow(self) -> Ended:
        """Trigger the scenario and follow it as far as was wished."""
        wishes = self._wishes
        more = {"params": wishes.params, "whenBusy": wishes.when_busy, "until": wishes.until}
        return await self._followed("run-scenario", **more, startTimeout=wishes.start_timeout)

    async def waited(self) -> Ended:
        """Go on waiting for a fire or a run that somebody else triggered."""
        target = self.target
        if target.run is not None:
            return await self._followed("await-run", runId=target.run)
        fire = {"triggerId": target.trigger, "triggerRunId": target.fire}
        return await self._followed("follow-fire", **fire, startTimeout=self._wishes.start_timeout)

    async def _followed(self, workflow: str, **inputs: Any) -> Ended:
        self.began = asyncio.get_running_loop().time()
        whole = {**self.target.inputs, **inputs}
        phase = await self.work.follow(workflow, whole, self._wishes.timeout, self._observe)
        self._run_id = phase.run_id if self._wishes.durable and phase.run_id else None
        if phase.outputs.get("outcome"):
            return await self._concluded(phase)
        match phase.status:
            case "succeeded":
                return self._as_far_as_wished()
            case "failed":
                return await self._failed(phase)
            case "in-doubt":
                return await self._in_doubt(phase)
            case "limited":
                return await self._too_late(phase)
            case _:
                return await self._was_interrupted()

    def _observe(self, record: Record) -> None:
        if self.watcher is not None:
            self.watcher.record(self, record)
        if self.progress.take(record):
            self._news()

    # How it ended

    async def _concluded(self, phase: Phase) -> Ended:
        out = phase.outputs
        outcome, run, steps = out["outcome"], out["run"], out["steps"] or []
        code = codes.OUTCOME_CODES.get(outcome, codes.FAILED)
        if outcome == "WARNING" and self._wishes.fail_on_warning:
            code = codes.WARNED
        error, lines = None, []
        if outcome == "FAILED":
            error = first_error(steps)
            wanted = {**self.target.inputs, "runId": run["runId"]}
            log = await self.work.read("scenario-log", wanted, timeout=_ASIDE, after_stop=True)
            lines = last_lines(log.outputs.get("log")) if log.succeeded else []
        return self._end(
            outcome.lower(), code, outcome=outcome, start=run.get("start"), end=run.get("end"),
            duration=seconds_of(run), error=error, jobs=job_ids(steps), log=lines,
        )  # fmt: skip

    def _as_far_as_wished(self) -> Ended:
        if self._wishes.until == "fire" and self.target.fire is not None:
            return self._end("triggered", 0)
        if self.target.run is None:  # the run that is on is as good as one of its own
            self.progress.foreign = True
            self.progress.target = self.target._replace(run=running(self.progress.runs))
        return self._end("started", 0)

    async def _failed(self, phase: Phase) -> Ended:
        failure = phase.failure
        where = None if failure is None else failure.step_id
        if self.progress.cancelled or where == "readRunsAgain":
            message = "its trigger was cancelled: the scenario was running, or another trigger fired; no run came of it"
            hint = "--when-busy wait tries again after the other run, --when-busy attach follows the other run"
            return self._end("cancelled", codes.CANCELLED, message=message, hint=hint)
        busy = running(phase.last.items) if where == "readLastRuns" and phase.last.status == 200 else None
        if busy is not None:
            message = f"it is running already (run {busy}); nothing was triggered"
            hint = "--when-busy wait waits for its end first, --when-busy attach follows that run"
            return self._end("cancelled", codes.CANCELLED, message=message, hint=hint)
        if where == "awaitStart" and failure is not None and failure.kind == "timeout":
            return await self._not_in_time("it", "start", self._wishes.start_timeout)
        if self.target.fire is None and self.target.run is None:
            message = f"{phase.problem.message}; nothing was triggered"
            return self._end("refused", codes.REFUSED, message=message, hint=phase.problem.hint)
        message = f"{phase.problem.message}; what was started goes on there, and how it ends is not known"
        return self._end("in-doubt", codes.IN_DOUBT, message=message, hint=phase.problem.hint, resume=self._resume)

    async def _too_late(self, phase: Phase) -> Ended:
        if phase.failure is not None and phase.failure.kind != "timeout":
            message = f"{phase.failure.message}; what was started goes on there"
            return self._end("timed-out", codes.TIMED_OUT, message=message, resume=self._resume)
        limit = self._wishes.timeout or 0.0
        if self.target.fire is None and self.target.run is None:
            message = f"its time of {limit:g} s was over before it was triggered; nothing was triggered"
            return self._end("timed-out", codes.TIMED_OUT, message=message)
        return await self._not_in_time("it" if self.target.run is None else "the run", "end", limit)

    async def _not_in_time(self, what: str, verb: str, limit: float) -> Ended:
        goes_on = await self._aborted() if self._wishes.abort_on_timeout else "it goes on there"
        message = f"{what} did not {verb} within {limit:g} s; {goes_on}"
        hint = None if self._wishes.abort_on_timeout else "do not run it again before it is over"
        return self._end("timed-out", codes.TIMED_OUT, message=message, hint=hint, resume=self._resume)

    async def _in_doubt(self, phase: Phase) -> Ended:
        """Say what can be known of a request whose answer was lost; it is not sent again."""
        if phase.failure is not None and phase.failure.kind == "in-doubt" and phase.last.items is not None:
            return self._end(
                "in-doubt", codes.IN_DOUBT, message=self._what_was_found(phase.last.items), hint=self._how_to_look
            )
        message = "it was stopped while the request to run was under way, which may have taken effect"
        return self._end("in-doubt", codes.IN_DOUBT, message=message, hint=self._how_to_look)

    def _what_was_found(self, runs: list[Any]) -> str:
        found = newer(runs, self.progress.runs)
        if found:
            return f"the answer to the request was lost, and several runs may have come of it: {', '.join(found)}"
        return "the request to run may have taken effect, for its answer was lost, but no new manual run was found"

    async def _was_interrupted(self) -> Ended:
        if self.progress.asked:
            message = "it was stopped while the request to run was under way, which may have taken effect"
            return self._end("interrupted", self._signal_code, message=message, hint=self._how_to_look)
        if self.target.fire is None and self.target.run is None:
            return self._interrupted()
        goes_on = await self._aborted() if self._wishes.abort_on_interrupt else "it goes on there"
        return self._interrupted(f"interrupted; {goes_on}")

    async def _aborted(self) -> str:
        """Abort what is ours and say so; a run that is not ours is left alone."""
        if self.progress.foreign:
            return "it was not aborted, for it was not triggered here"
        if self.target.run is None:
            status = await self.work.read("scenario-status", self.target.inputs, timeout=_ASIDE, after_stop=True)
            if not status.succeeded or status.outputs["status"]["running"]:
                return "it was not aborted, for another run is on"
        phase = await self.work.read("abort-scenario", self.target.inputs, timeout=_ASIDE, after_stop=True)
        return "it was told to abort" if phase.succeeded else f"it could not be aborted: {phase.problem.message}"

    def _interrupted(self, message: str = "interrupted before it was triggered") -> Ended:
        hint = None if self._run_id is None else f"to go on with this very run: treadle runs resume {self._run_id}"
        return self._end("interrupted", self._signal_code, message=message, hint=hint, resume=self._resume)

    def skipped(self, why: str) -> Ended:
        """It was not triggered because of another one, or because the command was interrupted."""
        if self.work.stopped:
            return self._interrupted()
        return self._end("skipped", 0, message=f"not triggered, for {why}")

    def _end(self, status: str, code: int, **more: Any) -> Ended:
        target, progress = self.target, self.progress
        progress.trouble = progress.step = ""
        message = more.pop("message", None) or self._note
        self.ended = Ended(
            project=target.project, scenario=target.scenario, status=status, exit_code=code, run_id=target.run,
            trigger_id=target.trigger, trigger_run_id=target.fire, url=web_page(self.work.server.root, target),
            message=message, durable_run=self._run_id, **more,
        )  # fmt: skip
        progress.state = more.get("outcome") or status
        self._news()
        return self.ended

    # What all of them need

    @property
    def _note(self) -> str | None:
        if self.progress.found:
            return "the answer to the request was lost; this manual run, newer than the request, was found"
        return "it was running already, and that run was followed" if self.progress.foreign else None

    @property
    def _resume(self) -> str | None:
        known = self.target.fire is not None or self.target.run is not None
        return f"treadle dataiku wait {self.target.token}" if known else None

    @property
    def _signal_code(self) -> int:
        return 128 + self.signals[0] if self.signals else 130

    @property
    def _how_to_look(self) -> str:
        project, scenario = self.target.project, self.target.scenario
        hint = f"do not run it again before you have looked: treadle dataiku last-runs {project} {scenario}"
        if self._run_id is None:
            return hint
        return f"{hint}; this very run looks again by itself: treadle runs resume {self._run_id}"

    def _news(self) -> None:
        if self.watcher is not None:
            self.watcher.changed(self)
