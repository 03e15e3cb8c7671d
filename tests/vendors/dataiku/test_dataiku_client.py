"""Proof of faithfulness: Dataiku's own client, unmodified, against the simulator."""

from __future__ import annotations

import msgspec
import pytest
from dataikuapi.dss.scenario import PythonScriptBasedScenarioSettings, StepBasedScenarioSettings
from dataikuapi.utils import DataikuException

from treadle.vendors.dataiku.simulator import config
from treadle.vendors.dataiku.simulator.clock import VirtualClock
from treadle.vendors.dataiku.simulator.description import ApiKey, PastRun
from treadle.vendors.dataiku.simulator.server import running


def test_run_and_wait(polled):
    run = polled.get_scenario("NIGHTLY").run_and_wait(params={"day": "2016-04-14"})
    assert run.outcome == "SUCCESS"
    assert not run.running
    assert run.duration == 7.5
    assert run.trigger["id"] == "manual"
    assert run.get_info()["trigger"]["params"] == {"day": "2016-04-14"}


@pytest.mark.parametrize(("name", "outcome"), [("BROKEN", "FAILED"), ("WEEKLY_REPORT", "WARNING")])
def test_run_and_wait_raises_on_anything_but_success(polled, name, outcome):
    with pytest.raises(DataikuException, match=f"Scenario run returned status {outcome}"):
        polled.get_scenario(name).run_and_wait()


def test_run_and_wait_without_raising(polled):
    run = polled.get_scenario("BROKEN").run_and_wait(no_fail=True)
    assert run.outcome == "FAILED"
    assert polled.get_scenario("WEEKLY_REPORT").run_and_wait(no_fail=True).outcome == "WARNING"


def test_run_and_wait_of_a_run_that_is_aborted(make_client):
    clock = VirtualClock(tick=2)
    with running(clock=clock) as simulator:
        scenario = make_client(simulator).get_project("DEMO").get_scenario("ENDLESS")
        run = scenario.run().wait_for_scenario_run()
        assert run.running
        scenario.abort()
        run.wait_for_completion(no_fail=True)
        assert run.outcome == "ABORTED"


def test_a_cancelled_fire_ends_the_wait(project, clock):
    scenario = project.get_scenario("ENDLESS")
    scenario.run()
    clock.advance(3)
    with pytest.raises(DataikuException, match="Scenario run has been cancelled"):
        scenario.run().wait_for_scenario_run()
    assert scenario.run().wait_for_scenario_run(no_fail=True) is None
    with pytest.raises(AttributeError):
        # What dataiku.md says of the client: no_fail and a cancelled fire do not go together.
        scenario.run_and_wait(no_fail=True)


def test_a_fire_cancelled_later_is_seen_at_the_tenth_poll(make_client):
    """Slow because the client sleeps between its polls: it looks whether the fire was cancelled at every tenth only."""
    clock = VirtualClock(tick=0.5)
    with running(msgspec.structs.replace(config.default(), busy=1.0), clock=clock) as simulator:
        scenario = make_client(simulator).get_project("DEMO").get_scenario("ENDLESS")
        scenario.run()
        clock.advance(3)
        fire = scenario.run()
        with pytest.raises(DataikuException, match="cancelled"):
            fire.wait_for_scenario_run()
        paths = [request.path.rpartition("/")[2].partition("?")[0] for request in simulator.requests]
    assert paths == ["run", "run", *["get-run-for-trigger"] * 9, "manual"]


def test_trigger_fire(project, clock):
    scenario = project.get_scenario("NIGHTLY")
    first = scenario.run({"n": 1})
    again = scenario.get_trigger_fire(first.trigger_id, first.run_id)
    assert again.get_raw() == first.get_raw()
    assert first.get_scenario_run() is None
    assert not first.is_cancelled(refresh=True)
    second = scenario.run()
    assert not first.is_cancelled()
    assert first.is_cancelled(refresh=True)
    clock.advance(3)
    assert second.get_scenario_run().trigger == {"id": "manual", "type": "manual"}
    assert first.get_scenario_run() is None


def test_status(project, clock):
    scenario = project.get_scenario("NIGHTLY")
    assert not scenario.get_status().running
    scenario.run()
    assert not scenario.get_status().running
    clock.advance(3)
    status = scenario.get_status()
    assert status.running
    assert status.next_run is None
    assert status.get_raw()["start"] == scenario.get_current_run().get_info()["start"]


def test_runs(project, clock):
    scenario = project.get_scenario("NIGHTLY")
    (stale,) = scenario.get_last_runs()
    assert scenario.get_current_run() is None
    assert scenario.get_last_finished_run().outcome == "FAILED"
    scenario.run()
    clock.advance(3)
    current = scenario.get_current_run()
    assert current.running
    with pytest.raises(ValueError, match="outcome not available"):
        _ = current.outcome
    with pytest.raises(ValueError, match="has not completed"):
        current.get_end_time()
    assert [run.id for run in scenario.get_last_runs()] == [current.id, stale.id]
    assert [run.id for run in scenario.get_last_runs(only_finished_runs=True)] == [stale.id]
    assert scenario.get_last_finished_run().id == stale.id
    clock.advance(7.5)
    current.refresh()
    assert current.outcome == "SUCCESS"
    assert (current.end_time - current.start_time).total_seconds() == 7.5
    assert scenario.get_run(current.id).get_info() == current.get_info()
    assert scenario.get_last_successful_run().id == current.id


def test_a_scenario_that_never_ran(project):
    scenario = project.get_scenario("BROKEN")
    assert scenario.get_last_runs() == []
    assert scenario.get_current_run() is None
    with pytest.raises(ValueError, match="No scenario run completed"):
        scenario.get_last_finished_run()


def test_runs_by_date(project, clock):
    scenario = project.get_scenario("NIGHTLY")
    scenario.run()
    clock.advance(3)
    today, yesterday = (run.id for run in scenario.get_last_runs())
    assert [run.id for run in scenario.get_runs_by_date("2016-04-14", "2016-04-16")] == [today, yesterday]
    assert [run.id for run in scenario.get_runs_by_date("2016-04-14", "2016-04-15")] == [yesterday]


def test_average_duration(make_client):
    (nightly, *_) = config.default().scenarios
    nightly = msgspec.structs.replace(nightly, history=tuple(PastRun(ago=3600.0 * n) for n in (1, 2, 3)))
    simulation = msgspec.structs.replace(config.default(), scenarios=(nightly,))
    with running(simulation, clock=VirtualClock()) as simulator:
        scenario = make_client(simulator).get_project("DEMO").get_scenario("NIGHTLY")
        assert scenario.get_average_duration() == 7.5
        assert scenario.get_average_duration(limit=4) is None


def test_abort(project, clock):
    scenario = project.get_scenario("ENDLESS")
    scenario.abort()
    fire = scenario.run()
    clock.advance(1e6)
    run = fire.get_scenario_run()
    assert run.running
    scenario.abort()
    clock.advance(0.4)
    run.refresh()
    assert run.running
    clock.advance(0.1)
    run.refresh()
    assert run.outcome == "ABORTED"
    assert [step.outcome for step in run.get_details().steps] == ["ABORTED"]


def test_details_of_a_failure(project, clock):
    scenario = project.get_scenario("BROKEN")
    fire = scenario.run()
    clock.advance(99)
    details = fire.get_scenario_run().get_details()
    assert [step.outcome for step in details.steps] == ["SUCCESS", "FAILED"]
    assert [step.job_ids for step in details.steps] == [["Build_customers_NP"], ["Build_scores_NP"]]
    assert details.last_step["step"]["name"] == "Build scores"
    assert details.first_error_details["clazz"] == "com.dataiku.dip.exceptions.ProcessDiedException"
    assert details.first_error_details["message"] == "The Python process failed (exit code 1)"


def test_an_error_that_stands_with_the_job(make_client):
    broken = next(scenario for scenario in config.default().scenarios if scenario.id == "BROKEN")
    steps = tuple(msgspec.structs.replace(step, error_in="job") for step in broken.steps if step.job_id is not None)
    simulation = msgspec.structs.replace(
        config.default(), scenarios=(msgspec.structs.replace(broken, steps=steps),), start_delay=0.0
    )
    clock = VirtualClock()
    with running(simulation, clock=clock) as simulator:
        fire = make_client(simulator).get_project("DEMO").get_scenario("BROKEN").run()
        clock.advance(99)
        details = fire.get_scenario_run().get_details()
    assert "thrown" not in details.steps[1]["result"]
    assert details.first_error_details["message"] == "The Python process failed (exit code 1)"


def test_details_of_a_success_have_no_error(project, clock):
    fire = project.get_scenario("NIGHTLY").run()
    clock.advance(99)
    details = fire.get_scenario_run().get_details()
    assert [step["step"]["id"] for step in details.steps] == [
        "sync_orders",
        "build_orders_enriched",
        "check_orders_enriched",
    ]
    assert details.first_error_details is None


def test_log(project, clock):
    fire = project.get_scenario("BROKEN").run()
    clock.advance(99)
    run = fire.get_scenario_run()
    assert run.get_log().splitlines()[-1].endswith(f"Scenario run {run.id} is done, outcome FAILED")
    assert "Build customers" in run.get_log()
    assert "Build customers" not in run.get_log(step_id="build_scores")
    assert "column 'age' is not there" in run.get_log(step_id="build_scores")


def test_settings_of_steps(project):
    settings = project.get_scenario("NIGHTLY").get_settings()
    assert isinstance(settings, StepBasedScenarioSettings)
    assert [step["type"] for step in settings.raw_steps] == ["sync", "build_flowitem", "check_dataset"]
    assert settings.active
    assert settings.run_as is None
    assert settings.effective_run_as == "admin"
    assert settings.raw_triggers == []
    assert settings.raw_reporters == []


def test_settings_of_a_script(project):
    settings = project.get_scenario("PY_CLEANUP").get_settings()
    assert isinstance(settings, PythonScriptBasedScenarioSettings)
    assert settings.code.startswith("from dataiku.scenario import Scenario\n")


def test_an_inactive_scenario(project):
    assert not project.get_scenario("ENDLESS").get_settings().active


def test_list(project, clock):
    project.get_scenario("NIGHTLY").run()
    clock.advance(3)
    items = {item.to_scenario().id: item for item in project.list_scenarios()}
    assert list(items) == ["NIGHTLY", "WEEKLY_REPORT", "BROKEN", "ENDLESS", "PY_CLEANUP"]
    assert items["NIGHTLY"].running
    assert items["NIGHTLY"].start_time.timestamp() == pytest.approx(clock.now())
    assert items["NIGHTLY"].tags == ["nightly", "orders"]
    assert not items["BROKEN"].running
    assert items["BROKEN"].start_time is None
    assert [scenario.id for scenario in project.list_scenarios(as_type="objects")] == list(items)
    assert project.list_test_scenarios() == []


def test_who_am_i(simulator, make_client):
    assert make_client(simulator).get_auth_info()["authIdentifier"] == "demo"


def test_an_unknown_key(simulator, make_client):
    scenario = make_client(simulator, "other").get_project("DEMO").get_scenario("NIGHTLY")
    message = "com.dataiku.dip.exceptions.NotAuthenticatedException: Unknown API Key"
    with pytest.raises(DataikuException, match=f"^{message}$"):
        scenario.run()


def test_an_unknown_scenario(project):
    message = "com.dataiku.dip.server.controllers.NotFoundException: Scenario DEMO.NOTHING does not exist"
    with pytest.raises(DataikuException, match=f"^{message}$"):
        project.get_scenario("NOTHING").run_and_wait()


def test_a_scenario_from_its_creation_to_its_end(project, clock):
    made = project.create_scenario(
        "Nightly build, again", "step_based", {"params": {"steps": []}, "shortDesc": "second"}
    )
    assert made.id == "NIGHTLY_BUILD_AGAIN"
    assert project.create_scenario("nightly build again!", "custom_python").id == "NIGHTLY_BUILD_AGAIN_1"
    settings = made.get_settings()
    assert (settings.raw_steps, settings.get_raw()["shortDesc"], settings.effective_run_as) == ([], "second", "demo")
    settings.raw_steps.append({"id": "a", "type": "build_flowitem", "name": "A", "params": {"builds": []}})
    settings.add_hourly_trigger()
    settings.active = False
    settings.save()
    saved = made.get_settings()
    assert (saved.raw_steps, saved.active) == (settings.raw_steps, False)
    assert saved.raw_triggers == settings.raw_triggers
    assert saved.get_raw()["versionTag"]["versionNumber"] == 2
    fire = made.run()
    clock.advance(99)
    run = fire.get_scenario_run()
    assert (run.outcome, [step["step"]["name"] for step in run.get_details().steps]) == ("SUCCESS", ["A"])
    made.delete()
    assert made.id not in [item.id for item in project.list_scenarios()]
    with pytest.raises(DataikuException, match="does not exist"):
        made.get_settings()


def test_settings_that_change_nothing_change_nothing(project, clock):
    scenario = project.get_scenario("BROKEN")
    before = scenario.get_settings().get_raw()
    scenario.get_settings().save()
    after = scenario.get_settings().get_raw()
    assert before.pop("versionTag") != after.pop("versionTag")
    assert before == after
    fire = scenario.run()
    clock.advance(99)
    assert fire.get_scenario_run().get_details().first_error_details["message"].startswith("The Python process failed")


def test_a_run_that_is_on_is_not_changed_by_new_settings(project, clock):
    scenario = project.get_scenario("NIGHTLY")
    fire = scenario.run()
    clock.advance(3)
    settings = scenario.get_settings()
    removed = settings.raw_steps.pop()["id"]
    settings.save()
    clock.advance(99)
    run = fire.get_scenario_run()
    assert len(run.get_details().steps) == 3
    assert "4 checks passed" in run.get_log(step_id=removed)
    assert len(scenario.get_settings().raw_steps) == 2


def test_a_script_is_written(project):
    settings = project.get_scenario("PY_CLEANUP").get_settings()
    settings.code = "print('é')"
    settings.save()
    assert project.get_scenario("PY_CLEANUP").get_settings().code == "print('é')"


@pytest.mark.filterwarnings("ignore:.*deprecated.*:DeprecationWarning")
def test_the_light_status_is_written_in_five_fields(project):
    scenario = project.get_scenario("NIGHTLY")
    light = scenario.get_definition()
    sent = light | {"active": False, "tags": ["x"], "shortDesc": "s", "name": "other", "running": True, "triggers": [1]}
    scenario.set_definition(sent)
    assert scenario.get_definition() == light | {"active": False, "tags": ["x"], "shortDesc": "s"}
    settings = scenario.get_settings().get_raw()
    assert (settings["name"], settings["shortDesc"], settings["triggers"]) == (light["name"], "s", [])
    assert scenario.get_payload() == ""
    scenario.set_payload("pass")
    assert scenario.get_payload() == "pass"


@pytest.mark.parametrize(
    ("privileges", "allowed"),
    [
        (("READ_CONF",), {"read"}),
        (("READ_CONF", "WRITE_CONF"), {"read", "write"}),
        (("RUN_SCENARIOS",), {"run"}),
        (("RUN_JOBS", "MONITOR_JOBS"), {"build"}),
    ],
)
def test_a_key_does_what_its_privileges_allow(make_client, privileges, allowed):
    keys = (ApiKey(key="small", id="s1", privileges=privileges),)
    with running(msgspec.structs.replace(config.default(), keys=keys), clock=VirtualClock()) as simulator:
        project = make_client(simulator, "small").get_project("DEMO")
        scenario = project.get_scenario("PY_CLEANUP")
        for name, act in {
            "read": scenario.get_settings,
            "write": lambda: project.create_scenario("new", "step_based"),
            "run": scenario.run,
            "build": lambda: project.new_job().with_output("scores").start().get_status(),
        }.items():
            if name in allowed:
                act()
                continue
            with pytest.raises(DataikuException, match="API key s1 does not have the privilege"):
                act()
