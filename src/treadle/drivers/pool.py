"""Pools of connections on aiohttp, with what its own lack: names resolved under a policy, and what was surely not sent.

Imported with the first request only.
"""

import asyncio
import socket
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from treadle.drivers.connection import NotConnected
from treadle.drivers.policy import Policy, Refusal
from treadle.drivers.run import UNSENT

if TYPE_CHECKING:
    from http.cookies import BaseCookie

    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace


_NO_COOKIES: "BaseCookie[str]" = SimpleCookie()


class AddressRefused(Exception):
    """A policy refuses an address."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class _Marked(aiohttp.BaseConnector):
    """Says of whatever ends the making of a connection that nothing was sent."""

    async def connect(
        self, req: "ClientRequest", traces: list["Trace"], timeout: aiohttp.ClientTimeout
    ) -> "Connection":
        try:
            return await super().connect(req, traces, timeout)
        except asyncio.CancelledError as error:
            raise asyncio.CancelledError(UNSENT) from error
        except TimeoutError:
            raise  # aiohttp tells it from that of an answer by itself
        except (aiohttp.ClientError, OSError, ValueError, AddressRefused) as error:
            raise NotConnected from error


class Request(aiohttp.ClientRequest):
    """A request that says of its body what it was told, and of none nothing."""

    POST_METHODS: set[str] = set()  # noqa: RUF012 - declared so by aiohttp, which gives these a type where they have none


class NoCookies(aiohttp.DummyCookieJar):
    """Keeps no cookies, which belong to a run and not to the pool, and makes no new place for them with each request."""

    def filter_cookies(self, request_url: URL) -> "BaseCookie[str]":  # noqa: ARG002 - of the protocol
        """Give none."""
        return _NO_COOKIES


class TcpPool(_Marked, aiohttp.TCPConnector):
    """Connections over TCP, of IPv4 and IPv6."""


class SocketPool(_Marked, aiohttp.UnixConnector):
    """Connections to one Unix socket."""


class CheckedResolver(AbstractResolver):
    """Resolves names, and refuses those of which any address may not be connected to.

    What it gives is what is connected to: a name that has another address a moment later makes no difference.
    """

    def __init__(self, policy: Policy, resolver: AbstractResolver | None = None) -> None:
        self._policy = policy
        self._resolver = resolver or aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Give the addresses of a host.

        Raises:
            OSError: it has none.
            AddressRefused: one of them may not be connected to.
        """
        found = await self._resolver.resolve(host, port, family)
        for one in found:
            refusal = self._policy.refuses_address(host, one["host"])
            if refusal is not None:
                raise AddressRefused(refusal)
        return found

    async def close(self) -> None:
        """Close what it resolves with."""
        await self._resolver.close()


def open_pool(path: str | None, resolver: AbstractResolver | None, **settings: Any) -> aiohttp.BaseConnector:
    """Open a pool: to a Unix socket, or over TCP by names that a resolver knows."""
    return TcpPool(resolver=resolver, **settings) if path is None else SocketPool(path, **settings)
