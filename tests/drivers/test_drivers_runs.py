"""Durable runs as people handle them, over both journals: found, shown, followed, cancelled, forgotten, taken over."""

from __future__ import annotations

import asyncio

import pytest
from served import NOON
from test_drivers_journals import started, turn
from test_drivers_run import program

from treadle import MemoryJournal, RunRefused, SqliteJournal
from treadle.drivers import runs
from treadle.drivers.timeline import event, history_of, in_doubt, shown_records
from treadle.engine.journal import Looked, Repeated, Resolved, RunBegan, Transferred, Warned


class StillClock:
    """Time goes on while somebody waits."""

    def __init__(self):
        self.time = NOON

    def now(self):
        return self.time

    async def sleep(self, seconds):
        self.time += seconds
        await asyncio.sleep(0)


@pytest.fixture(params=["memory", "sqlite"])
def make(request, tmp_path):
    shared = MemoryJournal()
    return lambda: shared.beside() if request.param == "memory" else SqliteJournal(tmp_path / "j.sqlite")


def with_journal(make, work):
    async def do():
        journal = make()
        try:
            await work(journal)
        finally:
            await journal.close()

    asyncio.run(do())


async def ended(journal, run_id, *, of=None):
    run, _ = await started(journal, run_id, of or program("GET"))
    while run.pending():
        await journal.append(run_id, turn(run))
    return run


def test_a_run_is_found_by_the_beginning_of_its_id(make):
    async def work(journal):
        for run_id in ("abc", "abd", "ab", "x"):
            await started(journal, run_id)
        assert (await runs.found(journal, "x")).run_id == "x"
        assert (await runs.found(journal, "abc")).run_id == "abc"
        assert (await runs.found(journal, "ab")).run_id == "ab"
        with pytest.raises(RunRefused, match="3 runs have an id that begins with 'a'"):
            await runs.found(journal, "a")
        with pytest.raises(RunRefused, match="the journal has no run 'z'"):
            await runs.found(journal, "z")
        with pytest.raises(RunRefused, match="no run was named"):
            await runs.found(journal, "")

    with_journal(make, work)


def test_runs_are_listed_by_what_they_are(make):
    async def work(journal):
        await ended(journal, "over")
        await started(journal, "left", program("POST"))
        assert [(e.run_id, e.status) for e in await runs.listed(journal)] == [
            ("left", "running"),
            ("over", "succeeded"),
        ]
        await journal.release("left")
        assert [e.run_id for e in await runs.listed(journal, ["in-doubt"])] == ["left"]
        assert await runs.listed(journal, [], "other") == []
        assert [runs.as_json(found)["stepId"] for found in await runs.listed(journal)] == ["s0", "s0"]

    with_journal(make, work)


def test_what_is_in_doubt_is_known_from_a_checkpoint_too(make):
    async def work(journal):
        run, _ = await started(journal, "r1", program("GET", "POST"))
        records = turn(run)
        await journal.append("r1", records)
        kept = await journal.read("r1")
        (doubt,) = in_doubt(kept)
        assert (doubt["stepId"], doubt["request"]) == ("s1", {"method": "POST", "url": "http://api.test/x"})
        await journal.append("r1", [run.checkpoint(NOON)])
        await journal.release("r1")
        entry = await runs.found(journal, "r1")
        (doubt,) = runs.shown(entry, await journal.read("r1"))["inDoubt"]
        assert (doubt["stepId"], doubt["request"], doubt["rule"]) == ("s1", None, False)

    with_journal(make, work)


def test_a_log_goes_on_where_a_checkpoint_takes_the_place_of_what_was_read(make):
    async def work(journal):
        run, records = await started(journal, "r1", program("GET", "GET", "GET", "GET", "GET"))
        history = history_of(records)

        class Driving(StillClock):
            """Two turns, and the last checkpoint, come between two looks."""

            async def sleep(self, seconds):
                for _ in range(2):
                    if run.pending():
                        self.time += seconds
                        records = turn(run, self.time)
                        for record in records:
                            history.add(record)
                        kept = run.checkpoint(self.time, history.folded())
                        await journal.append("r1", [*records, kept] if kept else records)

        def told(record):
            return getattr(record, "step_id", "") + type(record).__name__

        seen = [told(record) async for record in runs.following(journal, "r1", Driving(), follow=True)]
        assert [each for each in seen if "Ended" in each] == [*(f"s{n}StepEnded" for n in range(5)), "RunEnded"]
        assert seen.count("RunBegan") == 1
        once = [told(record) async for record in runs.following(journal, "r1", StillClock(), follow=False)]
        assert [each for each in once if "Ended" in each] == [each for each in seen if "Ended" in each]

    with_journal(make, work)


def test_a_run_is_cancelled_by_whoever_drives_it_or_here(make):
    async def work(journal):
        other = make()
        await started(other, "theirs")
        assert await runs.cancel(journal, "theirs", StillClock()) is False  # its driver has not looked yet
        assert await other.cancelled() == {"theirs"}
        await started(journal, "left", program("POST"))
        await journal.release("left")
        assert await runs.cancel(journal, "left", StillClock()) is True
        entry = await runs.found(journal, "left")
        assert (entry.status, entry.ended) == ("cancelled", NOON)
        error = runs.shown(entry, await journal.read("left"))["error"]
        assert error["message"].endswith("while nobody drove it; a request that was under way may have taken effect")
        with pytest.raises(RunRefused, match="has ended already: cancelled"):
            await runs.cancel(journal, "left", StillClock())
        await other.close()

    with_journal(make, work)


def test_old_runs_are_forgotten_and_those_that_need_somebody_are_not(make):
    async def work(journal):
        for run_id in ("one", "two"):
            await ended(journal, run_id)
        await started(journal, "left")
        await journal.release("left")
        assert [run_id async for run_id in runs.forget(journal, NOON - 1)] == []
        await journal.claim("two")  # somebody looks at it again
        assert [run_id async for run_id in runs.forget(journal, NOON + 10_000)] == ["one"]
        assert sorted(entry.run_id for entry in await journal.entries()) == ["left", "two"]

    with_journal(make, work)


def test_a_new_run_takes_over_from_the_start_or_a_step(make):
    async def work(journal):
        await ended(journal, "old", of=program("GET", "POST"))
        kept = await journal.read("old")
        again = runs.taken_over(kept, None, "new", NOON + 5)
        assert (again.start.run_id, again.start.began, again.records) == ("new", NOON + 5, ())
        assert runs.taken_over(kept, "s1", "new", NOON + 5).records[0].run_id == "new"
        with pytest.raises(RunRefused, match="did not come to a step 's7'") as refused:
            runs.taken_over(kept, "s7", "new", NOON)
        assert refused.value.hint == "it came to: s0, s1"

    with_journal(make, work)


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (Transferred(NOON, "w", "s", "elsewhere", "other"), {"action": "elsewhere", "to": "other", "stepId": "s"}),
        (Repeated(NOON, "s", 2, 0.5, "status 503"), {"attempt": 2, "seconds": 0.5, "reason": "status 503"}),
        (Warned(NOON, "rule", "text"), {"rule": "rule", "message": "text"}),
        (Resolved(NOON, "s/1/1", "retry"), {"how": "retry"}),
        (Looked(NOON, "s/1/1", "s", 200, (), took_effect=True, caller="c"), {"tookEffect": True, "stepId": "c/s"}),
        (RunBegan(NOON, "w", {}), {"workflowId": "w"}),
    ],
)
def test_events(record, told):
    found = event(record)
    assert {name: found[name] for name in told} == told
    assert found["at"] == "2023-11-14T22:13:20.000Z"


def test_answers_are_shown_to_nobody(make):
    async def work(journal):
        await ended(journal, "r1")
        names = {type(record).__name__ for record in shown_records((await journal.read("r1")).records)}
        assert "Delivered" not in names
        assert "StepEnded" in names

    with_journal(make, work)
