"""The records of a durable run as people are shown them: without what only a resumption needs."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from treadle.drivers.journals.protocol import Kept
from treadle.engine import journal
from treadle.engine.journal import Checkpoint, CookiesKept, Delivered, Failure, Record
from treadle.engine.report import History, timestamp

_UNSEEN = (Delivered, CookiesKept, Checkpoint)
"""Answers, cookies and states as they are: they may hold secrets, and the records that follow from them say what came of it."""


def history_of(records: Iterable[Record]) -> History:
    """Give what happened in a run."""
    history = History()
    for record in records:
        history.add(record)
    return history


def shown_records(records: Sequence[Record], *, after: float = 0.0) -> list[Record]:
    """Give the records that people are shown; of what a checkpoint at their beginning has folded, what came after that."""
    found: list[Record] = []
    if records and isinstance(records[0], Checkpoint):
        found += [kept for kept in _unfolded(records[0]) if kept.at > after]
    return found + [record for record in records if not isinstance(record, _UNSEEN)]


def _unfolded(kept: Checkpoint) -> list[Record]:
    folded = kept.folded
    records: list[Record] = [*folded.warnings, *folded.transfers]
    for step in folded.steps:
        records += [step.first] if step.count == 1 else [step.first, step.last]
    records.sort(key=lambda record: record.at)
    return [journal.RunBegan(folded.began, kept.workflow_id, {}, run_id=kept.run_id), *records]


def events(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Give what happened as JSON values, one an event."""
    return [event(record) for record in shown_records(records)]


def event(record: Record) -> dict[str, Any]:
    """Give a record that people are shown as a JSON value: when, what (`event`), where, and what belongs to it."""
    told: dict[str, Any] = {"at": timestamp(record.at), "event": _NAMES[type(record)]}
    step_id = getattr(record, "step_id", None)
    if step_id is not None:
        caller = getattr(record, "caller", "")
        told["stepId"] = f"{caller}/{step_id}" if caller else step_id
    return told | _MORE[type(record)](record)


_NAMES = {
    journal.RunBegan: "run-began",
    journal.StepBegan: "step-began",
    journal.StepEnded: "step-ended",
    journal.Transferred: "transferred",
    journal.Waiting: "waiting",
    journal.Repeated: "repeated",
    journal.Warned: "warned",
    journal.Resolved: "resolved",
    journal.Withdrawn: "withdrawn",
    journal.Queued: "queued",
    journal.Looked: "looked",
    journal.Stopped: "stopped",
    journal.RunEnded: "run-ended",
}
"""What the records that people are shown are called."""


def _step_ended(record: journal.StepEnded) -> dict[str, Any]:
    return {
        "visit": record.visit,
        "attempt": record.attempt,
        "status": record.status,
        "response": record.response,
        "action": None if record.action is None else record.action.name,
        "error": _why(record.error),
    }


def _end(record: journal.Stopped | journal.RunEnded) -> dict[str, Any]:
    return {"status": record.status, "error": _why(record.error)}


_MORE: dict[type, Callable[[Any], dict[str, Any]]] = {
    journal.RunBegan: lambda record: {"workflowId": record.workflow_id},
    journal.StepBegan: lambda record: {"visit": record.visit, "attempt": record.attempt, **_sends(record)},
    journal.StepEnded: _step_ended,
    journal.Transferred: lambda record: {"action": record.action, "to": record.to},
    journal.Waiting: lambda record: {"seconds": record.seconds, "reason": record.reason},
    journal.Repeated: lambda record: {"attempt": record.attempt, "seconds": record.seconds, "reason": record.why},
    journal.Warned: lambda record: {"rule": record.rule, "message": record.message},
    journal.Resolved: lambda record: {"how": record.how},
    journal.Withdrawn: lambda record: {"effectId": record.effect_id},
    journal.Queued: lambda record: {"reason": record.why, "seconds": record.seconds},
    journal.Looked: lambda record: {"response": record.response, "tookEffect": record.took_effect},
    journal.Stopped: _end,
    journal.RunEnded: _end,
}
"""What is told of a record besides when it was and where."""


def _sends(record: journal.StepBegan) -> dict[str, Any]:
    if record.calls is not None:
        return {"calls": record.calls}
    return {"request": {"method": record.method, "url": record.url}}


def _why(error: Failure | None) -> str | None:
    return None if error is None else error.message


def in_doubt(kept: Kept) -> list[dict[str, Any]]:
    """Give the request of a run that is in doubt: which step, which request, since when, and whether a rule finds out."""
    announced = _announced(kept.records)
    if isinstance(announced, journal.StepBegan):
        step_id = f"{announced.caller}/{announced.step_id}" if announced.caller else announced.step_id
        request = {"method": announced.method, "url": announced.url}
        rule = _has_rule(kept, announced.workflow_id, announced.step_id)
        return [{"stepId": step_id, "request": request, "since": timestamp(announced.at), "rule": rule}]
    if announced is None:
        return []
    frame = announced.snapshot.frames[-1]
    step = kept.start.program.workflows[frame.number].steps[frame.step]
    step_id = f"{frame.caller}/{step.step_id}" if frame.caller else step.step_id
    return [{"stepId": step_id, "request": None, "since": timestamp(frame.began), "rule": step.reconcile is not None}]


def _announced(records: Sequence[Record]) -> journal.StepBegan | Checkpoint | None:
    for record in reversed(records):
        if isinstance(record, Checkpoint) or (isinstance(record, journal.StepBegan) and not record.idempotent):
            return record
    return None


def _has_rule(kept: Kept, workflow_id: str, step_id: str) -> bool:
    return any(
        step.step_id == step_id and step.reconcile is not None
        for workflow in kept.start.program.workflows
        if workflow.workflow_id == workflow_id
        for step in workflow.steps
    )
