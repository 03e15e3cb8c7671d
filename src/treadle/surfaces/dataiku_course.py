"""The course of one scenario: looked at, triggered, started, over. Each part is a bundled workflow; this is their order.

Nothing here is sent twice: a request to run whose answer was lost is looked for.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from treadle.engine.journal import Record, Repeated, StepEnded, Waiting
from treadle.surfaces import dataiku_target as codes
from treadle.surfaces.dataiku_phases import Phase, Phases
from treadle.surfaces.dataiku_result import first_error, job_ids, last_lines, ours, seconds_of, web_page
from treadle.surfaces.dataiku_target import Ended, Target
from treadle.surfaces.dataiku_words import near_names

MOST_TURNS = 100
"""How often a scenario that is busy is waited for."""
_ASIDE = 15.0
"""Seconds for what is not the point: the log of a failed run, an abort."""
_CLOCKS_DIFFER = 0.05
"""Seconds by which a timer may be early."""
_STALE = 30.0
"""Seconds after which what is known of a scenario that had to queue is read again before it is triggered."""
_AMBIGUOUS = frozenset({200, 500, 502, 503, 504})
"""Statuses after which a request to run may have taken effect; 200 with an answer that cannot be read."""


class Wishes(NamedTuple):
    """What the command line asks for; times in seconds.

    Attributes:
        until: fire, start or end: what is waited for.
    """

    params: dict[str, Any]
    timeout: float | None = None
    start_timeout: float = 120.0
    when_busy: str = "fail"
    abort_on_timeout: bool = False
    abort_on_interrupt: bool = False
    fail_on_warning: bool = False
    until: str = "end"


class Watcher(Protocol):
    """Is shown how a scenario goes."""

    def changed(self, course: "Course") -> None:
        """Take in that something about a scenario changed."""

    def record(self, course: "Course", record: Record) -> None:
        """Take in what happened in a workflow that is run for it."""


class Course:
    """One scenario on its way.

    Attributes:
        target: the scenario, with its fire and run as they become known.
        state: where it is, in a word.
        step: the step of the scenario that is on.
        trouble: what a server does to us at the moment.
        average: seconds that its last runs took.
        began: when it was triggered, on the loop's clock.
        ended: how it ended.
        watcher: is shown how it goes.
        signal_code: the exit code of an interruption: that of the signal, once one has come.
    """

    def __init__(self, target: Target, phases: Phases, root: str, wishes: Wishes) -> None:
        self.target = target
        self.phases = phases
        self.state = "waiting"
        self.step = ""
        self.trouble = ""
        self.average: float | None = None
        self.began: float | None = None
        self.ended: Ended | None = None
        self.signal_code = 130
        self._checked = 0.0
        self._root = root
        self._wishes = wishes
        self.watcher: Watcher | None = None
        self._newest = ""
        self._busy: str | None = None
        self._deadline: float | None = None
        self._note: str | None = None
        self._foreign = False

    # Before anything is triggered

    async def check(self) -> Ended | None:
        """Look at the scenario and its last runs; give why it cannot be run, or None."""
        self._checked = asyncio.get_running_loop().time()
        phase = await self._run("check-scenario")
        if not phase.succeeded:
            if phase.status == "interrupted":
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
        self._learn(phase.outputs["lastRuns"] or [])
        return None

    def _learn(self, runs: list[dict[str, Any]]) -> None:
        self._newest = runs[0]["runId"] if runs else ""
        self._busy = self._newest if runs and not runs[0].get("result") else None
        took = [seconds for run in runs if (seconds := seconds_of(run)) and run.get("result")]
        self.average = sum(took) / len(took) if took else None

    async def _unknown(self, phase: Phase) -> tuple[str, str | None]:
        project, scenario = self.target.project, self.target.scenario
        found = await self.phases.run("list-scenarios", {"projectKey": project})
        if not found.succeeded:
            said = phase.last.said or "404"
            projects = await self.phases.run("list-projects", {})
            known = [entry["projectKey"] for entry in projects.outputs["projects"]] if projects.succeeded else []
            message = f"there is no project {project}, or the key may not see it ({said})"
            return message, near_names(project, known) or "the key opens no project"
        names = [entry["id"] for entry in found.outputs["scenarios"]]
        message = f"project {project} has no scenario {scenario}"
        return message, near_names(scenario, names) or "the project has no scenarios"

    # From the trigger to the end

    async def follow(self) -> Ended:
        """Trigger the scenario and follow it as far as was wished."""
        if asyncio.get_running_loop().time() - self._checked > _STALE:
            refused = await self.check()
            if refused is not None:
                return refused
        self._start_the_clock()
        for _ in range(MOST_TURNS):
            if self._busy is not None and self._wishes.when_busy != "wait":
                return await self._is_busy(self._busy)
            if self._busy is not None:
                self._move("busy")
                phase = await self._watched(self._busy)
                if not phase.succeeded:
                    return self._never_free(phase)
            ended = await self._triggered()
            if ended is not None:
                return ended
            refused = await self.check()
            if refused is not None:
                return refused
        return self._end("cancelled", codes.CANCELLED, message="the scenario was never free")

    def _never_free(self, phase: Phase) -> Ended:
        """Say why nothing was triggered after all."""
        if phase.status == "interrupted":
            return self._interrupted()
        if phase.status == "limit":
            limit = self._wishes.timeout or 0.0
            message = f"its time of {limit:g} s was over before it was triggered; nothing was triggered"
            return self._end("timed-out", codes.TIMED_OUT, message=message)
        message, hint = phase.problem
        return self._end("refused", codes.REFUSED, message=f"{message}; nothing was triggered", hint=hint)

    async def _is_busy(self, run: str) -> Ended:
        if self._wishes.when_busy == "attach":
            self._foreign = True
            self._note = "it was running already, and that run was followed"
            return await self._followed(run)
        message = f"it is running already (run {run}); nothing was triggered"
        hint = "--when-busy wait waits for its end first, --when-busy attach follows that run"
        return self._end("cancelled", codes.CANCELLED, message=message, hint=hint)

    async def _triggered(self) -> Ended | None:
        """Trigger it; None where the fire was cancelled and another one may be tried."""
        self._move("triggering")
        inputs = {"params": self._wishes.params} if self._wishes.params else {}
        phase = await self._run("trigger-scenario", inputs, limit=self._left())
        if phase.status == "in-doubt" or (phase.status == "failed" and phase.last.status in _AMBIGUOUS):
            return await self._looked_for(phase)
        if not phase.begun:
            return self._never_free(phase)
        if phase.status in ("limit", "interrupted"):
            message = "it was stopped while the request to run was under way, which may have taken effect"
            code = self.signal_code if phase.status == "interrupted" else codes.IN_DOUBT
            status = "interrupted" if phase.status == "interrupted" else "in-doubt"
            return self._end(status, code, message=message, hint=self._how_to_look)
        if not phase.succeeded:
            return self._never_free(phase)
        out = phase.outputs
        self.target = self.target._replace(trigger=out["triggerId"], fire=out["triggerRunId"])
        if out["cancelled"]:
            return await self._was_cancelled()
        self._move("triggered")
        return self._end("triggered", 0) if self._wishes.until == "fire" else await self.started()

    async def _looked_for(self, phase: Phase) -> Ended:
        """Look for the run of a request whose answer was lost; it is not sent again."""
        self._move("looking for the run")
        limit = self._wishes.start_timeout
        found = await self._run("find-run", {"newest": self._newest}, limit=self._left(limit))
        runs = ours(found.outputs["runs"], self._newest, self._wishes.params) if found.succeeded else []
        if len(runs) == 1:
            self._note = "the answer to the request was lost; this manual run, newer than the request, was found"
            return await self._followed(runs[0])
        if runs:
            message = f"the answer to the request was lost, and several runs may have come of it: {', '.join(runs)}"
            return self._end("in-doubt", codes.IN_DOUBT, message=message, hint=self._how_to_look)
        message = f"the request to run may have taken effect ({phase.problem.message}), but no new manual run was found"
        if found.status == "failed":
            message += f": {found.problem.message}"
        stopped = found.status == "interrupted"
        status, code = ("interrupted", self.signal_code) if stopped else ("in-doubt", codes.IN_DOUBT)
        return self._end(status, code, message=message, hint=self._how_to_look)

    async def started(self) -> Ended | None:
        """Wait until the fire has led to a run, and follow that; None as `_triggered`."""
        target = self.target
        fire = {"triggerId": target.trigger, "triggerRunId": target.fire}
        phase = await self._run("await-start", fire, limit=self._left(self._wishes.start_timeout))
        out = phase.outputs
        if phase.succeeded and not (out["runId"] or out["lateRunId"]):
            return await self._was_cancelled()
        if not phase.succeeded:
            return await self._not_over(phase, "it", started=False)
        return await self._followed(out["runId"] or out["lateRunId"])

    async def _was_cancelled(self) -> Ended | None:
        if self._wishes.when_busy != "fail":
            self._move("cancelled")
            refused = await self.check()
            if refused is not None or self._wishes.when_busy == "wait":
                return refused
            if self._busy is not None:
                return await self._is_busy(self._busy)
        message = "its trigger was cancelled: the scenario was running, or another trigger fired; no run came of it"
        hint = "--when-busy wait tries again after the other run, --when-busy attach follows the other run"
        return self._end("cancelled", codes.CANCELLED, message=message, hint=hint)

    async def _followed(self, run: str) -> Ended:
        self.target = self.target._replace(run=run)
        self._move("running")
        return self._end("started", 0) if self._wishes.until == "start" else await self.finished()

    async def finished(self) -> Ended:
        """Wait until the run is over."""
        phase = await self._watched(self.target.run or "")
        return await self._concluded(phase.outputs) if phase.succeeded else await self._not_over(phase, "the run")

    async def waited(self) -> Ended:
        """Go on waiting for a fire or a run that somebody else triggered."""
        self._start_the_clock()
        if self.target.run is not None:
            self._move("running")
            return await self.finished()
        ended = await self.started()
        return ended or self._end("cancelled", codes.CANCELLED, message="its trigger was cancelled")

    async def _watched(self, run: str) -> Phase:
        return await self._run("await-run", {"runId": run}, limit=self._left())

    # How it ended

    async def _concluded(self, out: Mapping[str, Any]) -> Ended:
        outcome, run, steps = out["outcome"], out["run"], out["steps"] or []
        code = codes.OUTCOME_CODES.get(outcome, codes.FAILED)
        if outcome == "WARNING" and self._wishes.fail_on_warning:
            code = codes.WARNED
        error, lines = None, []
        if outcome == "FAILED":
            error = first_error(steps)
            log = await self._run("scenario-log", {"runId": run["runId"]}, limit=_ASIDE, after_stop=True)
            lines = last_lines(log.outputs.get("log")) if log.succeeded else []
        return self._end(
            outcome.lower(), code, outcome=outcome, start=run.get("start"), end=run.get("end"),
            duration=seconds_of(run), error=error, jobs=job_ids(steps), log=lines,
        )  # fmt: skip

    async def _not_over(self, phase: Phase, what: str, *, started: bool = True) -> Ended:
        """Say why nobody waits any longer for what goes on on the server."""
        resume = f"treadle dataiku wait {self.target.token}" if self.target.fire or self.target.run else None
        goes_on = "it goes on there"
        if phase.status == "interrupted":
            if self._wishes.abort_on_interrupt:
                goes_on = await self._aborted(started=started)
            return self._interrupted(f"interrupted; {goes_on}", resume)
        if phase.status == "limit":
            if self._wishes.abort_on_timeout:
                goes_on = await self._aborted(started=started)
            late = (self._left() or 0.0) < _CLOCKS_DIFFER and self._deadline is not None
            limit = self._wishes.timeout if late else self._wishes.start_timeout
            verb = "end" if started or late else "start"
            message = f"{what} did not {verb} within {limit:g} s; {goes_on}"
            hint = None if self._wishes.abort_on_timeout else "do not run it again before it is over"
            return self._end("timed-out", codes.TIMED_OUT, message=message, hint=hint, resume=resume)
        message = f"{phase.problem.message}; what was started goes on there, and how it ends is not known"
        return self._end("in-doubt", codes.IN_DOUBT, message=message, hint=phase.problem.hint, resume=resume)

    async def _aborted(self, *, started: bool) -> str:
        """Abort what is ours and say so; a run that is not ours is left alone."""
        if self._foreign:
            return "it was not aborted, for it was not triggered here"
        if not started:
            status = await self._run("scenario-status", limit=_ASIDE, after_stop=True)
            if not status.succeeded or status.outputs["status"]["running"]:
                return "it was not aborted, for another run is on"
        phase = await self._run("abort-scenario", limit=_ASIDE, after_stop=True)
        return "it was told to abort" if phase.succeeded else f"it could not be aborted: {phase.problem.message}"

    def _interrupted(self, message: str = "interrupted before it was triggered", resume: str | None = None) -> Ended:
        return self._end("interrupted", self.signal_code, message=message, resume=resume)

    def skipped(self, why: str) -> Ended:
        """It was not triggered because of another one, or because the command was interrupted."""
        if self.phases.stopped:
            return self._interrupted()
        return self._end("skipped", 0, message=f"not triggered, for {why}")

    def _end(self, status: str, code: int, **more: Any) -> Ended:
        target = self.target
        self.trouble = self.step = ""
        message = more.pop("message", None) or self._note
        self.ended = Ended(
            project=target.project, scenario=target.scenario, status=status, exit_code=code, run_id=target.run,
            trigger_id=target.trigger, trigger_run_id=target.fire, url=web_page(self._root, target), message=message,
            **more,
        )  # fmt: skip
        self._move(more.get("outcome") or status)
        return self.ended

    # What all of them need

    @property
    def _how_to_look(self) -> str:
        project, scenario = self.target.project, self.target.scenario
        return f"do not run it again before you have looked: treadle dataiku last-runs {project} {scenario}"

    def _start_the_clock(self) -> None:
        self.began = asyncio.get_running_loop().time()
        self._deadline = None if self._wishes.timeout is None else self.began + self._wishes.timeout

    def _left(self, limit: float | None = None) -> float | None:
        """Give the seconds that are left, of `limit` too."""
        if self._deadline is None:
            return limit
        left = max(0.0, self._deadline - asyncio.get_running_loop().time())
        return left if limit is None else min(left, limit)

    async def _run(self, workflow: str, inputs: Mapping[str, Any] | None = None, **how: Any) -> Phase:
        whole = {"projectKey": self.target.project, "scenarioId": self.target.scenario, **(inputs or {})}
        return await self.phases.run(workflow, whole, observe=self._observe, **how)

    def _observe(self, record: Record) -> None:
        if self.watcher is not None:
            self.watcher.record(self, record)
        trouble, step = self.trouble, self.step
        if isinstance(record, Repeated):
            trouble = record.why
        elif isinstance(record, Waiting) and record.reason.startswith("retry"):
            trouble = trouble or "the server does not answer as it should"
        elif isinstance(record, StepEnded) and record.status == "succeeded":
            trouble = ""
            steps = (record.outputs.get("run") or {}).get("stepRuns") or []
            on = [entry["step"] for entry in steps if not entry.get("result")]
            step = str(on[-1].get("name") or on[-1].get("id")) if on else ""
        if (trouble, step) != (self.trouble, self.step):
            self.trouble, self.step = trouble, step
            self._news()

    def _move(self, state: str) -> None:
        self.state = state
        self._news()

    def _news(self) -> None:
        if self.watcher is not None:
            self.watcher.changed(self)
