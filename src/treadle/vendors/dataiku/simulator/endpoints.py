"""What each scenario route does with the state it is about: a table of pure functions. No HTTP in here.

The instance-level routes, the list of a project, authentication and errors are in `app`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import islice
from typing import Any, Final

from msgspec import Struct

from treadle.vendors.dataiku.simulator import settings as saved
from treadle.vendors.dataiku.simulator import shapes
from treadle.vendors.dataiku.simulator.description import Privilege
from treadle.vendors.dataiku.simulator.errors import BadRequestError
from treadle.vendors.dataiku.simulator.runlog import log_text
from treadle.vendors.dataiku.simulator.world import LiveScenario

# A str is answered as plain text, anything else as JSON.
Answer = Struct | Mapping[str, Any] | Sequence[Struct] | str


@dataclass(frozen=True, slots=True)
class Call:
    """What a request brings besides the scenario it is about."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    # The id of the API key.
    author: str
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


def save_settings(live: LiveScenario, call: Call) -> Answer:
    """Write the settings."""
    live.save(saved.read_object(call.body), call.author)
    return shapes.message(f"Saved scenario {live.name}")


def save_light(live: LiveScenario, call: Call) -> Answer:
    """Write what the light status may change."""
    live.save_light(saved.read_object(call.body), call.author)
    return shapes.message(f"Saved scenario {live.name}")


def save_payload(live: LiveScenario, call: Call) -> Answer:
    """Write the script."""
    live.save_script(saved.read_payload(call.body).script, call.author)
    return shapes.message(f"Saved the script of scenario {live.name}")


def run(live: LiveScenario, call: Call) -> Answer:
    """Ask for a run; a busy scenario is no error, the fire says `cancelled`."""
    params = saved.read_object(call.body) if call.body.strip() else {}
    return shapes.fire_body(live, live.fire(params, call.author), published=call.published_shapes)


def abort(live: LiveScenario, _: Call) -> Answer:
    """Abort; answers on acceptance, and the same when there is nothing to abort."""
    live.abort()
    return shapes.NoParams()


def last_runs(live: LiveScenario, call: Call) -> Answer:
    """List the newest runs."""
    limit = _whole_number("limit", call.query.get("limit", "10"))
    only_finished = boolean("onlyFinishedRuns", call.query.get("onlyFinishedRuns", "false"))
    return [shapes.run_body(live, run) for run in islice(live.newest_runs(only_finished=only_finished), limit)]


def runs_by_date(live: LiveScenario, call: Call) -> Answer:
    """List the runs that started from one day to another, the end exclusive; without an end, up to now."""
    start = _midnight("fromDate", call.required("fromDate"), live.timezone)
    end = _midnight("toDate", call.query["toDate"], live.timezone) if "toDate" in call.query else live.now + 1
    return [shapes.run_body(live, run) for run in live.newest_runs() if start <= run.start < end]


def run_for_trigger(live: LiveScenario, call: Call) -> Answer:
    """Find the run that came of a fire. A fire that nobody knows has no run, as one that waits."""
    trigger, fire = call.required("triggerId"), live.fires.get(call.required("triggerRunId"))
    if fire is None or fire.trigger != trigger:
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


# Method, path under /projects/{project}/scenarios, the privilege it takes, what it does. The order counts: the first path
# that matches is taken. Which privilege a route takes is not documented one by one; the names are DSS's.
SCENARIO_ROUTES: Final[tuple[tuple[str, str, Privilege, Endpoint], ...]] = (
    ("GET", "/trigger/{scenario}/{trigger}", "READ_CONF", trigger_fire),
    ("GET", "/{scenario}", "READ_CONF", settings),
    ("PUT", "/{scenario}", "WRITE_CONF", save_settings),
    ("GET", "/{scenario}/light", "READ_CONF", light),
    ("PUT", "/{scenario}/light", "WRITE_CONF", save_light),
    ("GET", "/{scenario}/payload", "READ_CONF", payload),
    ("PUT", "/{scenario}/payload", "WRITE_CONF", save_payload),
    ("POST", "/{scenario}/run", "RUN_SCENARIOS", run),
    ("POST", "/{scenario}/abort", "RUN_SCENARIOS", abort),
    ("GET", "/{scenario}/get-last-runs", "READ_CONF", last_runs),
    ("GET", "/{scenario}/get-runs-by-date", "READ_CONF", runs_by_date),
    ("GET", "/{scenario}/get-run-for-trigger", "READ_CONF", run_for_trigger),
    ("GET", "/{scenario}/{run}", "READ_CONF", run_details),
    ("GET", "/{scenario}/{run}/log", "READ_CONF", run_log),
)


def _whole_number(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise BadRequestError(f"Parameter '{name}' has to be a whole number, not '{text}'")
    # More than there can be is as good as all; Python counts to no more than this.
    return int(text) if len(text) < 19 else sys.maxsize


def boolean(name: str, text: str) -> bool:
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
