"""Faults: which request meets which (pure), and what a client gets to see of each (over a real connection)."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
from contextlib import contextmanager
from email.utils import parsedate_to_datetime

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from treadle.vendors.dataiku.simulator import config
from treadle.vendors.dataiku.simulator.clock import VirtualClock
from treadle.vendors.dataiku.simulator.description import ConfigInvalid
from treadle.vendors.dataiku.simulator.faults import Fault, Faults, Request
from treadle.vendors.dataiku.simulator.server import running

LIGHT = "/projects/DEMO/scenarios/NIGHTLY/light"
RUN = "/projects/DEMO/scenarios/NIGHTLY/run"


def numbers(fault: str, *, requests: int = 12, seed: int = 0, request: Request | None = None) -> list[int]:
    """Give the numbers of those among so many equal requests that meet a fault."""
    faults = Faults([config.read_fault(fault)], seed)
    request = request or Request("GET", LIGHT, "demo-key", 0.0)
    return [number for number in range(1, requests + 1) if faults.meet(request).names]


@pytest.mark.parametrize(
    ("fault", "met"),
    [
        ("do=502", list(range(1, 13))),
        ("do=502,first=3", list(range(3, 13))),
        ("do=502,first=3,count=2", [3, 4]),
        ("do=502,count=1", [1]),
        ("do=502,every=4", [1, 5, 9]),
        ("do=502,first=2,every=5,count=2", [2, 7]),
        ("do=502,path=*/light,method=GET,key=demo-key", list(range(1, 13))),
        ("do=502,path=/projects/DEMO/*", list(range(1, 13))),
        ("do=502,path=*/run", []),
        ("do=502,path=/light", []),
        ("do=502,method=POST", []),
        ("do=502,key=other", []),
    ],
)
def test_which_requests_meet_it(fault, met):
    assert numbers(fault) == met


def test_what_does_not_match_is_not_counted():
    faults = Faults([Fault(do=502, path="*/light", first=2, count=1)], 0)
    paths = [LIGHT, RUN, RUN, LIGHT, LIGHT]
    assert [bool(faults.meet(Request("GET", path, None, 0.0)).names) for path in paths] == [0, 0, 0, 1, 0]
    (rule,) = faults.rules
    assert (rule.seen, rule.happened) == (3, 1)


@pytest.mark.parametrize(("at", "met"), [(0, False), (9.9, False), (10, True), (69.9, True), (70, False), (1e6, False)])
def test_a_window_of_time(at, met):
    seen = numbers("do=503,after=10,until=70", requests=1, request=Request("GET", LIGHT, None, at))
    assert bool(seen) == met


def test_the_first_that_matches_happens_and_latencies_add_up():
    faults = Faults(
        [
            Fault(do="latency", seconds=1),
            Fault(do=502, count=1),
            Fault(do=503, count=1),
            Fault(do="latency", seconds=2),
        ],
        0,
    )
    request = Request("GET", LIGHT, None, 0.0)
    seen = [faults.meet(request) for _ in range(3)]
    assert [(met.latency, met.fault and met.fault.do) for met in seen] == [(3, 502), (3, 503), (3, None)]


@given(st.integers(), st.sampled_from([0.1, 0.5, 0.9]), st.integers(1, 30))
def test_chance_comes_from_the_seed_alone(seed, probability, first):
    text = f"do=502,probability={probability},first={first}"
    met = numbers(text, requests=200, seed=seed)
    assert met == numbers(text, requests=200, seed=seed)
    assert numbers(text + ",count=3", requests=200, seed=seed) == met[:3]
    assert all(number >= first for number in met)


def test_a_probability_is_about_kept():
    assert 400 < len(numbers("do=502,probability=0.5", requests=1000)) < 600


@given(st.integers())
def test_jitter_is_bounded(seed):
    faults = Faults([Fault(do="latency", seconds=1.0, jitter=0.5)], seed)
    waits = {faults.meet(Request("GET", LIGHT, None, 0.0)).latency for _ in range(20)}
    assert len(waits) > 1
    assert all(1.0 <= wait <= 1.5 for wait in waits)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("502", "fault '502': '502' is not NAME=VALUE"),
        ("do=502,do=503", "fault 'do=502,do=503': 'do' comes twice"),
        ("path=*", "fault 'path=*': Object missing required field `do`"),
        ("do=418", "fault 'do=418': Invalid enum value 418 - at `$.do`"),
        ("do=502,pth=x", "fault 'do=502,pth=x': Object contains unknown field `pth`"),
        ("do=502,first=0", "fault 'do=502,first=0': Expected `int` >= 1 - at `$.first`"),
        ("do=502,probability=0", "fault 'do=502,probability=0': Expected `float` > 0.0 - at `$.probability`"),
        ("do=latency", "fault 'do=latency': fault 'latency' needs seconds or jitter"),
        ("do=502,seconds=1", "fault 'do=502,seconds=1': fault 502 has seconds or jitter, which only latency has"),
        ("do=truncate,effect=true", "fault 'do=truncate,effect=true': fault 'truncate' always reaches DSS: effect says nothing"),
        ("do=drop,retry_after=1", "fault 'do=drop,retry_after=1': fault 'drop' has retry_after but no answer to put it in"),
        ("do=429,retry_after_form=date", "fault 'do=429,retry_after_form=date': fault 429 has retry_after_form but no retry_after"),
        ("do=drop,bytes=1", "fault 'do=drop,bytes=1': fault 'drop' has bytes, which only truncate has"),
        ("do=502,after=3,until=3", "fault 'do=502,after=3,until=3': fault 502 ends before it begins: until is 3, after is 3"),
    ],
)  # fmt: skip
def test_refused(text, message):
    with pytest.raises(ConfigInvalid) as refusal:
        config.read_fault(text)
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    "text", ["do=502", "do=drop,method=POST,effect=true", "do=429,path=*/run,retry_after=3,retry_after_form=date"]
)
def test_a_fault_is_shown_as_it_is_written(text):
    assert config.read_fault(str(config.read_fault(text))) == config.read_fault(text)
    assert set(str(config.read_fault(text)).split(",")) == set(text.split(","))


def test_a_key_is_not_shown():
    assert str(Fault(do=401, key="s3cret")) == "do=401,key=***"


# Over a connection


@pytest.fixture
def hanging(make_caller):
    """Serve while one request hangs; at the end it is over, without an answer."""

    @contextmanager
    def serve(method: str, path: str, *, effect: bool = False):
        arrived = threading.Event()

        @web.middleware
        async def note(request, handler):
            arrived.set()
            return await handler(request)

        def hang() -> None:
            with pytest.raises((http.client.HTTPException, OSError)):
                make_caller(simulator)(method, path)

        simulation = config.changed(config.default(), {"faults": (Fault(do="hang", effect=effect),)})
        with running(simulation, clock=VirtualClock(), middlewares=[note]) as simulator:
            thread = threading.Thread(target=hang)
            thread.start()
            assert arrived.wait(10)
            yield simulator
        thread.join(10)
        assert not thread.is_alive()

    return serve


@pytest.fixture
def served():
    """Serve the default world with faults."""

    def serve(*faults: str, clock: VirtualClock | None = None):
        simulation = config.changed(config.default(), {"faults": tuple(map(config.read_fault, faults))})
        return running(simulation, clock=clock or VirtualClock())

    return serve


@pytest.mark.parametrize(
    ("status", "kind", "text"),
    [
        (401, "application/json", "com.dataiku.dip.exceptions.NotAuthenticatedException"),
        (403, "application/json", "com.dataiku.dip.exceptions.UnauthorizedException"),
        (500, "application/json", "java.lang.RuntimeException"),
        (429, "text/html", "<h1>429 Too Many Requests</h1>"),
        (502, "text/html", "<h1>502 Bad Gateway</h1>"),
        (503, "text/html", "<h1>503 Service Unavailable</h1>"),
        (504, "text/html", "<h1>504 Gateway Timeout</h1>"),
    ],
)
def test_an_answer_in_place_of_that_of_dss(served, make_caller, status, kind, text):
    with served(f"do={status},count=1") as simulator:
        ask = make_caller(simulator)
        reply = ask("POST", RUN)
        assert (reply.status, reply.headers["content-type"]) == (status, f"{kind}; charset=utf-8")
        assert text in reply.text
        assert ("dss-version" in reply.headers) == (kind == "application/json")
        assert "retry-after" not in reply.headers
        assert simulator.world.scenario("DEMO", "NIGHTLY", 0).pending is None
        assert ask("POST", RUN).status == 200
        assert [(request.status, request.faults) for request in simulator.requests] == [
            (status, (f"do={status},count=1",)),
            (200, ()),
        ]


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_in_both_forms(served, make_caller, status):
    faults = [f"do={status},retry_after=7,count=1", f"do={status},retry_after=7,retry_after_form=date"]
    with served(*faults) as simulator:
        ask = make_caller(simulator)
        assert ask("GET", LIGHT).headers["retry-after"] == "7"
        reply = ask("GET", LIGHT)
    asked, answered = (parsedate_to_datetime(reply.headers[name]) for name in ("retry-after", "date"))
    assert 6 <= (asked - answered).total_seconds() <= 8


@pytest.mark.parametrize("fault", ["do=drop", "do=504"])
@pytest.mark.parametrize("effect", [False, True])
def test_an_answer_that_is_lost_before_or_after_the_effect(served, make_caller, fault, effect):
    with served(f"{fault},method=POST,effect={str(effect).lower()}") as simulator:
        if fault == "do=504":
            assert make_caller(simulator)("POST", RUN).status == 504
        else:
            with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
                make_caller(simulator)("POST", RUN)
        assert (simulator.world.scenario("DEMO", "NIGHTLY", 0).pending is not None) == effect


@pytest.mark.parametrize("effect", [False, True])
def test_what_hangs_hangs_before_or_after_the_effect(hanging, make_caller, effect):
    with hanging("POST", RUN, effect=effect) as simulator:
        # What came before this is done, or hangs.
        assert make_caller(simulator, "/_sim")("GET", "/clock").status == 200
        assert (simulator.world.scenario("DEMO", "NIGHTLY", 0).pending is not None) == effect


def test_a_dropped_connection_has_no_status_in_the_log(served, make_caller):
    with served("do=drop") as simulator:
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            make_caller(simulator)("GET", LIGHT)
        (request,) = simulator.requests
    assert (request.status, request.faults) == (None, ("do=drop",))


@pytest.mark.parametrize(("cut", "kept"), [("", None), (",bytes=0", 0), (",bytes=5", 5)])
def test_a_body_that_breaks_off(served, make_caller, cut, kept):
    with served() as simulator:
        whole = make_caller(simulator)("GET", LIGHT).text
    with served(f"do=truncate{cut}") as simulator, pytest.raises(http.client.IncompleteRead) as broken:
        make_caller(simulator)("GET", LIGHT)
    assert broken.value.partial.decode() == whole[: len(whole) // 2 if kept is None else kept]
    assert broken.value.expected == len(whole) - len(broken.value.partial)


def test_latency_lets_the_request_pass(served, make_caller):
    with served("do=latency,seconds=0.01,jitter=0.01") as simulator:
        assert make_caller(simulator)("GET", LIGHT).status == 200
        assert simulator.requests[0].faults


def test_a_key_that_is_no_longer_known_from_a_moment_on(served, make_caller):
    clock = VirtualClock()
    with served("do=401,key=demo-key,after=30", clock=clock) as simulator:
        ask = make_caller(simulator)
        assert ask("GET", LIGHT).status == 200
        clock.advance(30)
        assert ask("GET", LIGHT).json["message"] == "Unknown API Key"
        simulator.instance.reset()
        assert ask("GET", LIGHT).status == 200


def test_a_maintenance_window(served, make_caller):
    clock = VirtualClock()
    with served("do=503,after=10,until=20,retry_after=10", clock=clock) as simulator:
        ask, seen = make_caller(simulator), []
        for _ in range(4):
            seen.append(ask("GET", LIGHT).status)
            clock.advance(7)
    assert seen == [200, 200, 503, 200]


def test_both_roots_and_slashes_are_one_path(served, make_caller):
    with served("do=502,path=/projects/DEMO/scenarios/NIGHTLY/light") as simulator:
        for prefix in ("/public/api", "/dip/publicapi"):
            for slash in ("", "/"):
                assert make_caller(simulator, prefix)("GET", LIGHT + slash).status == 502


def test_the_end_does_not_wait_for_what_hangs(hanging):
    with hanging("GET", LIGHT) as simulator:
        assert len(simulator.requests) == 1


def test_tls_with_a_certificate_that_nobody_trusts():
    with running(clock=VirtualClock(), tls=True) as simulator:
        assert simulator.url.startswith("https://127.0.0.1:")
        address = ("127.0.0.1", int(simulator.url.rpartition(":")[2]))
        trusting = ssl.create_default_context(cadata=simulator.certificate)
        for host in ("127.0.0.1", "localhost"):
            with socket.create_connection(address, 5) as raw, trusting.wrap_socket(raw, server_hostname=host):
                pass
        with (
            socket.create_connection(address, 5) as raw,
            pytest.raises(ssl.SSLCertVerificationError, match=r"self.signed"),
        ):
            ssl.create_default_context().wrap_socket(raw, server_hostname="127.0.0.1")
        connection = http.client.HTTPSConnection(*address, context=trusting, timeout=5)
        connection.request("GET", "/dip/publicapi/auth/info", headers={"Authorization": "Bearer demo-key"})
        assert json.load(connection.getresponse())["authIdentifier"] == "demo"
        connection.close()
