"""A scenario as people name it, with the fire or the run of it that is meant, and how it ended: words and exit codes."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

OUTCOME_CODES = {"SUCCESS": 0, "WARNING": 0, "FAILED": 1, "ABORTED": 5}
REFUSED, FAILED, TIMED_OUT, IN_DOUBT, CANCELLED, WARNED = 2, 1, 3, 4, 6, 7
BADNESS = (0, WARNED, CANCELLED, 5, FAILED, TIMED_OUT, REFUSED, IN_DOUBT, 130, 143)
"""Exit codes from the best to the worst: what is not known is worse than what is."""


class Target(NamedTuple):
    """A scenario, with the run or fire of it that is meant where one is."""

    project: str
    scenario: str
    trigger: str | None = None
    fire: str | None = None
    run: str | None = None

    @property
    def name(self) -> str:
        """PROJECT.SCENARIO."""
        return f"{self.project}.{self.scenario}"

    @property
    def token(self) -> str:
        """What `treadle dataiku wait` takes: the run where it is known, else the fire."""
        if self.run is not None:
            return f"{self.name}/{self.run}"
        return f"{self.name}/{self.trigger}/{self.fire}" if self.fire is not None else self.name

    @property
    def inputs(self) -> dict[str, Any]:
        """The inputs that every workflow about it takes."""
        return {"projectKey": self.project, "scenarioId": self.scenario}


class Wishes(NamedTuple):
    """What the command line asks for; times in seconds.

    Attributes:
        until: fire, start or end: what is waited for.
        durable: a journal has the run that follows the scenario, so it can be resumed.
    """

    params: dict[str, Any]
    timeout: float | None = None
    start_timeout: float = 120.0
    when_busy: str = "fail"
    abort_on_timeout: bool = False
    abort_on_interrupt: bool = False
    fail_on_warning: bool = False
    until: str = "end"
    durable: bool = True


class Ended(msgspec.Struct, kw_only=True, rename="camel"):
    """How a scenario ended, as `--json` gives it; durations in seconds, times in epoch milliseconds.

    Attributes:
        outcome: of the run, as DSS says it; None where there is none or it is not known.
        status: succeeded, warning, failed, aborted, cancelled, timed-out, in-doubt, interrupted, refused, triggered,
            started, skipped.
        durable_run: the id of the durable run that followed it, or None where nothing of it was journaled.
    """

    project: str
    scenario: str
    status: str
    exit_code: int
    outcome: str | None = None
    run_id: str | None = None
    trigger_id: str | None = None
    trigger_run_id: str | None = None
    start: int | None = None
    end: int | None = None
    duration: float | None = None
    url: str | None = None
    error: dict[str, Any] | None = None
    jobs: list[str] = []
    log: list[str] = []
    message: str | None = None
    hint: str | None = None
    resume: str | None = None
    durable_run: str | None = None


def worst(codes: Iterable[int]) -> int:
    """Give the worst exit code of several."""
    return max(codes, key=BADNESS.index, default=0)
