"""Workflows as tasks of Airflow: a worker sends, the triggerer waits, and no request is sent twice.

The run is durable, and its journal stands in the task state of Airflow 3.3, which outlives the tries of a task. A worker
drives the run until it waits; then the task is deferred with a copy of the journal, and the triggerer goes on from there.
Airflow may run a trigger anew from its arguments, or two at once. So the triggerer performs requests that change nothing
when they are repeated; when another one is due, the run goes back to a worker, which announces it in the task state before it
is sent. Only this module knows Airflow; it needs the extra `treadle[airflow]`.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from airflow.sdk import BaseHook, BaseOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from airflow.triggers.base import BaseTrigger, TriggerEvent

import treadle

STATE = "treadle"
"""The key of the task state."""


class WorkflowOperator(BaseOperator):
    """Runs a workflow, deferred while it waits, and gives its outputs, secrets masked.

    A retry goes on where the try before it stood. After a step that failed it begins with that step; what was done before
    is not done again. With `anew_after` it starts the workflow anew where one of these steps failed though it was
    answered with success: its failure is the result of what the workflow started. A run in doubt is not retried, nor one
    whose retry would repeat a request that may have taken effect.

    Args:
        document: a path, an http(s) URL, or a bundled name.
        workflow_id: the workflow; may be left out where the document has one.
        inputs: the workflow's inputs by name, without secrets.
        connection_id: a connection of Airflow whose host is the base URL of the server, and whose password is the key.
        secret_input: the input that takes the password.
        credential_scheme: the security scheme that takes the password, in place of an input.
        anew_after: ids of steps.
        options: those of `treadle.Options`, as JSON values.
        wait_timeout: how long the task may be deferred. What was started goes on; a retry goes on waiting for it.
        task: the arguments of every operator.
    """

    template_fields = ("document", "workflow_id", "inputs")

    def __init__(  # noqa: PLR0913 - an operator is made of keywords
        self,
        *,
        document: str,
        connection_id: str,
        workflow_id: str | None = None,
        inputs: Mapping[str, Any] | None = None,
        secret_input: str | None = None,
        credential_scheme: str | None = None,
        anew_after: Sequence[str] = (),
        options: Mapping[str, Any] | None = None,
        wait_timeout: timedelta | None = None,
        **task: Any,
    ) -> None:
        super().__init__(**task)
        self.document = document
        self.workflow_id = workflow_id
        self.inputs = dict(inputs or {})
        self.connection_id = connection_id
        self.secret_input = secret_input
        self.credential_scheme = credential_scheme
        self.anew_after = tuple(anew_after)
        self.options = dict(options or {})
        self.wait_timeout = wait_timeout

    def execute(self, context: Context) -> Any:
        """Begin, or go on with what the try before began."""
        state = _state(context)
        kept = state.get(STATE) or {}
        if kept.get("waits"):
            return self._wait(kept["run"])
        return self._drive(state, kept)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Go on with what the triggerer gave back."""
        state = _state(context)
        if event["status"] == "due":
            return self._drive(state, {"run": event["run"]})
        return self._settle(state, event)

    def _drive(self, state: Any, kept: Mapping[str, Any]) -> Any:
        opened = self._access.opened(BaseHook.get_connection(self.connection_id))
        try:
            event = asyncio.run(self._driven(_Announcing(state), kept, opened))
        except treadle.TreadleError as error:
            raise AirflowFailException(_said(str(error), error.hint)) from error
        return self._wait(event["run"]) if event["status"] == "waits" else self._settle(state, event)

    async def _driven(self, journal: "_Announcing", kept: Mapping[str, Any], opened: "_Opened") -> dict[str, Any]:
        async with treadle.Runner(journal=journal, **opened.options) as runner:
            if "run" not in kept:
                inputs = {**self.inputs, **opened.secrets}
                outcome = await journal.until_it_waits(runner.run(self.document, self.workflow_id, inputs))
            else:
                run_id = journal.imported(kept["run"])
                step = kept.get("failed_at")
                again = runner.retry(run_id, step, opened.secrets) if step else runner.resume(run_id, opened.secrets)
                outcome = await journal.until_it_waits(again)
        return {"status": "waits", "run": journal.text} if outcome is None else _ended(outcome, journal.text)

    def _wait(self, run: str) -> None:
        self.defer(
            trigger=WorkflowTrigger(run, **self._access._asdict()),
            method_name="execute_complete",
            timeout=self.wait_timeout,
        )

    def _settle(self, state: Any, event: dict[str, Any]) -> Any:
        """Give the outputs of a run that has succeeded; leave for a retry what it needs where it has not."""
        if event["status"] == "succeeded":
            state.delete(STATE)
            return event["outputs"]
        step = event["failed_at"]
        if event["status"] == "failed" and event["answered"] and step in self.anew_after:
            state.delete(STATE)
        elif event["final"]:
            state.delete(STATE)  # whoever clears the task after that has looked, and means a new run
            raise AirflowFailException(event["message"])
        else:
            state.set(STATE, {"run": event["run"], "failed_at": step})
        raise AirflowException(event["message"])

    @property
    def _access(self) -> "_Access":
        return _Access(self.connection_id, self.secret_input, self.credential_scheme, self.options)


class WorkflowTrigger(BaseTrigger):
    """Waits for a run with requests that may be repeated, so it may be run anew, and by two triggerers at once.

    Its event has the `status` of the run, or `due` where a request that may not be repeated comes next.

    Args:
        kept: the run, as a MemoryJournal exports it; the key is taken from the connection, and is not in it.
        access: where and how requests go, as the operator says.
    """

    def __init__(self, kept: str, **access: Any) -> None:
        super().__init__()
        self._kept = kept
        self._access = _Access(**access)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give what the trigger is made of."""
        return (f"{__name__}.{type(self).__name__}", {"kept": self._kept, **self._access._asdict()})

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait until the run has ended, or needs a worker."""
        journal = _Waiting()
        run_id = journal.imported(self._kept)
        opened = self._access.opened(await BaseHook.aget_connection(self._access.connection_id))
        try:
            async with treadle.Runner(journal=journal, **opened.options) as runner:
                event = _ended(await runner.resume(run_id, opened.secrets), journal.exported(run_id))
        except _Due:
            event = {"status": "due", "run": journal.exported(run_id)}
        yield TriggerEvent(event)


class _Access(NamedTuple):
    """Where requests go and how, but for the key, which is asked of Airflow whenever it is needed."""

    connection_id: str
    secret_input: str | None
    credential_scheme: str | None
    options: dict[str, Any]

    def opened(self, connection: Any) -> "_Opened":
        """Take the server and the key from the connection."""
        key = connection.password or ""
        options = {**self.options, "server": connection.host or ""}
        if self.credential_scheme is not None:
            options["credentials"] = {self.credential_scheme: key}
        return _Opened(options, {self.secret_input: key} if self.secret_input is not None else {})


class _Opened(NamedTuple):
    """The options of a Runner, and the secret inputs of the workflow."""

    options: dict[str, Any]
    secrets: dict[str, str]


class _Announcing(treadle.MemoryJournal):
    """The journal of a worker: in the task state of Airflow before the next request is sent."""

    def __init__(self, state: Any) -> None:
        super().__init__()
        self._state = state
        self._driving: asyncio.Task[treadle.Outcome] | None = None
        self._waits = False
        self.text = ""

    async def append(self, run_id: str, records: Sequence[Any]) -> None:
        """Take the records of one turn, and stop the run where it waits after that."""
        await super().append(run_id, records)
        entry = next(entry for entry in await self.entries() if entry.run_id == run_id)
        self._waits = entry.status == "waiting"
        self.text = self.exported(run_id)
        self._state.set(STATE, {"run": self.text, "waits": self._waits})
        if self._waits and self._driving is not None:
            self._driving.cancel()

    async def until_it_waits(self, run: Coroutine[Any, Any, treadle.Outcome]) -> treadle.Outcome | None:
        """Give the outcome of a run, or None where it waits."""
        self._driving = asyncio.create_task(run)
        try:
            return await self._driving
        except asyncio.CancelledError:
            if not self._waits:
                raise
            return None


class _Due(Exception):
    """A request that may not be repeated is due."""


class _Waiting(treadle.MemoryJournal):
    """The journal of a trigger: takes no announcement, so that what is announced is not sent."""

    async def append(self, run_id: str, records: Sequence[Any]) -> None:
        """Take the records of one turn, unless one of them announces a request that is not idempotent."""
        if not all(getattr(record, "idempotent", True) for record in records):
            raise _Due
        await super().append(run_id, records)


def _state(context: Context) -> Any:
    state = context.get("task_state_store")
    if state is None:
        raise AirflowFailException(
            "there is no task state, so a retry would send again; this needs Airflow 3.3 or later"
        )
    return state


def _ended(outcome: treadle.Outcome, text: str) -> dict[str, Any]:
    """Say how a run ended, as a JSON value: an event of the trigger, and what `_settle` takes."""
    error = outcome.error
    failed_at = error.step_id if error is not None else None
    last: dict[str, Any] = next((entry for entry in reversed(outcome.steps) if entry["stepId"] == failed_at), {})
    final = outcome.status == "in-doubt" or failed_at is None or _would_repeat(outcome.steps, failed_at)
    hint = error.hint if error is not None else None
    if final:
        hint = "look at the server; whoever clears this task starts the workflow anew"
    return {
        "status": outcome.status,
        "outputs": outcome.report()["outputs"],
        "failed_at": failed_at,
        "answered": 200 <= _status(last) < 300,
        "final": final,
        "message": _said(error.message, hint) if error is not None else "",
        "run": text,
    }


def _would_repeat(steps: list[dict[str, Any]], step_id: str) -> bool:
    """Say whether beginning with a step again would repeat a request that may have taken effect.

    One that is not idempotent has, unless it was refused (4xx); without an answer it never left, for the run would be in
    doubt otherwise.
    """
    first = next((at for at, entry in enumerate(steps) if entry["stepId"] == step_id), len(steps))
    again = [entry for at, entry in enumerate(steps) if at >= first or step_id in entry.get("caller", "").split("/")]
    sent = [entry for entry in again if (entry.get("request") or {}).get("method") in ("POST", "PATCH")]
    return any(_status(entry) and not 400 <= _status(entry) < 500 for entry in sent)


def _status(entry: Mapping[str, Any]) -> int:
    status: int = (entry.get("response") or {}).get("status", 0)
    return status


def _said(message: str, hint: str | None) -> str:
    return f"{message} ({hint})" if hint else message
