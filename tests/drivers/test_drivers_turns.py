"""Turns: rates that the user sets, limits that servers announce, connections to one server."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from hypothesis import example, given
from hypothesis import strategies as st
from served import NOON, StillClock, client, request, serving

import treadle
from loader import cases
from treadle.drivers.connection import Connection
from treadle.drivers.http import Http
from treadle.drivers.transport import Transport
from treadle.drivers.turns import Slots, read_rates
from treadle.errors import RunRefused


async def _ok(_: web.BaseRequest) -> web.Response:
    return web.Response()


@pytest.mark.parametrize("case", cases("drivers/limits.yaml"))
def test_a_server_that_wants_to_be_left_alone(case):
    async def handler(got: web.BaseRequest) -> web.Response:
        return (
            web.Response(status=case.get("status", 200), headers=case["headers"])
            if got.path == "/1"
            else web.Response()
        )

    async def run():
        clock = StillClock()
        async with serving(handler) as url, serving(_ok) as other, client(clock) as http:
            await http.send(request("POST", f"{url}/1"))
            await http.send(request("GET", f"{other}/2"))  # another origin is not concerned
            before = clock.now()
            await http.send(request("GET", f"{url}/2"))
            return before, clock.now()

    before, after = asyncio.run(run())
    assert before == NOON
    assert after - before == pytest.approx(case["waits"])


def test_what_one_run_is_told_holds_for_all():
    async def handler(got: web.BaseRequest) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": "7"}) if got.path == "/1" else web.Response()

    async def run():
        clock = StillClock()
        transport = Transport(Connection(), "treadle-tests", clock=clock)
        async with serving(handler) as url:
            await Http(transport, clock).send(request("POST", f"{url}/1"))
            await Http(transport, clock).send(request("POST", f"{url}/2"))
            await transport.close()
        return clock.sleeps

    assert asyncio.run(run()) == [7]


@pytest.mark.parametrize(
    ("rates", "gaps"),
    [
        ((), [0, 0, 0]),
        (("10/s",), [0.1, 0.1, 0.1]),
        (("100/m",), [0.6, 0.6, 0.6]),
        (("1.5/h",), [2400, 2400, 2400]),
        (("other.test=1/m",), [0, 0, 0]),
        (("1/h", "127.0.0.1=4/s"), [0.25, 0.25, 0.25]),
    ],
)
def test_a_rate_spaces_requests_in_their_order(rates, gaps):
    clock = StillClock()
    arrived: list[tuple[str, float]] = []

    async def handler(got: web.BaseRequest) -> web.Response:
        arrived.append((got.path, clock.now()))
        return web.Response()

    async def run():
        async with serving(handler) as url, client(clock, rate=rates) as http:
            await asyncio.gather(*(http.send(request("POST", f"{url}/{number}")) for number in range(4)))

    asyncio.run(run())
    if sum(gaps):
        assert [path for path, _ in arrived] == [f"/{number}" for number in range(4)]
    assert clock.now() - NOON == pytest.approx(sum(gaps))


def test_waiting_for_a_turn_is_not_the_servers_time():
    async def run():
        clock = StillClock()
        async with serving(_ok) as url, client(clock, rate=("1/h",), request_timeout=5) as http:
            results = [await http.send(request("POST", url)) for _ in range(3)]
        return [result.status for result in results], clock.sleeps

    statuses, sleeps = asyncio.run(run())
    assert statuses == [200, 200, 200]
    assert sleeps == [pytest.approx(3600)] * 2


class EndlessClock(StillClock):
    """Whoever sleeps here sleeps until he is woken."""

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        await asyncio.Event().wait()


def test_waiting_for_a_turn_counts_in_the_limit_of_a_step():
    async def run():
        async with serving(_ok) as url, client(EndlessClock(), rate=("1/h",)) as http:
            first = await http.send(request("POST", url))
            return first, await http.send(request("POST", url, timeout=0.05))

    first, second = asyncio.run(run())
    assert first.status == 200
    assert (second.kind, second.sent, second.message) == ("timeout", False, "it could not be sent within 0.05 s")


@pytest.mark.parametrize("rate", ["10", "10/d", "0/s", "-1/s", "x=/s", "1/s/s", "a b=1/s", "", "1e3/s"])
def test_a_rate_that_is_none(rate):
    with pytest.raises(RunRefused, match=r"--rate '.*' is no rate"):
        read_rates([rate])


def test_few_connections_to_one_server_leave_others_alone():
    busy = 0
    most = 0
    arrived, let_go = asyncio.Event(), asyncio.Event()

    async def slow(_: web.BaseRequest) -> web.Response:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        arrived.set()
        await let_go.wait()
        busy -= 1
        return web.Response()

    async def run():
        async with (
            serving(slow) as url,
            serving(_ok) as other,
            client(max_connections=3, max_connections_per_host=2) as http,
        ):
            waiting = [asyncio.ensure_future(http.send(request("GET", url))) for _ in range(6)]
            await arrived.wait()
            # Those that wait for the slow server hold none of the connections that are left.
            elsewhere = await http.send(request("GET", other))
            let_go.set()
            return elsewhere, await asyncio.gather(*waiting)

    elsewhere, results = asyncio.run(run())
    assert elsewhere.status == 200
    assert [result.status for result in results] == [200] * 6
    assert most == 2


DOCUMENT = """
arazzo: 1.0.1
info: {title: t, version: '1'}
sourceDescriptions: [{name: api, url: api.yaml, type: openapi}]
workflows:
  - workflowId: w
    steps: [{stepId: ask, operationId: ask, successCriteria: [{condition: $statusCode == 200}]}]
"""
API = "{openapi: 3.1.0, paths: {/x: {post: {operationId: ask}}}}"


@pytest.mark.parametrize(("rate", "status", "doubt"), [(("1/h",), "limited", False), ((), "in-doubt", True)])
def test_a_run_that_ends_before_its_request_was_sent_is_in_no_doubt(rate, status, doubt, tmp_path):
    (tmp_path / "doc.yaml").write_text(DOCUMENT)
    (tmp_path / "api.yaml").write_text(API)
    requests = 0

    async def handler(_: web.BaseRequest) -> web.Response:
        nonlocal requests
        requests += 1
        if not rate:
            await asyncio.Event().wait()
        return web.Response()

    async def run():
        async with serving(handler) as url, treadle.Runner(server=url, rate=rate, timeout=0.2) as runner:
            if rate:
                assert (await runner.run(tmp_path / "doc.yaml")).status == "succeeded"
            return await runner.run(tmp_path / "doc.yaml")

    outcome = asyncio.run(run())
    assert (outcome.status, requests) == (status, 1)
    assert ("may have taken effect" in outcome.error.message) is doubt


@given(st.integers(1, 3), st.lists(st.tuples(st.sampled_from(["come", "leave", "cancel", "turn"]), st.integers(0, 4))))
@example(1, [("come", 0), ("come", 0), ("turn", 0), ("leave", 0), ("turn", 0), ("cancel", 1)])  # just then
@example(1, [("come", 0), ("come", 0), ("come", 0), ("turn", 0), ("cancel", 1)])
@example(1, [("come", 0), ("come", 0), ("come", 0), ("turn", 0), ("leave", 0)])
@example(
    3,
    [*[("come", 0)] * 7, ("leave", 0), ("leave", 3), ("turn", 0), ("leave", 1), ("turn", 0), ("leave", 2), ("come", 0)],
)
def test_slots_are_taken_in_the_order_of_coming_and_none_is_lost(count, events):
    """Whoever is cancelled, waiting or just when the slot was handed over, neither keeps a slot nor holds up others."""
    slots = Slots(count)
    tasks: list[tuple[asyncio.Task[None], asyncio.Event]] = []
    asked: set[int] = set()
    inside: list[int] = []
    came_in: list[int] = []
    waited: list[int] = []

    async def hold(name: int, leave: asyncio.Event) -> None:
        waits = slots.all_taken
        if not waits:  # then all who came before have a slot, though some may not have noticed yet
            assert len(inside) + sum(not tasks[one][0].cancelling() for one in asked) < count
        asked.add(name)
        try:
            await slots.acquire()
        finally:
            asked.remove(name)
        try:
            inside.append(name)
            came_in.append(name)
            waited.extend([name] if waits else [])
            assert len(inside) <= count
            await leave.wait()
        finally:
            inside.remove(name)
            slots.release()

    async def run() -> None:
        for what, which in events:
            if what == "come":
                leave = asyncio.Event()
                tasks.append((asyncio.create_task(hold(len(tasks), leave)), leave))
            elif what == "turn":
                await asyncio.sleep(0)
            elif which < len(tasks):
                task, leave = tasks[which]
                leave.set() if what == "leave" else task.cancel()
        for _, leave in tasks:
            leave.set()
        async with asyncio.timeout(10):  # a slot that is lost is waited for in vain
            ends = await asyncio.gather(*(task for task, _ in tasks), return_exceptions=True)
        assert all(end is None or isinstance(end, asyncio.CancelledError) for end in ends)
        assert {name for name, end in enumerate(ends) if end is None} <= set(came_in)

    asyncio.run(run())
    assert waited == sorted(waited)
    for _ in range(count):
        assert not slots.all_taken
        slots.take()
    assert slots.all_taken
