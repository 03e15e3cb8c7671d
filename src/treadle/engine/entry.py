"""The inputs of a run, for the workflow that is run and for those that have to be completed before it."""

from collections.abc import Iterator, Mapping
from typing import Any

from treadle.engine.inputs import required, validated
from treadle.engine.program import Program, WorkflowCall
from treadle.errors import InputsInvalid


def entry_inputs(program: Program, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Give the inputs with defaults filled in, and a warning for each that nothing takes.

    Workflows that the first one depends on take theirs from it by name, so they are checked too, before anything runs.

    Raises:
        InputsInvalid: they do not fit.
    """
    entry = program.entry
    taken: frozenset[str] = frozenset()
    if entry.depends_on:
        taken = frozenset(name for call in _needed(program) for name in call.inherited)
    try:
        inputs, unknown = validated(entry.inputs, given, entry.workflow_id, taken)
    except InputsInvalid as error:
        secret = lacking(program, given)
        if secret and len(error.problems) == len(secret):
            named = " ".join(f"-i {name}=env:VARIABLE" for name in secret)
            error.hint = f"give it as {named}; in place of env:VARIABLE also keyring:SERVICE/USER or @FILE"
        raise
    todo = [(call, inputs) for call in entry.depends_on]
    seen: set[int] = set()
    while todo:
        call, outer = todo.pop()
        if call.workflow in seen:
            continue
        seen.add(call.workflow)
        workflow = program.workflows[call.workflow]
        own = {name: outer[name] for name in call.inherited if name in outer}
        inner, _ = validated(workflow.inputs, own, workflow.workflow_id)
        todo += [(other, inner) for other in workflow.depends_on]
    return inputs, unknown


def lacking(program: Program, given: Mapping[str, Any]) -> list[str]:
    """Give the secret inputs that have to be given and are not."""
    entry = program.entry
    wanted = required(entry.inputs) if entry.inputs is not None else []
    return [name for name in wanted if name in entry.secrets and name not in given]


def _needed(program: Program) -> Iterator[WorkflowCall]:
    """Give every dependency of the workflow that is run, and theirs."""
    todo = list(program.entry.depends_on)
    seen: set[int] = set()
    while todo:
        call = todo.pop()
        yield call
        if call.workflow not in seen:
            seen.add(call.workflow)
            todo += program.workflows[call.workflow].depends_on
