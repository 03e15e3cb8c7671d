"""Settings of scenarios as clients write them: read, checked, and turned into descriptions. Pure.

What the simulator knows (name, type, active, tags, markedAsTest, steps) changes how the scenario runs from its next run on.
The rest is kept and given back as it came.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType

from treadle.vendors.dataiku.simulator.description import Scenario, ScenarioType, Step
from treadle.vendors.dataiku.simulator.errors import BadRequestError

_T = TypeVar("_T")

# What the light status may change; its other fields are not written (the official client says so of its set_definition).
LIGHT_FIELDS: Final = frozenset({"active", "checklists", "description", "shortDesc", "tags"})
# What the simulator makes itself; a client sends it back, and that changes nothing.
_OWN_FIELDS: Final = frozenset({
    "id", "projectKey", "name", "type", "active", "tags", "markedAsTest", "params", "versionTag", "running", "nextRun",
    "start", "lastRun",
})  # fmt: skip


class _SentStep(Struct):
    type: str
    id: str | UnsetType = UNSET
    name: str = ""
    params: dict[str, Any] = {}


class _SentParams(Struct):
    steps: tuple[_SentStep, ...] | UnsetType = UNSET


class _Sent(Struct, rename="camel"):
    """The fields that the simulator knows; where one is left out, it stays as it is."""

    name: str | UnsetType = UNSET
    type: ScenarioType | UnsetType = UNSET
    active: bool | UnsetType = UNSET
    tags: tuple[str, ...] | UnsetType = UNSET
    marked_as_test: bool | UnsetType = UNSET
    params: _SentParams | UnsetType = UNSET


class _New(_Sent, kw_only=True):
    """The settings of a new scenario have to say its name and type."""

    name: str
    type: ScenarioType


class Payload(Struct):
    """A script as it is written."""

    script: str
    extension: str = "py"


@dataclass(slots=True)
class Saved:
    """What has been saved of a scenario besides what its description has."""

    script: str | None
    modified_by: str
    modified_at: int
    version: int = 1
    rest: dict[str, Any] = field(default_factory=dict)


def read_object(body: bytes) -> dict[str, Any]:
    """Read a JSON object, whatever its Content-Type says; the client names none."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequestError(f"The body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadRequestError("The body has to be a JSON object")
    return value


def read_payload(body: bytes) -> Payload:
    """Read a script to save."""
    return _convert(read_object(body), Payload)


def created(project: str, sent: Mapping[str, Any], taken: Collection[str], author: str) -> Scenario:
    """Describe a new scenario. Its id comes from its name, with a number where there is one of that id."""
    new = _convert(sent, _New)
    base = re.sub(r"[^A-Z0-9]+", "_", new.name.upper()).strip("_") or "SCENARIO"
    names = (base, *(f"{base}_{number}" for number in range(1, len(taken) + 1)))
    scenario_id = next(name for name in names if name not in taken)
    bare = Scenario(project=project, id=scenario_id, name=new.name, type=new.type, last_modified_by=author)
    return _changed(bare, new)


def changed(scenario: Scenario, sent: Mapping[str, Any]) -> Scenario:
    """Describe a scenario as its new settings have it. A step that was there under the same id keeps how it runs."""
    return _changed(scenario, _convert(sent, _Sent))


def rest(sent: Mapping[str, Any]) -> dict[str, Any]:
    """Give what the simulator keeps without knowing it."""
    return {name: value for name, value in sent.items() if name not in _OWN_FIELDS}


def _changed(scenario: Scenario, sent: _Sent) -> Scenario:
    if sent.type not in {UNSET, scenario.type}:
        raise BadRequestError(f"The type of scenario {scenario.id} is {scenario.type} and cannot change")
    # The past has happened: it is no part of what is to come.
    changes: dict[str, Any] = {"history": ()}
    changes |= {
        name: value
        for name in ("name", "active", "tags", "marked_as_test")
        if (value := getattr(sent, name)) is not UNSET
    }
    if isinstance(sent.params, _SentParams) and sent.params.steps is not UNSET and scenario.type == "step_based":
        steps = _steps(scenario, sent.params.steps)
        changes |= {"steps": steps, "run_time": None if steps else scenario.run_time}
    return msgspec.structs.replace(scenario, **changes)


def _steps(scenario: Scenario, sent: tuple[_SentStep, ...]) -> tuple[Step, ...]:
    """Describe steps. One without an id of its own, or with one that is taken, gets one."""
    known = {step.id: step for step in scenario.steps}
    steps: dict[str, Step] = {}
    for number, step in enumerate(sent, start=1):
        names = (f"step_{later}" for later in range(number, number + len(sent) + 1))
        step_id = next(names) if step.id is UNSET else step.id
        while step_id in steps:
            step_id = next(names)
        kept = known.get(step_id, Step(id=step_id))
        steps[step_id] = msgspec.structs.replace(kept, type=step.type, name=step.name, params=step.params)
    return tuple(steps.values())


def _convert(value: Any, into: type[_T]) -> _T:
    try:
        return msgspec.convert(value, into)
    except msgspec.ValidationError as error:
        raise BadRequestError(str(error)) from error
