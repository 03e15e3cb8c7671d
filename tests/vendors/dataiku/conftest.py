"""A simulator in a thread, its virtual clock, and a way to ask it that changes nothing about the request."""

from __future__ import annotations

import base64
import http.client
import json
from dataclasses import dataclass
from typing import Any

import dataikuapi
import pytest

from treadle.vendors.dataiku.simulator.clock import VirtualClock
from treadle.vendors.dataiku.simulator.server import Simulator, running


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        assert self.headers["content-type"] == "application/json; charset=utf-8"
        return json.loads(self.text)


class Caller:
    """Sends paths and bodies as they are: no normalisation, no Content-Type, no redirects."""

    def __init__(self, simulator: Simulator, prefix: str = "/public/api") -> None:
        self._address = simulator.url.removeprefix("http://")
        self._prefix = prefix

    def __call__(
        self, method: str, path: str, body: bytes | None = None, authorization: str | None = "Bearer demo-key"
    ) -> Reply:
        connection = http.client.HTTPConnection(self._address, timeout=10)
        try:
            headers = {} if authorization is None else {"Authorization": authorization}
            connection.request(method, self._prefix + path, body=body, headers=headers)
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, names, response.read().decode())
        finally:
            connection.close()

    def scenario(self, method: str, path: str, body: bytes | None = None, project: str = "DEMO") -> Reply:
        return self(method, f"/projects/{project}/scenarios/{path}", body)


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def simulator(clock):
    with running(clock=clock) as simulator:
        yield simulator


@pytest.fixture
def ask(simulator) -> Caller:
    return Caller(simulator)


@pytest.fixture
def make_caller():
    return Caller


@pytest.fixture
def make_basic():
    return basic


# The client sleeps 0.2 s and more between two polls; with this much simulated time for each request it needs few of them.
TICK = 10


@pytest.fixture
def make_client():
    clients = []

    def make(simulator, key: str = "demo-key") -> dataikuapi.DSSClient:
        client = dataikuapi.DSSClient(simulator.url, key)
        clients.append(client)
        return client

    yield make
    for client in clients:
        # It has no close of its own; what it leaves open would be a ResourceWarning.
        client._session.close()


@pytest.fixture
def project(simulator, make_client):
    """On the clock that moves when told."""
    return make_client(simulator).get_project("DEMO")


@pytest.fixture
def polled(make_client):
    """On a clock that moves with each request: for the calls of the client that poll."""
    with running(clock=VirtualClock(tick=TICK)) as simulator:
        yield make_client(simulator).get_project("DEMO")
