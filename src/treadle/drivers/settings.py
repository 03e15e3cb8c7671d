"""The options of a run: their names, their defaults, what makes no sense, and servers that cannot be."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import asdict

from treadle.drivers.connection import Connection
from treadle.drivers.proxies import shown
from treadle.drivers.sockets import SCHEME, socket_and_url
from treadle.drivers.urls import shown_url, user_masked
from treadle.engine.program import Program
from treadle.engine.secrets import MASK
from treadle.engine.state import Limits
from treadle.errors import RunRefused

if TYPE_CHECKING:
    from treadle.drivers.policy import Policy

_SECONDS = (
    "timeout", "request_timeout", "connect_timeout", "read_timeout", "poll_interval", "poll_max_interval",
    "max_retry_after",
)  # fmt: skip
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
        idempotency_key: send a key with each request that is not idempotent; by default only where its operation knows it.
        rate: how often requests go to a host: `10/s`, `100/m`, or `HOST=10/s` for one of them; one or more.
        client_key_password: of the key, where it is encrypted; on the command line TREADLE_CLIENT_KEY_PASSWORD.
        allow_host: the only hosts that requests may go to (`HOST`, `*.DOMAIN`, `HOST:PORT`); one or more.
        deny_private: refuse addresses that are not on the public internet.
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
    connect_timeout: float | None = None
    read_timeout: float | None = None
    poll_interval: float = 1.0
    poll_max_interval: float = 15.0
    max_steps: int = 100_000
    transport_retries: int = 3
    max_retry_after: float = 300.0
    idempotency_key: bool = False
    max_body: int = 64 * 1024 * 1024
    max_connections: int = 100
    max_connections_per_host: int | None = None
    rate: str | tuple[str, ...] = ()
    insecure: bool = False
    ca_cert: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    client_key_password: str | None = None
    proxy: str | None = None
    allow_host: str | tuple[str, ...] = ()
    deny_private: bool = False
    record: str | None = None
    replay: str | None = None
    credentials: Mapping[str, Any] | None = None
    profile: str | None = None
    keep_tokens: bool = False

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
            RunRefused: a number is negative, or the server is no URL.
        """
        for name in _SECONDS:
            value = getattr(self, name)
            if value is not None and not 0 <= value < float("inf"):
                raise RunRefused(f"{name} is {value}, but must be a number of seconds that is not negative")
        if 0 in (self.request_timeout, self.timeout, self.connect_timeout, self.read_timeout):
            raise RunRefused("a timeout of 0 seconds leaves no time for anything", hint="leave it out for no limit")
        for name in ("max_steps", "max_body", "transport_retries"):
            if getattr(self, name) < 0:
                raise RunRefused(f"{name} is {getattr(self, name)}, but must not be negative")
        for name in ("max_connections", "max_connections_per_host"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise RunRefused(f"{name} is {getattr(self, name)}, but must be 1 at least")
        for url in self.servers.values():
            check_server(url)
        if self.proxy is not None and not host_of(self.proxy):
            raise RunRefused(f"the proxy '{shown(self.proxy)}' is no http(s) URL", hint="write it as http://HOST:PORT")

    def __repr__(self) -> str:
        """Show the options that were given, without passwords and credentials."""
        given = {name: value for name, value in asdict(self).items() if value != getattr(_DEFAULTS, name)}
        if self.proxy is not None:
            given["proxy"] = shown(self.proxy)
        if self.source is not None:
            given["source"] = {name: shown_url(url) for name, url in self.source.items()}
        if self.client_key_password is not None:
            given["client_key_password"] = MASK
        if self.credentials is not None:
            given["credentials"] = dict.fromkeys(self.credentials, MASK)
        return f"Options({', '.join(f'{name}={value!r}' for name, value in given.items())})"

    @property
    def servers(self) -> Mapping[str, str]:
        """Base URLs by the name of the source, `""` for all others."""
        if self.server is None:
            return {}
        return {"": self.server} if isinstance(self.server, str) else self.server

    def connection(self) -> Connection:
        """Give what concerns the sending of requests."""
        values: dict[str, Any] = {name: getattr(self, name) for name in Connection.__struct_fields__}
        return Connection(**{**values, "rate": listed(self.rate)})

    def limits(self) -> Limits:
        """Give what bounds a run."""
        return Limits(**{name: getattr(self, name) for name in Limits.__struct_fields__})


_DEFAULTS = Options()


def listed(given: str | tuple[str, ...]) -> tuple[str, ...]:
    """Give what may be one or more as more."""
    return (given,) if isinstance(given, str) else given


def host_of(url: str) -> str | None:
    """Give the host of an http(s) URL, or the path of a Unix socket, or None where the text names neither."""
    try:
        if url.startswith(SCHEME):
            return socket_and_url(url)[0]
        parts = urlsplit(url)
        _ = parts.port  # raises where it is no number
    except ValueError:
        return None
    return parts.hostname if parts.scheme in ("http", "https") else None


def check_policy(program: Program, policy: "Policy") -> None:
    """Make sure before anything is sent that requests may go to each server, as far as its name tells.

    Raises:
        RunRefused: a rule forbids it.
    """
    for call in program.calls():
        if call.url is not None:
            continue  # x-operation with an expression: where it leads is known, and looked at, when it is sent
        if call.server.startswith(SCHEME):
            refusal = policy.refuses_socket(host_of(call.server) or "")
        else:
            parts = urlsplit(call.server)
            port = parts.port or (443 if parts.scheme == "https" else 80)
            refusal = policy.refuses(parts.hostname or "", port)
        if refusal is not None:
            source = call.operation.source
            place = f"source '{source}'" if source else "x-operation"
            raise RunRefused(f"{place}: {refusal.message}", hint=refusal.hint)


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
