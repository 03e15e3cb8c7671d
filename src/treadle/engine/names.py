"""What a workflow declares, and whether expressions name it: inputs, steps, their outputs, and early enough."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from heapq import nsmallest
from typing import Any, NamedTuple

from treadle.diagnostics import Severity
from treadle.document import model
from treadle.expressions.dialect import Names
from treadle.expressions.syntax import Expression, InputReference, Navigation, StepReference

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


class Declared:
    """The names of one workflow.

    Attributes:
        inputs: its inputs with their schemas, or None where it declares none.
        index: the number of each step, by its id.
        names: the same, as the readers of expressions need them.
    """

    def __init__(self, workflow: model.Workflow, inputs: dict[str, Any] | None) -> None:
        self.workflow = workflow
        self.inputs = inputs
        self.index = {step.step_id: number for number, step in enumerate(workflow.steps)}
        outputs = {step.step_id: frozenset(step.outputs) for step in workflow.steps}
        self.names = Names(frozenset(inputs) if inputs is not None else None, outputs)

    def problems(self, expressions: Iterable[Expression], number: int) -> Iterator[Problem]:
        """Find what expressions name that is not declared, or only after the step with that number."""
        for expression in expressions:
            reference = expression.base if isinstance(expression, Navigation) else expression
            if isinstance(reference, StepReference):
                yield from self._step_problems(reference, number)
            elif isinstance(reference, InputReference) and self.inputs and reference.name not in self.inputs:
                message = f"the workflow declares no input '{reference.name}'"
                hint = near(reference.name, self.inputs)
                yield Problem("unknown-input", Severity.WARNING, message, reference.start, reference.end, hint)

    def _step_problems(self, reference: StepReference, number: int) -> Iterator[Problem]:
        start, end = reference.start, reference.end
        index = self.index.get(reference.step_id)
        if index is None:
            message = f"there is no step '{reference.step_id}'"
            yield Problem("unknown-step", Severity.ERROR, message, start, end, near(reference.step_id, self.index))
        elif reference.name not in self.names.steps[reference.step_id]:
            declared = self.names.steps[reference.step_id]
            message = f"step '{reference.step_id}' has no output '{reference.name}'"
            yield Problem("unknown-output", Severity.ERROR, message, start, end, near(reference.name, declared))
        elif index >= number and not self._comes_back(index, number):
            message = f"step '{reference.step_id}' comes later, so its outputs are not there yet"
            hint = "put the step that gives the value before the one that takes it"
            yield Problem("forward-reference", Severity.ERROR, message, start, end, hint)

    def _comes_back(self, index: int, number: int) -> bool:
        """Say whether an action of the step at `index`, or of a later one, goes back to `number` or before it."""
        shared = (*self.workflow.success_actions, *self.workflow.failure_actions)
        for step in self.workflow.steps[index:]:
            for action in (*step.on_success, *step.on_failure, *shared):
                target = None if isinstance(action, model.Reusable) else self.index.get(action.step_id or "")
                if isinstance(action, model.Reusable) or (target is not None and target <= number):
                    return True
        return False


def near(name: str, known: Iterable[str]) -> str | None:
    """Name what was probably meant, else what there is."""
    names = list(known)
    if len(names) <= MOST_COMPARED:
        close = get_close_matches(name, names, 1, 0.5)
    else:
        close = [other for other in names if other.lower() == name.lower()]
    if close:
        return f"did you mean '{close[0]}'?"
    return f"there are {', '.join(nsmallest(8, names))}" if names else None
