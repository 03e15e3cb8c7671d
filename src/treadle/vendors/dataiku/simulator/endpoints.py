"""What each scenario route does with the state it is about: a table of pure functions. No HTTP in here.

The instance-level routes, the list of a project, authentication and errors are in `app`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import islice
from typing import Any, Final

import msgspec

from treadle.vendors.dataiku.simulator import shapes
from treadle.vendors.dataiku.simulator.runlog import log_text
from treadle.vendors.dataiku.simulator.world import LiveScenario

# A Struct is answered as JSON, a str as plain text.
Answer = msgspec.Struct | list[shapes.RunBody] | str


class BadRequestError(ValueError):
    """A parameter or a body that cannot be read."""


@dataclass(frozen=True, slots=True)
class Call:
    """What a request brings besides the scenario it is about."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    published_shapes: bool

    def required(self, name: str) -> str:
        """Give a query parameter that has to be there."""
        if name not in self.query:
            raise BadRequestError(f"Required parameter '{name}' is not present")
        return self.query[name]


Endpoint = Callable[[LiveScenario, Call], Answer]


def settings(live: LiveScenario, _: Call) -> Answer:
    """Read the settings."""
    return shapes.settings_body(live)


def light(live: LiveScenario, call: Call) -> Answer:
    """Read the light status."""
    return shapes.light_body(live, published=call.published_shapes)


def payload(live: LiveScenario, _: Call) -> Answer:
    """Read the script."""
    return shapes.payload_body(live)


def run(live: LiveScenario, call: Call) -> Answer:
    """Ask for a run; a busy scenario is no error, the fire says `cancelled`."""
    return shapes.fire_body(live, live.fire(_posted_params(call.body)), published=call.published_shapes)


def abort(live: LiveScenario, _: Call) -> Answer:
    """Abort; answers on acceptance, and the same when there is nothing to abort."""
    live.abort()
    return shapes.NoParams()


def last_runs(live: LiveScenario, call: Call) -> Answer:
    """List the newest runs."""
    limit = _whole_number("limit", call.query.get("limit", "10"))
    only_finished = _boolean("onlyFinishedRuns", call.query.get("onlyFinishedRuns", "false"))
    return [shapes.run_body(live, run) for run in islice(live.newest_runs(only_finished=only_finished), limit)]


def runs_by_date(live: LiveScenario, call: Call) -> Answer:
    """List the runs that started from one day to another, the end exclusive; without an end, up to now."""
    start = _midnight("fromDate", call.required("fromDate"), live.timezone)
    end = _midnight("toDate", call.query["toDate"], live.timezone) if "toDate" in call.query else live.now + 1
    return [shapes.run_body(live, run) for run in live.newest_runs() if start <= run.start < end]


def run_for_trigger(live: LiveScenario, call: Call) -> Answer:
    """Find the run that came of a fire. A fire that nobody knows has no run, as one that waits."""
    fire = live.fires.get(call.required("triggerRunId"))
    if fire is None or fire.trigger != call.required("triggerId"):
        return shapes.ScenarioRunBody()
    return shapes.run_for_fire_body(live, fire.run)


def trigger_fire(live: LiveScenario, call: Call) -> Answer:
    """Read a fire again, to see whether it was cancelled."""
    fire = live.find_fire(call.path["trigger"], call.required("triggerRunId"))
    return shapes.fire_body(live, fire, published=call.published_shapes)


def run_details(live: LiveScenario, call: Call) -> Answer:
    """Read a run and its steps."""
    return shapes.details_body(live, live.run(call.path["run"]))


def run_log(live: LiveScenario, call: Call) -> Answer:
    """Read the log of a run, or of one of its steps."""
    return log_text(live, live.run(call.path["run"]), call.query.get("stepId"))


# Method, path under /projects/{project}/scenarios, what it does. The order counts: the first path that matches is taken.
SCENARIO_ROUTES: Final[tuple[tuple[str, str, Endpoint], ...]] = (
    ("GET", "/trigger/{scenario}/{trigger}", trigger_fire),
    ("GET", "/{scenario}", settings),
    ("GET", "/{scenario}/light", light),
    ("GET", "/{scenario}/payload", payload),
    ("POST", "/{scenario}/run", run),
    ("POST", "/{scenario}/abort", abort),
    ("GET", "/{scenario}/get-last-runs", last_runs),
    ("GET", "/{scenario}/get-runs-by-date", runs_by_date),
    ("GET", "/{scenario}/get-run-for-trigger", run_for_trigger),
    ("GET", "/{scenario}/{run}", run_details),
    ("GET", "/{scenario}/{run}/log", run_log),
)


def _posted_params(body: bytes) -> dict[str, Any]:
    """Read the trigger params: a JSON object, whatever its Content-Type says, or nothing at all."""
    if not body.strip():
        return {}
    try:
        params = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequestError(f"The body is not JSON: {error}") from error
    if not isinstance(params, dict):
        raise BadRequestError("The body has to be a JSON object")
    return params


def _whole_number(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise BadRequestError(f"Parameter '{name}' has to be a whole number, not '{text}'")
    return int(text)


def _boolean(name: str, text: str) -> bool:
    """Python's spelling counts as well as Java's: the official client sends `True`."""
    if text.lower() not in {"true", "false"}:
        raise BadRequestError(f"Parameter '{name}' has to be true or false, not '{text}'")
    return text.lower() == "true"


def _midnight(name: str, text: str, zone: timezone) -> int:
    """Epoch milliseconds of the first moment of a day, where the simulated server is."""
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=zone)
    except ValueError as error:
        raise BadRequestError(f"Parameter '{name}' has to be a date as 2016-04-15, not '{text}'") from error
    return round(day.timestamp() * 1000)
