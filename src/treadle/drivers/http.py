"""Performs the requests of one run over an Exchange: redirects, cookies, repeats of safe requests."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from itertools import count
from typing import Any

from treadle.drivers.connection import Exchange
from treadle.drivers.redirects import RedirectRefused, origin, redirected
from treadle.drivers.run import Clock, unsent
from treadle.drivers.sockets import SCHEME, socket_and_url
from treadle.engine.effects import HttpFailed, HttpResponse, SendHttp
from treadle.engine.journal import CookiesKept, Repeated
from treadle.engine.pace import retry_after_seconds
from treadle.engine.secret_flows import answered
from treadle.engine.secrets import Secrets
from treadle.sources.request import HttpRequest

TRANSIENT = frozenset({429, 502, 503, 504})
"""Statuses that say: try again later."""
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 10
LATE = 0.05
"""How many seconds an exchange may be late before it is cut off."""
FIRST_BACKOFF = 0.5
"""Seconds before the first repeat of a safe request; doubled for each further one."""

Notice = Callable[[Repeated | CookiesKept], None]
"""Is told of each repeat before its pause, and of cookies."""
Send = Callable[[HttpRequest, float], Awaitable[HttpResponse | HttpFailed]]
"""Sends one request within so many seconds."""
Authorize = Callable[[SendHttp, Send, Secrets], Send]
"""Gives what sends the requests of an effect with its credentials, each of which becomes one of the run's secrets."""


class Http:
    """Performs the requests of one run: keeps its cookies, follows redirects, repeats safe requests.

    `secrets` are those of the run: they decide what a redirect may take elsewhere.
    """

    __slots__ = ("_authorize", "_clock", "_connection", "_exchange", "_jars", "_notice", "_secrets", "last_url")

    def __init__(
        self,
        exchange: Exchange,
        clock: Clock,
        notice: Notice | None = None,
        secrets: Secrets | None = None,
        authorize: Authorize | None = None,
        cookies: Iterable[CookiesKept] = (),
    ) -> None:
        self._exchange = exchange
        self._connection = exchange.connection
        self._clock = clock
        self._notice = notice
        self._secrets = secrets or Secrets()
        self._authorize = authorize
        self._jars: dict[str, Any] = {}
        self.last_url = ""
        for kept in cookies:
            self._keep(kept.url, kept.fields)

    async def send(self, effect: SendHttp) -> HttpResponse | HttpFailed:
        """Send a request; a safe one is repeated after a transient failure, within the step's own limit."""
        due = None if effect.timeout is None else self._clock.now() + effect.timeout
        attempt = 0
        request = effect.request
        exchange: Send = self._exchange.exchange
        if self._authorize is not None and (effect.security or effect.credentials):
            exchange = self._authorize(effect, exchange, self._secrets)
        while True:
            sent = self._with_cookies(request) if self._jars else request
            if due is None:
                result = await exchange(sent, self._connection.request_timeout)
            else:
                result = await self._in_time(sent, due, exchange)
            if isinstance(result, HttpResponse):
                self._take(request, result)
                if result.status in REDIRECTS and request.method in ("GET", "HEAD"):
                    result = await self._follow(request, result, due, exchange)
            attempt += 1
            if not _transient(result) or not effect.repeatable or attempt > self._connection.transport_retries:
                return result
            pause = self._pause(result, attempt)
            if due is not None and self._clock.now() + pause >= due:
                return result
            if self._notice is not None:
                why = f"status {result.status}" if isinstance(result, HttpResponse) else result.message
                self._notice(Repeated(self._clock.now(), effect.step_id, attempt, pause, why))
            if isinstance(result, HttpResponse):
                self._secrets.learn(answered(result))  # the run sees no answer but the last one
            await self._clock.sleep(pause)

    def _pause(self, result: HttpResponse | HttpFailed, attempt: int) -> float:
        if isinstance(result, HttpResponse):
            told = retry_after_seconds(_header(result, "retry-after"), self._clock.now())
            if told is not None:
                return min(told, self._connection.max_retry_after)
        elif result.kind == "reset" and attempt == 1:
            return 0.0  # most likely a pooled connection that the server had just closed
        spread = 1 + 0.2 * (random.random() - 0.5)  # noqa: S311 - spreads load, guards nothing
        return float(FIRST_BACKOFF * 2 ** (attempt - 1) * spread)

    async def _follow(
        self, request: HttpRequest, result: HttpResponse, due: float | None, exchange: Send
    ) -> HttpResponse | HttpFailed:
        """Follow redirects; `due` is when the step's own time is over."""
        limited = due is not None
        # All hops together get the time of one request.
        due = due if due is not None else self._clock.now() + self._connection.request_timeout
        for hop in count(1):
            location = _header(result, "location")
            if result.status not in REDIRECTS or location is None:
                return result
            try:
                request = redirected(request, location, self._secrets)
            except RedirectRefused as refused:
                return HttpFailed("redirect", f"the answer redirects {refused.message}", refused.hint, sent=True)
            finally:
                # The run sees no answer but the last one. Not before: a signature of this very URL is meant to go along.
                self._secrets.overhear(answered(result))
            if hop > MAX_REDIRECTS:
                break
            sent = self._with_cookies(request) if self._jars else request
            found = await self._in_time(sent, due, exchange, hop, own=limited)
            if isinstance(found, HttpFailed):
                return found
            result = found
            self._take(request, result)
        return HttpFailed("redirect", f"more than {MAX_REDIRECTS} redirects", "the server redirects in a circle")

    async def _in_time(
        self, request: HttpRequest, due: float, exchange: Send, hop: int = 0, *, own: bool = True
    ) -> HttpResponse | HttpFailed:
        """Send a request that has to be answered by then; with a limit of its `own`, waiting for a turn counts in, too."""
        left = due - self._clock.now()
        timeout = min(self._connection.request_timeout, left)
        if timeout <= 0:
            hint = "the step's own timeout, or what was left of it"
            return HttpFailed(
                "timeout", f"no time was left {f'for redirect {hop}' if hop else 'to send it'}", hint, sent=hop > 0
            )
        if not own:
            return await exchange(request, timeout)
        try:
            # The exchange keeps the same limit by itself, and knows better what it was at when the time was up.
            async with asyncio.timeout(left + LATE):
                return await exchange(request, timeout)
        except TimeoutError as error:
            return out_of_time(left, sent=not unsent(error))

    def _take(self, request: HttpRequest, response: HttpResponse) -> None:
        self.last_url = request.url
        self._keep_cookies(request.url, response)

    def _with_cookies(self, request: HttpRequest) -> HttpRequest:
        try:
            jar = self._jars.get(origin(request.url))
        except ValueError:  # no URL at all, which is said when it is to be sent
            return request
        if jar is None:
            return request
        kept = [f"{name}={morsel.value}" for name, morsel in jar.filter_cookies(_cookie_url(request.url)).items()]
        if not kept:
            return request
        given = [value for name, value in request.headers if name.lower() == "cookie"]
        others = tuple((name, value) for name, value in request.headers if name.lower() != "cookie")
        return HttpRequest(request.method, request.url, (*others, ("Cookie", "; ".join([*given, *kept]))), request.body)

    def _keep_cookies(self, url: str, response: HttpResponse) -> None:
        given: tuple[str, ...] = ()
        for name, value in response.headers:
            if name.lower() == "set-cookie":
                given += (value,)
        if not given:
            return
        self._keep(url, given)
        if self._notice is not None:
            self._notice(CookiesKept(self._clock.now(), url, given))

    def _keep(self, url: str, fields: tuple[str, ...]) -> None:
        import aiohttp  # noqa: PLC0415 - not before a cookie has to be kept

        jar = self._jars.setdefault(origin(url), aiohttp.CookieJar(unsafe=True))
        jar.update_cookies_from_headers(fields, _cookie_url(url))


def out_of_time(seconds: float, *, sent: bool) -> HttpFailed:
    """Say that a step's own time was over before there was an answer."""
    if not sent:
        hint = "the step's own timeout; waiting for a turn (--rate, the server's limits) and a connection counts in"
        return HttpFailed("timeout", f"it could not be sent within {seconds:.3g} s", hint)
    hint = "the step's own timeout, or what was left of it"
    return HttpFailed("timeout", f"no answer within {seconds:.3g} s", hint, sent=True)


def _cookie_url(url: str) -> Any:
    """Give a URL as the jar of its origin knows it."""
    from yarl import URL  # noqa: PLC0415 - not before a cookie has to be kept

    return URL(socket_and_url(url)[1] if url.startswith(SCHEME) else url)


def _header(response: HttpResponse, wanted: str) -> str | None:
    return next((value for name, value in response.headers if name.lower() == wanted), None)


def _transient(result: HttpResponse | HttpFailed) -> bool:
    if isinstance(result, HttpResponse):
        return result.status in TRANSIENT
    return result.kind in ("connection", "reset", "timeout")
