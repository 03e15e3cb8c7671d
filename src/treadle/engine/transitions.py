"""What follows a step: a table of its outcome and the action that matched. The docs draw it from here."""

from enum import StrEnum

from treadle.engine.program import Action


class StepStatus(StrEnum):
    """How a step ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Then(StrEnum):
    """What the run does next."""

    NEXT_STEP = "the next step in the list, or the end of the workflow after the last one"
    GO_TO = "the step that the action names; earlier outputs are kept"
    TRANSFER = "the workflow that the action names, in the place of this one: its result is the result"
    RETRY = "the same step again, after the pause"
    RETRY_AFTER = "after the pause the step or workflow that the action names, then the same step again"
    END_SUCCEEDED = "the workflow ends, succeeded"
    END_FAILED = "the workflow ends, failed"


TRANSITIONS: dict[tuple[StepStatus, str], Then] = {
    (StepStatus.SUCCEEDED, "no action matched"): Then.NEXT_STEP,
    (StepStatus.SUCCEEDED, "no action matched, one could not be evaluated"): Then.END_FAILED,
    (StepStatus.SUCCEEDED, "goto"): Then.GO_TO,
    (StepStatus.SUCCEEDED, "goto a workflow"): Then.TRANSFER,
    (StepStatus.SUCCEEDED, "end"): Then.END_SUCCEEDED,
    (StepStatus.FAILED, "no action matched"): Then.END_FAILED,
    (StepStatus.FAILED, "no action matched, one could not be evaluated"): Then.END_FAILED,
    (StepStatus.FAILED, "goto"): Then.GO_TO,
    (StepStatus.FAILED, "goto a workflow"): Then.TRANSFER,
    (StepStatus.FAILED, "retry"): Then.RETRY,
    (StepStatus.FAILED, "retry with stepId or workflowId"): Then.RETRY_AFTER,
    (StepStatus.FAILED, "end"): Then.END_FAILED,
}
"""Outcome of a step x the type of the action that matched (Success Action Object, Failure Action Object)."""


def matched(action: Action | None, *, unevaluated: bool) -> str:
    """Say in the words of the table which action matched; `unevaluated` that one could not be evaluated."""
    if action is None:
        return "no action matched, one could not be evaluated" if unevaluated else "no action matched"
    if action.type == "goto" and action.workflow is not None:
        return "goto a workflow"
    if action.type == "retry" and (action.workflow is not None or action.target is not None):
        return "retry with stepId or workflowId"
    return action.type
