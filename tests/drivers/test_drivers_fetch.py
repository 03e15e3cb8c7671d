"""Documents over HTTP: what is kept of them, what is asked of their servers, and what is said when they are not there."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from served import StillClock, serving, speaking

from loader import cases
from treadle.drivers.cache import LONGEST_FRESH, MAX_ENTRIES, DocumentCache, cache_folder
from treadle.drivers.connection import Connection
from treadle.drivers.fetch import Fetcher
from treadle.drivers.texts import Text
from treadle.drivers.transport import Transport
from treadle.errors import TreadleError


class _Server:
    """Answers as the step says that is being played, and keeps what was asked."""

    def __init__(self) -> None:
        self.step: dict[str, Any] = {}
        self.seen: list[web.BaseRequest] = []

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.seen.append(request)
        wanted = self.step.get("answers", {}).get(request.path_qs) or self.step["answer"]
        if "closed" in wanted and request.transport is not None:
            request.transport.close()
        if "silent" in wanted or "closed" in wanted:
            await asyncio.Event().wait()
        unchanged = "same" in wanted and "If-None-Match" in request.headers
        body = bytes.fromhex(wanted["hex"]) if "hex" in wanted else wanted.get("text", "").encode()
        status = 304 if unchanged else wanted.get("status", 200)
        return web.Response(status=status, headers=wanted.get("headers"), body=b"" if unchanged else body)


async def _fetched(url: str, clock: StillClock, folder: Path, limit: int) -> Text:
    connection = Connection(request_timeout=0.5, transport_retries=0, max_body=limit)
    transport = Transport(connection, "treadle-tests")
    try:
        return await Fetcher(lambda: transport, clock, DocumentCache(folder))(url)
    finally:
        await transport.close()


def _damage(folder: Path, text: str) -> None:
    for entry in folder.iterdir():
        entry.write_text(text, "utf-8")


def _holds_something(folder: Path) -> bool:
    return any(folder.iterdir())


async def _played(case: dict[str, Any], folder: Path) -> None:
    server, clock = _Server(), StillClock()
    async with serving(server.answer) as base:

        def filled(text: str) -> str:
            return text.replace("{server}", base).replace("{host}", base.removeprefix("http://"))

        for step in case["steps"]:
            server.step, server.seen = step, []
            clock.time += step.get("later", 0)
            if "damaged" in step:
                _damage(folder, step["damaged"])
            url = filled(step.get("url", "{server}/doc.yaml"))
            try:
                found = await _fetched(url, clock, folder, step.get("limit", 10_000))
            except TreadleError as error:
                assert step.get("refused", "nothing") in error.message  # noqa: PT017
                assert step.get("hint", "") in (error.hint or "")  # noqa: PT017
                assert "secret" not in f"{error.message} {error.hint}"  # noqa: PT017
            else:
                assert found == Text(step["gives"], filled(step.get("at", url)))
            requests = step.get("requests", ["GET /doc.yaml"])
            assert requests in (None, [f"{one.method} {one.raw_path}" for one in server.seen])
            for name, value in step.get("asks", {}).items():
                assert server.seen[-1].headers.get(name) == value
            if "kept" in step:
                assert _holds_something(folder) is step["kept"]


@pytest.mark.parametrize("case", cases("sources/fetch.yaml"))
def test_a_document_is_fetched(case, tmp_path):
    asyncio.run(_played(case, tmp_path))


def _fetch_with(folder: Path) -> str:
    """Fetch a text that may be kept, twice, and give it."""

    async def fetched() -> str:
        server = _Server()
        server.step = {"answer": {"headers": {"ETag": "x"}, "text": "a: 1", "same": True}}
        async with serving(server.answer) as base:
            first = await _fetched(f"{base}/doc.yaml", StillClock(), folder, 100)
            assert await _fetched(f"{base}/doc.yaml", StillClock(), folder, 100) == first
            return first.text

    return asyncio.run(fetched())


def test_a_validator_that_cannot_be_sent_back(tmp_path):
    answer = (
        b'HTTP/1.1 200 OK\r\nETag: "\xff"\r\nContent-Type: text/yaml; charset=\xfe\r\nContent-Length: 4\r\n\r\na: 1'
    )

    async def fetched() -> None:
        async with speaking(answer) as (base, _):
            assert (await _fetched(f"{base}/doc.yaml", StillClock(), tmp_path, 100)).text == "a: 1"

    asyncio.run(fetched())
    assert not _holds_something(tmp_path)


values = st.text(max_size=20) | st.sampled_from(
    ["max-age=5", "no-store", "no-cache", "*", '"1"', "max-age=" + "9" * 30]
)
names = st.sampled_from(["cache-control", "age", "etag", "last-modified", "vary", "content-type"])


@given(st.dictionaries(names, values), st.binary(max_size=50), st.floats(0, 1e11))
def test_whatever_a_server_says_an_entry_is_whole_or_none(headers, content, now):
    with TemporaryDirectory() as folder:
        cache = DocumentCache(Path(folder))
        cache.keep("http://x.test/", "http://x.test/", headers, content, now)
        entry = cache.read("http://x.test/")
        if entry is None:
            assert not any(Path(folder).iterdir())
            return
        assert entry.content == content
        assert now <= entry.about.fresh_until <= now + LONGEST_FRESH
        assert entry.about.validators() or entry.about.fresh_until > now
        cache.renew("http://x.test/", entry, {}, now)
        again = cache.read("http://x.test/")
        assert again is None or (again.content == content and again.about.validators() == entry.about.validators())


def test_a_folder_that_cannot_be_written_to_does_not_matter(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("here is a file where the folder should be", "utf-8")
    assert _fetch_with(blocked / "documents") == "a: 1"
    assert _fetch_with(Path("/proc/no-such-folder")) == "a: 1"


def test_a_full_disk_does_not_matter(tmp_path, monkeypatch):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("there is no /dev/full here")
    cache = DocumentCache(tmp_path)
    cache.keep("http://x.test/", "http://x.test/", {"etag": "x"}, b"a: 1", 0.0)
    (entry,) = tmp_path.iterdir()
    monkeypatch.setattr("tempfile.mkstemp", lambda **_: (os.open(full, os.O_WRONLY), str(tmp_path / "new-1")))
    (tmp_path / "new-1").touch()
    cache.keep("http://x.test/", "http://x.test/", {"etag": "y"}, b"a: 2", 0.0)
    assert list(tmp_path.iterdir()) == [entry]
    kept = cache.read("http://x.test/")
    assert kept is not None
    assert kept.about.etag == "x"


def test_the_oldest_entries_go_first(tmp_path):
    cache = DocumentCache(tmp_path)
    for number in range(MAX_ENTRIES + 3):
        cache.keep(f"http://x.test/{number}", "http://x.test/", {"etag": "x"}, b"a", 0.0)
        for entry in tmp_path.iterdir() if number == 0 else ():
            os.utime(entry, (1, 1))
    assert len(list(tmp_path.iterdir())) == MAX_ENTRIES
    assert cache.read("http://x.test/0") is None
    assert cache.read(f"http://x.test/{MAX_ENTRIES + 2}") is not None


def test_entries_are_for_their_owner_only_and_name_no_url(tmp_path):
    folder = tmp_path / "documents"
    DocumentCache(folder).keep("http://x.test/secret-project.yaml", "http://x.test/", {"etag": "x"}, b"a", 0.0)
    (entry,) = folder.iterdir()
    assert folder.stat().st_mode & 0o077 == 0
    assert entry.stat().st_mode & 0o077 == 0
    assert "secret" not in entry.name
    assert b"secret" not in entry.read_bytes()


def test_where_the_cache_is(tmp_path, monkeypatch):
    monkeypatch.setenv("TREADLE_CACHE_DIR", str(tmp_path))
    assert cache_folder() == tmp_path / "documents"
    monkeypatch.delenv("TREADLE_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder().is_relative_to(tmp_path / "xdg" / "treadle")
