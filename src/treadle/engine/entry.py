"""The inputs of a run, for the workflow that is run and for those that have to be completed before it."""

from collections.abc import Mapping
from typing import Any

from treadle.engine.inputs import validated
from treadle.engine.program import Program


def entry_inputs(program: Program, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Give the inputs with defaults filled in, and a warning for each that nothing takes.

    Workflows that the first one depends on take theirs from it by name, so they are checked too, before anything runs.

    Raises:
        InputsInvalid: they do not fit.
    """
    entry = program.entry
    inputs, unknown = validated(entry.inputs, dict(given), entry.workflow_id)
    taken: set[str] = set()
    todo = [(call, inputs) for call in entry.depends_on]
    seen: set[int] = set()
    while todo:
        call, outer = todo.pop()
        if call.workflow in seen:
            continue
        seen.add(call.workflow)
        workflow = program.workflows[call.workflow]
        inner, _ = validated(
            workflow.inputs, {name: outer[name] for name in call.inherited if name in outer}, workflow.workflow_id
        )
        taken |= set(call.inherited)
        todo += [(needed, inner) for needed in workflow.depends_on]
    return inputs, [message for message in unknown if not any(f"'{name}'" in message for name in taken)]
