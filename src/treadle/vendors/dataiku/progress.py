"""Where a scenario is on its way, as the records of the workflow that follows it tell."""

from collections.abc import Callable
from typing import Any

from treadle.engine.journal import Looked, Record, Repeated, StepBegan, StepEnded, Transferred, Waiting, Withdrawn
from treadle.vendors.dataiku.reading import ahead, average, step_under_way
from treadle.vendors.dataiku.scenario import Target


class Progress:
    """What is known of a scenario on its way.

    Attributes:
        target: the scenario, with its fire and run as they become known.
        state: where it is, in a word.
        step: the step of the scenario that is on.
        trouble: what a server does to us at the moment.
        average: seconds that its last runs took.
        runs: its last runs, before anything was triggered.
        asked: a request to run was sent, and what came of it is not known.
        cancelled: its fire was cancelled.
        looked: the answer to the request to run was lost, and its run is or was looked for.
        found: the answer to the request to run was lost, and its run was found.
        foreign: what is followed was not triggered here.
        asked_between: when the request to run was sent and when its run was first looked for, by the server's clock (seconds
            since the epoch); None as long as it is not known.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.state = "waiting"
        self.step = ""
        self.trouble = ""
        self.average: float | None = None
        self.runs: list[dict[str, Any]] = []
        self.asked = False
        self.cancelled = False
        self.looked = False
        self.found = False
        self.foreign = False
        self.asked_between: tuple[float, float] | None = None
        self._ahead: float | None = None
        self._asked_at = 0.0

    def take(self, record: Record) -> bool:
        """Take in a record; say whether it is news for whoever looks on."""
        before = (self.state, self.step, self.trouble)
        match record:
            case StepBegan(step_id=step_id):
                self._began(step_id)
                self._asked_at = record.at if step_id == "triggerRun" else self._asked_at
            case StepEnded(step_id=step_id, status="succeeded", outputs=outputs):
                self.trouble = ""
                self._ahead = ahead(outputs["date"], record.at) if outputs.get("date") else self._ahead
                _ENDED.get(step_id, _nothing)(self, outputs)
            case StepEnded(step_id="triggerRun", response=response, error=error):
                self.asked = error is not None and error.kind == "in-doubt"
                self.cancelled = response == 200
            case Withdrawn():
                self.asked = False
            case Looked(took_effect=took_effect):
                if not self.looked and self._ahead is not None:
                    self.asked_between = self._asked_at + self._ahead, record.at + self._ahead
                self.state, self.looked, self.found = "looking for the run", True, took_effect
            case Transferred(action="attach"):
                self.foreign = True
            case Repeated(why=why):
                self.trouble = why
            case Waiting(reason=reason) if reason.startswith("retry"):
                self.trouble = self.trouble or "the server does not answer as it should"
        return before != (self.state, self.step, self.trouble)

    def _began(self, step_id: str) -> None:
        if step_id == "triggerRun":
            self.target = self.target._replace(trigger=None, fire=None)
            self.state, self.asked, self.cancelled, self.looked = "triggering", True, False, False
        elif step_id == "readOtherRun":
            self.state = "busy"
        elif step_id == "readRunsAgain":
            self.state = "cancelled"
        elif step_id == "readRun":
            self.state = "running"

    def last_runs(self, outputs: dict[str, Any]) -> None:
        """Take in the last runs of the scenario; the one that is on may be followed in place of one of its own."""
        self.runs = outputs["runs"]
        self.average = average(self.runs)

    def triggered(self, outputs: dict[str, Any]) -> None:
        """Take in the fire."""
        self.target = self.target._replace(trigger=outputs["triggerId"], fire=outputs["triggerRunId"])
        self.state, self.asked = "triggered", False

    def started(self, outputs: dict[str, Any]) -> None:
        """Take in the run that a fire led to, if it has."""
        run = outputs["run"].get("scenarioRun")
        if run:
            self.target = self.target._replace(run=run["runId"])
            self.state = "running"

    def fire_seen(self, outputs: dict[str, Any]) -> None:
        """Take in whether the fire was cancelled."""
        self.cancelled = outputs["cancelled"] is True

    def run_seen(self, outputs: dict[str, Any]) -> None:
        """Take in how the run stands."""
        self.target = self.target._replace(run=outputs["run"]["scenarioRun"]["runId"])
        self.step = step_under_way(outputs["run"].get("stepRuns") or [])


def _nothing(_progress: Progress, _outputs: dict[str, Any]) -> None:
    """Most steps tell nothing more."""


_ENDED: dict[str, Callable[[Progress, dict[str, Any]], None]] = {
    "readLastRuns": Progress.last_runs,
    "readRunsAgain": Progress.last_runs,
    "triggerRun": Progress.triggered,
    "findRun": Progress.started,
    "checkFire": Progress.fire_seen,
    "readRun": Progress.run_seen,
}
"""What the outputs of a step tell, by its id."""
