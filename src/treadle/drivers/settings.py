"""The options of a run: their names, their defaults, and what makes no sense."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from treadle.drivers.transport import Connection
from treadle.drivers.urls import shown_url, user_masked
from treadle.engine.program import Program
from treadle.engine.state import Limits
from treadle.errors import RunRefused

_PLACEHOLDERS = (".example.com", ".example.net", ".example.org", ".example", ".invalid")
"""Names that no server has (RFC 2606); descriptions are full of them."""


class Options(Struct, frozen=True, kw_only=True):
    """The options of a run, named as on the command line; times in seconds, sizes in bytes.

    Attributes:
        server: a base URL for all sources, or base URLs by the name of the source.
        source: what to load in place of a source description's url, by its name: path, URL or bundled name.
        server_var: values of server variables, by `NAME` or for one source by `SOURCE.NAME`.
        no_cache: fetch documents anew, and keep no copy of them.
        strict: refuse the dialects of real documents.
        timeout: limit of the whole run.
        record: the file that every exchange is written to, as an HTTP Archive with all secrets masked.
        replay: the recording that answers in place of the network.
        credentials: by the name of a security scheme, or SOURCE:SCHEME: a token, a key, or fields.
        profile: a profile of the config file, whose options and credentials are used where none are given.
        keep_tokens: keep tokens in the system's keyring, and take them from there.
    """

    server: str | Mapping[str, str] | None = None
    source: Mapping[str, str] | None = None
    server_var: Mapping[str, str] | None = None
    no_cache: bool = False
    strict: bool = False
    timeout: float | None = None
    request_timeout: float = 30.0
    poll_interval: float = 1.0
    poll_max_interval: float = 15.0
    max_steps: int = 100_000
    transport_retries: int = 3
    max_retry_after: float = 300.0
    max_body: int = 64 * 1024 * 1024
    insecure: bool = False
    ca_cert: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    proxy: str | None = None
    record: str | None = None
    replay: str | None = None
    credentials: Mapping[str, Any] | None = None
    profile: str | None = None
    keep_tokens: bool = False

    def __repr__(self) -> str:
        """Show what differs from the defaults, and no credential."""
        plain = Options()
        shown = {
            name: getattr(self, name) for name in self.__struct_fields__ if getattr(self, name) != getattr(plain, name)
        }
        if self.credentials is not None:
            shown["credentials"] = dict.fromkeys(self.credentials, "***")
        return f"Options({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

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
            raise RunRefused(
                f"the proxy '{user_masked(self.proxy)}' is no http(s) URL", hint="write it as http://HOST:PORT"
            )

    @property
    def servers(self) -> Mapping[str, str]:
        """Base URLs by the name of the source, `""` for all others."""
        if self.server is None:
            return {}
        return {"": self.server} if isinstance(self.server, str) else self.server

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
        raise RunRefused(f"the server '{shown_url(url)}' is no http(s) URL", hint="write it as https://HOST/BASE/PATH")
    if "@" in urlsplit(url).netloc:
        hint = "give credentials as inputs of the workflow, or in a header"
        raise RunRefused(f"the server '{user_masked(url)}' has a user or password in its URL", hint=hint)


def check_servers(program: Program) -> None:
    """Make sure before anything is sent that each operation has a server that can exist.

    Raises:
        RunRefused: a description has a relative URL and no place of its own, or a placeholder.
    """
    for call in program.calls():
        server, source = call.server, call.operation.source
        if not source:
            continue  # x-operation names a whole URL, which was looked at when it was read
        host = host_of(server)
        hint = "name yours: --server https://HOST/BASE/PATH"
        if not host or not is_base(server):
            raise RunRefused(f"the server of source '{source}' is '{server}', which is no URL to send to", hint=hint)
        named = server != call.operation.server  # who names a server means it
        if not named and f".{host}".endswith(_PLACEHOLDERS):
            raise RunRefused(f"the server of source '{source}' is a placeholder: {server}", hint=hint)
