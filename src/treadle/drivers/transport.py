"""A pool of HTTP connections on aiohttp: TLS, proxies, time-outs, limits. Foreign errors are mapped here, once.

Knows nothing of steps, redirects or repeats. aiohttp is imported with the first request: it is half of a short run.
"""

import asyncio
import os
import ssl
import sys
import urllib.request
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from treadle.engine.effects import HttpFailed, HttpResponse
from treadle.errors import EffectFailed, RunRefused
from treadle.sources.request import IDEMPOTENT_METHODS, HttpRequest

if TYPE_CHECKING:
    import aiohttp
    from yarl import URL

    from treadle.drivers.bodies import Outgoing

STALE_AFTER = 1.0
"""From how many seconds of idleness on a connection may be one that the server is just closing."""
CODINGS = frozenset({"br", "deflate", "gzip", "identity", "zstd"})
"""What aiohttp decodes, with the packages that this one brings; all of it but identity is said in Accept-Encoding."""
_PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


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


class Departed(EffectFailed):
    """A run asks for something that a recording has no answer to."""


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
    """Connections shared by any number of runs."""

    def __init__(self, connection: Connection, user_agent: str) -> None:
        self.connection = connection
        self._user_agent = user_agent
        self._pooled: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None
        self._answered: dict[str, float] = {}
        self._slots = asyncio.Semaphore(connection.max_connections)
        self._proxies = {} if connection.proxy else environment_proxies()
        changed = connection.insecure or connection.ca_cert or connection.client_cert
        self._tls = tls_context(connection) if changed else None

    async def exchange(
        self, request: HttpRequest, timeout: float, sending: "Outgoing | None" = None
    ) -> HttpResponse | HttpFailed:
        """Send one request within `timeout` seconds; whatever goes wrong on the way is a HttpFailed.

        `sending` is the body where that is more than bytes, when it has been opened.
        """
        import aiohttp  # noqa: PLC0415 - see above
        from yarl import URL  # noqa: PLC0415

        headers, data = request.headers, request.body
        if sending is not None:
            headers, data = sending.headers, sending.content()  # type: ignore[assignment]  # what aiohttp takes as well
        elif data is not None and type(data) is not bytes:
            return await self._exchange_files(request, timeout)
        try:
            url = URL(request.url, encoded=True)
            if not url.host:
                raise ValueError("it has no host")
        except ValueError as error:
            message = f"{request.url} is no URL to send a request to: {error}"
            return HttpFailed("url", message, "check the server's URL (--server)")
        # Waiting for a free connection is not the server's time, and costs less here than inside the pool.
        await self._slots.acquire()
        try:
            response = await self._session(request.method, url).request(
                request.method,
                url,
                headers=headers,
                data=data,
                allow_redirects=False,
                timeout=_timeouts(timeout),
                ssl=self._context() if url.scheme == "https" else True,
                proxy=self.connection.proxy or (self._environment_proxy(url) if self._proxies else None),
            )
            try:
                body = await self._body(response)
            finally:
                response.release()
            self._answered[url.authority] = asyncio.get_running_loop().time()
            if body and "Content-Encoding" in response.headers and not _is_known(response):
                return _in_unknown_coding(response)
            if isinstance(body, HttpFailed):
                return body
            return HttpResponse(response.status, tuple(response.headers.items()), body)
        except TimeoutError as error:
            sent = not isinstance(error, aiohttp.ConnectionTimeoutError)
            own = timeout < self.connection.request_timeout
            hint = "the step's own timeout, or what was left of it" if own else "see --request-timeout"
            return HttpFailed("timeout", f"no answer within {timeout:.3g} s", hint, sent=sent)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return failed(error)
        finally:
            self._slots.release()

    async def _exchange_files(self, request: HttpRequest, timeout: float) -> HttpResponse | HttpFailed:
        """Send a request whose body is read, or put together, while it is sent."""
        from treadle.drivers.bodies import FileUnreadable, Outgoing  # noqa: PLC0415 - few requests have such a body

        try:
            with Outgoing(request) as body:
                result = await self.exchange(request, timeout, body)
        except FileUnreadable as error:
            return HttpFailed("file", str(error), "see that the file is there until the run has ended")
        if body.failure is not None:
            return HttpFailed("file", str(body.failure), "leave the file alone until the run has ended", sent=True)
        return result

    def _session(self, method: str, url: "URL") -> "aiohttp.ClientSession":
        """Choose pooled connections, or for a request that must not be sent twice after a pause a new one.

        A server closes an idle connection when it likes. A request that is under way just then gets no answer, and
        nobody knows whether it took effect: a needless doubt.
        """
        if method not in IDEMPOTENT_METHODS and url.authority in self._answered:
            idle = asyncio.get_running_loop().time() - self._answered[url.authority]
            if idle > STALE_AFTER:
                if self._fresh is None:
                    self._fresh = self._open(force_close=True)
                return self._fresh
        if self._pooled is None:
            self._pooled = self._open(force_close=False)
        return self._pooled

    def _open(self, *, force_close: bool) -> "aiohttp.ClientSession":
        import aiohttp  # noqa: PLC0415 - see above

        _settle_malloc()
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self.connection.max_connections, force_close=force_close),
            cookie_jar=aiohttp.DummyCookieJar(),  # cookies belong to a run, not to the pool
            headers={"User-Agent": self._user_agent},
        )
        # aiohttp repeats what it takes for idempotent after a lost connection; that is for our own rules to say.
        session._retry_connection = False  # noqa: SLF001 - there is no public switch; a test fails when this one goes
        return session

    async def _body(self, response: "aiohttp.ClientResponse") -> bytes | HttpFailed:
        if response.method == "HEAD":
            return b""  # Content-Length then speaks of what a GET would bring (RFC 9110 section 9.3.2)
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

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = tls_context(self.connection)
        return self._tls

    def _environment_proxy(self, url: "URL") -> str | None:
        bypassed = urllib.request.proxy_bypass_environment(url.host or "", self._proxies)  # type: ignore[attr-defined]
        return None if bypassed else self._proxies.get(url.scheme) or self._proxies.get("all")

    async def close(self) -> None:
        """Close all connections."""
        for session in (self._pooled, self._fresh):
            if session is not None:
                await session.close()
        self._pooled = self._fresh = None
        await asyncio.sleep(0)  # what was cut off while it connected is closed by the loop, at its next turn


def environment_proxies() -> dict[str, str]:
    """Give the proxies that the environment names, by scheme.

    aiohttp would read them too, but then also takes credentials for any host from ~/.netrc, which no document's author
    should be able to send anywhere.
    """
    if not any(os.environ.get(name) for name in _PROXY_VARIABLES):
        return {}
    return urllib.request.getproxies_environment()


def _is_known(response: "aiohttp.ClientResponse") -> bool:
    return response.headers["Content-Encoding"].strip().lower() in CODINGS


def _in_unknown_coding(response: "aiohttp.ClientResponse") -> HttpFailed:
    coding = response.headers["Content-Encoding"].strip().lower()
    message = f"the answer (status {response.status}) is in the content coding '{coding}', which nobody asked for"
    return HttpFailed("coding", message, f"this version reads {', '.join(sorted(CODINGS))}", sent=True)


@lru_cache(1)
def _settle_malloc() -> None:
    """Make reading answers cheaper by a fifth, on glibc; elsewhere it costs nothing.

    asyncio takes a new buffer of 256 KiB for each read. glibc maps and unmaps a block of that size with system calls,
    and clears it page by page, until a larger one has been freed once (mallopt(3), M_MMAP_THRESHOLD).
    """
    block = bytes(1024 * 1024)
    del block


@lru_cache(64)
def _timeouts(seconds: float) -> "aiohttp.ClientTimeout":
    import aiohttp  # noqa: PLC0415 - see above

    # A connection that is not there by then leaves no time for an answer; and that nothing was sent is known.
    return aiohttp.ClientTimeout(total=seconds, sock_connect=seconds * 0.9)


def tls_context(connection: Connection) -> ssl.SSLContext:
    """Give the TLS settings: those of this machine, changed as the connection says.

    Raises:
        RunRefused: a certificate or key file cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=connection.ca_cert)
    except (OSError, ssl.SSLError) as error:
        message = f"--ca-cert {connection.ca_cert} cannot be used: {_first_line(error)}"
        raise RunRefused(message, hint="give a file of CA certificates in PEM form") from error
    if connection.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if connection.client_cert:
        try:
            context.load_cert_chain(connection.client_cert, connection.client_key)
        except (OSError, ssl.SSLError) as error:
            message = f"--client-cert {connection.client_cert} cannot be used: {_first_line(error)}"
            raise RunRefused(message, hint="give certificate and key in PEM form; the key as --client-key") from error
    return context


def failed(error: Exception) -> HttpFailed:  # noqa: C901 - a table, one row for each kind of error
    """Say in our words what the client library found."""
    import aiohttp  # noqa: PLC0415 - see above

    match error:
        case aiohttp.ClientConnectorCertificateError():
            hint = "name the server's CA with --ca-cert, or use --insecure where nothing is at stake"
            return HttpFailed(
                "tls", f"the server's certificate is refused: {_first_line(error.certificate_error)}", hint
            )
        case aiohttp.ClientConnectorSSLError():
            hint = "does the server speak https on this port, or should its URL start with http:// (--server)?"
            return HttpFailed("tls", f"no TLS with {error.host}:{error.port}: {_first_line(error.os_error)}", hint)
        case aiohttp.ClientConnectorDNSError():
            return HttpFailed("dns", f"the host '{error.host}' has no address", "check the URL; --server names another")
        case aiohttp.ClientProxyConnectionError():
            message = f"the proxy {error.host}:{error.port} cannot be reached: {_first_line(error.os_error)}"
            return HttpFailed("connection", message, "check --proxy and the environment's proxy variables")
        case aiohttp.ClientConnectorError():
            message = f"no connection to {error.host}:{error.port}: {_first_line(error.os_error)}"
            return HttpFailed("connection", message, "is the server up, and is its URL right (--server)?")
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return HttpFailed("url", f"{error} is no URL to send a request to", "check the server's URL (--server)")
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError() | ConnectionError():
            return HttpFailed("reset", "the connection was closed before the answer came", sent=True)
        case aiohttp.ClientPayloadError():
            what = "is not in the coding it says" if "Encoding" in str(error) else "broke off before its end"
            return HttpFailed("reset", f"the answer {what}", sent=True)
        case aiohttp.ClientHttpProxyError():
            message = f"the proxy refused to connect: {error.status} {error.message}"
            return HttpFailed("proxy", message, "check --proxy and the environment's proxy variables")
        case aiohttp.ClientResponseError():
            message = f"the answer is no HTTP that can be read: {error.message.splitlines()[0].rstrip(':')}"
            return HttpFailed("protocol", message, "is this an HTTP server?", sent=True)
    sent = not isinstance(error, ValueError)  # a value that cannot be sent was not sent
    return HttpFailed("request", f"{type(error).__name__}: {_first_line(error)}", sent=sent)


def _first_line(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError) and error.verify_message:
        return error.verify_message
    number = getattr(error, "errno", None)
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    if isinstance(error, OSError) and number and number > 0:
        return os.strerror(number)
    return next(iter(str(error).splitlines()), type(error).__name__)
