"""Documents that were fetched, kept on disk with what validates them (RFC 9111). Nothing here fails a run.

An entry is one file: a line of JSON about the text, then the text as it came. Its name is made of the URL, so that no URL
can be read from the folder. An entry that cannot be read, or is not whole, counts as none.
"""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct

from treadle.drivers.typed import from_json
from treadle.sources.media import charset_of

MAX_ENTRIES = 500
"""How many documents are kept; the oldest go first."""
LONGEST_FRESH = 24 * 3600.0
"""For how many seconds at most a text is used without asking its server, whatever that says."""
LONGEST_VALUE = 1000
"""How many characters a validator may have to be kept."""
_MAX_AGE = re.compile(r"\bmax-age\s*=\s*\"?(\d{1,18})")


class About(Struct, frozen=True):
    """What is known of a text.

    Attributes:
        found_at: the URL it came from, after redirects.
        digest: SHA-256 of the text as it came.
        fresh_until: until when it may be used without asking (seconds of the epoch).
        charset: what its server said that it is written in.
    """

    found_at: str
    digest: str
    etag: str | None = None
    last_modified: str | None = None
    fresh_until: float = 0.0
    charset: str | None = None

    def validators(self) -> tuple[tuple[str, str], ...]:
        """Give the header fields that ask a server whether the text is still the same (RFC 9110 section 13.1)."""
        fields = (("If-None-Match", self.etag), ("If-Modified-Since", self.last_modified))
        return tuple((name, value) for name, value in fields if value is not None)


class Entry(NamedTuple):
    """A text of the cache with what is known of it."""

    about: About
    content: bytes


class DocumentCache:
    """A folder of fetched documents; made when something is first kept in it."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def read(self, url: str) -> Entry | None:
        """Give what is kept of a URL, or None where there is nothing, or nothing whole."""
        try:
            line, _, content = self._path(url).read_bytes().partition(b"\n")
            about = from_json(line, About)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        return Entry(about, content) if about.digest == _digest(content) else None

    def keep(self, url: str, found_at: str, headers: Mapping[str, str], content: bytes, now: float) -> None:
        """Keep a text if its server allows it and it can be of use again; header names are in lower case."""
        about = _about(found_at, headers, content, now)
        if about is None:
            self.forget(url)
            return
        self._write(url, Entry(about, content))

    def renew(self, url: str, entry: Entry, headers: Mapping[str, str], now: float) -> None:
        """Keep a text whose server says that it is still the same, with what it says anew (RFC 9111 section 4.3.4)."""
        old = entry.about
        said = {"etag": old.etag, "last-modified": old.last_modified}
        said |= {"content-type": f"x; charset={old.charset}" if old.charset else None}
        merged = {**{name: value for name, value in said.items() if value is not None}, **_of_text(headers)}
        self.keep(url, old.found_at, merged, entry.content, now)

    def forget(self, url: str) -> None:
        """Drop what is kept of a URL."""
        with suppress(OSError):  # a folder that cannot be written to is one that nothing is kept in
            self._path(url).unlink(missing_ok=True)

    def _write(self, url: str, entry: Entry) -> None:
        import tempfile  # noqa: PLC0415 - a run that fetches nothing does without it

        # A full disk or a folder that cannot be written to costs a fetch the next time, and never a run.
        with suppress(OSError):
            path = self._path(url)
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent, prefix="new-")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(msgspec.json.encode(entry.about) + b"\n" + entry.content)
                Path(name).replace(path)  # at once: nobody ever reads half an entry
            except OSError:
                Path(name).unlink(missing_ok=True)
                raise
            _drop_oldest(path.parent)

    def _path(self, url: str) -> Path:
        if self._folder is None:
            self._folder = cache_folder()
        return self._folder / _digest(url.encode("utf-8", "surrogatepass"))


def cache_folder() -> Path:
    """Give the folder of the cache: TREADLE_CACHE_DIR, or the place that this machine has for such things."""
    named = os.environ.get("TREADLE_CACHE_DIR")
    if named:
        return Path(named) / "documents"
    import platformdirs  # noqa: PLC0415 - only a run that fetches documents needs it

    return platformdirs.user_cache_path("treadle", appauthor=False) / "documents"


def _about(found_at: str, headers: Mapping[str, str], content: bytes, now: float) -> About | None:
    control = headers.get("cache-control", "").lower()
    if "no-store" in control or headers.get("vary", "").strip() == "*":
        return None
    fresh = _lifetime(control, headers.get("age", ""))
    about = About(
        found_at=found_at,
        digest=_digest(content),
        etag=_plain(headers.get("etag")),
        last_modified=_plain(headers.get("last-modified")),
        fresh_until=now + max(fresh, 0.0),
        charset=_plain(charset_of(headers.get("content-type", ""))),
    )
    return about if about.validators() or fresh > 0 else None


def _lifetime(control: str, age: str) -> float:
    """Give for how many seconds a text may be used without asking; without a max-age, for none."""
    said = _MAX_AGE.search(control)
    if said is None or "no-cache" in control:
        return 0.0
    return min(float(said[1]), LONGEST_FRESH) - (float(age) if age.isdecimal() and len(age) < 19 else 0.0)


def _plain(value: str | None) -> str | None:
    """Give a value that can be sent back as it came; what is no ASCII cannot, and is as if it were not there."""
    return value if value and value.isascii() and value.isprintable() and len(value) <= LONGEST_VALUE else None


def _of_text(headers: Mapping[str, str]) -> dict[str, str]:
    """Leave out what a 304 says of its own empty body."""
    return {name: value for name, value in headers.items() if name != "content-type"}


def _digest(content: bytes) -> str:
    import hashlib  # noqa: PLC0415 - a run that fetches nothing does without it

    return hashlib.sha256(content).hexdigest()


def _drop_oldest(folder: Path) -> None:
    entries = [entry for entry in os.scandir(folder) if entry.is_file()]
    if len(entries) > MAX_ENTRIES:
        entries.sort(key=lambda entry: entry.stat().st_mtime)
        for entry in entries[: len(entries) - MAX_ENTRIES]:
            Path(entry.path).unlink(missing_ok=True)
