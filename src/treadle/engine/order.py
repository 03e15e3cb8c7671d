"""The order in which the steps of a workflow are executed (section "Step Dependencies and Execution Order").

It is the document's order, unless a step depends on a later one and says so with `dependsOn`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from treadle.document import model

_STEP_OUTPUT = re.compile(r"\$steps\.([A-Za-z0-9_-]+)\.")


def ordered(workflow: model.Workflow) -> tuple[model.Step, ...] | None:
    """Give the steps in their order, or None where their `dependsOn` go in a circle.

    Where there is a `dependsOn`, outputs that an earlier step takes from a later one count as dependencies too, as far
    as they can be satisfied.
    """
    declared = {step.step_id: {name for name in step.depends_on if name in _ids(workflow)} for step in workflow.steps}
    if not any(declared.values()):
        return workflow.steps
    implied = {step.step_id: declared[step.step_id] | set(_outputs_taken(step, workflow)) for step in workflow.steps}
    return _sorted(workflow.steps, implied) or _sorted(workflow.steps, declared)


def _ids(workflow: model.Workflow) -> set[str]:
    return {step.step_id for step in workflow.steps}


def _sorted(steps: tuple[model.Step, ...], needs: Mapping[str, set[str]]) -> tuple[model.Step, ...] | None:
    """Take again and again the first step in the document's order whose needs are met."""
    left = list(steps)
    done: set[str] = set()
    found: list[model.Step] = []
    while left:
        step = next((step for step in left if needs[step.step_id] <= done), None)
        if step is None:
            return None
        left.remove(step)
        done.add(step.step_id)
        found.append(step)
    return tuple(found)


def _outputs_taken(step: model.Step, workflow: model.Workflow) -> Iterator[str]:
    known = _ids(workflow) - {step.step_id}
    for text in _texts(step):
        yield from (name for name in _STEP_OUTPUT.findall(text) if name in known)


def _texts(value: Any) -> Iterator[str]:
    todo = [value]
    while todo:
        value = todo.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            todo += value.values()
        elif isinstance(value, list | tuple):
            todo += value
        elif isinstance(value, Struct):
            todo += [getattr(value, field) for field in value.__struct_fields__]
