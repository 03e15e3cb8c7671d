"""What a simulated DSS is made of: frozen descriptions of scenarios, builds, keys and switches.

These are the fields of the configuration file. Reading the file is in `config`; what happens over time is in `world`.
Durations are seconds.
"""

from __future__ import annotations

from datetime import timedelta, timezone
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from treadle.vendors.dataiku.simulator.faults import Fault
from treadle.vendors.dataiku.simulator.histories import DrawnHistory, Outcome, PastRun, Seconds

# One segment of a URL path.
Name = Annotated[str, Meta(pattern=r"^[^/\s]+$")]
# What becomes of a fire while a run is on: cancelled at once, kept until the run has ended, or cancelled after so many seconds.
Busy = Literal["now", "queue"] | Seconds
ScenarioType = Literal["step_based", "custom_python"]
OutputType = Literal["DATASET", "MANAGED_FOLDER", "SAVED_MODEL", "STREAMING_ENDPOINT", "KNOWLEDGE_BANK"]
Privilege = Literal["READ_CONF", "WRITE_CONF", "RUN_SCENARIOS", "RUN_JOBS", "MONITOR_JOBS"]


class ConfigInvalid(ValueError):
    """The description of a simulated DSS is refused; the message says where and why."""


class Thrown(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A serialised Java exception, with the names DSS gives its fields."""

    clazz: str = "java.lang.Exception"
    message: str
    stack: str = ""


class Step(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One step of a scenario. `error` and `job_id` show in the details of a run."""

    id: Name
    name: str = ""
    type: str = "build_flowitem"
    params: dict[str, Any] = msgspec.field(default_factory=dict)
    duration: Seconds = 2.0
    outcome: Literal["SUCCESS", "WARNING", "FAILED"] = "SUCCESS"
    error: Thrown | None = None
    # DSS reports the exception with the step or with the job that the step ran; clients have to look in both places.
    error_in: Literal["step", "job"] = "step"
    job_id: str | None = None
    # Lines that the log gains, spread evenly over the duration.
    log: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what could never show."""
        if self.error is not None and self.outcome != "FAILED":
            raise ValueError(f"step {self.id!r} has an error but its outcome is {self.outcome}")
        if self.error_in == "job" and self.job_id is None:
            raise ValueError(f"step {self.id!r} puts its error in a job but has no job_id")


class Scenario(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A scenario. What is None here is taken from the Simulation around it.

    Without `outcomes` the steps decide how a run ends: the first FAILED step ends it, and the worst outcome counts.
    `outcomes` says it run by run and starts over at its end. The steps then follow: a step keeps its own outcome only where
    the run's outcome allows it, and where no step explains the run's outcome, the last one takes it.
    """

    project: Name
    id: Name
    name: str = ""
    type: ScenarioType = "step_based"
    active: bool = True
    tags: tuple[str, ...] = ()
    marked_as_test: bool = False
    script: str | None = None
    steps: tuple[Step, ...] = ()
    run_time: Seconds | None = None
    outcomes: tuple[Outcome, ...] = ()
    starts: bool = True
    finishes: bool = True
    start_delay: Seconds | None = None
    abort_lag: Seconds | None = None
    busy: Busy | None = None
    last_modified_by: str = "admin"
    history: tuple[PastRun, ...] | DrawnHistory = ()

    @property
    def past_runs(self) -> tuple[PastRun, ...]:
        """The history, run by run."""
        return self.history.draw() if isinstance(self.history, DrawnHistory) else self.history

    @property
    def nominal_run_time(self) -> float:
        """How long a run takes that neither fails early nor is aborted."""
        if self.steps:
            return sum(step.duration for step in self.steps)
        return 5.0 if self.run_time is None else self.run_time

    def __post_init__(self) -> None:
        """Refuse contradictions, each with the name of the scenario."""
        where = f"scenario {self.id!r}"
        if self.steps and self.run_time is not None:
            raise ValueError(f"{where} has steps and run_time: the durations of its steps are its run time")
        if self.script is not None and self.type != "custom_python":
            raise ValueError(f"{where} has a script but is not of type custom_python")
        ids = [step.id for step in self.steps]
        if len(set(ids)) != len(ids):
            raise ValueError(f"{where} has two steps with one id")
        self._check_history(where)

    def _check_history(self, where: str) -> None:
        """One scenario has one run at a time, in the past too."""
        free_from = 0.0
        for past in sorted(self.past_runs, key=lambda past: past.ago):
            if past.ago - self.nominal_run_time < free_from:
                raise ValueError(
                    f"{where} has a past run {past.ago:g} s ago that would not have ended {free_from:g} s ago: "
                    f"a run takes {self.nominal_run_time:g} s"
                )
            free_from = past.ago


class Build(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a job does for one output: how long it takes, and how that ends. A job of several outputs builds one after the other."""

    project: Name
    output: Name
    type: OutputType = "DATASET"
    duration: Seconds = 3.0
    finishes: bool = True
    outcome: Literal["DONE", "FAILED"] = "DONE"
    error: Thrown | None = None
    # Lines that the log gains, spread evenly over the duration.
    log: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what could never show."""
        if self.error is not None and self.outcome != "FAILED":
            raise ValueError(f"build {self.output!r} has an error but its outcome is {self.outcome}")


class ApiKey(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An API key; without `projects` it opens all of them, without `privileges` it may do everything there."""

    key: Annotated[str, Meta(min_length=1)]
    id: str = "simulator"
    projects: tuple[Name, ...] | None = None
    privileges: tuple[Privilege, ...] = get_args(Privilege)


class Simulation(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A whole simulated DSS.

    `published_shapes` adds to the answers what the published OpenAPI description promises and a real DSS is not known to
    send: `id` in the answer to a run request, and `lastRun` in the light status. `id` is the id of the *fire*: the only one
    known at that moment. `lastRun` is the newest run as get-last-runs shows it, finished or not, and null before the first.
    """

    keys: tuple[ApiKey, ...]
    scenarios: tuple[Scenario, ...]
    builds: tuple[Build, ...] = ()
    faults: tuple[Fault, ...] = ()
    # Of everything that is drawn at random: the chances of faults, their jitter.
    seed: int = 0
    start_delay: Seconds = 3.0
    # From the request for a job to its start.
    job_delay: Seconds = 0.5
    abort_lag: Seconds = 0.5
    busy: Busy = "now"
    strict_list_slash: bool = True
    published_shapes: bool = False
    # Hours. DSS writes identifiers and logs in the local time of its server, and reads dates in it.
    utc_offset: Annotated[float, Meta(ge=-14, le=14)] = 0.0
    dss_version: str = "14.3.0"
    dss_api_version: str = "1"

    @property
    def timezone(self) -> timezone:
        """The local time of the server."""
        return timezone(timedelta(hours=self.utc_offset))

    def __post_init__(self) -> None:
        """Refuse two things of one name."""
        seen: set[tuple[str, str]] = set()
        for scenario in self.scenarios:
            if (scenario.project, scenario.id) in seen:
                raise ValueError(f"two scenarios are called {scenario.id!r} in project {scenario.project!r}")
            seen.add((scenario.project, scenario.id))
        outputs: set[tuple[str, str]] = set()
        for build in self.builds:
            if (build.project, build.output) in outputs:
                raise ValueError(f"two builds are of {build.output!r} in project {build.project!r}")
            outputs.add((build.project, build.output))
        keys = [key.key for key in self.keys]
        if len(set(keys)) != len(keys):
            raise ValueError("two entries of keys have the same key")
