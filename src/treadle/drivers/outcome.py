"""How a run ended, as callers see it: values as they are, messages and reports without secrets."""

from collections.abc import Callable
from typing import Any

from msgspec import structs

from treadle.diagnostics import Diagnostic
from treadle.engine.interpreter import Run
from treadle.engine.journal import Failure
from treadle.engine.report import History, report, step_entries
from treadle.engine.secrets import Secrets
from treadle.errors import EffectFailed
from treadle.files import Binary, json_form


class Outcome:
    """How a run ended.

    Attributes:
        run_id: the id of the run.
        workflow_id: the workflow that ran.
        status: succeeded, failed, limited, in-doubt, or cancelled; of a durable run that was stopped and can be resumed,
            interrupted.
        outputs: the workflow's outputs by name, as they are; what was missing is None, and the body of an answer that is
            no text a Binary.
        error: why it did not succeed (kind, message, step_id, hint), secrets masked, or None.
        diagnostics: warnings about the document.
    """

    __slots__ = ("_history", "_secrets", "diagnostics", "error", "outputs", "run_id", "status", "workflow_id")

    def __init__(
        self,
        run: Run,
        history: History,
        diagnostics: list[Diagnostic],
        secret_values: Secrets,
        *,
        durable: bool = False,
    ) -> None:
        ended = run.outcome
        if ended is None:
            raise ValueError("the run has not ended")
        self.run_id = run.run_id
        self.workflow_id = run.program.workflow_id
        self.status = ended.status
        self.outputs = ended.outputs
        error = ended.error
        if error is not None and durable and error.kind == self.status == "in-doubt":
            error = structs.replace(error, hint=choices(run.run_id))
        self.error = None if error is None else _masked(error, secret_values)
        self.diagnostics = diagnostics
        self._history = history
        self._secrets = secret_values

    @property
    def steps(self) -> list[dict[str, Any]]:
        """What happened at each step, as in the report; the middle of a long loop is folded into a count."""
        entries: list[dict[str, Any]] = self._secrets.value(json_form(step_entries(self._history)))
        return entries

    def report(self, keep: Callable[[Binary], str | None] | None = None) -> dict[str, Any]:
        """Give the report `treadle.report/1` as a JSON value, with every secret masked.

        Of an output that is binary data it has the size and the media type, and the file that `keep` put it in.
        """
        whole = report(self.run_id, self.workflow_id, self._history, self.diagnostics)
        masked: dict[str, Any] = self._secrets.value(json_form(whole, keep))
        return masked

    def raise_for_status(self) -> None:
        """Do nothing where the run succeeded.

        Raises:
            EffectFailed: it did not.
        """
        if self.status != "succeeded":
            message = self.error.message if self.error else f"the run ended {self.status}"
            raise EffectFailed(message, hint=self.error.hint if self.error else None)

    def __repr__(self) -> str:
        return f"<Outcome {self.workflow_id} {self.status}>"


def choices(run_id: str) -> str:
    """Say what can be done about a durable run in doubt."""
    return f"find out whether it took effect, then: treadle runs resume {run_id} --in-doubt retry|skip=JSON|fail"


def _masked(error: Failure, secret_values: Secrets) -> Failure:
    hint = None if error.hint is None else secret_values.text(error.hint)
    return Failure(error.kind, secret_values.text(error.message), error.step_id, hint)
