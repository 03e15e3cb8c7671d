"""HTTP Archives 1.2 (http://www.softwareishard.com/blog/har-12-spec/): what Treadle reads of them, from any tool.

Only what a replay needs is looked at. Names that begin with an underscore are a tool's own, as the format has it.
"""

import base64
import binascii
from datetime import datetime
from pathlib import Path
from urllib.parse import urlencode

import msgspec
from msgspec import Struct, field

from treadle.drivers.typed import from_json
from treadle.engine.effects import HttpFailed, HttpResponse
from treadle.errors import RunRefused
from treadle.sources.media import charset_of
from treadle.version import __version__

CREATOR = {"name": "Treadle", "version": __version__}
BINARY = "base64"


class Field(Struct, frozen=True):
    """A header field, or a parameter of a form."""

    name: str
    value: str = ""


class PostData(Struct, frozen=True):
    """The body of a request: its text, or the parameters of a form. `_encoding` says that the text is base64."""

    mime_type: str = field(name="mimeType", default="")
    text: str | None = None
    params: list[Field] = []
    encoding: str | None = field(name="_encoding", default=None)

    def content(self) -> bytes:
        """Give the body as it was sent."""
        if self.text is None:
            return urlencode([(entry.name, entry.value) for entry in self.params]).encode()
        return decoded(self.text, self.encoding, self.mime_type)


class Request(Struct, frozen=True):
    """A request as it was sent."""

    method: str
    url: str
    post_data: PostData | None = field(name="postData", default=None)


class Content(Struct, frozen=True):
    """The body of an answer, without its content coding."""

    mime_type: str = field(name="mimeType", default="")
    text: str | None = None
    encoding: str | None = None


class Response(Struct, frozen=True):
    """An answer; status 0 says that there was none, and `_error` why."""

    status: int = 0
    headers: list[Field] = []
    content: Content = Content()
    error: str | None = field(name="_error", default=None)


class Unanswered(Struct, frozen=True):
    """Why there was no answer, as Treadle found it."""

    kind: str
    message: str
    hint: str | None = None
    sent: bool = False


class Entry(Struct, frozen=True):
    """One exchange; `time` in milliseconds."""

    request: Request
    response: Response = Response()
    started: str = field(name="startedDateTime", default="")
    time: float | None = None
    pageref: str | None = None
    unanswered: Unanswered | None = field(name="_unanswered", default=None)

    @property
    def began(self) -> float | None:
        """When it began, in seconds since the epoch."""
        try:
            began = datetime.fromisoformat(self.started).timestamp()
        except (ValueError, OverflowError):
            return None
        return began if began >= 0 else None

    def result(self) -> HttpResponse | HttpFailed:
        """Give what the exchange brought."""
        if self.unanswered is not None:
            found = self.unanswered
            return HttpFailed(found.kind, found.message, found.hint, sent=found.sent)
        if self.response.status == 0:
            return HttpFailed("connection", f"there was no answer ({self.response.error or 'no reason recorded'})")
        # HTTP/2 has pseudo header fields, which browsers list too.
        headers = tuple((one.name, one.value) for one in self.response.headers if not one.name.startswith(":"))
        content = self.response.content
        body = b"" if content.text is None else decoded(content.text, content.encoding, content.mime_type)
        return HttpResponse(self.response.status, headers, body)


class Page(Struct, frozen=True):
    """A run, or what was loaded before one."""

    id: str
    title: str = ""


class Creator(Struct, frozen=True):
    """The tool that wrote the archive."""

    name: str = ""


class Log(Struct, frozen=True):
    """The root of an archive."""

    entries: list[Entry]
    creator: Creator = Creator()
    pages: list[Page] = []


class Archive(Struct, frozen=True):
    """A whole file."""

    log: Log


def read_archive(path: Path) -> Log:
    """Read an archive.

    Raises:
        RunRefused: it is not there, or is none.
    """
    try:
        content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")  # "tools support and ignore a BOM"
        return from_json(content, Archive, strict=False).log
    except OSError as error:
        raise RunRefused(f"--replay {path} cannot be read: {error.strerror}", hint="name a HAR file") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        hint = "give a file that --record or the network view of a browser wrote"
        raise RunRefused(f"--replay {path} is no HTTP Archive (HAR 1.2): {error}", hint=hint) from error


def encoded(body: bytes, content_type: str) -> tuple[str, str | None]:
    """Give a body as text, or in base64 where it is none: the text, and `base64` or None."""
    charset = charset_of(content_type) or "utf-8"
    try:
        text = body.decode(charset)
        if text.encode(charset) == body:
            return text, None
    except (LookupError, ValueError):  # a charset nobody knows, or not that one; UTF-16 of half a character
        pass
    return base64.b64encode(body).decode(), BINARY


def decoded(text: str, encoding: str | None, content_type: str) -> bytes:
    """Give the bytes of a body that `encoded` or another tool has written."""
    if encoding == BINARY:
        try:
            return base64.b64decode(text)
        except (binascii.Error, ValueError):
            return text.encode()
    try:
        return text.encode(charset_of(content_type) or "utf-8")
    except (LookupError, ValueError):
        return text.encode(errors="replace")
