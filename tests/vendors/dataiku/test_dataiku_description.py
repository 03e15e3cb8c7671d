"""Every route of the simulator against the description: requests drawn from its schemas, answers held against them."""

from __future__ import annotations

import re
from collections import Counter

import fast_yaml
import msgspec
import pytest
import requests
import schemathesis
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks

from treadle.vendors.dataiku import DATAIKU
from treadle.vendors.dataiku.simulator import config
from treadle.vendors.dataiku.simulator.app import application
from treadle.vendors.dataiku.simulator.clock import VirtualClock
from treadle.vendors.dataiku.simulator.description import ApiKey
from treadle.vendors.dataiku.simulator.instance import Instance
from treadle.vendors.dataiku.simulator.jobs import JobDefinition, WantedOutput
from treadle.vendors.dataiku.simulator.proxy import PREFIXES
from treadle.vendors.dataiku.simulator.server import running

FORM = [checks.status_code_conformance, checks.content_type_conformance, checks.response_schema_conformance]
# Without delays, so that there is a run that is over, one that is on, and a job of each kind, at one moment.
KEYS = (
    *config.default().keys,
    ApiKey(key="no-project", projects=()),
    ApiKey(key="no-privilege", privileges=()),
)
SIMULATION = msgspec.structs.replace(config.default(), keys=KEYS, start_delay=0.0, job_delay=0.0)


def populate(instance: Instance) -> dict[str, list[str]]:
    """Begin anew with some fires, runs and jobs; give the names of what there is, by parameter."""
    instance.reset()
    now = instance.clock.now()
    scenarios = [instance.world.scenario("DEMO", name, now) for name in ("NIGHTLY", "ENDLESS", "BROKEN")]
    for live in scenarios:
        live.fire({"day": 1})
    jobs = instance.world.jobs("DEMO", now)
    asked = [jobs.ask(JobDefinition([WantedOutput(build.output)]), "API (demo)") for build in SIMULATION.builds]
    return {
        "projectKey": ["DEMO"],
        "scenarioId": [live.description.id for live in scenarios],
        "triggerId": ["manual"],
        "runId": [run for live in scenarios for run in live.runs],
        "triggerRunId": [fire for live in scenarios for fire in live.fires],
        "jobId": [job.id for job in asked],
    }


def described() -> dict:
    return fast_yaml.safe_load(DATAIKU.description.read_text("utf-8"))


def narrowed() -> schemathesis.BaseSchema:
    """Give the description, with outputs that can be built: a text drawn at random names none."""
    description = described()
    output = description["components"]["schemas"]["JobToStart"]["properties"]["outputs"]["items"]["properties"]["id"]
    output["enum"] = [build.output for build in SIMULATION.builds]
    return schemathesis.openapi.from_dict(description)


KNOWN = populate(Instance(SIMULATION, VirtualClock()))
OPERATIONS = [found.ok() for found in narrowed().get_all_operations()]
POSITIVE, NEGATIVE = GenerationMode.POSITIVE, GenerationMode.NEGATIVE


@pytest.fixture(scope="module")
def served():
    with running(SIMULATION, clock=VirtualClock()) as simulator, requests.Session() as session:
        session.headers["Authorization"] = "Bearer demo-key"
        yield simulator, session


def answers(operation, mode, served, verdict) -> Counter[int]:
    """Send requests to an operation and hold each answer against its description; give how often each status came."""
    simulator, session = served
    seen: Counter[int] = Counter()

    @settings(max_examples=25, deadline=None, database=None, phases=[Phase.generate])
    @given(operation.as_strategy(generation_mode=mode), st.data())
    def hold(case, data):
        assert populate(simulator.instance) == KNOWN
        # What is wrong with a query is left as it is.
        for where in (case.path_parameters, case.query if mode is POSITIVE else {}):
            for name in KNOWN.keys() & where.keys():
                where[name] = data.draw(st.sampled_from([*KNOWN[name] * 3, where[name]]), name)
        response = case.call(base_url=simulator.api_url, session=session)
        case.validate_response(response, checks=[*FORM, verdict])
        seen[response.status_code] += 1

    hold()
    return seen


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_answers_are_as_described(operation, served):
    seen = answers(operation, POSITIVE, served, checks.positive_data_acceptance)
    assert seen[200]
    assert not seen.keys() - {200, 404}


@pytest.mark.parametrize(
    "operation",
    [operation for operation in OPERATIONS if "400" in operation.definition.raw["responses"]],
    ids=lambda operation: operation.label,
)
def test_what_is_not_as_described_is_refused(operation, served):
    assert 400 in answers(operation, NEGATIVE, served, checks.negative_data_rejection)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
@pytest.mark.parametrize("key", [None, "other", "no-project", "no-privilege"])
def test_keys_are_asked_for_everywhere(operation, key, served):
    simulator, _ = served
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    path = operation.path.format(**{name: names[0] for name, names in KNOWN.items()})
    reply = requests.request(operation.method, simulator.api_url + path, headers=headers, timeout=10)
    expected = {None: 401, "other": 401}.get(key, 403)
    if "{" not in operation.path and expected == 403:
        expected = 200
    assert reply.status_code == expected


def test_every_route_is_described():
    """The other way round: what the simulator serves and the description does not have."""
    served = {
        (route.method, route.resource.canonical.removeprefix(PREFIXES[0]).rstrip("/"))
        for route in application(Instance(SIMULATION, VirtualClock())).router.routes()
        if route.resource.canonical.startswith(PREFIXES[0])
    }
    expected = {
        (method.upper(), re.sub("{([a-z]+)(Key|Id)}", r"{\1}", path).rstrip("/"))
        for path, item in described()["paths"].items()
        for method in item
        if method != "parameters"
    }
    assert served == expected
