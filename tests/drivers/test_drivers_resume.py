"""Durable runs through the Python interface: what a dead process leaves is gone on with, secrets come anew, others cancel."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

import pytest
from aiohttp import web
from served import NOON, StillClock, serving

import treadle
from treadle.drivers.run import Interruption
from treadle.engine import journal as records
from treadle.vendors.dataiku.simulator.clock import VirtualClock
from treadle.vendors.dataiku.simulator.server import running

WORKFLOW = "run-scenario-and-poll"
INPUTS = {"apiKey": "demo-key", "projectKey": "DEMO", "scenarioId": "NIGHTLY"}
OPENAPI = {
    "openapi": "3.1.0", "info": {"title": "t", "version": "1"},
    "paths": {
        "/token": {"post": {"operationId": "token"}},
        "/use": {"get": {"operationId": "use"}, "post": {"operationId": "begin"}},
    },
}  # fmt: skip
ARAZZO = {
    "arazzo": "1.1.0", "info": {"title": "t", "version": "1"},
    "sourceDescriptions": [{"name": "api", "url": "api.json", "type": "openapi"}],
    "workflows": [
        {
            "workflowId": "w",
            "inputs": {"type": "object", "properties": {"password": {"type": "string"}, "n": {"type": "integer"}}},
            "steps": [
                {
                    "stepId": "token", "operationId": "token", "outputs": {"token": "$response.body#/token"},
                    "parameters": [{"name": "X-Password", "in": "header", "value": "$inputs.password"}],
                },
                {
                    "stepId": "use", "operationId": "use", "outputs": {"n": "$response.body#/n"},
                    "parameters": [
                        {"name": "Authorization", "in": "header", "value": "Bearer {$steps.token.outputs.token}"},
                        {"name": "X-Password", "in": "header", "value": "$inputs.password"},
                    ],
                    "onSuccess": [
                        {"name": "more", "type": "goto", "stepId": "use", "criteria": [{"condition": "$response.body#/n < 4"}]}
                    ],
                },
            ],
            "outputs": {"n": "$steps.use.outputs.n", "token": "$steps.token.outputs.token"},
        },
    ],
}  # fmt: skip


class Died(BaseException):
    """The process is gone, as far as the run can tell."""


class Until(treadle.SqliteJournal):
    """Dies in place of writing the turn in which a step of that name was answered for the `count`th time."""

    def __init__(self, path, step_id, count=1):
        super().__init__(path)
        self.step_id = step_id
        self.count = count

    async def append(self, run_id, turn):
        ended = [record for record in turn if isinstance(record, records.StepEnded) and record.step_id == self.step_id]
        self.count -= len(ended)
        if self.count <= 0 and ended:
            raise Died
        await super().append(run_id, turn)


async def _die(journal, document, inputs, **options):
    """Run until the journal's process dies; gives the run's id."""
    with suppress(Died):
        async with treadle.Runner(clock=StillClock(), journal=journal, **options) as runner:
            await runner.run(document, inputs=inputs)
    (entry,) = await journal.entries()
    await journal.close()
    return entry


async def _resume(path, run_id, secrets=None, *, in_doubt=None, **options):
    async with treadle.Runner(clock=StillClock(), journal=path, **options) as runner:
        return await runner.resume(run_id, secrets, in_doubt=in_doubt)


@pytest.fixture
def simulator():
    with running(clock=VirtualClock(NOON, tick=1.0)) as simulator:
        yield simulator


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.sqlite"


def _fires(simulator):
    return sum(request.method == "POST" for request in simulator.requests)


def test_a_run_whose_process_died_goes_on_with_its_next_request(simulator, path):
    async def both():
        entry = await _die(Until(path, "awaitRun", 2), "dataiku", INPUTS, server=simulator.api_url)
        assert (entry.status, entry.step_id) == ("interrupted", "awaitRun")
        return await _resume(path, entry.run_id, {"apiKey": "demo-key"})

    outcome = asyncio.run(both())
    assert (outcome.status, outcome.workflow_id, outcome.outputs["outcome"]) == ("succeeded", WORKFLOW, "SUCCESS")
    assert _fires(simulator) == 1
    assert [step["stepId"] for step in outcome.steps][:3] == ["verifyScenario", "readLastRuns", "triggerRun"]


def test_a_trigger_in_doubt_is_found_by_the_rule_of_the_bundle(simulator, path):
    async def both():
        entry = await _die(Until(path, "triggerRun"), "dataiku", INPUTS, server=simulator.api_url)
        return await _resume(path, entry.run_id, {"apiKey": "demo-key"})

    outcome = asyncio.run(both())
    assert (outcome.status, outcome.outputs["outcome"]) == ("succeeded", "SUCCESS")
    assert _fires(simulator) == 1


def _files(folder):
    for name, value in (("api.json", OPENAPI), ("w.arazzo.json", ARAZZO)):
        (folder / name).write_text(json.dumps(value))


class Api:
    """Gives a token for a password, and counts."""

    def __init__(self):
        self.seen = []
        self.hold = None
        self.holds = asyncio.Event()

    async def __call__(self, request):
        self.seen.append(
            (request.method, request.path, request.headers.get("X-Password"), request.headers.get("Authorization"))
        )
        if self.hold == (request.method, request.path):
            self.holds.set()
            await asyncio.Event().wait()
        if request.path == "/token":
            return web.json_response({"token": "t0ken-0f-the-run"})
        return web.json_response({"n": len(self.seen)})


SECRETS = ("first-passw0rd", "t0ken-0f-the-run")


def test_no_secret_is_in_any_file_and_a_new_one_is_used(path, tmp_path, monkeypatch):
    _files(tmp_path)
    monkeypatch.setenv("PASSWORD", "first-passw0rd")

    async def both():
        api = Api()
        async with serving(api) as url:
            journal = Until(path, "use", 2)
            with suppress(Died):
                async with treadle.Runner(clock=StillClock(), journal=journal, server=url) as runner:
                    prepared = await runner.prepare(
                        tmp_path / "w.arazzo.json",
                        None,
                        {"password": "first-passw0rd", "n": 1},
                        origins={"password": "env:PASSWORD"},
                    )
                    await runner.execute(prepared)
            held = b"".join(
                file.read_bytes() for file in tmp_path.rglob("*") if file.is_file() and "arazzo" not in file.name
            )
            (entry,) = await journal.entries()
            await journal.close()
            monkeypatch.setenv("PASSWORD", "second-passw0rd")
            outcome = await _resume(path, entry.run_id)
            held += b"".join(file.read_bytes() for file in path.parent.glob("journal*") if file.is_file())
            return api, held, outcome

    api, held, outcome = asyncio.run(both())
    assert outcome.outputs == {"n": 4, "token": "t0ken-0f-the-run"}
    assert [entry[2] for entry in api.seen] == ["first-passw0rd"] * 3 + ["second-passw0rd"]
    assert {entry[3] for entry in api.seen[1:]} == {"Bearer t0ken-0f-the-run"}
    for secret in (*SECRETS, "second-passw0rd"):
        assert secret.encode() not in held
        assert secret.encode("utf-16-le") not in held


def test_a_secret_that_is_not_there_is_asked_for(path, tmp_path, monkeypatch):
    _files(tmp_path)

    async def tried():
        async with serving(Api()) as url:
            entry = await _die(
                Until(path, "use", 2), tmp_path / "w.arazzo.json", {"password": "first-passw0rd"}, server=url
            )
            with pytest.raises(treadle.RunRefused, match="input 'password' is secret, so it was not stored") as refused:
                await _resume(path, entry.run_id)
            assert refused.value.hint == "give it again: -i password=env:VARIABLE"
            with pytest.raises(treadle.InputsInvalid):
                await _resume(path, entry.run_id, {"password": 7})
            return await _resume(path, entry.run_id, {"password": "first-passw0rd"})

    assert asyncio.run(tried()).status == "succeeded"


def test_what_is_in_doubt_without_a_rule_is_decided_by_somebody(path, tmp_path):
    _files(tmp_path)

    async def tried():
        api = Api()
        async with serving(api) as url:
            entry = await _die(Until(path, "token"), tmp_path / "w.arazzo.json", {"password": "p4ssword"}, server=url)
            first = await _resume(path, entry.run_id, {"password": "p4ssword"})
            second = await _resume(path, entry.run_id, {"password": "p4ssword"})
            with pytest.raises(treadle.RunRefused, match="'perhaps' is no way to go on"):
                await _resume(path, entry.run_id, {"password": "p4ssword"}, in_doubt="perhaps")
            third = await _resume(path, entry.run_id, {"password": "p4ssword"}, in_doubt={"token": "mine"})
            return api, first, second, third

    api, first, second, third = asyncio.run(tried())
    assert (first.status, second.status, third.status) == ("in-doubt", "in-doubt", "succeeded")
    assert first.error.message.startswith("step 'token': POST http://127.0.0.1:")
    assert "was to be sent at 2023-11-14T22:13:20.000Z, and no answer is known" in first.error.message
    assert f"treadle runs resume {first.run_id} --in-doubt retry|skip=JSON|fail" in first.error.hint
    assert third.outputs == {"n": 4, "token": "mine"}
    assert [entry[:2] for entry in api.seen].count(("POST", "/token")) == 1


def test_an_interrupted_run_can_be_resumed_and_one_that_is_cancelled_has_ended(path, tmp_path):
    _files(tmp_path)

    async def tried():
        api = Api()
        async with serving(api) as url:
            journal = treadle.SqliteJournal(path)
            outcomes = []
            for for_good in (False, True):
                api.seen.clear()
                interruption = Interruption()

                def observe(record, interruption=interruption, for_good=for_good):
                    if isinstance(record, records.Waiting):
                        interruption.request("interrupted", gently=True, for_good=for_good)

                async with treadle.Runner(journal=journal, server=url) as runner:
                    prepared = await runner.prepare(tmp_path / "w.arazzo.json", None, {"password": "p4ssword"})
                    outcomes.append(await runner.execute(prepared, observe=observe, interruption=interruption))
            statuses = {entry.run_id: entry.status for entry in await journal.entries()}
            await journal.close()
            return [(outcome.status, statuses[outcome.run_id]) for outcome in outcomes]

    assert asyncio.run(tried()) == [("interrupted", "interrupted"), ("cancelled", "cancelled")]


def test_a_run_is_cancelled_from_elsewhere_without_breaking_its_request(path, tmp_path):
    _files(tmp_path)

    async def tried():
        api = Api()
        async with serving(api) as url:
            other = treadle.SqliteJournal(path)
            seen = []
            waits = asyncio.Event()

            def observe(record):
                seen.append(record)
                if isinstance(record, records.Waiting):
                    waits.set()

            options = {"journal": path, "server": url, "poll_interval": 3600, "poll_max_interval": 3600}
            task = asyncio.create_task(
                treadle.run_async(
                    tmp_path / "w.arazzo.json", inputs={"password": "p4ssword"}, observe=observe, **options
                )
            )
            await waits.wait()
            (entry,) = await other.entries()
            assert entry.status == "waiting"
            await other.cancel(entry.run_id)
            outcome = await task
            (entry,) = await other.entries()
            await other.close()
            return outcome, entry, seen

    outcome, entry, seen = asyncio.run(tried())
    assert (outcome.status, entry.status) == ("cancelled", "cancelled")
    assert outcome.error.message == "cancelled at step 'use'"
    assert isinstance(seen[-1], records.RunEnded)


@pytest.mark.parametrize("cancels", [1, 2])
def test_what_a_cancelled_task_has_not_sent_is_in_no_doubt(path, tmp_path, cancels):
    _files(tmp_path)

    async def tried():
        api = Api()
        api.hold = ("POST", "/token")
        journal = treadle.SqliteJournal(path)
        async with serving(api) as url, treadle.Runner(journal=journal, server=url, max_connections=1) as runner:
            document = await runner.load(tmp_path / "w.arazzo.json")
            runs = [asyncio.create_task(runner.run(document, None, {"password": "p4ssword"})) for _ in range(6)]
            await api.holds.wait()
            for _ in range(cancels):
                for run in runs:
                    run.cancel()
                await asyncio.sleep(0)
            ends = await asyncio.gather(*runs, return_exceptions=True)
            assert all(isinstance(end, asyncio.CancelledError) for end in ends)
            for entry in await journal.entries():  # all of them were let go of
                await journal.claim(entry.run_id)
                await journal.release(entry.run_id)
            statuses = [entry.status for entry in await journal.entries()]
        await journal.close()
        return api, statuses

    api, statuses = asyncio.run(tried())
    sent = len(api.seen)
    assert (statuses.count("in-doubt"), statuses.count("interrupted")) == (sent, 6 - sent)


def _polling(url, journal):
    return treadle.Runner(server=url, journal=journal, poll_interval=3600, poll_max_interval=3600)


def _waits():
    """Give what is set when a run waits, and what is to observe the run."""
    waits = asyncio.Event()

    def observe(record):
        if isinstance(record, records.Waiting):
            waits.set()

    return waits, observe


def test_a_stop_that_comes_while_a_run_is_let_go_of_breaks_nothing(path, tmp_path):
    _files(tmp_path)

    async def tried():
        async with serving(Api()) as url:
            journal, interruption = treadle.SqliteJournal(path), Interruption()
            waits, observe = _waits()
            async with _polling(url, journal) as runner:
                prepared = await runner.prepare(tmp_path / "w.arazzo.json", None, {"password": "p4ssword"})
                run = asyncio.create_task(runner.execute(prepared, observe=observe, interruption=interruption))
                await waits.wait()
                with journal._one_at_a_time:  # as where another process writes for a while
                    interruption.request("interrupted", gently=True)
                    for _ in range(20):
                        await asyncio.sleep(0)
                    assert not run.done()
                    interruption.request("interrupted")
                    interruption.request("interrupted")
                    for _ in range(20):
                        await asyncio.sleep(0)
                outcome = await run
                assert run.cancelling() == 0
            assert (await journal.entries())[0].status == "interrupted"
            await journal.close()
            return outcome

    assert asyncio.run(tried()).status == "interrupted"


def test_a_cancellation_that_was_over_before_a_run_is_none_of_it(path, tmp_path):
    _files(tmp_path)

    async def tried():
        async with serving(Api()) as url, _polling(url, path) as runner:
            other = treadle.SqliteJournal(path)
            waits, observe = _waits()

            async def late():
                with suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()
                return await runner.run(tmp_path / "w.arazzo.json", None, {"password": "p4ssword"}, observe=observe)

            task = asyncio.create_task(late())
            await asyncio.sleep(0)
            task.cancel()
            await waits.wait()
            await other.cancel((await other.entries())[0].run_id)
            outcome = await task
            await other.close()
            return outcome

    assert asyncio.run(tried()).status == "cancelled"


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("at", [records.Delivered, records.StepEnded, records.RunEnded])
def test_a_stop_that_comes_with_the_end_of_a_run_does_not_outlive_it(path, tmp_path, at, durable):
    _files(tmp_path)

    async def tried():
        async with serving(Api()) as url:
            interruption, last = Interruption(), []

            def observe(record):
                if isinstance(record, at) and getattr(record, "step_id", "use") == "use":
                    interruption.request("interrupted")
                    last.append(record)

            options = {"poll_interval": 0.001, "poll_max_interval": 0.001}
            async with treadle.Runner(server=url, journal=path if durable else None, **options) as runner:
                prepared = await runner.prepare(tmp_path / "w.arazzo.json", None, {"password": "p4ssword"})
                outcome = await runner.execute(prepared, observe=observe, interruption=interruption)
                await asyncio.sleep(0)
                interruption.request("interrupted")
                await asyncio.sleep(0)
                task = asyncio.current_task()
                assert task.cancelling() == 0
            return outcome, last

    outcome, last = asyncio.run(tried())
    assert last
    assert outcome.status in ("succeeded", "interrupted", "cancelled")


@pytest.mark.parametrize("turns", range(8))
def test_whoever_is_cancelled_while_a_runner_closes_is_cancelled(path, tmp_path, turns):
    _files(tmp_path)

    async def tried():
        async with serving(Api()) as url:

            async def closing():
                async with _polling(url, path) as runner:
                    run = asyncio.create_task(
                        runner.run(tmp_path / "w.arazzo.json", None, {"password": "p4ssword"}, observe=observe)
                    )
                    await waits.wait()
                    run.cancel()
                    await asyncio.gather(run, return_exceptions=True)
                    leaves.set()
                await asyncio.Event().wait()

            waits, observe = _waits()
            leaves = asyncio.Event()
            task = asyncio.create_task(closing())
            await leaves.wait()
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(task, 10)

    asyncio.run(tried())


@pytest.mark.parametrize("value", [{1}, b"xy", float("nan"), {5: 1}, object(), "\ud800"])
def test_a_step_is_skipped_only_with_what_is_json(path, tmp_path, value):
    _files(tmp_path)

    async def tried():
        async with serving(Api()) as url:
            entry = await _die(Until(path, "token"), tmp_path / "w.arazzo.json", {"password": "p4ssword"}, server=url)
            with pytest.raises(treadle.RunRefused, match="only with outputs that are JSON values"):
                await _resume(path, entry.run_id, {"password": "p4ssword"}, in_doubt={"token": value})

    asyncio.run(tried())


def test_without_a_journal_there_is_nothing_to_resume():
    async def tried():
        async with treadle.Runner() as runner:
            with pytest.raises(treadle.RunRefused, match="there is no journal to resume a run from"):
                await runner.resume("r1")

    asyncio.run(tried())


def test_a_pause_ends_when_it_would_have_ended(path, tmp_path):
    _files(tmp_path)

    async def tried():
        async with serving(Api()) as url:
            options = {"server": url, "poll_interval": 10, "poll_max_interval": 10}
            interruption = Interruption()

            def observe(record):
                if isinstance(record, records.Waiting):
                    interruption.request("interrupted", gently=True)

            clock = StillClock()
            async with treadle.Runner(journal=path, clock=clock, **options) as runner:
                prepared = await runner.prepare(tmp_path / "w.arazzo.json", None, {"password": "p4ssword"})
                outcome = await runner.execute(prepared, observe=observe, interruption=interruption)
            later = StillClock(clock.time + 7)
            async with treadle.Runner(journal=path, clock=later, **options) as runner:
                await runner.resume(outcome.run_id, {"password": "p4ssword"})
            return later.sleeps

    first, *_ = asyncio.run(tried())
    assert 2 <= first <= 4
