"""Performs SendHttp on aiohttp: redirects, repeats of safe requests, TLS, limits. Foreign errors are mapped here, once.

aiohttp is imported with the first request: it is half of a short run's time.
"""

import asyncio
import os
import random
import ssl
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from msgspec import Struct

from treadle.drivers.run import Clock
from treadle.engine.effects import HttpFailed, HttpResponse, SendHttp
from treadle.engine.pace import retry_after_seconds
from treadle.errors import RunRefused
from treadle.sources.request import HttpRequest

if TYPE_CHECKING:
    import aiohttp

TRANSIENT = frozenset({429, 502, 503, 504})
"""Statuses that say: try again later."""
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 10
FIRST_BACKOFF = 0.5
"""Seconds before the first repeat of a safe request; doubled for each further one."""
_PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_PLAIN_HEADERS = frozenset({"accept", "accept-language", "content-type", "user-agent"})


class Connection(Struct, frozen=True):
    """How requests are sent: times in seconds, sizes in bytes, files by path."""

    request_timeout: float = 30.0
    transport_retries: int = 3
    max_retry_after: float = 300.0
    max_body: int = 64 * 1024 * 1024
    max_connections: int = 100
    insecure: bool = False
    ca_cert: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    proxy: str | None = None


def preload() -> None:
    """Import aiohttp without the two TLS contexts it makes for itself; for a process that is all ours, before threads.

    Each loads every CA certificate of the machine, which is a fifth of a short run's CPU. None is missed: a Transport
    makes its own context with its first https request, and a proxy is spoken to by the contexts that are left alone.
    """
    if "aiohttp" in sys.modules or any(os.environ.get(name) for name in _PROXY_VARIABLES):
        return
    file = os.environ.get("SSL_CERT_FILE")
    os.environ["SSL_CERT_FILE"] = os.devnull
    try:
        import aiohttp  # noqa: F401, PLC0415
    finally:
        if file is None:
            del os.environ["SSL_CERT_FILE"]
        else:
            os.environ["SSL_CERT_FILE"] = file


class Transport:
    """A pool of connections, shared by any number of runs; knows nothing of steps, redirects or repeats."""

    def __init__(self, connection: Connection, user_agent: str) -> None:
        self.connection = connection
        self._user_agent = user_agent
        self._session: aiohttp.ClientSession | None = None
        self._slots = asyncio.Semaphore(connection.max_connections)
        self._tls = tls_context(connection) if _own_tls(connection) else None

    async def exchange(self, request: HttpRequest, timeout: float) -> HttpResponse | HttpFailed:
        """Send one request within `timeout` seconds; whatever goes wrong on the way is a HttpFailed."""
        import aiohttp  # noqa: PLC0415 - see above
        from yarl import URL  # noqa: PLC0415

        if self._session is None:
            self._session = self._open()
        try:
            # Waiting for a free connection is not the server's time, and costs less here than inside the pool.
            async with (
                self._slots,
                self._session.request(
                    request.method,
                    URL(request.url, encoded=True),
                    headers=request.headers,
                    data=request.body,
                    allow_redirects=False,
                    timeout=_timeouts(timeout),
                    ssl=self._context() if request.url.startswith("https:") else True,
                ) as response,
            ):
                body = await self._body(response)
                headers = tuple(response.headers.items())
                return body if isinstance(body, HttpFailed) else HttpResponse(response.status, headers, body)
        except TimeoutError as error:
            sent = not isinstance(error, aiohttp.ConnectionTimeoutError)
            return HttpFailed("timeout", f"no answer within {timeout:g} s", "see --request-timeout", sent=sent)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return _failed(error)

    async def _body(self, response: "aiohttp.ClientResponse") -> bytes | HttpFailed:
        limit = self.connection.max_body
        length = response.content_length
        if length is not None and length <= limit and "Content-Encoding" not in response.headers:
            return await response.read()
        parts = []
        size = 0
        async for part in response.content.iter_any():
            size += len(part)
            if size > limit:
                break
            parts.append(part)
        if size <= limit and (length is None or length <= limit):
            return b"".join(parts)
        response.close()
        message = f"the answer (status {response.status}) has a body of more than {limit:,} bytes"
        return HttpFailed("body-too-large", message, "raise --max-body if it is meant to be that large", sent=True)

    def _open(self) -> "aiohttp.ClientSession":
        import aiohttp  # noqa: PLC0415 - see above

        connector = aiohttp.TCPConnector(limit=self.connection.max_connections)
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),  # cookies belong to a run, not to the pool
            headers={"User-Agent": self._user_agent},
            proxy=self.connection.proxy,
            # Asking the environment costs time with each request, so it is asked only where it names a proxy.
            trust_env=self.connection.proxy is None and any(os.environ.get(name) for name in _PROXY_VARIABLES),
        )

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = tls_context(self.connection)
        return self._tls

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


class Http:
    """Performs the requests of one run: keeps its cookies, follows redirects, repeats safe requests."""

    __slots__ = ("_clock", "_connection", "_jars", "_transport")

    def __init__(self, transport: Transport, clock: Clock) -> None:
        self._transport = transport
        self._connection = transport.connection
        self._clock = clock
        self._jars: dict[str, Any] = {}

    async def send(self, effect: SendHttp) -> HttpResponse | HttpFailed:
        """Send a request; a safe one is repeated after a transient failure, within the step's own limit."""
        due = None if effect.timeout is None else self._clock.now() + effect.timeout
        attempt = 0
        while True:
            left = None if due is None else due - self._clock.now()
            result = await self._follow(effect.request, left)
            attempt += 1
            if not _transient(result) or not effect.safe or attempt > self._connection.transport_retries:
                return result
            pause = self._pause(result, attempt)
            if left is not None and pause >= left:
                return result
            await self._clock.sleep(pause)

    def _pause(self, result: HttpResponse | HttpFailed, attempt: int) -> float:
        if isinstance(result, HttpResponse):
            told = retry_after_seconds(_header(result, "retry-after"), self._clock.now())
            if told is not None:
                return min(told, self._connection.max_retry_after)
        spread = 1 + 0.2 * (random.random() - 0.5)  # noqa: S311 - spreads load, guards nothing
        return float(FIRST_BACKOFF * 2 ** (attempt - 1) * spread)

    async def _follow(self, request: HttpRequest, left: float | None) -> HttpResponse | HttpFailed:
        timeout = self._connection.request_timeout if left is None else min(left, self._connection.request_timeout)
        for _ in range(MAX_REDIRECTS + 1):
            sent = self._with_cookies(request) if self._jars else request
            result = await self._transport.exchange(sent, max(0.001, timeout))
            if isinstance(result, HttpFailed):
                return result
            self._keep_cookies(request.url, result)
            if result.status not in REDIRECTS or request.method not in ("GET", "HEAD"):
                return result
            location = _header(result, "location")
            if location is None:
                return result
            request = redirected(request, location)
            if not request.url.startswith(("http://", "https://")):
                return HttpFailed("redirect", f"the answer redirects to {location}, which is no http URL", sent=True)
        return HttpFailed("redirect", f"more than {MAX_REDIRECTS} redirects", "the server redirects in a circle")

    def _with_cookies(self, request: HttpRequest) -> HttpRequest:
        jar = self._jars.get(origin(request.url))
        if jar is None:
            return request
        from yarl import URL  # noqa: PLC0415 - see above

        kept = [f"{name}={morsel.value}" for name, morsel in jar.filter_cookies(URL(request.url)).items()]
        if not kept:
            return request
        given = [value for name, value in request.headers if name.lower() == "cookie"]
        others = tuple((name, value) for name, value in request.headers if name.lower() != "cookie")
        return HttpRequest(request.method, request.url, (*others, ("Cookie", "; ".join([*given, *kept]))), request.body)

    def _keep_cookies(self, url: str, response: HttpResponse) -> None:
        given = [value for name, value in response.headers if name.lower() == "set-cookie"]
        if not given:
            return
        import aiohttp  # noqa: PLC0415 - see above
        from yarl import URL  # noqa: PLC0415

        jar = self._jars.setdefault(origin(url), aiohttp.CookieJar(unsafe=True))
        jar.update_cookies_from_headers(given, URL(url))


@lru_cache(64)
def _timeouts(seconds: float) -> "aiohttp.ClientTimeout":
    import aiohttp  # noqa: PLC0415 - see above

    # A connection that is not there by then leaves no time for an answer; and that nothing was sent is known.
    return aiohttp.ClientTimeout(total=seconds, sock_connect=seconds * 0.9)


def origin(url: str) -> str:
    """Give scheme, host and port of a URL (RFC 6454)."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.scheme}://{parts.hostname}:{port}"


def redirected(request: HttpRequest, location: str) -> HttpRequest:
    """Give the request that follows a redirect; at another origin it carries no credential in any header."""
    url = urljoin(request.url, location)
    headers = request.headers
    if not url.startswith(("http://", "https://")) or origin(url) != origin(request.url):
        headers = tuple((name, value) for name, value in headers if name.lower() in _PLAIN_HEADERS)
    return HttpRequest(request.method, url, headers, request.body)


def _own_tls(connection: Connection) -> bool:
    return bool(connection.insecure or connection.ca_cert or connection.client_cert)


def tls_context(connection: Connection) -> ssl.SSLContext:
    """Give the TLS settings: those of this machine, changed as the connection says.

    Raises:
        RunRefused: a certificate or key file cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=connection.ca_cert)
        if connection.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if connection.client_cert:
            context.load_cert_chain(connection.client_cert, connection.client_key)
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(filter(None, (connection.ca_cert, connection.client_cert, connection.client_key)))
        raise RunRefused(f"the certificates cannot be used: {error}", hint=f"look at {files}") from error
    return context


def _header(response: HttpResponse, wanted: str) -> str | None:
    return next((value for name, value in response.headers if name.lower() == wanted), None)


def _transient(result: HttpResponse | HttpFailed) -> bool:
    if isinstance(result, HttpResponse):
        return result.status in TRANSIENT
    return result.kind in ("connection", "reset", "timeout")


def _failed(error: Exception) -> HttpFailed:
    """Say in our words what the client library found."""
    import aiohttp  # noqa: PLC0415 - see above

    match error:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError() | ssl.SSLError():
            hint = "name the server's CA with --ca-cert, or use --insecure where nothing is at stake"
            return HttpFailed("tls", f"the TLS connection was refused: {error}", hint)
        case aiohttp.ClientConnectorDNSError():
            return HttpFailed("dns", f"the host '{error.host}' has no address", "check the server's URL (--server)")
        case aiohttp.ClientProxyConnectionError():
            return HttpFailed("connection", f"the proxy cannot be reached: {error}", "check --proxy and HTTP_PROXY")
        case aiohttp.ClientConnectorError():
            number = error.os_error.errno
            what = os.strerror(number) if number else str(error.os_error)
            message = f"no connection to {error.host}:{error.port}: {what}"
            return HttpFailed("connection", message, "is the server up, and is its URL right (--server)?")
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return HttpFailed("url", f"{error} is no URL to send a request to", "check the server's URL (--server)")
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError() | ConnectionError():
            return HttpFailed("reset", "the connection was closed before the answer came", sent=True)
        case aiohttp.ClientPayloadError():
            return HttpFailed("reset", f"the answer broke off: {error}", sent=True)
        case aiohttp.ClientResponseError():
            message = f"the answer is no HTTP that can be read: {error.message}"
            return HttpFailed("protocol", message, "is this an HTTP server?", sent=True)
    return HttpFailed("request", f"{type(error).__name__}: {error}", sent=not isinstance(error, ValueError))
