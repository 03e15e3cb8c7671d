"""Runs without a network: answers come from a recording, in its order, and a request that differs ends the run.

What is masked in the recording matches whatever stands there now.
"""

import asyncio
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec

from treadle.drivers.bodies import NAMED_FILE
from treadle.drivers.connection import Connection, Departed, Exchange
from treadle.drivers.har import CREATOR, Entry, Log, read_archive
from treadle.drivers.http import out_of_time
from treadle.drivers.recording import INTERRUPTED, SHARED, sent_content
from treadle.engine.effects import HttpFailed, HttpResponse
from treadle.engine.secrets import MASK, Secrets
from treadle.expressions.words import shortened
from treadle.files import File
from treadle.pointer import dump
from treadle.sources.request import HttpRequest

HINT = "replay it with the inputs and options that it was recorded with, or record it anew"
_LAST = 253402300799.0
"""The last moment that a calendar has (the end of the year 9999); recordings of others may say anything."""
_BOUNDARY = re.compile(r'boundary="?([^";,]+)"?', re.IGNORECASE)


class RecordedClock:
    """The time of a recording: it begins when that did, and passes as pauses and answers took it. Nobody waits."""

    def __init__(self, began: float) -> None:
        self._now = began

    def now(self) -> float:
        """Give the seconds since the epoch, as they were then."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Let the time pass at once."""
        self.skip(seconds)
        await asyncio.sleep(0)

    def skip(self, seconds: float) -> None:
        """Let the time pass."""
        self._now = min(self._now + max(0.0, seconds), _LAST)


class Tape:
    """What was recorded of one run; an Exchange that answers from it.

    Entries that Treadle recorded come in their order, each once. Those of another tool may be mixed with what the run
    has nothing to do with: each request takes the first that fits and was not used. What is shared by
    runs may be asked for in any order and again.
    """

    def __init__(
        self, player: "Player", entries: list[Entry], secrets: Secrets, *, strict: bool, again: bool = False
    ) -> None:
        self.connection = player.connection
        self._player = player
        self._left = list(entries)
        self._used: list[Entry] = []
        self._secrets = secrets
        self._strict = strict
        self._again = again

    async def exchange(self, request: HttpRequest, timeout: float) -> HttpResponse | HttpFailed:
        """Give the recorded answer.

        Raises:
            Departed: there is none.
        """
        await asyncio.sleep(0)
        entry = self._next(request)
        took = (entry.time or 0.0) / 1000
        if entry.unanswered is not None and entry.unanswered.kind == INTERRUPTED.kind:
            if took < timeout:
                raise Departed(f"the recording {self._player.name} ends here: {INTERRUPTED.message}")
            # It was the step's own time-out that interrupted it.
            self._player.clock.skip(took)
            return out_of_time(timeout, sent=entry.unanswered.sent)
        self._player.clock.skip(took)
        return entry.result()

    def _next(self, request: HttpRequest) -> Entry:
        for entry in self._left[:1] if self._strict else self._left:
            if _difference(entry, request) is None:
                self._left.remove(entry)
                self._used.append(entry)
                return entry
        for entry in self._used if self._again else ():
            if _difference(entry, request) is None:
                return entry
        raise Departed(self._departs(request), hint=HINT)

    def _departs(self, request: HttpRequest) -> str:
        found = f"{request.method} {request.url}"
        where = f"the run departs from the recording {self._player.name} at request {len(self._used) + 1}"
        if not self._left:
            return f"{where}: expected no more, found {found}"
        same = (entry for entry in self._left if _line_fits(entry, request))
        expected = self._left[0] if self._strict else next(same, self._left[0])
        if not _line_fits(expected, request):
            return f"{where}: expected {expected.request.method} {expected.request.url}, found {found}"
        difference = _difference(expected, request) or ("", "", "")
        place, wanted, got = (self._secrets.text(text) for text in difference)
        # Masked before it is cut: of a secret that is cut, the rest would not be found.
        return f"{where}, {found}: its body differs{place}: expected {shortened(wanted)}, found {shortened(got)}"

    def unused(self) -> str | None:
        """Say what of the recording the run did not ask for, or give None."""
        if not self._left or self._again:
            return None
        first = self._left[0].request
        count = f"{len(self._left)} requests" if len(self._left) > 1 else "1 request"
        return (
            f"{count} of the recording {self._player.name} were not sent again; the first is {first.method} {first.url}"
        )


class Player:
    """A recording, and which of its pages have been taken by runs.

    Raises:
        RunRefused: the file is no recording.
    """

    def __init__(self, path: str, connection: Connection) -> None:
        log = read_archive(Path(path))
        self.name = path
        self.connection = connection
        self._log = log
        self._own = log.creator.name == CREATOR["name"]
        self._pages = [page for page in log.pages if page.title != SHARED]
        self.clock = RecordedClock(_beginning(log))

    def shared(self) -> Tape:
        """Give what was sent for no single run; of another tool's recording, everything."""
        pages = {page.id for page in self._log.pages if page.title == SHARED} if self._own else None
        return Tape(self, list(self._entries(pages)), Secrets(), strict=False, again=True)

    def run(self, workflow_id: str, secrets: Secrets) -> Tape:
        """Give what was recorded of the next run of a workflow; of another tool's recording, everything."""
        if not self._own:
            return Tape(self, list(self._entries(None)), secrets, strict=False)
        page = next((page for page in self._pages if page.title == workflow_id), None)
        if page is not None:
            self._pages.remove(page)
        return Tape(self, list(self._entries({page.id} if page else set())), secrets, strict=True)

    def unused(self, exchange: Exchange) -> str | None:
        """Say what of its recording a run did not ask for, or give None."""
        return exchange.unused() if isinstance(exchange, Tape) else None

    def _entries(self, pages: set[str] | None) -> Iterator[Entry]:
        return (entry for entry in self._log.entries if pages is None or entry.pageref in pages)


def _beginning(log: Log) -> float:
    known = [began for entry in log.entries if (began := entry.began) is not None]
    return min(known, default=time.time())


# What fits


def _line_fits(entry: Entry, request: HttpRequest) -> bool:
    return entry.request.method == request.method and _fits(_plain(entry.request.url), _plain(request.url))


def _plain(url: str) -> str:
    """Give a URL as it is sent: no fragment, and a path in any case. The order of the query stays."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    return urlunsplit(parts._replace(fragment="", path=parts.path or "/"))


def _fits(recorded: str, text: str) -> bool:
    """Say whether a text is what was recorded, with anything where that is masked."""
    first, *others = recorded.split(MASK)
    if not others:
        return recorded == text
    at, last = len(first), others.pop()
    for part in others:
        at = text.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return text.startswith(first) and text.endswith(last) and at <= len(text) - len(last)


def _difference(entry: Entry, request: HttpRequest) -> tuple[str, str, str] | None:
    """Say how a request differs from what was recorded (where in the body, expected, found), or give None."""
    if not _line_fits(entry, request):
        return "", "", ""
    data = entry.request.post_data
    recorded = b"" if data is None else data.content()
    content_type, body = sent_content(request)
    if recorded == body or (isinstance(request.body, File) and not recorded.startswith(NAMED_FILE)):
        return None  # another tool keeps the bytes of a file, which is not read here
    for read in (_json, _multipart):
        wanted, found = read(recorded, data.mime_type if data else ""), read(body, content_type)
        if wanted is not None and found is not None:
            return next(_differences(wanted, found, ()), None)
    texts = recorded.decode(errors="replace"), body.decode(errors="replace")
    return None if _fits(*texts) else ("", *texts)


def _json(body: bytes, content_type: str) -> Any:
    del content_type  # bodies without one are JSON often enough
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None


def _multipart(body: bytes, content_type: str) -> Any:
    """Give the parts of a multipart body, whose boundary is another each time; of files no more than their header fields."""
    found = _BOUNDARY.search(content_type)
    if found is None or not content_type.lower().startswith("multipart/"):
        return None
    parts = f"\r\n{body.decode('latin-1')}".split(f"\r\n--{found[1]}")
    return [_without_file(part) for part in parts[1:-1]]


def _without_file(part: str) -> str:
    head, blank, content = part.partition("\r\n\r\n")
    return f"{head}{blank}" if "filename=" in head else f"{head}{blank}{content}"


def _differences(wanted: Any, found: Any, way: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    if isinstance(wanted, str) and MASK in wanted:
        text = found if isinstance(found, str) else _text(found)
        same = _fits(wanted, text)
    elif isinstance(wanted, dict) and isinstance(found, dict) and _names_fit(wanted, found):
        for (_, entry), (name, other) in zip(sorted(wanted.items()), sorted(found.items()), strict=True):
            yield from _differences(entry, other, (*way, name))
        return
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for index, (entry, other) in enumerate(zip(wanted, found, strict=True)):
            yield from _differences(entry, other, (*way, str(index)))
        return
    else:
        same = wanted == found and isinstance(wanted, bool) is isinstance(found, bool)
    if not same:
        yield (f" at `#{dump(way)}`" if way else ""), _text(wanted), _text(found)


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _names_fit(wanted: dict[str, Any], found: dict[str, Any]) -> bool:
    return len(wanted) == len(found) and all(map(_fits, sorted(wanted), sorted(found)))
