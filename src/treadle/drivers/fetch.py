"""Fetches documents over HTTP: as any request of a run, with a cache, and without what only its user should see."""

from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import quote, urlsplit, urlunsplit

from treadle.drivers.cache import DocumentCache, Entry
from treadle.drivers.connection import Exchange
from treadle.drivers.http import Http
from treadle.drivers.redirects import origin
from treadle.drivers.run import Clock
from treadle.drivers.texts import Text, decoded
from treadle.drivers.urls import opens_by_query, shown_url
from treadle.engine.effects import HttpFailed, HttpResponse, SendHttp
from treadle.errors import RunRefused
from treadle.sources.media import charset_of
from treadle.sources.request import HttpRequest
from treadle.sources.servers import without_user

_ACCEPT = ("Accept", "application/yaml, application/json;q=0.9, */*;q=0.8")
_HINTS = {
    "connection": "is the server up, and is the URL right?",
    "dns": "check the URL",
    "timeout": "see --request-timeout",
    "url": "check the URL",
    "reset": "try again, or load it yourself and give the file",
}
"""What to do about a document that is not to be had, where the transport's own hint speaks of an API."""
_REFUSED = "it needs a credential; load it yourself and give the file"
_STATUSES = {401: _REFUSED, 403: _REFUSED, 404: "check the URL", 410: "check the URL"}


class FetchFailed(RunRefused):
    """A document could not be fetched; the hint says what to do."""


class _Answer(NamedTuple):
    response: HttpResponse
    headers: dict[str, str]
    found_at: str


class Fetcher:
    """Fetches documents; `await fetcher(url)` gives the text and where it was found.

    What they go through is asked for with the first one: most runs fetch none. A user and password in a URL go to every
    document of that origin, and are in nothing that is given or said.
    """

    def __init__(self, exchange: Callable[[], Exchange], clock: Clock, cache: DocumentCache | None) -> None:
        self._exchange = exchange
        self._clock = clock
        self._cache = cache
        self._users: dict[str, str] = {}

    async def __call__(self, url: str) -> Text:
        """Fetch a document.

        Raises:
            FetchFailed: it cannot be had; the message says why.
            TextInvalid: what is there is no text that could be a document.
        """
        url = self._without_user(quote(url, safe="%:/?#[]@!$&'()*+,;=~"))
        cache = self._cache if self._may_be_kept(url) else None
        entry = cache.read(url) if cache is not None else None
        if entry is not None and self._clock.now() < entry.about.fresh_until:
            return _kept(url, entry)
        answer = await self._get(url, entry.about.validators() if entry is not None else ())
        if answer.response.status == 304 and entry is not None and cache is not None:
            if answer.found_at == entry.about.found_at:
                cache.renew(url, entry, answer.headers, self._clock.now())
                return _kept(url, entry)
            answer = await self._get(url, ())  # it has moved, so it is another text that is still the same
        response, headers, found_at = answer
        if response.status != 200:
            hint = _STATUSES.get(response.status, "try again later" if response.status >= 500 else "check the URL")
            message = f"{shown_url(url)} cannot be loaded: the server answered {response.status}"
            raise FetchFailed(message, hint=hint)
        text = decoded(response.body, shown_url(url), charset_of(headers.get("content-type", "")))
        if cache is not None and self._may_be_kept(found_at, url):
            cache.keep(url, found_at, headers, response.body, self._clock.now())
        return Text(text, found_at)

    async def _get(self, url: str, validators: tuple[tuple[str, str], ...]) -> _Answer:
        # As any request of a run: redirects are followed, and a server that is busy is asked again.
        http = Http(self._exchange(), self._clock)
        asked = self._with_user(url)
        answer = await http.send(SendHttp("", "", HttpRequest("GET", asked, (_ACCEPT, *validators))))
        if isinstance(answer, HttpFailed):
            hint = _HINTS.get(answer.kind, answer.hint)
            message = answer.message.replace(asked, shown_url(url))
            raise FetchFailed(f"{shown_url(url)} cannot be loaded: {message}", hint=hint)
        headers = {name.lower(): value for name, value in answer.headers}
        return _Answer(answer, headers, without_user(http.last_url))

    def _may_be_kept(self, url: str, asked: str = "") -> bool:
        """Say whether a text may be kept on disk: not what was fetched with any kind of credential.

        A redirect to a URL with a query most often carries a signature in it.
        """
        signed = bool(asked) and url != asked and bool(urlsplit(url).query)
        known = origin(url) in self._users or opens_by_query(url)
        return not (known or signed or self._exchange().connection.client_cert)

    def _without_user(self, url: str) -> str:
        """Take user and password out of a URL, and remember them for its origin."""
        try:
            user, joint, _ = urlsplit(url).netloc.rpartition("@")
            at = origin(url)
        except ValueError as error:
            raise FetchFailed(f"{shown_url(url)} is no URL: {error}", hint="check the URL") from error
        if joint:
            self._users.setdefault(at, user)
        return without_user(url) if joint else url

    def _with_user(self, url: str) -> str:
        user = self._users.get(origin(url)) if self._users else None
        if user is None:
            return url
        parts = urlsplit(url)
        return urlunsplit(parts._replace(netloc=f"{user}@{parts.netloc}"))


def _kept(url: str, entry: Entry) -> Text:
    return Text(decoded(entry.content, shown_url(url), entry.about.charset), entry.about.found_at)
