"""What every journal keeps to, shown of each that is shipped; and the runs that are resumed through it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from served import NOON
from test_drivers_run import program

from treadle import JournalFailed, RunRefused
from treadle.drivers.journals.memory import MemoryJournal
from treadle.drivers.journals.protocol import Start
from treadle.drivers.journals.sqlite import SqliteJournal
from treadle.engine.effects import HttpResponse, Slept
from treadle.engine.interpreter import Run
from treadle.engine.journal import Failure, RunEnded

POLLS = program("GET", again=True)
KINDS = ("memory", "sqlite")


@asynccontextmanager
async def journals(kind, folder, count=1):
    """Give journals over the same runs, as that many processes would have them."""
    if kind == "memory":
        first = MemoryJournal()
        opened = [first, *(first.beside() for _ in range(count - 1))]
    else:
        opened = [SqliteJournal(folder / "journal.sqlite") for _ in range(count)]
    try:
        yield opened if count > 1 else opened[0]
    finally:
        for journal in opened:
            await journal.close()


def suite(test):
    """Run a coroutine of the suite once for each kind of journal."""

    @pytest.mark.parametrize("kind", KINDS)
    def each(kind, tmp_path):
        asyncio.run(test(kind, tmp_path))

    each.__name__ = test.__name__
    return each


def begun(run_id="r1", of=POLLS, **more):
    run = Run(of, {"x": 1}, run_id=run_id)
    return run, Start(run_id, of, {"x": 1}, began=NOON, **more), run.begin(NOON)


async def started(journal, run_id="r1", of=POLLS):
    run, start, records = begun(run_id, of)
    await journal.start(start, records)
    return run, records


def turn(run, now=NOON + 1):
    (effect,) = run.pending()
    result = HttpResponse(200, (("A", "b"),), b'{"n": 1}') if hasattr(effect, "request") else Slept()
    return run.deliver(effect.id, result, now)


@suite
async def test_what_is_written_is_read(kind, folder):
    async with journals(kind, folder) as journal:
        run, start, records = begun(secrets={"apiKey": "env:KEY"}, options={"max_steps": 7})
        await journal.start(start, records)
        for _ in range(3):
            records += (more := turn(run))
            await journal.append("r1", more)
        kept = await journal.read("r1")
        assert kept.start == start
        assert list(kept.records) == records


@suite
async def test_a_run_goes_on_from_what_is_read(kind, folder):
    async with journals(kind, folder, 2) as (first, second):
        run, _ = await started(first)
        await first.append("r1", turn(run))
        await first.release("r1")
        kept = await second.claim("r1")
        again = Run(kept.start.program, kept.start.inputs, journal=kept.records)
        assert again.pending() == run.pending()
        assert (again.run_id, again.since, again.unwritten) == ("r1", NOON + 1, [])
        await second.append("r1", turn(again, NOON + 2))
        assert len((await first.read("r1")).records) == len(kept.records) + 2


@suite
async def test_a_checkpoint_takes_the_place_of_what_was_before(kind, folder):
    async with journals(kind, folder) as journal:
        run, _ = await started(journal)
        await journal.append("r1", turn(run))
        more = turn(run)
        checkpoint = run.checkpoint(NOON + 2)
        await journal.append("r1", [*more, checkpoint])
        after = turn(run)
        await journal.append("r1", after)
        assert list((await journal.read("r1")).records) == [checkpoint, *after]


@suite
async def test_a_run_has_one_driver(kind, folder):
    async with journals(kind, folder, 2) as (first, second):
        await started(first)
        for journal in (first, second):
            with pytest.raises(RunRefused, match="run 'r1' is being driven already"):
                await journal.claim("r1")
            with pytest.raises(RunRefused, match="is being driven already"):
                await journal.delete("r1")
        await first.release("r1")
        claims = await asyncio.gather(*(j.claim("r1") for j in (first, second) * 5), return_exceptions=True)
        assert sum(not isinstance(claim, RunRefused) for claim in claims) == 1


@suite
async def test_a_driver_that_lost_its_run_writes_no_more_of_it(kind, folder):
    async with journals(kind, folder, 2) as (first, second):
        (run, _), (other, _) = await started(first), await started(first, "r2")
        if kind == "memory":
            first._known("r1").driver = None
        else:  # whoever takes the owners away makes all runs look as if nobody drove them
            for owner in (folder / "journal.sqlite.owners").iterdir():
                owner.unlink()
        kept = await second.claim("r1")
        ends = await asyncio.gather(
            first.append("r1", turn(run)), first.append("r2", turn(other)), return_exceptions=True
        )
        assert isinstance(ends[0], JournalFailed)
        assert ends[0].message == "run 'r1' is driven by another process by now"
        assert ends[1] is None
        with pytest.raises(JournalFailed, match="is driven by another process by now"):
            await first.append("r1", turn(run))
        await first.release("r1")
        again = Run(kept.start.program, kept.start.inputs, journal=kept.records)
        await second.append("r1", turn(again))
        assert len((await second.read("r1")).records) > len(kept.records)
        assert {entry.run_id: entry.status for entry in await second.entries()}["r1"] in ("running", "waiting")


@suite
async def test_what_a_dead_driver_leaves_is_interrupted(kind, folder):
    async with journals(kind, folder, 2) as (first, second):
        await started(first)
        assert [entry.status for entry in await second.entries()] == ["running"]
        await first.close()
        assert [entry.status for entry in await second.entries()] == ["interrupted"]
        assert (await second.claim("r1")).start.run_id == "r1"


@suite
async def test_entries_say_how_runs_stand(kind, folder):
    async with journals(kind, folder, 2) as (first, second):
        (waiting, _), (_, _), (ended, _) = [await started(first, run_id) for run_id in ("waiting", "running", "ended")]
        await first.append("waiting", turn(waiting))
        await first.append("ended", ended.stop("limited", Failure("timeout", "too long"), NOON + 5))
        posted, _ = await started(first, "posted", program("POST"))
        done, _ = await started(first, "done", program("POST", "GET"))
        await first.append("done", turn(done))
        assert posted.pending()

        async def stand():
            return {
                entry.run_id: (entry.status, entry.step_id, entry.until, entry.ended)
                for entry in await second.entries()
            }

        assert await stand() == {
            "done": ("running", "s1", None, None),
            "posted": ("running", "s0", None, None),
            "ended": ("limited", "s0", None, NOON + 5),
            "running": ("running", "s0", None, None),
            "waiting": ("waiting", "s0", NOON + 11, None),
        }
        entry = (await second.entries())[-1]
        assert (entry.workflow_id, entry.began, entry.updated) == ("w", NOON, NOON + 1)
        for run_id in ("waiting", "running", "ended", "posted", "done"):
            await first.release(run_id)
        statuses = {run_id: status for run_id, (status, *_) in (await stand()).items()}
        assert statuses == {
            "done": "interrupted", "posted": "in-doubt", "ended": "limited", "running": "interrupted",
            "waiting": "interrupted",
        }  # fmt: skip


@suite
async def test_runs_are_told_from_each_other_by_their_inputs(kind, folder):
    async with journals(kind, folder, 2) as (first, second):
        for run_id in ("r1", "r2"):
            await started(first, run_id)
        assert await second.inputs(["r2", "nothing"]) == {"r2": (await first.read("r2")).start.inputs}
        assert await second.inputs([]) == {}


@suite
async def test_a_run_is_cancelled_by_its_driver_where_another_asks(kind, folder):
    async with journals(kind, folder, 2) as (first, second):
        await started(first)
        await started(second, "r2")
        assert await first.cancelled() == frozenset()
        await second.cancel("r1")
        assert (await first.cancelled(), await second.cancelled()) == ({"r1"}, frozenset())
        await first.release("r1")
        assert await first.cancelled() == frozenset()
        with pytest.raises(RunRefused, match="nobody drives run 'r1'"):
            await second.cancel("r1")
        await second.claim("r1")
        assert await second.cancelled() == frozenset()


@suite
async def test_a_run_that_ended_is_driven_no_more(kind, folder):
    async with journals(kind, folder, 2) as (first, second):
        run, _ = await started(first, of=program("GET"))
        records = turn(run)
        assert isinstance(records[-1], RunEnded)
        await first.append("r1", records)
        await first.release("r1")
        with pytest.raises(RunRefused):
            await second.cancel("r1")
        await second.delete("r1")
        assert await first.entries() == []


@suite
async def test_runs_that_are_not_there(kind, folder):
    async with journals(kind, folder) as journal:
        for ask in (journal.claim, journal.read, journal.cancel, journal.delete):
            with pytest.raises(RunRefused, match="the journal has no run 'nobody'") as refused:
                await ask("nobody")
            assert refused.value.hint
        await journal.release("nobody")


@suite
async def test_many_runs_at_once(kind, folder):
    async with journals(kind, folder) as journal:

        async def one(number):
            run, records = await started(journal, f"r{number}", program("GET", "POST", "GET"))
            while run.pending():
                records += (more := turn(run))
                await journal.append(f"r{number}", more)
            return records

        written = await asyncio.gather(*(one(number) for number in range(50)))
        for number, records in enumerate(written):
            assert list((await journal.read(f"r{number}")).records) == records


def test_exported_and_imported():
    async def both():
        here, there = MemoryJournal(), MemoryJournal()
        run, records = await started(here)
        records += run.deliver(run.pending()[0].id, HttpResponse(200, (), b"{}"), NOON + 1)
        await here.append("r1", records[1:])
        with pytest.raises(RunRefused):
            there.exported("r1")
        assert there.imported(here.exported("r1")) == "r1"
        (entry,), (other,) = await there.entries(), await here.entries()
        assert (entry.step_id, entry.until, entry.updated) == (other.step_id, other.until, other.updated)
        assert entry.status == "interrupted"
        assert await there.claim("r1") == await here.read("r1")

    asyncio.run(both())


@pytest.mark.parametrize("text", ["", "{}", '{"start": {}}', "no JSON"])
def test_imported_is_no_run(text):
    with pytest.raises(JournalFailed, match="no run that was exported"):
        MemoryJournal().imported(text)


def test_imported_of_a_later_version():
    async def exported():
        journal = MemoryJournal()
        await started(journal)
        return journal.exported("r1")

    text = asyncio.run(exported()) + '\n{"type": "Unheard"}'
    with pytest.raises(JournalFailed, match="later version"):
        MemoryJournal().imported(text)
