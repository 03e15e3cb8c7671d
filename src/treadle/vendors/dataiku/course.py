"""The course of one scenario: looked at, then followed by one durable run of a bundled workflow.

What happens in between, and in which order, is the workflow's business (`run-scenario`, `follow-fire`, `await-run`); what
came of it is put into words in `verdict`.
"""

import asyncio
from typing import Any, Protocol

from treadle.drivers.journals.protocol import Kept
from treadle.drivers.timeline import shown_records
from treadle.engine.journal import Record
from treadle.errors import RunRefused
from treadle.vendors.dataiku.problems import near_names
from treadle.vendors.dataiku.progress import Progress
from treadle.vendors.dataiku.scenario import REFUSED, Ended, Target, Wishes
from treadle.vendors.dataiku.verdict import Verdict
from treadle.vendors.dataiku.work import Phase, Work

_WORKFLOWS = ("run-scenario", "follow-fire", "await-run")
"""The workflows that follow a scenario."""


class Watcher(Protocol):
    """Is shown how a scenario goes."""

    def changed(self, course: "Course") -> None:
        """Take in that something about a scenario changed."""

    def record(self, course: "Course", record: Record) -> None:
        """Take in what happened in the run that follows it."""


class Course:
    """One scenario on its way.

    Args:
        target: the scenario, and what is known of its fire and run.
        work: runs the workflows.
        wishes: what the command line asks for.
        begun: the id of the durable run that follows it already, and that nobody drives.

    Attributes:
        progress: where it is.
        work: runs the workflows.
        began: when it was begun to be followed, on the loop's clock.
        ended: how it ended.
        watcher: is shown how it goes.
    """

    def __init__(self, target: Target, work: Work, wishes: Wishes, begun: str | None = None) -> None:
        self.progress = Progress(target)
        self.work = work
        self.began: float | None = None
        self.ended: Ended | None = None
        self.watcher: Watcher | None = None
        self._wishes = wishes
        self._begun = begun
        self._verdict = Verdict(work, self.progress, wishes)

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
                return self._end(self._verdict.interrupted())
            message, hint = phase.problem
            if phase.last.status == 404 and phase.last.body is not None:
                message, hint = await self._unknown(phase)
            return self._end(self._verdict.ended("refused", REFUSED, message=message, hint=hint))
        settings = phase.outputs["settings"]
        steps = (settings.get("params") or {}).get("steps")
        if settings.get("type") == "step_based" and not steps:
            message = f"{self.target.name} has no steps: there is nothing to run"
            hint = "add steps to it in DSS"
            return self._end(self._verdict.ended("refused", REFUSED, message=message, hint=hint))
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
        """Go on waiting for a fire or a run that somebody else triggered, or go on with a durable run."""
        target = self.target
        if self._begun is not None:
            self.began = asyncio.get_running_loop().time()
            phase = await self.work.go_on(self._begun, self._wishes.timeout, self._observe)
            return self._end(await self._verdict.of(phase))
        if target.run is not None:
            return await self._followed("await-run", runId=target.run)
        fire = {"triggerId": target.trigger, "triggerRunId": target.fire}
        return await self._followed("follow-fire", **fire, startTimeout=self._wishes.start_timeout)

    async def _followed(self, workflow: str, **inputs: Any) -> Ended:
        self.began = asyncio.get_running_loop().time()
        whole = {**self.target.inputs, **inputs}
        phase = await self.work.follow(workflow, whole, self._wishes.timeout, self._observe)
        return self._end(await self._verdict.of(phase))

    def skipped(self, why: str) -> Ended:
        """It was not triggered because of another one, or because the command was interrupted."""
        if self.work.stopped:
            return self._end(self._verdict.interrupted())
        return self._end(self._verdict.ended("skipped", 0, message=f"not triggered, for {why}"))

    def _observe(self, record: Record) -> None:
        if self.watcher is not None:
            self.watcher.record(self, record)
        if self.progress.take(record):
            self._news()

    def _end(self, ended: Ended) -> Ended:
        self.ended = ended
        self.progress.trouble = self.progress.step = ""
        self.progress.state = ended.outcome or ended.status
        self._news()
        return ended

    def _news(self) -> None:
        if self.watcher is not None:
            self.watcher.changed(self)


def taken_up(kept: Kept, api: str, work: Work, wishes: Wishes) -> Course:
    """Give the course of a scenario whose durable run is in the journal, as far as it has come.

    Raises:
        RunRefused: the run is none of a scenario, or one of another server than that whose key is used (at `api`).
    """
    start = kept.start
    workflow_id, given = start.program.workflow_id, start.inputs
    if workflow_id not in _WORKFLOWS or not {"projectKey", "scenarioId"} <= given.keys():
        message = f"run '{start.run_id}' is one of workflow '{workflow_id}', not of a scenario"
        raise RunRefused(message, hint=f"go on with it: treadle runs resume {start.run_id}")
    other = next((call.server for call in start.program.calls() if call.server != api), None)
    if other is not None:
        message = f"run '{start.run_id}' is one on {other}, not on {api}"
        raise RunRefused(message, hint="name its server and its key")
    target = Target(given["projectKey"], given["scenarioId"], given.get("triggerId"), given.get("triggerRunId"))
    limit = given.get("startTimeout")
    until, limit = given.get("until", "end"), wishes.start_timeout if limit is None else limit
    wishes = wishes._replace(until=until, start_timeout=limit)
    course = Course(target._replace(run=given.get("runId")), work, wishes, start.run_id)
    for record in shown_records(kept.records):
        course.progress.take(record)
    return course
