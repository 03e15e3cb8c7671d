"""What is read from answers of DSS: of a finished run its first error, its jobs, its log and page; the server's clock."""

from collections.abc import Iterable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any

from treadle.vendors.dataiku.scenario import Target

MOST_LINES = 15
"""How many lines of the log are shown."""


def first_error(steps: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Give the first error in the order of the steps: of a failed step, else of its first failed report item."""
    for run in steps:
        result = run.get("result") or {}
        if result.get("outcome") != "FAILED":
            continue
        items = run.get("additionalReportItems") or []
        failed = [item for item in items if item.get("outcome") == "FAILED"]
        thrown = result.get("thrown") or next((item["thrown"] for item in failed if item.get("thrown")), None) or {}
        step = run.get("step") or {}
        return {
            "step": step.get("name") or step.get("id"),
            "stepId": step.get("id"),
            "class": thrown.get("clazz"),
            "message": thrown.get("message"),
            "jobs": [item["jobId"] for item in items if item.get("jobId")],
        }
    return None


def job_ids(steps: Iterable[Mapping[str, Any]]) -> list[str]:
    """Give the ids of the jobs that the steps ran, in their order."""
    return [item["jobId"] for run in steps for item in run.get("additionalReportItems") or [] if item.get("jobId")]


def last_lines(log: Any) -> list[str]:
    """Give the last lines of a log."""
    return log.rstrip().splitlines()[-MOST_LINES:] if isinstance(log, str) else []


def running(runs: Sequence[Mapping[str, Any]] | None) -> str | None:
    """Give the id of the run that is on, of the last runs of a scenario, or None where there is none."""
    return str(runs[0]["runId"]) if runs and not runs[0].get("result") else None


def newer(runs: Iterable[Mapping[str, Any]], known: Iterable[Mapping[str, Any]]) -> list[str]:
    """Give the ids of the runs of the manual trigger that are not among those that were there before."""
    before = {run["runId"] for run in known}
    manual = (run for run in runs if ((run.get("trigger") or {}).get("trigger") or {}).get("type") == "manual")
    return [run["runId"] for run in manual if run["runId"] not in before]


def average(runs: Iterable[Mapping[str, Any]]) -> float | None:
    """Give the seconds that runs took which are over, on average."""
    took = [seconds for run in runs if run.get("result") and (seconds := seconds_of(run))]
    return sum(took) / len(took) if took else None


def ahead(date: str, now: float) -> float | None:
    """Give by how many seconds a server's clock is ahead of ours, from the Date field of what it answered just now."""
    try:
        return parsedate_to_datetime(date).timestamp() - now
    except ValueError:
        return None


def step_under_way(steps: Iterable[Mapping[str, Any]]) -> str:
    """Give the name of the step of a scenario that is on, or nothing."""
    on = [run["step"] for run in steps if not run.get("result")]
    return str(on[-1].get("name") or on[-1].get("id")) if on else ""


def seconds_of(run: Mapping[str, Any]) -> float | None:
    """Give how long a run took, or None where it is not over."""
    start, end = run.get("start"), run.get("end")
    return (end - start) / 1000 if start and end else None


def web_page(root: str, target: Target) -> str:
    """Give the page of the run in DSS, or of the scenario's runs where there is none yet."""
    page = f"{root}/projects/{target.project}/scenarios/{target.scenario}/runs"
    return page if target.run is None else f"{page}/list/{target.run}"
