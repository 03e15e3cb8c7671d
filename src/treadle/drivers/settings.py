"""The options of a run: their names, their defaults, and what makes no sense."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from treadle.drivers.transport import Connection
from treadle.engine.program import Program
from treadle.engine.state import Limits
from treadle.errors import RunRefused

_PLACEHOLDERS = (".example.com", ".example.net", ".example.org", ".example", ".invalid")
"""Names that no server has (RFC 2606); descriptions are full of them."""
_NOT_KEPT = frozenset({"server", "source", "strict", "proxy"})
"""Options that a program already shows, and one that may hold a password."""


class Options(Struct, frozen=True, kw_only=True):
    """The options of a run, named as on the command line; times in seconds, sizes in bytes.

    Attributes:
        server: a base URL for all sources, or base URLs by the name of the source.
        source: what to load in place of a source description's url, by its name: path, URL or bundled name.
        strict: refuse the dialects of real documents.
        timeout: limit of the whole run.
        idempotency_key: send a key with each request that is not idempotent; by default only where its operation knows it.
    """

    server: str | Mapping[str, str] | None = None
    source: Mapping[str, str] | None = None
    strict: bool = False
    timeout: float | None = None
    request_timeout: float = 30.0
    poll_interval: float = 1.0
    poll_max_interval: float = 15.0
    max_steps: int = 100_000
    transport_retries: int = 3
    max_retry_after: float = 300.0
    idempotency_key: bool = False
    max_body: int = 64 * 1024 * 1024
    insecure: bool = False
    ca_cert: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    proxy: str | None = None

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
            RunRefused: a number is negative, or the server is no URL.
        """
        for name in ("timeout", "request_timeout", "poll_interval", "poll_max_interval", "max_retry_after"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < float("inf"):
                raise RunRefused(f"{name} is {value}, but must be a number of seconds that is not negative")
        if self.request_timeout == 0 or self.timeout == 0:
            raise RunRefused("a timeout of 0 seconds leaves no time for anything", hint="leave it out for no limit")
        for name in ("max_steps", "max_body", "transport_retries"):
            if getattr(self, name) < 0:
                raise RunRefused(f"{name} is {getattr(self, name)}, but must not be negative")
        for url in self.servers.values():
            check_server(url)
        if self.proxy is not None and not host_of(self.proxy):
            raise RunRefused(f"the proxy '{self.proxy}' is no http(s) URL", hint="write it as http://HOST:PORT")

    @property
    def servers(self) -> Mapping[str, str]:
        """Base URLs by the name of the source, `""` for all others."""
        if self.server is None:
            return {}
        return {"": self.server} if isinstance(self.server, str) else self.server

    def to_keep(self) -> dict[str, Any]:
        """Give what a durable run goes on with: what is not as by default, and neither in its program nor a secret."""
        fields = zip(self.__struct_fields__, self.__struct_defaults__, strict=True)
        return {
            name: getattr(self, name)
            for name, default in fields
            if name not in _NOT_KEPT and getattr(self, name) != default
        }

    def connection(self) -> Connection:
        """Give what concerns the sending of requests."""
        return Connection(**{name: getattr(self, name) for name in Connection.__struct_fields__ if hasattr(self, name)})

    def limits(self) -> Limits:
        """Give what bounds a run."""
        return Limits(**{name: getattr(self, name) for name in Limits.__struct_fields__})


def host_of(url: str) -> str | None:
    """Give the host of an http(s) URL, or None where the text is none."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is no number
    except ValueError:
        return None
    return parts.hostname if parts.scheme in ("http", "https") else None


def is_base(url: str) -> bool:
    """Say whether requests can be sent below a URL: it has a host, and neither query, fragment nor odd characters."""
    plain = url.isascii() and url.isprintable() and not set(url) & set(' "<>\\^`{|}')
    return plain and host_of(url) is not None and not {"?", "#"} & set(url)


def check_server(url: str) -> None:
    """Make sure that a base URL can be used.

    Raises:
        RunRefused: it is no http(s) URL, or it holds a password, which would be shown wherever the URL is.
    """
    if not is_base(url):
        raise RunRefused(f"the server '{url}' is no http(s) URL", hint="write it as https://HOST/BASE/PATH")
    if "@" in urlsplit(url).netloc:
        shown = url.replace(f"{urlsplit(url).netloc.rpartition('@')[0]}@", "***@")
        hint = "give credentials as inputs of the workflow, or in a header"
        raise RunRefused(f"the server '{shown}' has a user or password in its URL", hint=hint)


def check_servers(program: Program) -> None:
    """Make sure before anything is sent that each operation has a server that can exist.

    Raises:
        RunRefused: a description has a relative URL and no place of its own, or a placeholder.
    """
    for call in program.calls():
        server, source = call.server, call.operation.source
        host = host_of(server)
        hint = "name yours: --server https://HOST/BASE/PATH"
        if not host or not is_base(server):
            raise RunRefused(f"the server of source '{source}' is '{server}', which is no URL to send to", hint=hint)
        named = server != call.operation.server  # who names a server means it
        if not named and f".{host}".endswith(_PLACEHOLDERS):
            raise RunRefused(f"the server of source '{source}' is a placeholder: {server}", hint=hint)
