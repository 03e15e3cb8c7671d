"""The state machine by itself: when fires become runs, and how runs end."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treadle.vendors.dataiku.simulator import shapes
from treadle.vendors.dataiku.simulator.description import ApiKey, PastRun, Scenario, Simulation, Step, Thrown
from treadle.vendors.dataiku.simulator.runlog import log_text
from treadle.vendors.dataiku.simulator.world import LiveScenario, UnknownError, World

T0 = 1_460_732_252.101


def world_of(*scenarios: Scenario, **switches) -> World:
    return World(Simulation(keys=(ApiKey(key="k"),), scenarios=scenarios, **switches), T0)


def scenario(**fields) -> Scenario:
    return Scenario(**{"project": "P", "id": "S", "run_time": None if "steps" in fields else 10.0} | fields)


def look(world: World, seconds: float) -> LiveScenario:
    return world.scenario("P", "S", T0 + seconds)


def play(world: World, actions: list[tuple[float, str]]) -> list[str]:
    """Do each action at its second; give the ids of the fires."""
    fires = []
    for at, action in actions:
        live = look(world, at)
        if action == "fire":
            fires.append(live.fire({}).id)
        else:
            live.abort()
    return fires


def seconds(millisecond: int | None) -> float | None:
    return None if millisecond is None else round(millisecond / 1000 - T0, 3)


def story(live: LiveScenario) -> list[str]:
    """Each fire in a few words, oldest first."""
    words = []
    for fire in live.fires.values():
        if fire.cancelled:
            words.append(f"cancelled {seconds(fire.cancelled_at):g}")
        elif fire.run is None:
            words.append("waits")
        elif fire.run.end is None:
            words.append(f"runs since {seconds(fire.run.start):g}")
        else:
            words.append(f"{fire.run.outcome} {seconds(fire.run.start):g}-{seconds(fire.run.end):g}")
    return words


# What is described, what is done at which second, when we look, and what we see. Delay 3, run time 10, abort lag 0.5.
STORIES = [
    ("waits through its delay", {}, [(0, "fire")], 2.999, ["waits"]),
    ("runs when the delay is over", {}, [(0, "fire")], 3, ["runs since 3"]),
    ("runs until the run time is over", {}, [(0, "fire")], 12.999, ["runs since 3"]),
    ("ends", {}, [(0, "fire")], 13, ["SUCCESS 3-13"]),
    ("ends on time when nobody looked", {}, [(0, "fire")], 1000, ["SUCCESS 3-13"]),
    ("no delay, no run time", {"start_delay": 0, "run_time": 0}, [(0, "fire")], 0, ["SUCCESS 0-0"]),
    ("runs one after the other", {}, [(0, "fire"), (13, "fire")], 30, ["SUCCESS 3-13", "SUCCESS 16-26"]),
    ("superseded, and the delay anew", {}, [(0, "fire"), (2, "fire")], 4, ["cancelled 2", "waits"]),
    ("the newer one runs", {}, [(0, "fire"), (2, "fire")], 5, ["cancelled 2", "runs since 5"]),
    ("busy: now", {"busy": "now"}, [(0, "fire"), (5, "fire")], 5, ["runs since 3", "cancelled 5"]),
    ("busy: later, before", {"busy": 4}, [(0, "fire"), (5, "fire")], 8.999, ["runs since 3", "waits"]),
    ("busy: later, then", {"busy": 4}, [(0, "fire"), (5, "fire")], 9, ["runs since 3", "cancelled 9"]),
    ("busy: later than the run", {"busy": 9}, [(0, "fire"), (5, "fire")], 99, ["SUCCESS 3-13", "cancelled 14"]),
    ("busy: two later ones", {"busy": 4}, [(0, "fire"), (5, "fire"), (6, "fire")], 99, ["SUCCESS 3-13", "cancelled 6", "cancelled 10"]),
    ("busy: queue", {"busy": "queue"}, [(0, "fire"), (5, "fire")], 12.9, ["runs since 3", "waits"]),
    ("busy: queue, its turn", {"busy": "queue"}, [(0, "fire"), (5, "fire")], 13, ["SUCCESS 3-13", "runs since 13"]),
    ("busy: queue, the delay counts", {"busy": "queue"}, [(0, "fire"), (12, "fire")], 99, ["SUCCESS 3-13", "SUCCESS 15-25"]),
    ("busy: queue holds one", {"busy": "queue"}, [(0, "fire"), (5, "fire"), (6, "fire")], 99, ["SUCCESS 3-13", "cancelled 6", "SUCCESS 13-23"]),
    ("abort while idle", {}, [(0, "abort"), (1, "fire")], 99, ["SUCCESS 4-14"]),
    ("abort while queued", {}, [(0, "fire"), (1, "abort")], 99, ["cancelled 1"]),
    ("abort is not at once", {}, [(0, "fire"), (5, "abort")], 5.499, ["runs since 3"]),
    ("abort", {}, [(0, "fire"), (5, "abort")], 99, ["ABORTED 3-5.5"]),
    ("abort twice", {}, [(0, "fire"), (5, "abort"), (5.3, "abort")], 99, ["ABORTED 3-5.5"]),
    ("abort too late", {}, [(0, "fire"), (12.7, "abort")], 99, ["SUCCESS 3-13"]),
    ("abort after the end", {}, [(0, "fire"), (14, "abort")], 99, ["SUCCESS 3-13"]),
    ("abort with one waiting", {"busy": "queue"}, [(0, "fire"), (4, "fire"), (5, "abort")], 99, ["ABORTED 3-5.5", "cancelled 5"]),
    ("fire while aborting", {}, [(0, "fire"), (5, "abort"), (5.2, "fire")], 99, ["ABORTED 3-5.5", "cancelled 5.2"]),
    ("abort without lag", {"abort_lag": 0}, [(0, "fire"), (5, "abort")], 5, ["ABORTED 3-5"]),
    ("never finishes", {"finishes": False}, [(0, "fire")], 1e6, ["runs since 3"]),
    ("never finishes, but can be aborted", {"finishes": False}, [(0, "fire"), (50, "abort")], 99, ["ABORTED 3-50.5"]),
    ("never starts", {"starts": False}, [(0, "fire")], 1e6, ["waits"]),
    ("never starts, superseded", {"starts": False}, [(0, "fire"), (9, "fire")], 1e6, ["cancelled 9", "waits"]),
    ("never starts, aborted", {"starts": False}, [(0, "fire"), (9, "abort")], 1e6, ["cancelled 9"]),
    ("inactive runs all the same", {"active": False}, [(0, "fire")], 99, ["SUCCESS 3-13"]),
    ("outcomes in turn", {"outcomes": ("FAILED", "WARNING"), "run_time": 1}, [(0, "fire"), (10, "fire"), (20, "fire")], 99, ["FAILED 3-4", "WARNING 13-14", "FAILED 23-24"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "actions", "seen_at", "expected"), [row[1:] for row in STORIES], ids=[row[0] for row in STORIES]
)
def test_story(fields, actions, seen_at, expected):
    world = world_of(scenario(**fields))
    play(world, actions)
    assert story(look(world, seen_at)) == expected


def test_what_a_scenario_leaves_open_is_taken_from_the_simulation():
    world = world_of(scenario(), scenario(id="OWN", start_delay=0.0), start_delay=20.0, abort_lag=2.0, busy="queue")
    world.scenario("P", "OWN", T0).fire({})
    play(world, [(0, "fire"), (21, "fire"), (22, "abort")])
    assert story(look(world, 99)) == ["ABORTED 20-24", "cancelled 22"]
    assert story(world.scenario("P", "OWN", T0 + 99)) == ["SUCCESS 0-10"]


def test_time_that_goes_back_stands_still():
    world = world_of(scenario())
    play(world, [(0, "fire")])
    look(world, 13)
    assert story(look(world, 1)) == ["SUCCESS 3-13"]
    assert [live.now for live in world.scenarios("P", T0 + 1)] == [round((T0 + 13) * 1000)]


STEPS = (
    Step(id="a", duration=2, job_id="job-a", log=("half way",)),
    Step(id="b", duration=4, outcome="FAILED", job_id="job-b", error=Thrown(message="boom", stack="at b")),
    Step(id="c", duration=1),
)


def steps_seen(live: LiveScenario) -> list[tuple]:
    (run,) = live.runs.values()
    return [(s.planned.step.id, seconds(s.start), seconds(s.end), s.outcome) for s in run.steps(live.now)]


@pytest.mark.parametrize(
    ("fields", "actions", "seen_at", "expected"),
    [
        ({}, [], 3, [("a", 3, None, None)]),
        ({}, [], 5, [("a", 3, 5, "SUCCESS"), ("b", 5, None, None)]),
        ({}, [], 99, [("a", 3, 5, "SUCCESS"), ("b", 5, 9, "FAILED")]),
        ({"outcomes": ("SUCCESS",)}, [], 99, [("a", 3, 5, "SUCCESS"), ("b", 5, 9, "SUCCESS"), ("c", 9, 10, "SUCCESS")]),
        ({"outcomes": ("WARNING",)}, [], 99, [("a", 3, 5, "SUCCESS"), ("b", 5, 9, "SUCCESS"), ("c", 9, 10, "WARNING")]),
        ({"outcomes": ("ABORTED",)}, [], 99, [("a", 3, 5, "SUCCESS"), ("b", 5, 9, "SUCCESS"), ("c", 9, 10, "ABORTED")]),
        ({}, [(4, "abort")], 99, [("a", 3, 4.5, "ABORTED")]),
        ({}, [(4.5, "abort")], 99, [("a", 3, 5, "SUCCESS")]),
        ({}, [(6, "abort")], 99, [("a", 3, 5, "SUCCESS"), ("b", 5, 6.5, "ABORTED")]),
        ({"finishes": False}, [], 1e5, [("a", 3, 5, "SUCCESS"), ("b", 5, None, None)]),
    ],
)
def test_steps_come_one_by_one(fields, actions, seen_at, expected):
    world = world_of(scenario(steps=STEPS, **fields))
    play(world, [(0, "fire"), *actions])
    assert steps_seen(look(world, seen_at)) == expected


def test_the_worst_step_is_the_outcome():
    world = world_of(scenario(steps=(Step(id="a", outcome="WARNING"), Step(id="b"))))
    play(world, [(0, "fire")])
    assert story(look(world, 99)) == ["WARNING 3-7"]


@pytest.mark.parametrize("where", ["step", "job"])
def test_an_error_is_reported_where_the_description_puts_it(where):
    world = world_of(scenario(steps=(msgspec.structs.replace(STEPS[1], error_in=where),)))
    play(world, [(0, "fire")])
    live = look(world, 99)
    (step,) = msgspec.to_builtins(shapes.details_body(live, *live.runs.values()))["stepRuns"]
    (item,) = step["additionalReportItems"]
    with_error, without = (step["result"], item) if where == "step" else (item, step["result"])
    assert with_error["thrown"] == {"clazz": "java.lang.Exception", "message": "boom", "stack": "at b"}
    assert "thrown" not in without
    assert item["jobId"] == "job-b"
    assert item["outcome"] == "FAILED"


def test_the_log_grows_by_lines():
    world = world_of(scenario(steps=STEPS))
    play(world, [(0, "fire")])

    def lines(at: float, step_id: str | None = None) -> list[str]:
        live = look(world, at)
        return [line.partition(" - ")[2] for line in log_text(live, *live.runs.values(), step_id).splitlines()]

    started = "Scenario run 2016-04-15-14-57-35-101 starts, trigger manual"
    assert lines(3) == [started, "[a] starts"]
    assert lines(4) == [started, "[a] starts", "[a] half way"]
    assert lines(5) == [started, "[a] starts", "[a] half way", "[a] is done, outcome SUCCESS", "[b] starts"]
    assert lines(5, "c") == []
    assert lines(9, "b") == ["[b] starts", "[b] java.lang.Exception: boom", "[b] at b", "[b] is done, outcome FAILED"]
    assert lines(9)[-1] == "Scenario run 2016-04-15-14-57-35-101 is done, outcome FAILED"
    with pytest.raises(UnknownError, match="no step d"):
        lines(9, "d")


def test_an_aborted_step_writes_no_more():
    world = world_of(scenario(steps=STEPS, abort_lag=0.25))
    play(world, [(0, "fire"), (3.5, "abort")])
    live = look(world, 99)
    assert "half way" not in log_text(live, *live.runs.values())


def test_history_was_there_before_the_first_fire():
    past = (PastRun(ago=100.0, outcome="FAILED"), PastRun(ago=50.0, trigger="temporal"))
    world = world_of(scenario(history=past))
    play(world, [(0, "fire")])
    live = look(world, 3)
    assert story(live) == ["FAILED -100--90", "SUCCESS -50--40", "runs since 3"]
    assert [run.fire.trigger for run in live.newest_runs()] == ["manual", "temporal", "manual"]
    assert [run.outcome for run in live.newest_runs(only_finished=True)] == ["SUCCESS", "FAILED"]


def test_history_does_not_shift_the_outcomes():
    world = world_of(scenario(outcomes=("WARNING", "SUCCESS"), history=(PastRun(ago=100.0, outcome="ABORTED"),)))
    play(world, [(0, "fire")])
    assert story(look(world, 99)) == ["ABORTED -100--90", "WARNING 3-13"]


def test_identifiers_are_local_times_and_differ_within_a_millisecond():
    world = world_of(scenario(), scenario(id="OTHER"), utc_offset=2.0)
    first = look(world, 0).fire({}).id
    second = look(world, 0).fire({}).id
    third = world.scenario("P", "OTHER", T0).fire({}).id
    assert [first, second, third] == ["2016-04-15-16-57-32-101", "2016-04-15-16-57-32-102", "2016-04-15-16-57-32-103"]


def test_an_identifier_pushed_on_is_not_given_again_a_millisecond_later():
    world = world_of(scenario())
    first, pushed_on = look(world, 0).fire({}).id, look(world, 0).fire({}).id
    later = look(world, 0.001).fire({}).id
    assert [name[-3:] for name in (first, pushed_on, later)] == ["101", "102", "103"]


@pytest.mark.parametrize(("project", "name", "message"), [("Q", "S", "Project Q"), ("P", "X", "Scenario P.X")])
def test_unknown_names(project, name, message):
    with pytest.raises(UnknownError, match=f"{message} does not exist"):
        world_of(scenario()).scenario(project, name, T0)


ACTIONS = st.lists(st.tuples(st.integers(0, 6000), st.sampled_from(["fire", "fire", "abort", "look"])), max_size=25)
DESCRIPTIONS = st.builds(
    scenario,
    steps=st.lists(
        st.builds(
            Step,
            id=st.uuids().map(str),
            duration=st.integers(0, 4).map(float),
            outcome=st.sampled_from(["SUCCESS", "WARNING", "FAILED"]),
        ),
        max_size=3,
        unique_by=lambda step: step.id,
    ).map(tuple),
    outcomes=st.lists(st.sampled_from(["SUCCESS", "WARNING", "FAILED", "ABORTED"]), max_size=2).map(tuple),
    busy=st.sampled_from(["now", "queue", 0.0, 2.5]),
    start_delay=st.sampled_from([0.0, 3.0]),
    abort_lag=st.sampled_from([0.0, 0.5]),
    finishes=st.booleans(),
    starts=st.booleans(),
)


def check_laws(live: LiveScenario) -> None:
    runs = list(live.runs.values())
    on = [run for run in runs if run.end is None]
    assert on == ([] if live.current is None else [live.current])
    for run in runs:
        assert run.start <= live.now
        assert run.start >= run.fire.at + live.start_delay * 1000
        assert (run.end is None) == (run.outcome is None)
        if run.end is not None:
            assert run.start <= run.end <= live.now
    for earlier, later in pairwise(runs):
        assert earlier.end is not None
        assert earlier.end <= later.start
    for fire in live.fires.values():
        assert [fire.run is not None, fire.cancelled, fire is live.pending].count(True) == 1
    names = [*live.fires, *live.runs, *(name for run in runs for name in run.step_ids)]
    assert len(set(names)) == len(names)
    for run in runs:
        steps = list(run.steps(live.now))
        assert all(step.outcome is not None for step in steps[:-1])
        assert all(step.start <= (step.end or live.now) <= (run.end or live.now) for step in steps)


def everything(live: LiveScenario) -> bytes:
    return msgspec.json.encode(
        [
            [shapes.fire_body(live, fire, published=True) for fire in live.fires.values()],
            [shapes.details_body(live, run) for run in live.runs.values()],
            [log_text(live, run) for run in live.runs.values()],
            shapes.light_body(live, published=True),
        ]
    )


@settings(deadline=None)
@given(DESCRIPTIONS, ACTIONS)
def test_laws_hold_at_every_moment(description, actions):
    world, at = world_of(description), 0.0
    for wait, action in actions:
        at += wait / 1000
        play(world, [(at, action)] if action != "look" else [])
        check_laws(look(world, at))


@settings(deadline=None)
@given(DESCRIPTIONS, ACTIONS)
def test_looking_changes_nothing(description, actions):
    watched, left_alone, at = world_of(description), world_of(description), 0.0
    for wait, action in actions:
        for part in range(4):
            look(watched, at + wait / 4000 * part)
        at += wait / 1000
        if action != "look":
            play(watched, [(at, action)])
            play(left_alone, [(at, action)])
    assert everything(look(watched, at + 7)) == everything(look(left_alone, at + 7))


@settings(deadline=None)
@given(DESCRIPTIONS, ACTIONS)
def test_an_abort_brings_everything_to_rest(description, actions):
    world, at = world_of(description), 0.0
    for wait, action in actions:
        at += wait / 1000
        play(world, [(at, action)] if action != "look" else [])
    play(world, [(at, "abort")])
    live = look(world, at + 0.5)
    assert live.current is None
    assert live.pending is None
