"""Jobs that build outputs: from the request to DONE, FAILED or ABORTED as time goes by. Pure, as `world` is.

NOT_STARTED --delay over--> RUNNING --the activities are over--> DONE, or FAILED with the first of them that failed
NOT_STARTED, RUNNING --abort--> ABORTED after the abort lag, unless the job ends before that
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import msgspec

from treadle.vendors.dataiku.simulator.description import Build, OutputType, Simulation
from treadle.vendors.dataiku.simulator.errors import BadRequestError, UnknownError
from treadle.vendors.dataiku.simulator.plan import milliseconds

State = Literal["NOT_STARTED", "RUNNING", "DONE", "FAILED", "ABORTED"]
JobType = Literal[
    "RECURSIVE_BUILD", "NON_RECURSIVE_FORCED_BUILD", "RECURSIVE_FORCED_BUILD", "RECURSIVE_MISSING_ONLY_BUILD"
]


class WantedOutput(msgspec.Struct, rename="camel"):
    """An output as a job definition names it; the official client sends null for what it leaves open."""

    id: str
    type: OutputType | None = None
    project_key: str | None = None
    partition: str | None = None


class JobDefinition(msgspec.Struct, rename="camel"):
    """What a job is asked for with. Other fields are taken and left alone."""

    outputs: list[WantedOutput]
    type: JobType = "NON_RECURSIVE_FORCED_BUILD"
    refresh_hive_metastore: bool = False
    auto_update_schema_before_each_recipe_run: bool = False

    def __post_init__(self) -> None:
        """Refuse a job that builds nothing."""
        if not self.outputs:
            raise ValueError("A job needs at least one output")


@dataclass(frozen=True, slots=True)
class Activity:
    """The building of one output; `end` is None where it never ends by itself, times count from the start of the job."""

    name: str
    build: Build
    start: int
    end: int | None


@dataclass(slots=True, eq=False)
class Job:
    """A job. `end` is None while it is not over; epoch milliseconds."""

    id: str
    name: str
    project: str
    definition: JobDefinition
    initiator: str
    asked: int
    start: int
    activities: tuple[Activity, ...]
    abort_due: int | None = None

    @property
    def own_end(self) -> int | None:
        """When it ends if nobody aborts it."""
        last = self.activities[-1].end
        return None if last is None else self.start + last

    @property
    def due_end(self) -> int | None:
        """When it ends as things stand."""
        return min((end for end in (self.own_end, self.abort_due) if end is not None), default=None)

    def state(self, now: int) -> State:
        """Say how it stands."""
        end = self.due_end
        if end is None or now < end:
            return "NOT_STARTED" if now < self.start else "RUNNING"
        return self.activities[-1].build.outcome if end == self.own_end else "ABORTED"

    def times(self, now: int) -> tuple[int, int]:
        """Give start and end, 0 for what has not come yet."""
        end = self.due_end
        over = end is not None and end <= now
        started = self.start <= now and (not over or end is None or self.start <= end)
        return (self.start if started else 0), (end or 0) if over else 0

    def activity_state(self, activity: Activity, now: int) -> State:
        """Say how one of its activities stands."""
        seen = now if self.due_end is None else min(now, self.due_end)
        aborted = self.state(now) == "ABORTED"
        if activity.end is not None and self.start + activity.end <= seen:
            return activity.build.outcome
        if aborted:
            return "ABORTED"
        return "RUNNING" if self.start + activity.start <= seen else "NOT_STARTED"


class Jobs:
    """The jobs of one project, as of `now`."""

    def __init__(self, project: str, simulation: Simulation) -> None:
        self.now = 0
        self.project = project
        self.timezone = simulation.timezone
        # Oldest first.
        self.jobs: dict[str, Job] = {}
        # A job may build what is in another project.
        self._builds = {(build.project, build.output): build for build in simulation.builds}
        self._delay = milliseconds(simulation.job_delay)
        self._abort_lag = milliseconds(simulation.abort_lag)

    def ask(self, definition: JobDefinition, initiator: str) -> Job:
        """Ask for a job."""
        activities = tuple(self._activities(definition.outputs))
        first = definition.outputs[0]
        name = f"build_{first.id}_{first.partition or 'NP'}"
        job = Job(
            self._id(name), name, self.project, definition, initiator, self.now, self.now + self._delay, activities
        )
        self.jobs[job.id] = job
        return job

    def job(self, job_id: str) -> Job:
        """Find a job."""
        if job_id not in self.jobs:
            raise UnknownError(f"Job {self.project}.{job_id} does not exist")
        return self.jobs[job_id]

    def abort(self, job: Job) -> None:
        """Stop a job; nothing when it is over. A second abort does not come sooner or later."""
        if job.state(self.now) in {"NOT_STARTED", "RUNNING"} and job.abort_due is None:
            job.abort_due = self.now + self._abort_lag

    def newest(self, *, only_unfinished: bool = False) -> Iterator[Job]:
        """Give the jobs, newest first."""
        for job in reversed(self.jobs.values()):
            if not only_unfinished or job.state(self.now) in {"NOT_STARTED", "RUNNING"}:
                yield job

    def _activities(self, outputs: Sequence[WantedOutput]) -> Iterator[Activity]:
        clock = 0
        builds = [self._build(output) for output in outputs]
        for output, build in zip(outputs, builds, strict=True):
            end = clock + milliseconds(build.duration) if build.finishes else None
            yield Activity(f"compute_{output.id}_{output.partition or 'NP'}", build, clock, end)
            if end is None or build.outcome == "FAILED":
                return
            clock = end

    def _build(self, output: WantedOutput) -> Build:
        project = output.project_key or self.project
        build = self._builds.get((project, output.id))
        if build is None or output.type not in {None, build.type}:
            kind = (output.type or "DATASET").replace("_", " ").capitalize()
            raise UnknownError(f"{kind} {project}.{output.id} does not exist")
        return build

    def _id(self, name: str) -> str:
        """Give an identifier as DSS does: the name and the local time; in one millisecond the later one takes the next."""
        at = self.now
        while (made := f"{name}_{_stamp(at, self.timezone)}") in self.jobs:
            at += 1
        return made


def job_log(jobs: Jobs, job: Job, activity_name: str | None) -> str:
    """Give the lines written so far, of the whole job or of one activity."""
    names = [activity.name for activity in job.activities]
    if activity_name is not None and activity_name not in names:
        raise UnknownError(f"Job {job.project}.{job.id} has no activity {activity_name}")
    lines = [
        (at, text)
        for activity in job.activities
        if activity_name in {None, activity.name}
        for at, text in _lines(job, activity)
    ]
    end = job.due_end
    if activity_name is None and end is not None:
        lines.append((end, f"[INFO] [dku.jobs] - Job is done, state {job.state(end)}"))
    shown = ((at, text) for at, text in lines if at <= jobs.now and (end is None or at <= end))
    return "".join(f"[{_moment(at, jobs)}] {text}\n" for at, text in shown)


def _lines(job: Job, activity: Activity) -> Iterator[tuple[int, str]]:
    start, build = job.start + activity.start, activity.build
    yield start, f"[INFO] [dku.flow.activity] - [{activity.name}] starts"
    spacing = build.duration * 1000 / (len(build.log) + 1)
    for number, text in enumerate(build.log, start=1):
        yield start + round(spacing * number), f"[INFO] [dku.flow.activity] - [{activity.name}] {text}"
    if activity.end is None:
        return
    end = job.start + activity.end
    if build.error is not None:
        for text in (f"{build.error.clazz}: {build.error.message}", *build.error.stack.splitlines()):
            yield end, f"[ERROR] [dku.flow.activity] - [{activity.name}] {text}"
    level = "INFO" if build.outcome == "DONE" else "ERROR"
    yield end, f"[{level}] [dku.flow.activity] - [{activity.name}] is done, state {build.outcome}"


def read_definition(body: Mapping[str, Any]) -> JobDefinition:
    """Read a job definition."""
    try:
        return msgspec.convert(body, JobDefinition)
    except msgspec.ValidationError as error:
        raise BadRequestError(str(error)) from error


def _stamp(at: int, zone: Any) -> str:
    second, millisecond = divmod(at, 1000)
    return f"{datetime.fromtimestamp(second, tz=zone):%Y-%m-%dT%H-%M-%S}.{millisecond:03d}"


def _moment(at: int, jobs: Jobs) -> str:
    second, millisecond = divmod(at, 1000)
    return f"{datetime.fromtimestamp(second, tz=jobs.timezone):%Y/%m/%d-%H:%M:%S}.{millisecond:03d}"
