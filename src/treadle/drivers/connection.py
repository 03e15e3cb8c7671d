"""How requests are sent: the settings of a Transport, and what one does for everybody who sends."""

from typing import Protocol

from msgspec import Struct

from treadle.drivers.urls import user_masked
from treadle.engine.effects import HttpFailed, HttpResponse
from treadle.errors import EffectFailed
from treadle.sources.request import HttpRequest


class Connection(Struct, frozen=True):
    """How requests are sent: times in seconds, sizes in bytes, files by path.

    Attributes:
        request_timeout: limit of one request, from its first byte on the way to the last one of its answer.
        connect_timeout: limit of the connection, with its TLS; None for that of the request alone.
        read_timeout: how long nothing may come while an answer is waited for; None for that of the request alone.
        max_connections: how many requests are under way at once.
        max_connections_per_host: how many of them to one origin; None for no limit of its own.
        rate: how often requests go to a host: `10/s`, `100/m`, or `HOST=10/s` for one of them.
        ca_cert: a file or folder of CA certificates that are trusted beside those of the machine.
        client_key_password: of the client certificate's key, where that is encrypted.
    """

    request_timeout: float = 30.0
    connect_timeout: float | None = None
    read_timeout: float | None = None
    transport_retries: int = 3
    max_retry_after: float = 300.0
    max_body: int = 64 * 1024 * 1024
    max_connections: int = 100
    max_connections_per_host: int | None = None
    rate: tuple[str, ...] = ()
    insecure: bool = False
    ca_cert: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    client_key_password: str | None = None
    proxy: str | None = None

    def __repr__(self) -> str:
        """Show what shows no password."""
        through = "" if self.proxy is None else f" through {user_masked(self.proxy)}"
        return f"<Connection{through}, {self.request_timeout:.3g} s>"


class Departed(EffectFailed):
    """A run asks for something that a recording has no answer to."""


class NotConnected(Exception):
    """There is no connection, for the reason that is its `__cause__`; no request was sent."""


class Exchange(Protocol):
    """Sends one request and brings its answer: over the network, from a recording, or recording it on the way."""

    @property
    def connection(self) -> Connection:
        """How requests are sent."""

    async def exchange(self, request: HttpRequest, timeout: float) -> HttpResponse | HttpFailed:
        """Send one request within `timeout` seconds; whatever goes wrong on the way is a HttpFailed.

        Raises:
            Departed: it answers from a recording, and this was not recorded.
        """
