"""What came of following a scenario, in words and exit codes, as far as it is known; what is not known is said to be so."""

from collections.abc import Mapping
from typing import Any

from treadle.vendors.dataiku import scenario as codes
from treadle.vendors.dataiku.progress import Progress
from treadle.vendors.dataiku.reading import first_error, job_ids, last_lines, newer, running, seconds_of, web_page
from treadle.vendors.dataiku.scenario import Ended, Target, Wishes
from treadle.vendors.dataiku.work import Phase, Work

_ASIDE = 15.0
"""Seconds for what is not the point: the log of a failed run, an abort."""
_AT_STOP = 1.0
"""Seconds for what is looked at after somebody asked for an end, who is not to wait for a server that hangs."""
_DATES_DIFFER = 2.0
"""Seconds by which times of a server may be off: a Date field has no fractions, and its web server has a clock too."""


class Verdict:
    """Says how a scenario ended; aborts what runs on where that was wished, and reads the log of what failed.

    Attributes:
        run_id: the id of the durable run that followed it, or None.
    """

    def __init__(self, work: Work, progress: Progress, wishes: Wishes) -> None:
        self._work = work
        self._progress = progress
        self._wishes = wishes
        self.run_id: str | None = None
        self._unread = False

    @property
    def target(self) -> Target:
        """The scenario, with what is known of its fire and run."""
        return self._progress.target

    async def of(self, phase: Phase) -> Ended:
        """Say what came of the run that followed the scenario."""
        self.run_id = phase.run_id if self._wishes.durable and phase.run_id else None
        if self._progress.found and self.target.run is not None and await self._is_anothers():
            message = (
                f"the answer to the request was lost, and run {self.target.run}, the only manual one since then, was "
                "triggered at another time than the request was sent: it may be somebody else's"
            )
            self._progress.target = self.target._replace(run=None, trigger=None, fire=None)
            return self.ended("in-doubt", codes.IN_DOUBT, message=message, hint=self._how_to_look)
        if phase.outputs.get("outcome"):
            return await self._concluded(phase)
        match phase.status:
            case "succeeded":
                return self._as_far_as_wished()
            case "failed":
                return await self._failed(phase)
            case "in-doubt":
                return self._in_doubt(phase)
            case "limited":
                return await self._too_late(phase)
            case "unwritten":
                return self._lost(phase)
            case _:
                return await self._was_interrupted(phase)

    async def _is_anothers(self) -> bool:
        """Say whether the fire of the run that was found is of another time than the request, by the server's clock."""
        between = self._progress.asked_between
        if between is None:
            return False
        wanted = {**self.target.inputs, "triggerId": self.target.trigger, "triggerRunId": self.target.fire}
        fire = await self._aside("scenario-fire", wanted)
        at = fire.outputs.get("timestamp")
        if not isinstance(at, int | float):
            self._unread = True
            return False
        return not between[0] - _DATES_DIFFER <= at / 1000 <= between[1] + _DATES_DIFFER

    async def _aside(self, workflow: str, inputs: Mapping[str, Any]) -> Phase:
        """Read what a stop may cut short, and what is only looked at for a moment after one."""
        stopped = self._work.stopped
        return await self._work.read(workflow, inputs, timeout=_AT_STOP if stopped else _ASIDE, after_stop=stopped)

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
            log = await self._aside("scenario-log", wanted)
            lines = last_lines(log.outputs.get("log")) if log.succeeded else []
        return self.ended(
            outcome.lower(), code, outcome=outcome, start=run.get("start"), end=run.get("end"),
            duration=seconds_of(run), error=error, jobs=job_ids(steps), log=lines,
        )  # fmt: skip

    def _as_far_as_wished(self) -> Ended:
        if self._wishes.until == "fire" and self.target.fire is not None:
            return self.ended("triggered", 0)
        if self.target.run is None:  # the run that is on is as good as one of its own
            self._progress.foreign = True
            self._progress.target = self.target._replace(run=running(self._progress.runs))
        return self.ended("started", 0)

    async def _failed(self, phase: Phase) -> Ended:
        failure = phase.failure
        where = None if failure is None else failure.step_id
        if self._progress.cancelled or where == "readRunsAgain":
            message = "its trigger was cancelled: the scenario was running, or another trigger fired; no run came of it"
            hint = "--when-busy wait tries again after the other run, --when-busy attach follows the other run"
            return self.ended("cancelled", codes.CANCELLED, message=message, hint=hint)
        busy = running(phase.last.items) if where == "readLastRuns" and phase.last.status == 200 else None
        if busy is not None:
            message = f"it is running already (run {busy}); nothing was triggered"
            hint = "--when-busy wait waits for its end first, --when-busy attach follows that run"
            return self.ended("cancelled", codes.CANCELLED, message=message, hint=hint)
        if where == "awaitStart" and failure is not None and failure.kind == "timeout":
            return await self._not_in_time("it", "start", self._wishes.start_timeout)
        return self._lost(phase)

    def _lost(self, phase: Phase) -> Ended:
        """Say that nobody follows it any more, and why."""
        if self._progress.asked:
            return self._in_doubt(phase)
        if self.target.fire is None and self.target.run is None:
            message = f"{phase.problem.message}; nothing was triggered"
            return self.ended("refused", codes.REFUSED, message=message, hint=phase.problem.hint)
        message = f"{phase.problem.message}; what was started goes on there, and how it ends is not known"
        return self.ended("in-doubt", codes.IN_DOUBT, message=message, hint=phase.problem.hint, resume=self._resume)

    async def _too_late(self, phase: Phase) -> Ended:
        if phase.failure is not None and phase.failure.kind != "timeout":
            message = f"{phase.failure.message}; what was started goes on there"
            return self.ended("timed-out", codes.TIMED_OUT, message=message, resume=self._resume)
        limit = self._wishes.timeout or 0.0
        if self.target.fire is None and self.target.run is None:
            message = f"its time of {limit:g} s was over before it was triggered; nothing was triggered"
            return self.ended("timed-out", codes.TIMED_OUT, message=message)
        ours = "it" if self.target.run is None else "the run"
        return await self._not_in_time("the run that was on already" if self._progress.foreign else ours, "end", limit)

    async def _not_in_time(self, what: str, verb: str, limit: float) -> Ended:
        goes_on = await self._aborted() if self._wishes.abort_on_timeout else "it goes on there"
        message = f"{what} did not {verb} within {limit:g} s; {goes_on}"
        hint = None if self._wishes.abort_on_timeout else "do not run it again before it is over"
        return self.ended("timed-out", codes.TIMED_OUT, message=message, hint=hint, resume=self._resume)

    def _in_doubt(self, phase: Phase) -> Ended:
        """Say what can be known of a request whose answer was lost; it is not sent again."""
        given_up = phase.failure is not None and phase.failure.kind == "in-doubt"
        if given_up and phase.last.items is not None:
            message = self._what_was_found(phase.last.items)
        elif given_up or self._progress.looked:
            message = f"the request to run may have taken effect, for its answer was lost: {phase.problem.message}"
        else:
            message = "it was stopped while the request to run was under way, which may have taken effect"
        return self.ended("in-doubt", codes.IN_DOUBT, message=message, hint=self._how_to_look)

    def _what_was_found(self, runs: list[Any]) -> str:
        found = newer(runs, self._progress.runs)
        if found:
            return f"the answer to the request was lost, and several runs may have come of it: {', '.join(found)}"
        return "the request to run may have taken effect, for its answer was lost, but no new manual run was found"

    async def _was_interrupted(self, phase: Phase) -> Ended:
        if self._progress.asked:
            message = "it was stopped while the request to run was under way, which may have taken effect"
            return self.ended("interrupted", self._signal_code, message=message, hint=self._how_to_look)
        kept = phase.status != "cancelled"
        if self.target.fire is None and self.target.run is None:
            return self.interrupted(kept=kept)
        goes_on = await self._aborted() if self._wishes.abort_on_interrupt else "it goes on there"
        how = "interrupted" if kept or not self._wishes.durable else "its run was cancelled by `treadle runs cancel`"
        return self.interrupted(f"{how}; {goes_on}", kept=kept)

    async def _aborted(self) -> str:
        """Abort what is ours and say so; a run that is not ours is left alone."""
        if self._progress.foreign:
            return "it was not aborted, for it was not triggered here"
        if self.target.run is None:
            status = await self._work.read("scenario-status", self.target.inputs, timeout=_ASIDE, after_stop=True)
            if not status.succeeded or status.outputs["status"]["running"]:
                return "it was not aborted, for another run is on"
        phase = await self._work.read("abort-scenario", self.target.inputs, timeout=_ASIDE, after_stop=True)
        return "it was told to abort" if phase.succeeded else f"it could not be aborted: {phase.problem.message}"

    def interrupted(self, message: str = "interrupted before it was triggered", *, kept: bool = True) -> Ended:
        """It was stopped, and by default nothing came of it; a run that is `kept` can be gone on with."""
        can_go_on = kept and self.run_id is not None
        hint = f"to go on with this very run: treadle runs resume {self.run_id}" if can_go_on else None
        return self.ended("interrupted", self._signal_code, message=message, hint=hint, resume=self._resume)

    def ended(self, status: str, code: int, **more: Any) -> Ended:
        """Put together what is said of the end."""
        target = self.target
        message = more.pop("message", None) or self._note
        return Ended(
            project=target.project, scenario=target.scenario, status=status, exit_code=code, run_id=target.run,
            trigger_id=target.trigger, trigger_run_id=target.fire, url=web_page(self._work.server.root, target),
            message=message, durable_run=self.run_id, **more,
        )  # fmt: skip

    # What all of them need

    @property
    def _note(self) -> str | None:
        if self._progress.found:
            found = "the answer to the request was lost; this manual run, newer than the request, was found"
            return f"{found}; when it was triggered could not be read" if self._unread else found
        return "it was running already, and that run was followed" if self._progress.foreign else None

    @property
    def _resume(self) -> str | None:
        known = self.target.fire is not None or self.target.run is not None
        return f"treadle dataiku wait {self.target.token}" if known else None

    @property
    def _signal_code(self) -> int:
        return 128 + self._work.signals[0] if self._work.signals else 130

    @property
    def _how_to_look(self) -> str:
        project, scenario = self.target.project, self.target.scenario
        hint = f"do not run it again before you have looked: treadle dataiku last-runs {project} {scenario}"
        if self.run_id is None:
            return hint
        return f"{hint}; this very run looks again by itself: treadle runs resume {self.run_id}"
