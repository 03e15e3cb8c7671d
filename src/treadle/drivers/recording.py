"""Records every exchange of a run as an HTTP Archive 1.2 that browsers open, with all secrets masked.

What is recorded is kept in memory until the end: only then is everything known that is secret.
"""

import asyncio
import base64
import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

import msgspec
from msgspec import structs

from treadle.document.nesting import nests_too_deeply
from treadle.drivers.bodies import described
from treadle.drivers.connection import Connection, Exchange
from treadle.drivers.har import BINARY, CREATOR, encoded
from treadle.drivers.run import Clock, unsent
from treadle.drivers.urls import shown_url
from treadle.engine.effects import HttpFailed, HttpResponse
from treadle.engine.secret_flows import answered, credential
from treadle.engine.secrets import MASK, Secrets
from treadle.errors import RunRefused
from treadle.sources.request import HttpRequest, is_json

INTERRUPTED = HttpFailed("interrupted", "the run was interrupted while this request was under way", sent=True)
SHARED = "shared"
"""The page of what is sent for no single run: documents and descriptions are loaded."""
_NO_ANSWER: dict[str, Any] = {"headers": [], "cookies": [], "content": {"size": 0, "mimeType": "x-unknown"}}


class Exchanged(NamedTuple):
    """One exchange; `began` in seconds since the epoch."""

    began: float
    seconds: float
    request: HttpRequest
    result: HttpResponse | HttpFailed


class Page:
    """The exchanges of one run; an Exchange itself, which does what another one does and keeps what that brought."""

    __slots__ = ("_bodies", "_clock", "_inner", "began", "connection", "exchanges", "id", "secrets", "title")

    def __init__(self, identity: str, title: str, inner: Exchange, clock: Clock, secrets: Secrets) -> None:
        self.id = identity
        self.title = title
        self.connection: Connection = inner.connection
        self.secrets = secrets
        self.began = clock.now()
        self.exchanges: list[Exchanged] = []
        self._inner = inner
        self._clock = clock
        self._bodies: dict[bytes, bytes] = {}

    async def exchange(self, request: HttpRequest, timeout: float) -> HttpResponse | HttpFailed:
        """Let the other one send the request, and keep what came of it, also where nothing could come any more."""
        began = self._clock.now()
        result: HttpResponse | HttpFailed = INTERRUPTED
        try:
            result = await self._inner.exchange(request, timeout)
        except asyncio.CancelledError as error:
            if unsent(error):
                result = structs.replace(INTERRUPTED, sent=False)
            raise
        finally:
            if isinstance(result, HttpResponse):
                # A poll brings the same again and again: it is kept once.
                body = self._bodies.setdefault(result.body, result.body)
                result = HttpResponse(result.status, result.headers, body)
            self.exchanges.append(Exchanged(began, max(0.0, self._clock.now() - began), request, result))
        return result


class Recorder:
    """Keeps what the runs of one Runner exchange, and writes it as one file.

    Raises:
        RunRefused: the file could not be written.
    """

    def __init__(self, path: str, clock: Clock) -> None:
        self._path = Path(os.path.realpath(path))
        self._clock = clock
        self._pages: list[Page] = []
        self._saved = False
        _check(path, self._path)

    def page(self, workflow_id: str | None, inner: Exchange, secrets: Secrets) -> Page:
        """Give an Exchange that records a run of a workflow, or what is loaded before runs."""
        page = Page(f"page_{len(self._pages) + 1}", workflow_id or SHARED, inner, self._clock, secrets)
        self._pages.append(page)
        return page

    def save(self) -> str | None:
        """Write the file, once, as a whole or not at all; give what is wrong where that fails."""
        if self._saved or not self._pages:
            return None
        self._saved = True
        part = _part_of(self._path)
        try:
            with part.open("xb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(archive(self._pages)), indent=1))
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._path)
        except OSError as error:
            part.unlink(missing_ok=True)
            return f"the recording could not be written to {self._path}: {error.strerror}"
        return None


def _part_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def _check(named: str, path: Path) -> None:
    """Make sure before anything is sent that a recording can be written; leave nothing behind."""
    hint = "name a file in a folder that is there and can be written to"
    try:
        if path.exists() and not stat.S_ISREG(path.stat().st_mode):
            raise RunRefused(f"--record {named} cannot be written: it is no regular file", hint=hint)
        if path.exists():
            with path.open("ab"):
                pass
        part = _part_of(path)
        with part.open("xb"):
            pass
        part.unlink()
    except OSError as error:
        raise RunRefused(f"--record {named} cannot be written: {error.strerror}", hint=hint) from error


# The archive


def archive(pages: list[Page]) -> dict[str, Any]:
    """Give pages as an archive, masked. What was loaded for several runs is masked with the secrets of all of them."""
    everybody = Secrets(value for page in pages for value in page.secrets.values)
    entries = []
    for page in pages:
        secrets = everybody if page.title == SHARED else page.secrets
        entries += [(one.began, _entry(page.id, one, secrets)) for one in page.exchanges]
    return {
        "log": {
            "version": "1.2",
            "creator": CREATOR,
            "pages": [
                {
                    "startedDateTime": _moment(page.began),
                    "id": page.id,
                    "title": page.title,
                    "pageTimings": {"onContentLoad": -1, "onLoad": -1},
                }
                for page in pages
            ],
            "entries": [entry for _, entry in sorted(entries, key=lambda pair: pair[0])],
        }
    }


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _entry(page: str, one: Exchanged, secrets: Secrets) -> dict[str, Any]:
    if isinstance(one.result, HttpResponse):
        own = [value for value in answered(one.result) if secrets.text(value) == value]
        if own:  # the run had so many that it knows this one no more
            secrets = Secrets([*secrets.values, *own])
    took = round(one.seconds * 1000, 3)
    entry = {
        "pageref": page,
        "startedDateTime": _moment(one.began),
        "time": took,
        "request": _request(one.request, secrets),
        "response": _response(one.result, secrets),
        "cache": {},
        "timings": {"blocked": -1, "dns": -1, "connect": -1, "send": 0, "wait": took, "receive": 0, "ssl": -1},
    }
    if isinstance(one.result, HttpFailed):
        failed = one.result
        entry["_unanswered"] = {
            "kind": failed.kind,
            "message": secrets.text(failed.message),
            "hint": None if failed.hint is None else secrets.text(failed.hint),
            "sent": failed.sent,
        }
    return entry


def _request(request: HttpRequest, secrets: Secrets) -> dict[str, Any]:
    url = secrets.text(shown_url(request.url))
    query = url.partition("#")[0].partition("?")[2]
    pairs = [pair.partition("=") for pair in query.split("&")] if query else []
    cookies = [value for name, value in request.headers if name.lower() == "cookie"]
    request = described(request)
    content_type, content = sent_content(request)
    shown: dict[str, Any] = {
        "method": request.method,
        "url": url,
        "httpVersion": "HTTP/1.1",
        "cookies": [{"name": name, "value": MASK} for cookie in cookies for name in _cookie_names(cookie)],
        "headers": [{"name": name, "value": _sent(name, value, secrets)} for name, value in request.headers],
        "queryString": [{"name": unquote_plus(name), "value": unquote_plus(value)} for name, _, value in pairs],
        "headersSize": -1,
        "bodySize": len(content),
    }
    if content:
        text, coding = _body(content, content_type, secrets)
        shown["postData"] = {"mimeType": content_type, "text": text, **({"_encoding": coding} if coding else {})}
    return shown


def sent_content(request: HttpRequest) -> tuple[str, bytes]:
    """Give the content type of a request and its body as bytes; a file is only named there."""
    request = described(request)
    content_type = next((value for name, value in request.headers if name.lower() == "content-type"), "")
    return content_type, request.body if isinstance(request.body, bytes) else b""


def _cookie_names(text: str) -> Iterator[str]:
    return (pair.strip().partition("=")[0] for pair in text.split(";"))


def _sent(name: str, value: str, secrets: Secrets) -> str:
    """Give the value of a header of a request; of a credential no more than its scheme, or the names of its cookies."""
    if name.lower() == "cookie":
        return "; ".join(f"{cookie}={MASK}" for cookie in _cookie_names(value))
    if credential(name, "header"):
        scheme, blank, rest = value.partition(" ")
        return f"{scheme} {MASK}" if blank and rest and secrets.text(scheme) == scheme else MASK
    return secrets.text(value)


def _response(result: HttpResponse | HttpFailed, secrets: Secrets) -> dict[str, Any]:
    shown: dict[str, Any] = {"status": 0, "statusText": "", "httpVersion": "HTTP/1.1", **_NO_ANSWER}
    shown |= {"redirectURL": "", "headersSize": -1, "bodySize": -1}
    if isinstance(result, HttpFailed):
        return {**shown, "_error": secrets.text(result.message)}
    headers = [(str(name), secrets.text(value)) for name, value in result.headers]  # aiohttp has a type of its own
    by_name = {name.lower(): value for name, value in headers}
    content_type = by_name.get("content-type", "")
    content: dict[str, Any] = {"size": len(result.body), "mimeType": content_type or "x-unknown"}
    text, coding = _body(result.body, content_type, secrets)
    content["text"] = text
    if coding is not None:
        content["encoding"] = coding
    length = by_name.get("content-length", "")
    size = int(length) if length.isascii() and length.isdigit() else -1
    if "content-encoding" in by_name and size >= 0:
        content["compression"] = len(result.body) - size
    phrase = HTTPStatus(result.status).phrase if result.status in HTTPStatus._value2member_map_ else ""
    set_cookies = [value.partition(";")[0] for name, value in headers if name.lower() == "set-cookie"]
    return {
        **shown,
        "status": result.status,
        "statusText": phrase,
        "cookies": [{"name": name, "value": MASK} for text in set_cookies for name in _cookie_names(text)],
        "headers": [{"name": name, "value": value} for name, value in headers],
        "content": content,
        "redirectURL": by_name.get("location", ""),
        "bodySize": size,
    }


def _body(body: bytes, content_type: str, secrets: Secrets) -> tuple[str, str | None]:
    """Give a body masked, as text or in base64."""
    text, coding = encoded(body, content_type)
    if coding == BINARY:
        # Each byte is a character here, so that a key in a file is found as well.
        shown = secrets.text(body.decode("latin-1"))
        return base64.b64encode(shown.encode("latin-1")).decode(), coding
    if (is_json(content_type) or not content_type) and not nests_too_deeply(text.encode()):
        try:
            value = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return secrets.text(text), None
        return _json(text, value, secrets), None
    return secrets.text(text), None


def _json(text: str, value: Any, secrets: Secrets) -> str:
    """Mask a JSON text as it is written; where that would leave no JSON, or a short secret, write its value anew."""
    shown = secrets.value(value)
    masked = secrets.text(text)
    try:
        if msgspec.json.decode(masked) == shown:
            return masked
    except msgspec.DecodeError:  # a number was masked
        pass
    return msgspec.json.encode(shown).decode()
