"""Bundled workflows run for one scenario: those that only read, and the durable one that follows it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from treadle.drivers.documents import LoadedDocument
from treadle.drivers.outcome import Outcome
from treadle.drivers.prepared import Prepared
from treadle.drivers.run import Interruption
from treadle.engine.journal import Failure, Record
from treadle.engine.secrets import Secrets
from treadle.errors import JournalFailed
from treadle.vendors.dataiku.problems import LastAnswer, Problem, what_is_wrong

_RUNS_SCENARIOS = frozenset({"triggerRun", "abort"})
"""Steps for which a key needs more than to read."""


class Runs(Protocol):
    """What runs workflows: the part of a Runner that is used here."""

    async def prepare(self, document: LoadedDocument, workflow_id: str, inputs: Mapping[str, Any]) -> Prepared:
        """Do everything that comes before the first request."""

    async def execute(
        self,
        prepared: Prepared,
        *,
        observe: Callable[[Record], None] | None,
        interruption: Interruption | None,
        timeout: float | None,
        durable: bool,
    ) -> Outcome:
        """Run what was prepared."""

    async def resume(
        self,
        run_id: str,
        *,
        observe: Callable[[Record], None] | None,
        interruption: Interruption | None,
        timeout: float | None,
    ) -> Outcome:
        """Go on with a run of the journal."""


class Server(NamedTuple):
    """A DSS as messages speak of it: what people open in a browser, and how the API key goes there."""

    root: str
    scheme: str


class Phase(NamedTuple):
    """How a workflow ended: the status of its run, its outputs, why it failed, and what is wrong in words.

    Attributes:
        status: of its run; `unwritten` where the journal failed, and the run went no further.
        run_id: the id of its run, "" where it was not begun.
    """

    status: str
    outputs: dict[str, Any]
    last: LastAnswer
    problem: Problem
    failure: Failure | None = None
    run_id: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether it gave what was asked for."""
        return self.status == "succeeded"


def _unwritten(error: JournalFailed, last: LastAnswer) -> Phase:
    return Phase("unwritten", {}, last, Problem(error.message, error.hint))


class Work:
    """Runs workflows of the bundle for one scenario.

    Attributes:
        interruption: stops what is under way, and keeps more from beginning.
        signals: the signals that came; the first one gives the exit code of an interruption.
    """

    def __init__(self, runs: Runs, document: LoadedDocument, server: Server) -> None:
        self._runs = runs
        self._document = document
        self.server = server
        self.interruption = Interruption()
        self.signals: Sequence[int] = ()

    @property
    def stopped(self) -> bool:
        """Whether somebody asked for an end."""
        return self.interruption.reason is not None

    async def read(
        self, workflow: str, inputs: Mapping[str, Any], *, timeout: float | None = None, after_stop: bool = False
    ) -> Phase:
        """Run a workflow of which nothing is to be resumed; once somebody asked for an end, only where that is said."""
        return await self._run(
            workflow, inputs, Interruption() if after_stop else self.interruption, timeout=timeout, durable=False
        )

    async def follow(
        self, workflow: str, inputs: Mapping[str, Any], timeout: float | None, observe: Callable[[Record], None]
    ) -> Phase:
        """Run the workflow that follows the scenario; the journal has all of it."""
        return await self._run(workflow, inputs, self.interruption, observe, timeout=timeout)

    async def go_on(self, run_id: str, timeout: float | None, observe: Callable[[Record], None]) -> Phase:
        """Go on with the run that follows the scenario, where an earlier process left it."""
        last = LastAnswer()

        def seen(record: Record) -> None:
            last.observe(record)
            observe(record)

        try:
            outcome = await self._runs.resume(run_id, observe=seen, interruption=self.interruption, timeout=timeout)
        except JournalFailed as error:
            return _unwritten(error, last)
        problem = self._problem(outcome, last, Secrets())  # records and messages come without secrets
        return Phase(outcome.status, outcome.report()["outputs"], last, problem, outcome.error, outcome.run_id)

    async def _run(
        self,
        workflow: str,
        inputs: Mapping[str, Any],
        interruption: Interruption,
        observe: Callable[[Record], None] | None = None,
        *,
        timeout: float | None,
        durable: bool = True,
    ) -> Phase:
        last = LastAnswer()
        prepared = await self._runs.prepare(self._document, workflow, inputs)
        if interruption.reason is not None:
            return Phase("cancelled", {}, last, Problem("nothing was sent"))

        def seen(record: Record) -> None:
            last.observe(record)
            if observe is not None:
                observe(record)

        try:
            outcome = await self._runs.execute(
                prepared, observe=seen, interruption=interruption, timeout=timeout, durable=durable
            )
        except JournalFailed as error:
            return _unwritten(error, last)
        problem, outputs = self._problem(outcome, last, prepared.secrets), prepared.secrets.value(outcome.outputs)
        return Phase(outcome.status, outputs, last, problem, outcome.error, outcome.run_id)

    def _problem(self, outcome: Outcome, last: LastAnswer, secrets: Secrets) -> Problem:
        """Say what is wrong, with every secret masked."""
        if outcome.status == "succeeded":
            return Problem("")
        step_id = None if outcome.error is None else outcome.error.step_id
        asked = step_id in _RUNS_SCENARIOS and outcome.status != "in-doubt"  # where in doubt, it only looked
        may = "run scenarios" if asked else "read the scenario"
        message, hint = what_is_wrong(last, outcome.error, self.server.root, self.server.scheme, may)
        return Problem(secrets.text(message), hint and secrets.text(hint))
