"""The JSON of the answers, field by field as the official Python client reads it. UNSET is a field that is left out.

`null`, absent and 0 are not the same to clients: `result` is absent while a run is on, `end` is 0. While a step is on, its
`result` is absent too; that is taken over from runs, no evidence says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from treadle.vendors.dataiku.simulator.description import ApiKey, Step, Thrown
from treadle.vendors.dataiku.simulator.settings import LIGHT_FIELDS
from treadle.vendors.dataiku.simulator.world import Fire, LiveScenario, Run, StepRun


class TriggerBody(Struct, rename="camel"):
    """The trigger of a fire."""

    id: str
    name: str
    type: str
    active: bool
    delay: int
    params: Mapping[str, Any]


class FireBody(Struct, rename="camel"):
    """The answer to a run request: `runId` is the id of this fire, not of a run. `id` only with published_shapes."""

    project_key: str
    scenario_id: str
    run_id: str
    timestamp: int
    trigger: TriggerBody
    params: Mapping[str, Any]
    cancelled: bool
    id: str | UnsetType = UNSET


class ScenarioReference(Struct, rename="camel"):
    """The scenario of a run."""

    project_key: str
    id: str
    type: str
    name: str
    marked_as_test: bool


class TriggerReference(Struct, rename="camel"):
    """Which trigger it was."""

    id: str
    type: str


class RunTrigger(Struct, rename="camel"):
    """What a run came of: `runId` is the id of the fire, `params` what was posted with the run request."""

    trigger: TriggerReference
    run_id: str
    scenario_id: str
    params: Mapping[str, Any]


class RunResult(Struct, rename="camel"):
    """How a run ended."""

    outcome: str
    type: str = "SCENARIO_DONE"


class RunBody(Struct, rename="camel"):
    """A run, as it stands in lists and in its details."""

    run_id: str
    start: int
    end: int
    scenario: ScenarioReference
    trigger: RunTrigger
    variables: Mapping[str, Any]
    result: RunResult | UnsetType = UNSET


class ScenarioRunBody(Struct, rename="camel"):
    """The answer of get-run-for-trigger: an empty object until there is a run."""

    scenario_run: RunBody | UnsetType = UNSET


class StepBody(Struct, rename="camel"):
    """A step as it was set up."""

    id: str
    name: str
    type: str
    params: Mapping[str, Any]


class StepResult(Struct, rename="camel"):
    """How a step ended."""

    outcome: str
    thrown: Thrown | UnsetType = UNSET


class ReportItem(Struct, rename="camel"):
    """A job that a step ran."""

    job_id: str
    outcome: str
    type: str = "JOB_EXECUTED"
    thrown: Thrown | UnsetType = UNSET


class StepRunBody(Struct, rename="camel"):
    """A step of a run; `runId` is the id of this step run."""

    run_id: str
    step: StepBody
    start: int
    end: int
    additional_report_items: list[ReportItem]
    result: StepResult | UnsetType = UNSET


class DetailsBody(Struct, rename="camel"):
    """A run with the steps that it has reached."""

    scenario_run: RunBody
    step_runs: list[StepRunBody]


class LightBody(Struct, rename="camel"):
    """The light status. `start` only while a run is on, `lastRun` only with published_shapes."""

    id: str
    project_key: str
    name: str
    type: str
    active: bool
    running: bool
    next_run: int = 0
    start: int | UnsetType = UNSET
    last_run: RunBody | UnsetType | None = UNSET
    tags: tuple[str, ...] | UnsetType = UNSET


class ListItem(Struct, rename="camel"):
    """A scenario in the list of a project; `start` is 0 when it is not running."""

    id: str
    project_key: str
    name: str
    type: str
    active: bool
    running: bool
    start: int
    tags: tuple[str, ...]
    marked_as_test: bool


class Modifier(Struct, rename="camel"):
    """A user."""

    login: str


class VersionTag(Struct, rename="camel"):
    """Who saved the settings last; the client takes from it whom the scenario runs as."""

    last_modified_by: Modifier
    last_modified_on: int
    version_number: int


class StepBasedParams(Struct, rename="camel"):
    """The settings of a step-based scenario in particular."""

    steps: list[StepBody]


class NoParams(Struct):
    """The settings of a Python scenario in particular: none, its script is the payload."""


class Message(Struct):
    """What is answered where there is nothing to tell but that it is done; the official client wants JSON."""

    msg: str


class CreatedBody(Struct):
    """The answer to a new scenario."""

    id: str


class SettingsBody(Struct, rename="camel"):
    """The settings of a scenario, as far as the simulator knows them."""

    id: str
    project_key: str
    name: str
    type: str
    active: bool
    tags: tuple[str, ...]
    marked_as_test: bool
    params: StepBasedParams | NoParams
    version_tag: VersionTag


class PayloadBody(Struct, rename="camel"):
    """The script of a Python scenario; without `script` for a step-based one."""

    extension: str = "py"
    script: str | UnsetType = UNSET


class ProjectItem(Struct, rename="camel"):
    """A project in the list of them."""

    project_key: str
    name: str


class AuthInfoBody(Struct, rename="camel"):
    """Who asks: the id of the API key."""

    auth_identifier: str
    groups: tuple[str, ...] = ()


def fire_body(live: LiveScenario, fire: Fire, *, published: bool) -> FireBody:
    """Show a fire."""
    return FireBody(
        project_key=live.description.project,
        scenario_id=live.description.id,
        run_id=fire.id,
        timestamp=fire.at,
        trigger=TriggerBody(
            fire.trigger, fire.trigger, fire.trigger, active=True, delay=round(live.start_delay), params={}
        ),
        params=fire.params,
        cancelled=fire.cancelled,
        id=fire.id if published else UNSET,
    )


def run_body(live: LiveScenario, run: Run) -> RunBody:
    """Show a run."""
    scenario = live.description
    return RunBody(
        run_id=run.id,
        start=run.start,
        end=run.end or 0,
        scenario=ScenarioReference(
            scenario.project, scenario.id, scenario.type, _name(live), marked_as_test=scenario.marked_as_test
        ),
        trigger=RunTrigger(
            TriggerReference(run.fire.trigger, run.fire.trigger), run.fire.id, scenario.id, params=run.fire.params
        ),
        variables={},
        result=UNSET if run.outcome is None else RunResult(run.outcome),
    )


def run_for_fire_body(live: LiveScenario, run: Run | None) -> ScenarioRunBody:
    """Show the run of a fire, or that there is none yet."""
    return ScenarioRunBody() if run is None else ScenarioRunBody(run_body(live, run))


def details_body(live: LiveScenario, run: Run) -> DetailsBody:
    """Show a run and its steps."""
    return DetailsBody(run_body(live, run), [_step_run_body(step) for step in run.steps(live.now)])


def light_body(live: LiveScenario, *, published: bool) -> dict[str, Any]:
    """Show the light status, with those of the fields it may change that have been set."""
    scenario, current = live.description, live.current
    last_run: RunBody | UnsetType | None = UNSET
    if published:
        newest = next(live.newest_runs(), None)
        last_run = None if newest is None else run_body(live, newest)
    known = LightBody(
        id=scenario.id,
        project_key=scenario.project,
        name=_name(live),
        type=scenario.type,
        active=scenario.active,
        running=current is not None,
        start=UNSET if current is None else current.start,
        last_run=last_run,
        tags=scenario.tags or UNSET,
    )
    also = {name: value for name, value in live.saved.rest.items() if name in LIGHT_FIELDS}
    return {**also, **msgspec.to_builtins(known)}


def list_item(live: LiveScenario) -> ListItem:
    """Show a scenario in a list."""
    scenario, current = live.description, live.current
    return ListItem(
        id=scenario.id,
        project_key=scenario.project,
        name=_name(live),
        type=scenario.type,
        active=scenario.active,
        running=current is not None,
        start=0 if current is None else current.start,
        tags=scenario.tags,
        marked_as_test=scenario.marked_as_test,
    )


def settings_body(live: LiveScenario) -> dict[str, Any]:
    """Show the settings, with what was saved besides. The steps of a Python scenario are calls in its script, no settings."""
    scenario, saved = live.description, live.saved
    step_based = scenario.type == "step_based"
    known = SettingsBody(
        id=scenario.id,
        project_key=scenario.project,
        name=_name(live),
        type=scenario.type,
        active=scenario.active,
        tags=scenario.tags,
        marked_as_test=scenario.marked_as_test,
        params=StepBasedParams([_step_body(step) for step in scenario.steps]) if step_based else NoParams(),
        version_tag=VersionTag(Modifier(saved.modified_by), saved.modified_at, saved.version),
    )
    return {"triggers": [], "reporters": [], **saved.rest, **msgspec.to_builtins(known)}


def payload_body(live: LiveScenario) -> PayloadBody:
    """Show the script."""
    script = live.saved.script
    if script is None and live.description.type == "custom_python":
        script = ""
    return PayloadBody(script=UNSET if script is None else script)


def message(text: str) -> Message:
    """Say that something is done."""
    return Message(text)


def auth_info_body(key: ApiKey) -> AuthInfoBody:
    """Show who asks."""
    return AuthInfoBody(key.id)


def project_item(project: str) -> ProjectItem:
    """Show a project in the list of them."""
    return ProjectItem(project, project)


def _name(live: LiveScenario) -> str:
    return live.description.name or live.description.id


def _step_body(step: Step) -> StepBody:
    return StepBody(step.id, step.name or step.id, step.type, step.params)


def _step_run_body(run: StepRun) -> StepRunBody:
    step = run.planned.step
    failed = run.outcome == "FAILED" and step.error is not None
    thrown = step.error if failed and step.error is not None else UNSET
    items = []
    # The job of a step is reported once it is over; while the step is on, its outcome is not known.
    if step.job_id is not None and run.outcome is not None:
        items.append(ReportItem(step.job_id, run.outcome, thrown=thrown if step.error_in == "job" else UNSET))
    result: StepResult | UnsetType = UNSET
    if run.outcome is not None:
        result = StepResult(run.outcome, thrown=thrown if step.error_in == "step" else UNSET)
    return StepRunBody(run.id, _step_body(step), run.start, run.end or 0, items, result)
