"""Texts of documents: where they are, read from files, decoded, and told from what is no document at all."""

import codecs
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from treadle.document.reader import MAX_TEXT, Reading, read
from treadle.drivers.collector import at_rest
from treadle.drivers.urls import shown_url
from treadle.errors import RunRefused, TreadleError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte order marks and what they say (YAML 1.2, section 5.2); that of UTF-32 begins like one of UTF-16."""
LARGE_TEXT = 1_000_000
"""From how many characters on a text is large."""
_PAGES = ("<!doctype html", "<html")


class Text(NamedTuple):
    """A text and the URI it was found at, which is another than asked for after a redirect."""

    text: str
    uri: str


class TextInvalid(TreadleError):
    """What was found is no text that could be a document; the hint says what it may be."""


def read_file(uri: str) -> str:
    """Give the text of a file.

    Raises:
        RunRefused: it is not there or cannot be read.
        TextInvalid: it holds no text that could be a document.
    """
    path = Path(unquote(urlsplit(uri).path))
    try:
        with path.open("rb") as file:
            content = file.read(4 * MAX_TEXT + 1)
    except FileNotFoundError as error:
        raise RunRefused(f"there is no file {path}", hint="give a path, an http(s) URL, or a bundled name") from error
    except IsADirectoryError as error:
        raise RunRefused(f"{path} is a folder", hint="name a document in it") from error
    except OSError as error:
        raise RunRefused(f"{path} cannot be read: {error.strerror}", hint="look at its permissions") from error
    except ValueError as error:
        raise RunRefused(f"{str(path)!r} cannot be the name of a file: {error}", hint="look at the path") from error
    return decoded(content, str(path))


def decoded(content: bytes, name: str, charset: str | None = None) -> str:
    """Give the text that bytes hold: UTF-8, UTF-16 or UTF-32 with a mark, or in the charset that their server says.

    YAML and JSON are UTF-8 of themselves, and many servers name a charset that they know nothing about: what can be read
    as UTF-8 is.

    Raises:
        TextInvalid: they hold no text, or the page of a web site.
    """
    marked = next((encoding for mark, encoding in _MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(marked)
    except UnicodeDecodeError as error:
        if marked != "utf-8":
            raise TextInvalid(
                f"{name} is not {marked.upper()} text (byte {error.start})", hint="save it as UTF-8"
            ) from error
        text = _by_charset(content, name, charset, error)
    if "\0" in text:
        raise TextInvalid(f"{name} is not text: it has null bytes", hint="give the YAML or JSON of the document")
    if text.lstrip()[:20].lower().startswith(_PAGES):
        hint = "is it a login page, or a page that shows the document? give the address of the document itself"
        raise TextInvalid(f"{name} is an HTML page, not YAML or JSON", hint=hint)
    return text


def _by_charset(content: bytes, name: str, charset: str | None, error: UnicodeDecodeError) -> str:
    if charset is None or charset.lower() in ("utf-8", "utf8"):
        message = f"{name} is not UTF-8 text (byte {error.start})"
        raise TextInvalid(message, hint="save it as UTF-8") from error
    try:
        return content.decode(charset)
    except (LookupError, UnicodeDecodeError) as other:
        message = f"{name} is not UTF-8 text (byte {error.start}), nor text in '{charset}', as its server says"
        raise TextInvalid(message, hint="serve it as UTF-8") from other


def is_text(given: str) -> bool:
    """Say whether an argument or a variable is text: Python hands on other bytes as halves of surrogate pairs."""
    try:
        given.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_quickly(text: str, name: str) -> Reading:
    """Read a text; for a large one the garbage collector rests, which would cost more than the parser."""
    with nullcontext() if len(text) < LARGE_TEXT else at_rest():
        return read(text, name)


def source_uri(source: str) -> str:
    """Give the URI of a source as users name it: an http(s) or file URL as it is, a path as a file URL.

    Raises:
        RunRefused: it is a URL of another kind, or of a file on another machine.
    """
    scheme, joint, rest = source.partition("://")
    if not joint or "/" in scheme:
        return Path(source).absolute().as_uri()
    if scheme.lower() in ("http", "https"):
        return f"{scheme.lower()}://{rest}"
    if scheme.lower() == "file" and rest.startswith(("/", "localhost/")):
        return f"file://{rest.removeprefix('localhost')}"
    raise RunRefused(
        f"documents are not loaded from {shown_url(source)}", hint="give a path, or an http, https or file URL"
    )


def refuse_files_from_afar(base: str, uri: str) -> None:
    """Make sure that a document from the network leads to no file of this machine.

    Raises:
        RunRefused: it does.
    """
    if uri.startswith("file:") and not base.startswith("file:"):
        hint = "name it yourself with --source, if you mean it"
        raise RunRefused("a document from the network must not name files of this machine", hint=hint)
