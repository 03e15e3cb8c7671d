"""What a workflow can name: inputs, steps, their outputs, other workflows; and whether expressions name it, early enough."""

import copy
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from heapq import nsmallest
from typing import Any, NamedTuple

from treadle.diagnostics import Severity
from treadle.document import model
from treadle.expressions.dialect import Names
from treadle.expressions.syntax import (
    Expression,
    InputReference,
    Navigation,
    Reference,
    StepReference,
    WorkflowReference,
)

MOST_COMPARED = 200
"""Among how many names a near one is looked for; the comparison is slow, and a document may be large and full of slips."""


class Problem(NamedTuple):
    """An expression that names what is not there; `start` and `end` are its offsets in its text (characters)."""

    rule: str
    severity: Severity
    message: str
    start: int
    end: int
    hint: str | None


class Signature(NamedTuple):
    """What a workflow takes and gives; None where that is not known."""

    inputs: frozenset[str] | None = None
    outputs: frozenset[str] | None = None


class Reach:
    """The workflows that `$workflows` reaches.

    Attributes:
        signatures: by workflowId.
        names: what is known of them, as the readers of expressions need it.
    """

    __slots__ = ("names", "signatures")

    def __init__(self, signatures: Mapping[str, Signature]) -> None:
        self.signatures = signatures
        fields = {(flow, "inputs"): it.inputs for flow, it in signatures.items()}
        fields |= {(flow, "outputs"): it.outputs for flow, it in signatures.items()}
        self.names = {key: names for key, names in fields.items() if names is not None}


class Declared:
    """The names that the expressions of one workflow can use.

    Args:
        workflow: the workflow.
        steps: its steps in the order in which they are executed.
        inputs: its inputs with their schemas, or None where it declares none.
        closed: it takes no others.
        outputs: for steps that call a workflow, what that gives; None where it is not known.
        reach: the workflows that `$workflows` reaches.

    Attributes:
        index: the number of each step, by its id.
        names: the names as the readers of expressions need them.
    """

    def __init__(
        self,
        workflow: model.Workflow,
        steps: tuple[model.Step, ...],
        inputs: dict[str, Any] | None,
        outputs: Mapping[str, frozenset[str] | None],
        reach: Reach,
        *,
        closed: bool,
    ) -> None:
        self.workflow = workflow
        self.steps = steps
        self.inputs = inputs
        self.closed = closed
        self.workflows = reach.signatures
        self.index = {step.step_id: number for number, step in enumerate(steps)}
        known = {step.step_id: _outputs(step, outputs) for step in steps}
        taken = frozenset(inputs) if inputs is not None else None
        self.names = Names(
            taken,
            {step_id: given for step_id, given in known.items() if given is not None},
            reach.names,
            _given(workflow, outputs),
        )

    def knowing(self, *inputs: str) -> "Declared":
        """Give the same names and further inputs."""
        other = copy.copy(self)
        if self.inputs is not None:
            other.inputs = {**self.inputs, **{key: {} for key in inputs}}
            other.names = self.names._replace(inputs=frozenset(other.inputs))
        return other

    def problems(self, expressions: Iterable[Expression], number: int) -> Iterator[Problem]:
        """Find what expressions name that is not declared, or only after the step with that number."""
        for expression in expressions:
            reference = expression.base if isinstance(expression, Navigation) else expression
            for rule, severity, message, hint in self._found(reference, number):
                yield Problem(rule, severity, message, reference.start, reference.end, hint)

    def _found(self, reference: Reference, number: int) -> Iterator[tuple[str, Severity, str, str | None]]:
        match reference:
            case StepReference():
                yield from self._step_problems(reference, number)
            case WorkflowReference():
                yield from self._workflow_problems(reference)
            case InputReference() if self.inputs and reference.name not in self.inputs:
                message = f"the workflow declares no input '{reference.name}'"
                severity = Severity.ERROR if self.closed else Severity.WARNING  # else somebody may give it all the same
                yield "unknown-input", severity, message, near(reference.name, self.inputs)

    def _step_problems(self, reference: StepReference, number: int) -> Iterator[tuple[str, Severity, str, str | None]]:
        index = self.index.get(reference.step_id)
        declared = self.names.steps.get(reference.step_id)
        if index is None:
            message = f"there is no step '{reference.step_id}'"
            yield "unknown-step", Severity.ERROR, message, near(reference.step_id, self.index)
        elif declared is not None and reference.name not in declared:
            message = f"step '{reference.step_id}' has no output '{reference.name}'"
            yield "unknown-output", Severity.ERROR, message, near(reference.name, declared)
        elif index >= number and not self._comes_back(index, number):
            message = f"step '{reference.step_id}' comes later, so its outputs are not there yet"
            hint = "put the step that gives the value before the one that takes it, or name it in `dependsOn`"
            yield "forward-reference", Severity.ERROR, message, hint

    def _workflow_problems(self, reference: WorkflowReference) -> Iterator[tuple[str, Severity, str, str | None]]:
        known = self.workflows.get(reference.workflow_id)
        if known is None:
            message = f"there is no workflow '{reference.workflow_id}'"
            yield "unknown-workflow", Severity.ERROR, message, near(reference.workflow_id, self.workflows)
            return
        declared = known.inputs if reference.field == "inputs" else known.outputs
        if declared is not None and reference.name not in declared:
            what = reference.field[:-1]
            message = f"workflow '{reference.workflow_id}' has no {what} '{reference.name}'"
            yield f"unknown-{what}", Severity.ERROR, message, near(reference.name, declared)

    def _comes_back(self, index: int, number: int) -> bool:
        """Say whether an action of the step at `index`, or of a later one, goes back to `number` or before it."""
        shared = (*self.workflow.success_actions, *self.workflow.failure_actions)
        for step in self.steps[index:]:
            for action in (*step.on_success, *step.on_failure, *shared):
                target = None if isinstance(action, model.Reusable) else self.index.get(action.step_id or "")
                if isinstance(action, model.Reusable) or (target is not None and target <= number):
                    return True
        return False


def _given(workflow: model.Workflow, called: Mapping[str, frozenset[str] | None]) -> frozenset[str] | None:
    """Give what `$outputs` reaches: what called workflows give, and in outputs of the workflow those before."""
    found = frozenset(workflow.outputs)
    for given in called.values():
        if given is None:
            return None
        found |= given
    return found


def _outputs(step: model.Step, called: Mapping[str, frozenset[str] | None]) -> frozenset[str] | None:
    """Give the names of a step's outputs: its own, and those of the workflow that it calls."""
    if step.step_id not in called:
        return frozenset(step.outputs)
    given = called[step.step_id]
    return None if given is None else given | frozenset(step.outputs)


def near(name: str, known: Iterable[str]) -> str:
    """Name what was probably meant, else what there is."""
    names = list(known)
    if len(names) <= MOST_COMPARED:
        close = get_close_matches(name, names, 1, 0.5)
    else:
        close = [other for other in names if other.lower() == name.lower()]
    if close:
        return f"did you mean '{close[0]}'?"
    return f"there are {', '.join(nsmallest(8, names))}" if names else "there are none"
