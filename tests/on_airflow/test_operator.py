"""The recipes and the operator, each as a DAG that a real Airflow runs: worker, trigger and retries in one process.

Airflow reads its settings when it is imported, so it is imported where the fixture has made them.
"""

import asyncio
import json
from importlib import util

import pytest

from conftest import KEY, dss, posts
from treadle.vendors.dataiku.simulator.clock import RealClock, VirtualClock


def dag(home, file, name="dag"):
    spec = util.spec_from_file_location(file, home / "dags" / f"{file}.py")
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


def run(home, file="airflow_deferred", name="dag"):
    """Run a DAG; gives how it ended, how many tries its task took, and what the task returned."""
    from airflow.models.xcom import XComModel  # noqa: PLC0415
    from airflow.utils.session import create_session  # noqa: PLC0415

    ended = dag(home, file, name).test()
    with create_session() as session:
        (task,) = ended.get_task_instances(session=session)
        found = XComModel.get_many(run_id=ended.run_id, dag_ids=ended.dag_id, key="return_value").limit(1)
        value = session.scalars(found).first()
        return str(ended.state), task.try_number, value and XComModel.deserialize_value(value)


def ticking():
    return VirtualClock(tick=2)


def test_success(home):
    with dss(clock=ticking()) as simulator:
        state, tries, outputs = run(home)
        assert (state, tries, len(posts(simulator))) == ("success", 1, 1)
    assert outputs["outcome"] == "SUCCESS"
    assert outputs["runId"]


def test_a_run_that_failed_is_run_again(home):
    with dss("FAILED, SUCCESS", clock=ticking()) as simulator:
        state, tries, outputs = run(home)
        assert (state, tries, len(posts(simulator))) == ("success", 2, 2)
    assert outputs["outcome"] == "SUCCESS"


def test_a_run_that_nobody_could_see_is_waited_for(home):
    fault = "{do: 502, path: '*/get-run-for-trigger', first: 3, count: 5}"
    with dss("SUCCESS, FAILED", fault, clock=ticking()) as simulator:
        state, tries, outputs = run(home)
        assert (state, tries, len(posts(simulator))) == ("success", 2, 1)
    assert outputs["outcome"] == "SUCCESS"


def test_an_answer_that_was_lost_is_looked_for(home):
    fault = "{do: drop, method: POST, path: '*/run', effect: true, count: 1}"
    with dss("SUCCESS, FAILED", fault, clock=RealClock(speed=10)) as simulator:  # its times are compared with ours
        state, tries, _ = run(home)
        assert (state, tries, len(posts(simulator))) == ("success", 1, 1)


def test_in_doubt_is_not_retried(home):
    with dss(faults="{do: drop, method: POST, path: '*/run'}", clock=ticking()) as simulator:
        state, tries, _ = run(home, "other_dags", "only_trigger")
        assert (state, tries, len(posts(simulator))) == ("failed", 1, 1)


def test_a_request_that_may_have_taken_effect_is_not_repeated(home):
    fault = "{do: 504, method: POST, path: '*/run', effect: true, count: 1}"
    with dss(faults=fault, clock=ticking()) as simulator:
        state, tries, _ = run(home, "other_dags", "only_trigger")
        assert (state, tries, len(posts(simulator))) == ("failed", 1, 1)


def test_a_request_that_was_refused_is_repeated(home):
    with dss(faults="{do: 403, method: POST, path: '*/run', count: 1}", clock=ticking()) as simulator:
        state, tries, _ = run(home)
        assert (state, tries, len(posts(simulator))) == ("success", 2, 2)


def test_a_request_that_had_to_wait_is_sent_by_a_worker(home):
    fault = "{do: 429, method: POST, path: '*/run', count: 1, retry_after: 1}"
    with dss(faults=fault, clock=ticking()) as simulator:
        state, tries, outputs = run(home, "other_dags", "only_trigger")
        assert (state, tries, len(posts(simulator))) == ("success", 1, 2)
    assert outputs["fire"]


def test_what_cannot_be_run_is_not_retried(home):
    with dss(clock=ticking()) as simulator:
        state, tries, _ = run(home, "other_dags", "refused")
        assert (state, tries, len(simulator.requests)) == ("failed", 1, 0)


@pytest.mark.parametrize("outcome", ["SUCCESS", "FAILED"])
def test_on_a_worker(home, outcome):
    with dss(outcome, clock=ticking()) as simulator:
        state, tries, _ = run(home, "airflow_bash")
        assert (state, tries, len(posts(simulator))) == ("success" if outcome == "SUCCESS" else "failed", 1, 2)


class State(dict):
    """The task state, where there is no supervisor of Airflow to ask."""

    set = dict.__setitem__
    delete = dict.__delitem__


def test_a_trigger_is_run_twice_at_once(home):
    """Airflow gives a trigger to another triggerer when it takes the first for dead, which may be wrong."""

    from airflow.sdk.exceptions import TaskDeferred  # noqa: PLC0415

    from treadle.airflow import WorkflowTrigger  # noqa: PLC0415

    async def ran(arguments):
        return [event.payload async for event in WorkflowTrigger(**arguments).run()]

    async def both(arguments):
        return await asyncio.gather(ran(arguments), ran(arguments))

    with dss(clock=ticking()) as simulator:
        with pytest.raises(TaskDeferred) as deferred:
            dag(home, "airflow_deferred").get_task("nightly").execute({"task_state_store": State()})
        text = json.dumps(deferred.value.trigger.serialize()[1])
        assert KEY not in text
        events = asyncio.run(both(json.loads(text)))
        assert [[event["status"] for event in found] for found in events] == [["succeeded"]] * 2
        assert len(posts(simulator)) == 1


def test_without_a_task_state_nothing_is_sent(home):
    from airflow.sdk.exceptions import AirflowFailException  # noqa: PLC0415

    with dss(clock=ticking()) as simulator:
        with pytest.raises(AirflowFailException, match="needs Airflow"):
            dag(home, "airflow_deferred").get_task("nightly").execute({})
        assert not simulator.requests


def test_the_key_is_in_no_table(home):
    with dss(clock=ticking()):
        run(home)
    for file in home.glob("airflow.db*"):
        assert KEY.encode() not in file.read_bytes()
