"""Records to the report `treadle.report/1`: what happened in a run, as one JSON value.

Steps of a long poll loop are folded while they come in, so that a report of a thousand polls is as small as one of two.
"""

from datetime import UTC, datetime
from typing import Any

from treadle.diagnostics import Diagnostic
from treadle.engine import journal
from treadle.engine.journal import Record, StepEnded, StepFolded

FORMAT = "treadle.report/1"
MOST_TRANSFERS = 20
"""How many transfers to other workflows are kept besides the last one."""


class History:
    """What happened in a run so far, kept small."""

    __slots__ = ("began", "ended", "steps", "transfers", "warnings")

    def __init__(self) -> None:
        self.began = 0.0
        self.ended: journal.RunEnded | None = None
        self.steps: dict[tuple[str, str, str], StepFolded] = {}
        self.transfers: tuple[journal.Transferred, ...] = ()
        self.warnings: tuple[journal.Warned, ...] = ()

    def add(self, record: Record) -> None:
        """Take in one more record."""
        kind = type(record)  # asked for each record of each run: no patterns to try one after the other
        if kind is StepEnded:
            self._step(record)  # type: ignore[arg-type]
        elif kind is journal.RunBegan:
            self.began = record.at
        elif kind is journal.Warned:
            self.warnings = (*self.warnings, record)  # type: ignore[arg-type]
        elif kind is journal.Transferred:
            self.transfers = (*self.transfers[:MOST_TRANSFERS], record)  # type: ignore[arg-type]
        elif kind is journal.RunEnded:
            self.ended = record  # type: ignore[assignment]
        elif kind is journal.Resolved:
            self.ended = None
        elif kind is journal.Checkpoint:
            self._unfold(record.folded)  # type: ignore[union-attr]

    def folded(self) -> journal.Folded:
        """Give what happened so far, to be kept in a checkpoint."""
        return journal.Folded(self.began, tuple(self.steps.values()), self.transfers, self.warnings)

    def _unfold(self, folded: journal.Folded) -> None:
        self.began = folded.began
        self.transfers = folded.transfers
        self.warnings = folded.warnings
        self.steps = {_key(step.first): step for step in folded.steps}

    def _step(self, record: StepEnded) -> None:
        key = _key(record)
        known = self.steps.get(key)
        first, count = (record, 0) if known is None else (known.first, known.count)
        self.steps[key] = StepFolded(first, record, count + 1)

    def entries(self) -> list[tuple[StepEnded, int]]:
        """Give the attempts in the order of their ends, each with the number of those folded away just before it."""
        entries: list[tuple[StepEnded, int]] = []
        for step in self.steps.values():
            entries.append((step.first, 0))
            if step.count > 1:
                entries.append((step.last, step.count - 2))
        return sorted(entries, key=lambda entry: (entry[0].at, entry[0].began))


def _key(record: StepEnded) -> tuple[str, str, str]:
    return record.caller, record.workflow_id, record.step_id


def step_entries(history: History) -> list[dict[str, Any]]:
    """Give the `steps` of the report; `{"stepId", "folded"}` stands where attempts were folded away.

    Those of a workflow that a step called stand before that step and name it as `caller`.
    """
    entries: list[dict[str, Any]] = []
    for record, folded in history.entries():
        if folded:
            entries.append({"stepId": record.step_id, "workflowId": record.workflow_id, "folded": folded})
        entries.append(_step_entry(record))
    return entries


def report(run_id: str, workflow_id: str, history: History, diagnostics: list[Diagnostic]) -> dict[str, Any]:
    """Give the report of a run that has ended. Secrets are still in it; mask them before it is shown."""
    ended = history.ended
    status, outputs, error = ("cancelled", {}, None) if ended is None else (ended.status, ended.outputs, ended.error)
    warnings: list[dict[str, Any]] = [
        {"rule": found.rule, "message": found.message, "location": str(found.span) if found.span else None}
        for found in diagnostics
    ]
    warnings += [{"rule": found.rule, "message": found.message, "location": None} for found in history.warnings]
    transfers = [
        {"workflowId": found.workflow_id, "stepId": found.step_id, "action": found.action, "to": found.to}
        for found in history.transfers
    ]
    return {
        "format": FORMAT,
        "runId": run_id,
        "workflowId": workflow_id,
        "status": status,
        "startedAt": timestamp(history.began),
        "duration": round((ended.at if ended else history.began) - history.began, 6),
        "outputs": outputs,
        **({"transfers": transfers} if transfers else {}),
        "warnings": warnings,
        "steps": step_entries(history),
        "error": None
        if error is None
        else {"kind": error.kind, "stepId": error.step_id, "message": error.message, "hint": error.hint},
    }


def timestamp(seconds: float) -> str:
    """Write a moment (seconds since the epoch) by RFC 3339, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _step_entry(record: StepEnded) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "stepId": record.step_id,
        "workflowId": record.workflow_id,
        "visit": record.visit,
        "attempt": record.attempt,
        "status": record.status,
        "startedAt": timestamp(record.began),
        "duration": round(record.at - record.began, 6),
        "request": None if record.url is None else {"method": record.method, "url": record.url},
        "response": None if record.response is None else {"status": record.response},
        "criteria": [
            {"condition": found.condition, "passed": found.passed, "why": found.why} for found in record.criteria
        ],
        "action": None if record.action is None else {"name": record.action.name, "type": record.action.type},
        "outputs": record.outputs,
    }
    if record.caller:
        entry["caller"] = record.caller
    if record.error is not None:
        entry["error"] = {"kind": record.error.kind, "message": record.error.message, "hint": record.error.hint}
    return entry
