"""What one run is going to do, decided when it starts: which steps, for how long, with what outcome. Pure.

Times are milliseconds from the start of the run. That a run may be aborted on its way is the business of `world`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from treadle.vendors.dataiku.simulator.description import Scenario, Step
from treadle.vendors.dataiku.simulator.histories import Outcome

_SEVERITY: Final[tuple[Outcome, ...]] = ("SUCCESS", "WARNING", "FAILED", "ABORTED")
# Which outcomes of its own a step keeps in a run that is to end so.
_KEPT: Final[dict[Outcome, tuple[Outcome, ...]]] = {
    "SUCCESS": ("SUCCESS",),
    "WARNING": ("SUCCESS", "WARNING"),
    "FAILED": ("SUCCESS", "WARNING", "FAILED"),
    "ABORTED": ("SUCCESS", "WARNING"),
}


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step that this run reaches; `end` is None when it never ends."""

    step: Step
    start: int
    end: int | None
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Plan:
    """A run as it goes if nobody aborts it; `duration` is None when it never ends."""

    steps: tuple[PlannedStep, ...]
    duration: int | None
    outcome: Outcome


def milliseconds(seconds: float) -> int:
    """Convert once, at the border: inside, time is whole milliseconds, as in the answers of DSS."""
    return round(seconds * 1000)


def plan(scenario: Scenario, wanted: Outcome | None, *, finishes: bool) -> Plan:
    """Plan a run that is to end with `wanted`, or as its steps decide when that is None."""
    outcomes = _step_outcomes(scenario.steps, wanted)
    steps: list[PlannedStep] = []
    clock = 0
    for step, outcome in zip(scenario.steps, outcomes, strict=True):
        end = clock + milliseconds(step.duration)
        steps.append(PlannedStep(step, clock, end, outcome))
        clock = end
        if outcome == "FAILED":
            # DSS runs a step only if no earlier one failed, unless its settings say otherwise; those are not simulated.
            break
    if not scenario.steps:
        clock = milliseconds(scenario.nominal_run_time)
    worst: Outcome = max(outcomes, key=_SEVERITY.index, default="SUCCESS")
    if finishes:
        return Plan(tuple(steps), clock, wanted or worst)
    if steps:
        last = steps[-1]
        steps[-1] = PlannedStep(last.step, last.start, None, last.outcome)
    return Plan(tuple(steps), None, wanted or worst)


def _step_outcomes(steps: tuple[Step, ...], wanted: Outcome | None) -> list[Outcome]:
    """Bring the outcomes of the steps in line with the outcome that the run is to have."""
    own: list[Outcome] = [step.outcome for step in steps]
    if wanted is None or not own:
        return own
    kept: list[Outcome] = [outcome if outcome in _KEPT[wanted] else "SUCCESS" for outcome in own]
    if wanted not in kept:
        kept[-1] = wanted
    return kept
