"""Loops that nothing can end: a `goto` that comes round again whatever the answers are.

Only what the document itself says is looked at. A run has limits of its own (`--max-steps`, `--timeout`).
"""

from collections.abc import Iterator
from typing import NamedTuple

from treadle.engine.program import Action, Call, Step, Workflow
from treadle.expressions import payload
from treadle.expressions.syntax import Navigation, StepReference, WholeMap
from treadle.sources.request import SAFE_METHODS

_END = -1
"""Stands among the steps that may follow for the end of the workflow, and for another workflow."""


class EndlessLoop(NamedTuple):
    """A step that goes back, and the step that it goes back to; indexes."""

    step: int
    target: int


def endless_loop(workflow: Workflow, number: int) -> EndlessLoop | None:
    """Find a loop that can neither change what it sees nor end, or None.

    That a request may fail ends a loop only where somebody looks: where there are criteria, where a request may change
    something, or where it takes what an earlier round gave. A loop of the same GET that goes on until the server breaks
    is not meant.

    Args:
        workflow: the workflow, compiled whole.
        number: its index in the program, for a `goto` to itself.
    """
    follows = {index: set(_follows(workflow, number, index)) for index in range(len(workflow.steps))}
    before: dict[int, set[int]] = {}
    for index, targets in follows.items():
        for target in targets:
            before.setdefault(target, set()).add(index)
    endless = _reachable(follows, 0) - _reachable(before, _END) - {_END}
    for index in sorted(endless, reverse=True):
        target = min(follows[index])
        if target <= index and not _takes_what_a_round_gave(workflow, _reachable(follows, target)):
            return EndlessLoop(index, target)
    return None


def _follows(workflow: Workflow, number: int, index: int) -> Iterator[int]:
    step = workflow.steps[index]
    after = index + 1 if index + 1 < len(workflow.steps) else _END
    yield from _led(step.on_success, number, after)
    yield from _led(step.on_failure, number, None if _is_blind(step) else _END)
    if step.poll is not None and step.poll.timeout is not None:
        yield _END


def _led(actions: tuple[Action, ...], number: int, otherwise: int | None) -> Iterator[int]:
    """Give where actions may lead, and what follows `otherwise` where it may be that none matches."""
    for action in actions:
        if action.type == "retry":
            continue  # it comes back here, and its limit ends it
        itself = action.workflow is not None and action.workflow.workflow == number and not action.workflow.inputs
        if action.type == "goto" and (itself or action.target is not None):
            yield action.target or 0
        else:
            yield _END
        if not action.criteria:
            return
    if otherwise is not None:
        yield otherwise


def _is_blind(step: Step) -> bool:
    """Say whether a step sends the same harmless request again and has no criteria for what comes of it."""
    return isinstance(step.call, Call) and step.call.operation.method in SAFE_METHODS and not step.success_criteria


def _takes_what_a_round_gave(workflow: Workflow, loop: set[int]) -> bool:
    ids = {workflow.steps[index].step_id for index in loop}
    return any(_steps_taken(workflow.steps[index]) & ids for index in loop)


def _steps_taken(step: Step) -> set[str]:
    """Give the steps whose outputs a request takes."""
    if not isinstance(step.call, Call):
        return set()
    values = [argument.value for argument in step.call.arguments]
    if step.call.body is not None:
        values += [step.call.body.payload, *(entry.value for entry in step.call.body.replacements)]
    nodes = (node for value in values for node in payload.expressions(value))
    bases = (node.base if isinstance(node, Navigation) else node for node in nodes)
    return {base.step_id for base in bases if isinstance(base, StepReference | WholeMap) and base.step_id is not None}


def _reachable(leads_to: dict[int, set[int]], start: int) -> set[int]:
    found: set[int] = set()
    todo = {start}
    while todo:
        index = todo.pop()
        if index not in found:
            found.add(index)
            todo |= leads_to.get(index, set())
    return found
