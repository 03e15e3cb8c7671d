"""The one loop: records before the next effect, the deadline of a run, and what is said about a request under way."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from served import NOON, StillClock

from treadle.drivers.run import COARSE, GRAIN, drive, interrupted, together
from treadle.engine import journal
from treadle.engine.effects import HttpResponse, Result, SendHttp
from treadle.engine.interpreter import Run
from treadle.engine.program import Action, Call, Poll, Program, Step, Workflow
from treadle.engine.state import Limits
from treadle.sources.operation import Operation

AGAIN = (Action("again", "goto", 0),)


def program(*methods: str, again: bool = False) -> Program:
    steps = tuple(
        Step(
            f"s{number}",
            Call(Operation("api", method, "/x", "http://api.test"), "http://api.test"),
            on_success=AGAIN if again else (),
            poll=Poll(interval=10, backoff=1),
        )
        for number, method in enumerate(methods)
    )
    return Program((Workflow("w", steps),))


class Server:
    """Answers each request after some time of the clock; or never, where `hangs` says so."""

    def __init__(self, clock: StillClock, took: float = 0.0, hangs: str = "") -> None:
        self.clock = clock
        self.took = took
        self.hangs = hangs
        self.sent: list[str] = []

    async def send(self, effect: SendHttp) -> Result:
        self.sent.append(effect.request.method)
        if effect.request.method == self.hangs:
            await asyncio.Event().wait()
        self.clock.time += self.took
        return HttpResponse(200)


def _drive(run: Run, server: Server, timeout: float | None = None):
    records: list[journal.Record] = []

    async def append(new: list[journal.Record]) -> None:
        records.extend(new)
        effect = next(iter(run.pending()), None)
        if isinstance(effect, SendHttp):  # what is about to be sent was announced
            assert any(isinstance(record, journal.StepBegan) and record.effect_id == effect.id for record in records)

    outcome = asyncio.run(drive(run, server, append, server.clock, timeout=timeout))
    assert isinstance(records[-1], journal.RunEnded)
    return outcome, records


def test_a_run_is_driven_to_its_end():
    clock = StillClock()
    outcome, records = _drive(Run(program("GET", "POST"), {}), Server(clock, took=2))
    assert outcome.status == "succeeded"
    assert [type(record).__name__ for record in records] == [
        "RunBegan", "StepBegan", "Delivered", "StepEnded", "StepBegan", "Delivered", "StepEnded", "RunEnded",
    ]  # fmt: skip
    assert [record.at - NOON for record in records] == [0, 0, 2, 2, 2, 4, 4, 4]


def test_a_resumed_run_goes_on_where_it_was():
    clock = StillClock()
    _, records = _drive(Run(program("GET", "POST"), {}), Server(clock))
    resumed = Run(program("GET", "POST"), {}, journal=records[:3])
    server = Server(clock)
    outcome, _ = _drive(resumed, server)
    assert (outcome.status, server.sent) == ("succeeded", ["POST"])


def test_a_run_that_has_ended_is_not_driven_again():
    clock = StillClock()
    run = Run(program("GET"), {})
    _drive(run, Server(clock))
    server = Server(clock)
    assert asyncio.run(drive(run, server, lambda _: asyncio.sleep(0), clock)) is run.outcome
    assert server.sent == []


def test_pauses_are_spread_by_their_jitter():
    clock = StillClock()
    _drive(Run(program("GET", again=True), {}, Limits(max_steps=20)), Server(clock))
    assert len(clock.sleeps) == 19
    assert all(9 <= pause <= 11 for pause in clock.sleeps)
    assert len(set(clock.sleeps)) > 10


def test_a_request_that_hangs_ends_at_the_deadline():
    outcome, _ = _drive(Run(program("GET"), {}), Server(StillClock(), hangs="GET"), timeout=0.02)
    assert (outcome.status, outcome.error.kind, outcome.error.step_id) == ("limited", "timeout", "s0")
    assert outcome.error.message == "the run did not end within 0.02 s; it was at step 's0'"


def test_a_post_that_hangs_is_in_doubt_at_the_deadline():
    outcome, _ = _drive(Run(program("GET", "POST"), {}), Server(StillClock(), hangs="POST"), timeout=0.02)
    assert (outcome.status, outcome.error.kind, outcome.error.step_id) == ("in-doubt", "in-doubt", "s1")
    assert "POST http://api.test/x was under way: it may have taken effect" in outcome.error.message


def test_a_pause_beyond_the_deadline_is_cut():
    clock = StillClock()
    server = Server(clock)
    outcome, _ = _drive(Run(program("GET", again=True), {}), server, timeout=5)
    assert (outcome.status, outcome.error.kind) == ("limited", "timeout")
    assert (server.sent, clock.sleeps) == (["GET"], [5])


def test_a_pause_within_the_deadline_is_made():
    clock = StillClock()
    server = Server(clock)
    outcome, _ = _drive(Run(program("GET", again=True), {}), server, timeout=12)
    assert (outcome.status, server.sent) == ("limited", ["GET", "GET"])


@pytest.mark.parametrize("took", [5, 6])
def test_a_post_for_which_no_time_is_left_is_not_sent_and_not_in_doubt(took):
    server = Server(StillClock(), took=took)
    outcome, _ = _drive(Run(program("GET", "POST"), {}), server, timeout=5)
    assert (outcome.status, outcome.error.kind, outcome.error.step_id) == ("limited", "timeout", "s1")
    assert server.sent == ["GET"]


def test_an_interruption_says_what_was_under_way():
    run = Run(program("GET", "POST"), {})
    assert interrupted(run, "interrupted", kept=False).message == "interrupted"
    run.begin(NOON)
    assert interrupted(run, "interrupted", kept=False).message == "interrupted at step 's0'"
    run.deliver("s0/1/1", HttpResponse(200), NOON)
    assert interrupted(run, "cancelled", kept=False).message == "cancelled at step 's1'"
    failure = interrupted(run, "interrupted (SIGINT)", asyncio.CancelledError(), kept=False)
    assert failure.message == (
        "interrupted (SIGINT) at step 's1'; POST http://api.test/x was under way and may have taken effect"
    )
    assert (failure.kind, failure.step_id) == ("interrupted", "s1")
    assert failure.hint == "what was started on the server goes on there"
    kept = Run(program("GET"), {}, run_id="5f2a")
    kept.begin(NOON)
    assert interrupted(kept, "interrupted", kept=True).hint == "go on with it: treadle runs resume 5f2a"


def test_a_cancelled_drive_leaves_a_run_that_can_go_on():
    clock = StillClock()
    run = Run(program("GET"), {})

    async def cancelled() -> None:
        task = asyncio.create_task(drive(run, Server(clock, hangs="GET"), lambda _: asyncio.sleep(0), clock))
        await asyncio.sleep(0.01)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert [effect.id for effect in run.pending()] == ["s0/1/1"]
    assert _drive(run, Server(clock))[0].status == "succeeded"


TIMES = st.floats(0, 1e7)


@given(now=TIMES, first=st.floats(COARSE, 1e5), second=st.floats(COARSE, 1e5))
def test_longer_pauses_are_not_cut_short_and_end_together(now, first, second):
    ends = []
    for seconds in (first, second):
        waited = together(now, seconds)
        assert seconds <= waited <= seconds + GRAIN  # all of it where the rest is too small to be subtracted
        ends.append((now + waited) / GRAIN)
    assert ends == pytest.approx([round(end) for end in ends], abs=1e-3, rel=0)


@given(now=TIMES, seconds=st.floats(0, COARSE, exclude_max=True))
def test_a_short_pause_is_as_it_was_asked_for(now, seconds):
    assert together(now, seconds) == seconds
