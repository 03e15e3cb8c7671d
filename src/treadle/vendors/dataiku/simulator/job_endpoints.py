"""What each job route does: a table of functions, and the JSON of their answers. No HTTP in here.

The official client reads `id` of a new job and `baseStatus.state` of its status; the documentation shows `def` and the state
of list items. The other fields are choices of the simulator.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final, get_args

from msgspec import UNSET, Struct, UnsetType, field

from treadle.vendors.dataiku.simulator import shapes
from treadle.vendors.dataiku.simulator.description import Privilege, Thrown
from treadle.vendors.dataiku.simulator.endpoints import Answer, Call
from treadle.vendors.dataiku.simulator.jobs import Activity, Job, Jobs, State, WantedOutput, job_log, read_definition
from treadle.vendors.dataiku.simulator.settings import read_object


class OutputBody(Struct, rename="camel"):
    """An output as a started job names it."""

    type: str
    target_dataset: str
    target_dataset_project_key: str
    target_partition: str


class DefinitionBody(Struct, rename="camel"):
    """What a job is to do: the answer to the request for it, and `def` elsewhere."""

    id: str
    project_key: str
    name: str
    initiator: str
    initiation_timestamp: int
    type: str
    outputs: list[OutputBody]
    refresh_hive_metastore: bool
    auto_update_schema_before_each_recipe_run: bool
    mail_notification: bool = False
    triggered_from: str = "API"


class ActivityBody(Struct, rename="camel"):
    """The building of one output."""

    state: str
    first_failure: Thrown | UnsetType = UNSET


class ItemBody(Struct, rename="camel", kw_only=True):
    """A job in a list."""

    definition: DefinitionBody = field(name="def")
    state: str
    stable_state: bool
    start_time: int
    end_time: int
    warnings_count: int = 0


class BaseStatus(ItemBody, rename="camel", kw_only=True):
    """How a job stands."""

    activities: dict[str, ActivityBody]


class GlobalState(Struct, rename="camel"):
    """How many of its activities stand how."""

    total: int
    not_started: int
    running: int
    done: int
    failed: int
    aborted: int


class StatusBody(Struct, rename="camel"):
    """The status of a job."""

    base_status: BaseStatus
    global_state: GlobalState


JobEndpoint = Callable[[Jobs, Call], Answer]


def list_jobs(jobs: Jobs, _: Call) -> Answer:
    """List the jobs, newest first."""
    return [item_body(jobs, job) for job in jobs.newest()]


def running_jobs(jobs: Jobs, _: Call) -> Answer:
    """List the jobs that are not over."""
    return [item_body(jobs, job) for job in jobs.newest(only_unfinished=True)]


def start_job(jobs: Jobs, call: Call) -> Answer:
    """Start a job; it is told what was asked for, before any of it is done."""
    return _definition_body(jobs.ask(read_definition(read_object(call.body)), f"API ({call.author})"))


def job_status(jobs: Jobs, call: Call) -> Answer:
    """Read how a job stands."""
    job = jobs.job(call.path["job"])
    states = {activity.name: job.activity_state(activity, jobs.now) for activity in job.activities}
    counts = Counter(states.values())
    base = BaseStatus(**_item(jobs, job), activities={
        activity.name: _activity_body(activity, states[activity.name]) for activity in job.activities
    })  # fmt: skip
    return StatusBody(base, GlobalState(len(states), *(counts[state] for state in get_args(State))))


def abort_job(jobs: Jobs, call: Call) -> Answer:
    """Abort a job; answers on acceptance, and the same when it is over."""
    job = jobs.job(call.path["job"])
    jobs.abort(job)
    return shapes.message(f"Abort of job {job.project}.{job.id} requested")


def read_log(jobs: Jobs, call: Call) -> Answer:
    """Read the log of a job, or of one of its activities."""
    return job_log(jobs, jobs.job(call.path["job"]), call.query.get("activity"))


# Method, path under /projects/{project}/jobs, the privilege it takes, what it does; the first path that matches is taken.
JOB_ROUTES: Final[tuple[tuple[str, str, Privilege, JobEndpoint], ...]] = (
    ("GET", "", "MONITOR_JOBS", list_jobs),
    ("POST", "", "RUN_JOBS", start_job),
    ("GET", "/running", "MONITOR_JOBS", running_jobs),
    ("GET", "/{job}", "MONITOR_JOBS", job_status),
    ("POST", "/{job}/abort", "RUN_JOBS", abort_job),
    ("GET", "/{job}/log", "MONITOR_JOBS", read_log),
)


def item_body(jobs: Jobs, job: Job) -> ItemBody:
    """Show a job in a list."""
    return ItemBody(**_item(jobs, job))


def _item(jobs: Jobs, job: Job) -> Mapping[str, Any]:
    state = job.state(jobs.now)
    start, end = job.times(jobs.now)
    return {
        "definition": _definition_body(job),
        "state": state,
        "stable_state": state not in {"NOT_STARTED", "RUNNING"},
        "start_time": start,
        "end_time": end,
    }


def _definition_body(job: Job) -> DefinitionBody:
    asked = job.definition
    return DefinitionBody(
        id=job.id,
        project_key=job.project,
        name=job.name,
        initiator=job.initiator,
        initiation_timestamp=job.asked,
        type=asked.type,
        outputs=[_output_body(job, output) for output in asked.outputs],
        refresh_hive_metastore=asked.refresh_hive_metastore,
        auto_update_schema_before_each_recipe_run=asked.auto_update_schema_before_each_recipe_run,
    )


def _output_body(job: Job, output: WantedOutput) -> OutputBody:
    return OutputBody(output.type or "DATASET", output.id, output.project_key or job.project, output.partition or "NP")


def _activity_body(activity: Activity, state: str) -> ActivityBody:
    error = activity.build.error
    return ActivityBody(state, first_failure=error if state == "FAILED" and error is not None else UNSET)
