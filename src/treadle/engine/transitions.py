"""What follows a step: a table of its outcome and the action that matched. The docs draw it from here."""

from enum import StrEnum


class StepStatus(StrEnum):
    """How a step ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Then(StrEnum):
    """What the run does next."""

    NEXT_STEP = "the next step in the list, or the end of the workflow after the last one"
    GO_TO = "the step that the action names; earlier outputs are kept"
    RETRY = "the same step again, after the pause"
    END_SUCCEEDED = "the workflow ends, succeeded"
    END_FAILED = "the workflow ends, failed"


TRANSITIONS: dict[tuple[StepStatus, str], Then] = {
    (StepStatus.SUCCEEDED, "no action matched"): Then.NEXT_STEP,
    (StepStatus.SUCCEEDED, "no action matched, one could not be evaluated"): Then.END_FAILED,
    (StepStatus.SUCCEEDED, "goto"): Then.GO_TO,
    (StepStatus.SUCCEEDED, "end"): Then.END_SUCCEEDED,
    (StepStatus.FAILED, "no action matched"): Then.END_FAILED,
    (StepStatus.FAILED, "no action matched, one could not be evaluated"): Then.END_FAILED,
    (StepStatus.FAILED, "goto"): Then.GO_TO,
    (StepStatus.FAILED, "retry"): Then.RETRY,
    (StepStatus.FAILED, "end"): Then.END_FAILED,
}
"""Outcome of a step x the type of the action that matched (Success Action Object, Failure Action Object)."""
