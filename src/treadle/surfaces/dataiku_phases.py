"""One bundled workflow at a time, run for a command: within a limit, stopped from outside, its answers kept in view."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from treadle.engine.journal import Record
from treadle.surfaces.dataiku_options import Server
from treadle.surfaces.dataiku_words import LastAnswer, Problem, what_is_wrong

if TYPE_CHECKING:
    from treadle.api import Outcome, Runner
    from treadle.drivers.documents import LoadedDocument
    from treadle.drivers.run import Interruption
    from treadle.engine.secrets import Secrets

_LIMIT = "the limit was reached"


class Phase(NamedTuple):
    """How a workflow ended: its status (limit and interrupted besides those of a run), outputs, and what is wrong.

    It has not `begun` where the limit or a stop came before its first request.
    """

    status: str
    outputs: dict[str, Any]
    last: LastAnswer
    problem: Problem
    begun: bool = True

    @property
    def succeeded(self) -> bool:
        """Whether it gave what was asked for."""
        return self.status == "succeeded"


class Phases:
    """Runs workflows of the bundle over one Runner; `stop` ends the one under way and keeps others from beginning."""

    def __init__(self, runner: "Runner", document: "LoadedDocument", server: Server) -> None:
        self._runner = runner
        self._document = document
        self._server = server
        self._current: Interruption | None = None
        self.stopped = False

    def stop(self) -> None:
        """End what is under way; call it on the event loop."""
        self.stopped = True
        if self._current is not None:
            self._current.request("interrupted")

    async def run(
        self,
        workflow: str,
        inputs: dict[str, Any],
        *,
        limit: float | None = None,
        observe: Callable[[Record], None] | None = None,
        after_stop: bool = False,
    ) -> Phase:
        """Run a workflow, at most `limit` seconds; after a stop only where `after_stop` says so."""
        from treadle.drivers.run import Interruption  # noqa: PLC0415

        last = LastAnswer()
        prepared = await self._runner.prepare(self._document, workflow, inputs)
        if (self.stopped and not after_stop) or (limit is not None and limit <= 0):
            status = "interrupted" if self.stopped and not after_stop else "limit"
            return Phase(status, {}, last, Problem("nothing was sent"), begun=False)

        def seen(record: Record) -> None:
            last.observe(record)
            if observe is not None:
                observe(record)

        interruption = self._current = Interruption()
        loop = asyncio.get_running_loop()
        timer = None if limit is None else loop.call_later(limit, interruption.request, _LIMIT)
        try:
            outcome = await self._runner.execute(prepared, observe=seen, interruption=interruption)
        finally:
            self._current = None
            if timer is not None:
                timer.cancel()
        status = outcome.status
        if status == "cancelled":
            status = "limit" if interruption.reason == _LIMIT else "interrupted"
        problem = self._problem(outcome, last, workflow, prepared.secrets)
        return Phase(status, prepared.secrets.value(outcome.outputs), last, problem)

    def _problem(self, outcome: "Outcome", last: LastAnswer, workflow: str, secrets: "Secrets") -> Problem:
        """Say what is wrong, with every secret masked."""
        may = "run scenarios" if workflow in ("trigger-scenario", "abort-scenario") else "read the scenario"
        if outcome.status == "succeeded":
            return Problem("")
        message, hint = what_is_wrong(last, outcome.error, self._server.root, self._server.scheme, may)
        return Problem(secrets.text(message), hint and secrets.text(hint))
