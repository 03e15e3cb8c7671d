"""The whole of a simulated DSS at one look, as the page shows it: scenarios with their runs, jobs, faults, requests."""

from __future__ import annotations

from itertools import islice
from typing import Final, Literal

from msgspec import Struct

from treadle.vendors.dataiku.simulator.instance import Instance, RecordedRequest
from treadle.vendors.dataiku.simulator.jobs import Job, Jobs
from treadle.vendors.dataiku.simulator.keys import key_in
from treadle.vendors.dataiku.simulator.world import Fire, LiveScenario, Run, StepRun

# As many past runs, jobs and requests as a page can show.
_SHOWN_RUNS: Final = 20
_SHOWN_JOBS: Final = 10
_SHOWN_REQUESTS: Final = 14
# The log may hold more than an answer should.
_ANSWERED_REQUESTS: Final = 10_000


class StepView(Struct, rename="camel"):
    """A step of a run: its outcome, RUNNING or LATER; `share` is how much of it is done, 0 where nobody can tell."""

    name: str
    state: str
    share: float


class RunView(Struct, rename="camel"):
    """A run; `end` is 0 and `outcome` empty while it is on, `due` 0 where it never ends by itself. Epoch milliseconds."""

    run_id: str
    trigger: str
    start: int
    end: int
    due: int
    outcome: str
    steps: list[StepView]


class FireView(Struct, rename="camel"):
    """A request for a run: whose key it carried, and what came of it; `cancelled_at` is 0 and `run_id` empty where that is not so."""

    fire_id: str
    trigger: str
    key_id: str
    at: int
    cancelled_at: int
    run_id: str


class ScenarioView(Struct, rename="camel"):
    """A scenario: what it does now, its last runs and its last fires, newest first."""

    project: str
    id: str
    name: str
    type: str
    active: bool
    state: Literal["idle", "queued", "running", "aborting"]
    average_duration: float | None
    cancelled_fires: int
    runs: list[RunView]
    fires: list[FireView]


class JobView(Struct, rename="camel"):
    """A job; `share` is how much of it is done."""

    project: str
    id: str
    state: str
    start: int
    end: int
    share: float


class FaultView(Struct, rename="camel"):
    """A fault as the command line takes it, how many requests matched it, how often it happened."""

    fault: str
    seen: int
    happened: int


class RequestView(Struct, rename="camel"):
    """A request of the log; whose key it carried stands in place of the key."""

    number: int
    at: float
    method: str
    path: str
    status: int | None
    faults: tuple[str, ...]
    key_id: str | None


class Overview(Struct, rename="camel"):
    """Everything. `now` is epoch seconds, `elapsed` seconds since the start or the last reset, `requests` how many there were."""

    now: float
    elapsed: float
    dss_version: str
    scenarios: list[ScenarioView]
    jobs: list[JobView]
    faults: list[FaultView]
    requests: int
    last_requests: list[RequestView]


def overview(instance: Instance) -> Overview:
    """Look at everything as it is now."""
    world, now = instance.world, instance.clock.now()
    projects = world.projects()
    scenarios = [_scenario(live) for project in projects for live in world.scenarios(project, now)]
    jobs = [view for project in projects for view in _jobs(world.jobs(project, now))]
    newest = list(islice(reversed(instance.requests), _SHOWN_REQUESTS))
    return Overview(
        now=now,
        elapsed=now - instance.started,
        dss_version=instance.simulation.dss_version,
        scenarios=scenarios,
        jobs=jobs[:_SHOWN_JOBS],
        faults=faults_seen(instance),
        requests=newest[0].number if newest else 0,
        last_requests=[_request(instance, request) for request in newest],
    )


def faults_seen(instance: Instance) -> list[FaultView]:
    """List the faults."""
    return [FaultView(str(rule.fault), rule.seen, rule.happened) for rule in instance.faults.rules]


def requests_seen(instance: Instance, after: int) -> list[RequestView]:
    """List the requests of the log after a number, oldest first, ten thousand at most."""
    wanted = (request for request in instance.requests if request.number > after)
    return [_request(instance, request) for request in islice(wanted, _ANSWERED_REQUESTS)]


def _scenario(live: LiveScenario) -> ScenarioView:
    scenario = live.description
    state: Literal["idle", "queued", "running", "aborting"] = "idle"
    if live.current is not None:
        state = "running" if live.current.abort_due is None else "aborting"
    elif live.pending is not None:
        state = "queued"
    ended = [run for run in islice(live.newest_runs(only_finished=True), 3) if run.end is not None]
    average = sum((run.end or 0) - run.start for run in ended) / len(ended) / 1000 if ended else None
    return ScenarioView(
        project=scenario.project,
        id=scenario.id,
        name=scenario.name or scenario.id,
        type=scenario.type,
        active=scenario.active,
        state=state,
        average_duration=average,
        cancelled_fires=sum(fire.cancelled for fire in live.fires.values()),
        runs=[_run(live, run) for run in islice(live.newest_runs(), _SHOWN_RUNS)],
        fires=[_fire(fire) for fire in islice(reversed(live.fires.values()), _SHOWN_RUNS)],
    )


def _fire(fire: Fire) -> FireView:
    run_id = "" if fire.run is None else fire.run.id
    return FireView(fire.id, fire.trigger, fire.author, fire.at, fire.cancelled_at or 0, run_id)


def _run(live: LiveScenario, run: Run) -> RunView:
    steps = [_step(step, live.now) for step in run.steps(live.now)]
    begun = len(steps)
    if run.end is None:
        steps += [StepView(later.step.name or later.step.id, "LATER", 0.0) for later in run.plan.steps[begun:]]
    if not run.plan.steps:
        share = 1.0 if run.end is not None else _share(live.now - run.start, run.plan.duration)
        steps = [
            StepView("Script" if live.description.type == "custom_python" else "", run.outcome or "RUNNING", share)
        ]
    return RunView(run.id, run.fire.trigger, run.start, run.end or 0, run.due_end or 0, run.outcome or "", steps)


def _step(run: StepRun, now: int) -> StepView:
    name = run.planned.step.name or run.planned.step.id
    if run.outcome is not None:
        return StepView(name, run.outcome, 1.0)
    length = None if run.planned.end is None else run.planned.end - run.planned.start
    return StepView(name, "RUNNING", _share(now - run.start, length))


def _share(done: int, length: int | None) -> float:
    return min(done / length, 1.0) if length else 0.0


def _jobs(jobs: Jobs) -> list[JobView]:
    return [_job(jobs, job) for job in islice(jobs.newest(), _SHOWN_JOBS)]


def _job(jobs: Jobs, job: Job) -> JobView:
    start, end = job.times(jobs.now)
    length = None if job.due_end is None else job.due_end - job.start
    share = 1.0 if end else (_share(jobs.now - start, length) if start else 0.0)
    return JobView(job.project, job.id, job.state(jobs.now), start, end, share)


def _request(instance: Instance, request: RecordedRequest) -> RequestView:
    """Show a request without its key."""
    key = instance.keyring.find(key_in(request.headers.get("Authorization", "")))
    return RequestView(
        request.number, request.at, request.method, request.path, request.status, request.faults,
        None if key is None else key.id,
    )  # fmt: skip
