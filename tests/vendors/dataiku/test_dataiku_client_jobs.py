"""Jobs as Dataiku's own client starts, follows and aborts them."""

from __future__ import annotations

import msgspec
import pytest
from dataikuapi.utils import DataikuException

from treadle.vendors.dataiku.simulator import config
from treadle.vendors.dataiku.simulator.clock import VirtualClock
from treadle.vendors.dataiku.simulator.server import running


def test_a_job_from_its_start_to_its_end(project, clock):
    job = project.new_job("RECURSIVE_BUILD").with_output("orders_enriched").start()
    assert job.id == "build_orders_enriched_NP_2016-04-15T14-57-32.101"
    seen = []
    for seconds in (0, 0.4, 0.1, 3.9, 0.1):
        clock.advance(seconds)
        base = job.get_status()["baseStatus"]
        seen.append((base["state"], base["endTime"] - base["startTime"] if base["endTime"] else 0, base["stableState"]))
    assert [state for state, _, _ in seen] == ["NOT_STARTED", "NOT_STARTED", "RUNNING", "RUNNING", "DONE"]
    assert seen[-1] == ("DONE", 4000, True)
    assert base["def"]["initiator"] == "API (demo)"
    assert base["def"]["type"] == "RECURSIVE_BUILD"
    assert list(base["activities"]) == ["compute_orders_enriched_NP"]
    assert "Running recipe compute_orders_prepared" in job.get_log()
    assert job.get_log().splitlines()[-1].endswith("Job is done, state DONE")
    assert "Job is done" not in job.get_log(activity="compute_orders_enriched_NP")
    with pytest.raises(DataikuException, match="has no activity other"):
        job.get_log(activity="other")


def test_a_job_is_waited_for(polled):
    started = {"type": "NON_RECURSIVE_FORCED_BUILD", "outputs": [{"id": "orders_enriched"}]}
    assert polled.start_job_and_wait(started) == "DONE"
    failing = {"outputs": [{"id": "scores", "type": "DATASET"}]}
    assert polled.start_job_and_wait(failing, no_fail=True) == "FAILED"
    with pytest.raises(DataikuException, match=r"Job run did not finish\. Status: FAILED"):
        polled.start_job_and_wait(failing)


def test_a_job_of_several_outputs_ends_with_the_first_that_fails(project, clock):
    outputs = [{"id": name} for name in ("orders_enriched", "scores", "orders_enriched")]
    job = project.start_job({"outputs": outputs})
    clock.advance(5)
    states = [each["state"] for each in job.get_status()["baseStatus"]["activities"].values()]
    assert states == ["DONE", "RUNNING"]
    clock.advance(99)
    status = job.get_status()
    base = status["baseStatus"]
    assert (base["state"], base["endTime"] - base["startTime"]) == ("FAILED", 6000)
    assert (
        base["activities"]["compute_scores_NP"]["firstFailure"]["message"] == "The Python process failed (exit code 1)"
    )
    assert (status["globalState"]["done"], status["globalState"]["failed"]) == (1, 1)
    assert "ValueError: column 'age' is not there" in job.get_log(activity="compute_scores_NP")


def test_a_job_is_aborted(project, clock):
    job = project.new_job().with_output("live_orders", object_type="STREAMING_ENDPOINT", partition="2024").start()
    clock.advance(1e6)
    assert job.get_status()["baseStatus"]["state"] == "RUNNING"
    assert "compute_live_orders_2024" in job.get_status()["baseStatus"]["activities"]
    assert job.abort()["msg"]
    clock.advance(0.4)
    assert job.get_status()["baseStatus"]["state"] == "RUNNING"
    clock.advance(0.1)
    status = job.get_status()["baseStatus"]
    assert (status["state"], status["activities"]["compute_live_orders_2024"]["state"]) == ("ABORTED", "ABORTED")
    job.abort()
    assert job.get_status()["baseStatus"] == status
    assert job.get_log().splitlines()[-1].endswith("state ABORTED")


def test_a_job_that_is_aborted_before_it_starts_never_does(make_client):
    clock = VirtualClock()
    with running(msgspec.structs.replace(config.default(), abort_lag=0.1), clock=clock) as simulator:
        job = make_client(simulator).get_project("DEMO").new_job().with_output("orders_enriched").start()
        job.abort()
        clock.advance(9)
        status = job.get_status()["baseStatus"]
    assert (status["state"], status["startTime"], status["endTime"]) == ("ABORTED", 0, 1460732252201)
    assert [each["state"] for each in status["activities"].values()] == ["ABORTED"]


def test_jobs_are_listed(project, simulator, make_client, clock):
    done = project.new_job().with_output("scores").start()
    clock.advance(9)
    on = [project.new_job().with_output("orders_enriched").start() for _ in range(2)]
    assert len({job.id for job in (done, *on)}) == 3
    assert [item.job_id for item in project.list_jobs()] == [on[1].id, on[0].id, done.id]
    assert project.list_jobs()[-1].end_time.timestamp() == pytest.approx(clock.now() - 6.5)
    running_ids = [on[1].id, on[0].id]
    assert [item.job_id for item in project.list_running_jobs()] == running_ids
    assert [item.job_id for item in make_client(simulator).list_running_jobs()] == running_ids
    assert project.list_running_jobs(as_type="objects")[0].get_status()["baseStatus"]["state"] == "NOT_STARTED"


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        ({"outputs": [{"id": "orders_enrichd"}]}, "Dataset DEMO.orders_enrichd does not exist"),
        ({"outputs": [{"id": "scores", "type": "SAVED_MODEL"}]}, "Saved model DEMO.scores does not exist"),
        ({"outputs": [{"id": "scores", "projectKey": "X"}]}, "Dataset X.scores does not exist"),
        ({"outputs": []}, "A job needs at least one output"),
        ({}, "Object missing required field `outputs`"),
        ({"outputs": [{"id": "scores"}], "type": "BUILD"}, "Invalid enum value 'BUILD' - at `\\$.type`"),
    ],
)
def test_a_job_that_cannot_be(project, definition, message):
    with pytest.raises(DataikuException, match=message):
        project.start_job(definition)
    assert project.list_jobs() == []
