"""Reading the configuration, and every refusal as a user sees it."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from treadle.vendors.dataiku.simulator import config
from treadle.vendors.dataiku.simulator.description import ConfigInvalid, Scenario
from treadle.vendors.dataiku.simulator.histories import DrawnHistory

HEAD = "keys: [{key: k}]\nscenarios:\n"


def test_the_default_world_has_what_the_documentation_shows():
    simulation = config.default()
    assert [key.key for key in simulation.keys] == ["demo-key"]
    assert {(s.project, s.id): s.type for s in simulation.scenarios} == {
        ("DEMO", "NIGHTLY"): "step_based",
        ("DEMO", "WEEKLY_REPORT"): "step_based",
        ("DEMO", "BROKEN"): "step_based",
        ("DEMO", "ENDLESS"): "step_based",
        ("DEMO", "PY_CLEANUP"): "custom_python",
    }


def test_the_default_file_spells_out_the_defaults_of_the_switches():
    bare = config.read(HEAD + "  - {project: P, id: S}")
    spelled_out = msgspec.structs.replace(config.default(), keys=bare.keys, scenarios=bare.scenarios, builds=())
    assert spelled_out == bare


def test_json_is_yaml():
    simulation = config.read('{"keys": [], "scenarios": [{"project": "P", "id": "S", "busy": 2}]}')
    assert simulation.scenarios == (Scenario(project="P", id="S", busy=2.0),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "world.yaml: YAML parse error: YAML syntax error: while parsing a flow sequence, expected ',' or ']' at line 2, column 1"),
        ("", "world.yaml: one YAML document is expected, 0 are there"),
        ("a: 1\n---\nb: 1", "world.yaml: one YAML document is expected, 2 are there"),
        ("keys: []\nkeys: []\nscenarios: []", "world.yaml: duplicate key 'keys' (first defined at line 1)"),
        ("[]", "world.yaml: Expected `object`, got `array`"),
        ("keys: []", "world.yaml: Object missing required field `scenarios`"),
        (HEAD + "  - {project: P, id: S, runtime: 3}", "world.yaml: Object contains unknown field `runtime` - at `$.scenarios[0]`"),
        (HEAD + "  - {project: P, id: a/b}", r"world.yaml: Expected `str` matching regex '^[^/\\s]+$' - at `$.scenarios[0].id`"),
        (HEAD + "  - {project: P, id: S, run_time: .inf}", "world.yaml: Expected `float` <= 1000000000.0 - at `$.scenarios[0].run_time`"),
        (HEAD + "  - {project: P, id: S, run_time: -1}", "world.yaml: Expected `float` >= 0.0 - at `$.scenarios[0].run_time`"),
        (HEAD + "  - {project: P, id: S, busy: later}", "world.yaml: Invalid enum value 'later' - at `$.scenarios[0].busy`"),
        (HEAD + "  - {project: P, id: S, outcomes: [DONE]}", "world.yaml: Invalid enum value 'DONE' - at `$.scenarios[0].outcomes[0]`"),
        (HEAD + "  - {project: P, id: S, script: pass}", "world.yaml: scenario 'S' has a script but is not of type custom_python - at `$.scenarios[0]`"),
        (HEAD + "  - {project: P, id: S, run_time: 1, steps: [{id: a}]}", "world.yaml: scenario 'S' has steps and run_time: the durations of its steps are its run time - at `$.scenarios[0]`"),
        (HEAD + "  - {project: P, id: S, steps: [{id: a}, {id: a}]}", "world.yaml: scenario 'S' has two steps with one id - at `$.scenarios[0]`"),
        (HEAD + "  - {project: P, id: S, steps: [{id: a, error: {message: m}}]}", "world.yaml: step 'a' has an error but its outcome is SUCCESS - at `$.scenarios[0].steps[0]`"),
        (HEAD + "  - {project: P, id: S, steps: [{id: a, error_in: job}]}", "world.yaml: step 'a' puts its error in a job but has no job_id - at `$.scenarios[0].steps[0]`"),
        (HEAD + "  - {project: P, id: S, run_time: 5, history: [{ago: 4}]}", "world.yaml: scenario 'S' has a past run 4 s ago that would not have ended 0 s ago: a run takes 5 s - at `$.scenarios[0]`"),
        (HEAD + "  - {project: P, id: S, run_time: 5, history: [{ago: 9}, {ago: 6}]}", "world.yaml: scenario 'S' has a past run 9 s ago that would not have ended 6 s ago: a run takes 5 s - at `$.scenarios[0]`"),
        (HEAD + "  - {project: P, id: S}\n  - {project: P, id: S}", "world.yaml: two scenarios are called 'S' in project 'P'"),
        (HEAD + "  - {project: P, id: S, history: {runs: 0}}", "world.yaml: Expected `int` >= 1 - at `$.scenarios[0].history.runs`"),
        (HEAD + "  - {project: P, id: S, history: {runs: 1, outcomes: {FAILED: 0}}}", "world.yaml: a history's outcomes need a weight above 0 - at `$.scenarios[0].history`"),
        (HEAD + "  - {project: P, id: S, run_time: 5, history: {runs: 2, every: 4}}", "world.yaml: scenario 'S' has a past run 4 s ago that would not have ended 0 s ago: a run takes 5 s - at `$.scenarios[0]`"),
        ("keys: []\nscenarios: []\nbuilds: [{project: P, output: d}, {project: P, output: d}]", "world.yaml: two builds are of 'd' in project 'P'"),
        ("keys: []\nscenarios: []\nbuilds: [{project: P, output: d, error: {message: m}}]", "world.yaml: build 'd' has an error but its outcome is DONE - at `$.builds[0]`"),
        ("keys: []\nscenarios: []\nfaults: [{do: latency}]", "world.yaml: fault 'latency' needs seconds or jitter - at `$.faults[0]`"),
        ("keys: [{key: k}, {key: k}]\nscenarios: []", "world.yaml: two entries of keys have the same key"),
    ],
)  # fmt: skip
def test_refused(text, message):
    with pytest.raises(ConfigInvalid) as refusal:
        config.read(text, "world.yaml")
    assert str(refusal.value) == message


def test_a_file_is_read_and_named(tmp_path):
    path = tmp_path / "world.yaml"
    path.write_text(config.default_text(), encoding="utf-8")
    assert config.read_file(path) == config.default()
    path.write_bytes(b"keys: \xff")
    with pytest.raises(ConfigInvalid, match=r"world\.yaml: not UTF-8"):
        config.read_file(path)
    with pytest.raises(FileNotFoundError):
        config.read_file(tmp_path / "absent.yaml")


def test_a_scenario_in_one_line():
    described = config.read_scenario("id=HELLO,run_time=4,outcomes=FAILED+SUCCESS,busy=2,finishes=false,tags=a+b")
    assert described == Scenario(
        project="DEMO",
        id="HELLO",
        run_time=4.0,
        outcomes=("FAILED", "SUCCESS"),
        busy=2.0,
        finishes=False,
        tags=("a", "b"),
    )
    assert config.read_scenario("project=P,id=S") == Scenario(project="P", id="S")
    with pytest.raises(ConfigInvalid, match=r"^scenario 'run_time=4': Object missing required field `id`$"):
        config.read_scenario("run_time=4")


def test_a_drawn_history_is_that_of_its_seed():
    def drawn(**fields):
        history = DrawnHistory(runs=50, every=60.0, **fields)
        assert history.draw() == history.draw()
        return [(run.ago, run.outcome, run.trigger) for run in history.draw()]

    assert drawn(seed=1) != drawn(seed=2)
    assert [ago for ago, _, _ in drawn()] == [60.0 * number for number in range(1, 51)]
    assert {(outcome, trigger) for _, outcome, trigger in drawn(outcomes={"ABORTED": 1})} == {("ABORTED", "temporal")}
    assert {outcome for _, outcome, _ in drawn(outcomes={"SUCCESS": 1, "FAILED": 1, "WARNING": 0})} == {
        "SUCCESS",
        "FAILED",
    }


def test_what_the_documentation_writes_is_understood():
    page = (Path(__file__).parents[3] / "docs" / "dataiku" / "simulator.md").read_text("utf-8")
    (world,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert [scenario.id for scenario in config.read(world).scenarios] == ["NIGHTLY", "HOURLY", "STUCK"]
    faults = re.findall(r"(do=[^\s`]+)", page)
    assert len(faults) > 7
    for fault in faults:
        config.read_fault(fault)
    for scenario in re.findall(r"--scenario (\S*=\S*)", page):
        config.read_scenario(scenario)
