"""The text log of a run: one line per event, growing as the run goes on. The layout follows the logs of DSS's backend."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from treadle.vendors.dataiku.simulator.errors import UnknownError
from treadle.vendors.dataiku.simulator.world import LiveScenario, Run, StepRun


def log_text(live: LiveScenario, run: Run, step_id: str | None = None) -> str:
    """Give the lines written so far, of the whole run or of one step; a step not yet reached has written none."""
    steps = (*live.description.steps, *(planned.step for planned in run.plan.steps))
    if step_id is not None and step_id not in [step.id for step in steps]:
        raise UnknownError(f"Scenario {live.description.id} has no step {step_id}")
    lines = _step_lines(run, live.now, step_id) if step_id is not None else _run_lines(live, run)
    name = f"{live.description.project}.{live.description.id}"
    return "".join(_line(_moment(live, at), level, name, text) for at, level, text in lines if at <= live.now)


def _run_lines(live: LiveScenario, run: Run) -> Iterator[tuple[int, str, str]]:
    yield run.start, "INFO", f"Scenario run {run.id} starts, trigger {run.fire.trigger}"
    yield from _step_lines(run, live.now, None)
    if run.end is not None:
        level = "INFO" if run.outcome in {"SUCCESS", "WARNING"} else "ERROR"
        yield run.end, level, f"Scenario run {run.id} is done, outcome {run.outcome}"


def _step_lines(run: Run, now: int, step_id: str | None) -> Iterator[tuple[int, str, str]]:
    for step_run in run.steps(now):
        if step_id is None or step_run.planned.step.id == step_id:
            yield from _lines_of(step_run)


def _lines_of(step_run: StepRun) -> Iterator[tuple[int, str, str]]:
    step = step_run.planned.step
    name = step.name or step.id
    yield step_run.start, "INFO", f"[{name}] starts"
    spacing = step.duration * 1000 / (len(step.log) + 1)
    for number, text in enumerate(step.log, start=1):
        at = step_run.start + round(spacing * number)
        # What an aborted step would have written later is never written.
        if step_run.end is None or at <= step_run.end:
            yield at, "INFO", f"[{name}] {text}"
    if step_run.end is None:
        return
    if step_run.outcome == "FAILED" and step.error is not None:
        yield step_run.end, "ERROR", f"[{name}] {step.error.clazz}: {step.error.message}"
        for text in step.error.stack.splitlines():
            yield step_run.end, "ERROR", f"[{name}] {text}"
    level = {"SUCCESS": "INFO", "WARNING": "WARN"}.get(step_run.outcome or "", "ERROR")
    yield step_run.end, level, f"[{name}] is done, outcome {step_run.outcome}"


def _moment(live: LiveScenario, at: int) -> str:
    second, millisecond = divmod(at, 1000)
    return f"{datetime.fromtimestamp(second, tz=live.timezone):%Y/%m/%d-%H:%M:%S}.{millisecond:03d}"


def _line(moment: str, level: str, name: str, text: str) -> str:
    return f"[{moment}] [Scenario-{name}] [{level}] [dku.scenario] - {text}\n"
