"""A pool of HTTP connections on aiohttp: TLS, proxies, time-outs, limits, turns.

Knows nothing of steps, redirects or repeats. aiohttp is imported with the first request: it is half of a short run.
"""

import asyncio
import os
import sys
from contextlib import nullcontext
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from msgspec import Struct

from treadle.drivers.collector import at_rest
from treadle.drivers.connection import Connection, NotConnected
from treadle.drivers.proxies import VARIABLES, environment_proxies, passwords, proxy_for, shown
from treadle.drivers.run import UNSENT, Clock, SystemClock, unsent
from treadle.drivers.sockets import SCHEME, socket_and_url
from treadle.drivers.stopping import present_waiter
from treadle.drivers.turns import Slots, Turns, read_rates
from treadle.engine.effects import HttpFailed, HttpResponse
from treadle.sources.request import IDEMPOTENT_METHODS, HttpRequest

if TYPE_CHECKING:
    import ssl

    import aiohttp
    from aiohttp.abc import AbstractResolver
    from yarl import URL

    from treadle.drivers.bodies import Outgoing
    from treadle.drivers.policy import Policy

STALE_AFTER = 1.0
"""From how many seconds of idleness on a connection may be one that the server is just closing."""
CODINGS = frozenset({"br", "deflate", "gzip", "identity", "zstd"})
"""What aiohttp decodes, with the packages that this one brings; all of it but identity is said in Accept-Encoding."""
_HEAD = 64 * 1024
"""The longest header field that is read, in bytes; tokens and policies of real servers are over aiohttp's 8 KiB."""
_CONNECTING = 0.9
"""The share of a request's time in which its connection must be there, where no other limit is set."""


def preload() -> None:
    """Import aiohttp without the two TLS contexts it makes for itself; for a process that is all ours, before threads.

    Each loads every CA certificate of the machine, which is a fifth of a short run's CPU. None is missed: a Transport
    makes its own context with its first https request, and a proxy is spoken to by the contexts that are left alone.
    """
    if "aiohttp" in sys.modules or any(os.environ.get(name) for name in VARIABLES):
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
    """Connections shared by any number of runs.

    Args:
        connection: how requests are sent.
        user_agent: what Treadle calls itself.
        policy: where requests may go; None for anywhere.
        clock: by which turns are taken.
        resolver: resolves names; None for the machine's own.

    Raises:
        RunRefused: a certificate, a key or a rate cannot be used.
    """

    def __init__(
        self,
        connection: Connection,
        user_agent: str,
        *,
        policy: "Policy | None" = None,
        clock: Clock | None = None,
        resolver: "AbstractResolver | None" = None,
    ) -> None:
        self.connection = connection
        self._user_agent = user_agent
        self._policy = policy
        self._resolver = resolver
        self._sessions: dict[tuple[str | None, bool], aiohttp.ClientSession] = {}
        self._answered: dict[str, float] = {}
        self._slots = Slots(connection.max_connections)
        self._host_slots: WeakValueDictionary[str, Slots] = WeakValueDictionary()
        rates = read_rates(connection.rate) if connection.rate else {}
        self._turns = Turns(rates, connection.max_retry_after, clock or SystemClock())
        self._proxies = {} if connection.proxy else environment_proxies()
        self._has_proxies = bool(connection.proxy or self._proxies)
        changed = connection.insecure or connection.ca_cert or connection.client_cert
        self._tls = self._tls_context() if changed else None

    @property
    def secrets(self) -> list[str]:
        """What must not be shown of the connection: passwords of proxies and keys."""
        proxies = [self.connection.proxy] if self.connection.proxy else self._proxies.values()
        key = self.connection.client_key_password
        return [*passwords(proxies), *([key] if key else [])]

    async def exchange(self, request: HttpRequest, timeout: float) -> HttpResponse | HttpFailed:
        """Send one request within `timeout` seconds; whatever goes wrong on the way is a HttpFailed.

        Waiting for a turn and for a free connection is not the server's time, and costs less here than in the pool.
        """
        try:
            socket, url, origin = _target(request.url)
        except ValueError as error:
            message = f"{request.url} is no URL to send a request to: {error}"
            return HttpFailed("url", message, "check the server's URL (--server)")
        proxy = self._proxy(url) if self._has_proxies and socket is None else None
        if proxy is not None and not proxy.startswith(("http://", "https://")):
            message = f"the proxy {shown(proxy)} is none that is spoken to by HTTP"
            return HttpFailed("proxy", message, "name an http proxy: --proxy http://HOST:PORT")
        refusal = None if self._policy is None else self._refused(self._policy, url, (socket, proxy))
        if refusal is not None:
            return refusal
        way = _Way(origin, socket, proxy)
        host_slots = None
        if self._turns.matter or self.connection.max_connections_per_host is not None or self._slots.all_taken:
            host_slots = await self._admitted(way.origin, url.raw_host or "")
        else:
            self._slots.take()
        try:
            if request.body is None or type(request.body) is bytes:
                return await self._answer(request, url, timeout, way)
            return await self._in_pieces(request, url, timeout, way)
        finally:
            self._slots.release()
            if host_slots is not None:
                host_slots.release()

    async def _admitted(self, origin: str, host: str) -> Slots | None:
        """Wait for one's turn and for a free connection; gives what is to be released beside the slot of all."""
        slots, held = self._slots_of(origin), None
        waiter = present_waiter()
        told = None if waiter is None else waiter.told
        try:
            with nullcontext() if waiter is None else waiter.waiting():
                if slots is not None:
                    if told is not None and slots.all_taken:
                        told("connections")
                    await slots.acquire()
                    held = slots
                await self._turns.take(origin, host, self._slots, told)
        except asyncio.CancelledError as error:
            if held is not None:
                held.release()
            raise asyncio.CancelledError(UNSENT) from error
        return held

    def _slots_of(self, origin: str) -> Slots | None:
        limit = self.connection.max_connections_per_host
        return None if limit is None else self._host_slots.setdefault(origin, Slots(limit))

    async def _in_pieces(
        self, request: HttpRequest, url: "URL", timeout: float, way: "_Way"
    ) -> HttpResponse | HttpFailed:
        """Send a request whose body is read while it is sent."""
        from treadle.drivers.bodies import FileUnreadable, Outgoing  # noqa: PLC0415 - few requests have such a body

        try:
            with Outgoing(request) as body:
                result = await self._answer(request, url, timeout, way, body)
        except FileUnreadable as error:
            return HttpFailed("file", str(error), "see that the file is there until the run has ended")
        if body.failure is not None:
            return HttpFailed("file", str(body.failure), "leave the file alone until the run has ended", sent=True)
        return result

    async def _answer(
        self, request: HttpRequest, url: "URL", timeout: float, way: "_Way", sending: "Outgoing | None" = None
    ) -> HttpResponse | HttpFailed:
        """Send a request over a connection; `sending` is its body where that is read while it is sent."""
        secured = url.scheme == "https" or (way.proxy or "").startswith("https:")
        try:
            response = await self._session(request.method, way).request(
                request.method,
                url,
                headers=request.headers if sending is None else sending.headers,
                data=request.body if sending is None else sending.content(),
                allow_redirects=False,
                timeout=_timeouts(timeout, self.connection.connect_timeout, self.connection.read_timeout),
                ssl=self._context() if secured else True,
                proxy=way.proxy,
            )
            try:
                length = response.content_length
                if length is not None and length <= self.connection.max_body and _is_plain(response):
                    body: bytes | HttpFailed = await response.read()
                else:
                    body = await self._body(response)
            finally:
                response.release()
        except NotConnected as error:
            from treadle.drivers.failures import unreached  # noqa: PLC0415 - where nothing fails it is not needed

            return unreached(error.__cause__, way.proxy)
        except TimeoutError as error:
            return self._late(error, timeout, way)
        except _foreign() as error:
            from treadle.drivers.failures import broken  # noqa: PLC0415

            return broken(error)
        self._answered[way.origin] = asyncio.get_running_loop().time()
        self._turns.heed(way.origin, response.status, response.headers)
        if response.status == 407 and way.proxy is not None:
            from treadle.drivers.failures import refused_by_proxy  # noqa: PLC0415

            return refused_by_proxy(407, response.reason or "")
        if body and "Content-Encoding" in response.headers and not _is_known(response):
            return _in_unknown_coding(response)
        if not isinstance(body, bytes):
            return body
        # aiohttp's names are of a class of their own, which is slow to write for whoever keeps the answer.
        headers = tuple([(str(name), value) for name, value in response.headers.items()])
        return HttpResponse(response.status, headers, body)

    def _late(self, error: TimeoutError, timeout: float, way: "_Way") -> HttpFailed:
        import aiohttp  # noqa: PLC0415 - see above

        connect, read = self.connection.connect_timeout, self.connection.read_timeout
        own = timeout < self.connection.request_timeout
        hint = "the step's own timeout, or what was left of it" if own else "see --request-timeout"
        if isinstance(error, aiohttp.ConnectionTimeoutError) or unsent(error):
            through = "" if way.proxy is None else f" through the proxy {shown(way.proxy)}"
            if connect is not None and connect < timeout * _CONNECTING:
                timeout, hint = connect, "is the server up? or see --connect-timeout"
            return HttpFailed("timeout", f"no connection{through} within {timeout:.3g} s", hint)
        if isinstance(error, aiohttp.SocketTimeoutError) and read is not None:
            return HttpFailed("timeout", f"nothing more came for {read:.3g} s", "see --read-timeout", sent=True)
        return HttpFailed("timeout", f"no answer within {timeout:.3g} s", hint, sent=True)

    def _refused(self, policy: "Policy", url: "URL", way: tuple[str | None, str | None]) -> HttpFailed | None:
        socket, proxy = way
        if socket is not None:
            refusal = policy.refuses_socket(socket)
        else:
            refusal = policy.refuses(url.raw_host or "", url.port, proxied=proxy is not None)
        return None if refusal is None else HttpFailed("policy", refusal.message, refusal.hint)

    def _session(self, method: str, way: "_Way") -> "aiohttp.ClientSession":
        """Choose pooled connections, or for a request that must not be sent twice after a pause a new one.

        A server closes an idle connection when it likes. A request that is under way just then gets no answer, and
        nobody knows whether it took effect: a needless doubt.
        """
        fresh = False
        if method not in IDEMPOTENT_METHODS and way.origin in self._answered:
            fresh = asyncio.get_running_loop().time() - self._answered[way.origin] > STALE_AFTER
        session = self._sessions.get((way.socket, fresh))
        if session is None:
            session = self._sessions[way.socket, fresh] = self._open(way.socket, force_close=fresh)
        return session

    def _open(self, socket: str | None, *, force_close: bool) -> "aiohttp.ClientSession":
        with at_rest():
            import aiohttp  # noqa: PLC0415 - see above

            from treadle.drivers.pool import CheckedResolver, NoCookies, Request, open_pool  # noqa: PLC0415

        _settle_malloc()
        resolver = self._resolver
        if self._policy is not None and self._policy.private is not None:
            resolver = CheckedResolver(self._policy, resolver)
        limits: dict[str, Any] = {"limit": self.connection.max_connections, "force_close": force_close}
        session = aiohttp.ClientSession(
            request_class=Request,
            connector=open_pool(socket, resolver, **limits),
            cookie_jar=NoCookies(),
            headers={"User-Agent": self._user_agent},
            max_line_size=_HEAD,
            max_field_size=_HEAD,
        )
        # aiohttp repeats what it takes for idempotent after a lost connection; that is for our own rules to say.
        session._retry_connection = False  # noqa: SLF001 - there is no public switch; a test fails when this one goes
        return session

    async def _body(self, response: "aiohttp.ClientResponse") -> bytes | HttpFailed:
        if response.method == "HEAD":
            return b""  # Content-Length then speaks of what a GET would bring (RFC 9110 section 9.3.2)
        limit = self.connection.max_body
        length = response.content_length
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

    def _context(self) -> "ssl.SSLContext":
        if self._tls is None:
            self._tls = self._tls_context()
        return self._tls

    def _tls_context(self) -> "ssl.SSLContext":
        from treadle.drivers.tls import tls_context  # noqa: PLC0415 - plain http does without ssl

        return tls_context(self.connection)

    def _proxy(self, url: "URL") -> str | None:
        return self.connection.proxy or proxy_for(self._proxies, url.scheme, url.host or "", url.port)

    async def close(self) -> None:
        """Close all connections."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()
        await asyncio.sleep(0)  # what was cut off while it connected is closed by the loop, at its next turn


def _foreign() -> tuple[type[Exception], ...]:
    """Give the errors of an exchange that are not our own; asked for when one has come."""
    import aiohttp  # noqa: PLC0415 - see above

    return (aiohttp.ClientError, OSError, ValueError)


class _Way(Struct, frozen=True, gc=False):
    """How a request goes: to which origin, over which Unix socket, through which proxy."""

    origin: str
    socket: str | None
    proxy: str | None


@lru_cache(256)
def _target(text: str) -> tuple[str | None, "URL", str]:
    """Give the Unix socket, the URL and the origin of a request. A URL keeps the parts that it was asked for.

    Raises:
        ValueError: it is no URL to send a request to.
    """
    import yarl  # noqa: PLC0415 - see above

    socket = None
    if text.startswith(SCHEME):
        socket, text = socket_and_url(text)
    url = yarl.URL(text, encoded=True)
    if not url.host:
        raise ValueError("it has no host")
    return socket, url, socket or f"{url.scheme}://{url.raw_authority}"


def _is_plain(response: "aiohttp.ClientResponse") -> bool:
    """Say whether a body is as long as its Content-Length says, and not that of a HEAD, which has none."""
    return response.method != "HEAD" and "Content-Encoding" not in response.headers


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
def _timeouts(seconds: float, connect: float | None, read: float | None) -> "aiohttp.ClientTimeout":
    import aiohttp  # noqa: PLC0415 - see above

    # A connection that is not there by then leaves no time for an answer; and that nothing was sent is known.
    longest = seconds * _CONNECTING
    return aiohttp.ClientTimeout(
        total=seconds, sock_connect=longest if connect is None else min(connect, longest), sock_read=read
    )
