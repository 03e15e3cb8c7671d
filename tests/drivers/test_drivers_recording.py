"""Recordings: what is written of bodies and secrets, which requests fit, runs beside each other."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from served import StillClock, request, serving

import treadle
from loader import cases
from treadle.drivers.connection import Connection, Departed
from treadle.drivers.har import decoded, encoded
from treadle.drivers.http import Http
from treadle.drivers.recording import Recorder
from treadle.drivers.replaying import Player
from treadle.drivers.run import SystemClock
from treadle.drivers.transport import Transport
from treadle.engine.secrets import Secrets
from treadle.files import File
from treadle.sources.multipart import Multipart, Part
from treadle.sources.request import HttpRequest

TYPES = st.sampled_from(
    ["", "text/plain", "text/plain; charset=latin-1", "a/b; charset=UTF-16", "a/b; charset=none", "a/b; charset=idna"]
)


@given(st.binary() | st.text().map(str.encode), TYPES)
def test_a_body_is_the_same_when_it_is_read_again(body, content_type):
    assert decoded(*encoded(body, content_type), content_type) == body


class _Cut:
    """Lets the limit from outside come first, as aiohttp's own does for more than five seconds: it rounds up."""

    def __init__(self, inner):
        self.connection = Connection(transport_retries=0)
        self._inner = inner

    async def exchange(self, asked, timeout):
        return await self._inner.exchange(asked, timeout + 60)


async def _recorded(path, handler, *effects, secrets=()):
    """Record requests to a server, and give the archive, what they brought, and the server's URL."""
    async with serving(handler) as url:
        transport = Transport(Connection(), "treadle-tests")
        recorder = Recorder(str(path), StillClock())
        page = recorder.page("w", transport, Secrets(secrets))
        http = Http(page, StillClock(), secrets=page.secrets)
        results = [await http.send(effect(url)) for effect in effects]
        await transport.close()
        assert recorder.save() is None
    return json.loads(path.read_text("utf-8"))["log"], results, url


async def _again(path, url, *effects):
    http = Http(Player(str(path), Connection()).run("w", Secrets()), StillClock())
    return [await http.send(effect(url)) for effect in effects]


BODIES = {
    "json": (b'{"a": "\xc3\xbc"}', {"Content-Type": "application/json"}, '{"a": "ü"}', None),
    "latin": (b"gr\xfcn", {"Content-Type": "text/plain; charset=iso-8859-1"}, "grün", None),
    "binary": (b"\x89PNG\r\n\x1a\n\x00\xff", {"Content-Type": "image/png"}, "iVBORw0KGgoA/w==", "base64"),
    "packed": (b"x" * 1000, {"Content-Type": "text/plain", "Content-Encoding": "gzip"}, "x" * 1000, None),
    "empty": (b"", {}, "", None),
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies_and_their_codings(name, tmp_path):
    body, headers, text, encoding = BODIES[name]

    async def handler(got: web.BaseRequest) -> web.Response:
        return web.Response(body=gzip.compress(body) if "Content-Encoding" in headers else body, headers=headers)

    async def run():
        log, first, url = await _recorded(tmp_path / "r.har", handler, lambda url: request("GET", url))
        return log, first, await _again(tmp_path / "r.har", url, lambda url: request("GET", url))

    log, first, again = asyncio.run(run())
    assert again == first
    response = log["entries"][0]["response"]
    content = response["content"]
    assert (content["text"], content.get("encoding"), content["size"]) == (text, encoding, len(body))
    if "Content-Encoding" in headers:
        assert content["compression"] == len(body) - response["bodySize"] > 0


def test_secrets_in_what_is_no_text(tmp_path):
    """A number, a short text that stands alone, bytes of a file, a form: masked, and JSON is JSON still."""
    answers = [
        web.Response(body=b'{"pin": 12345, "n": 1, "code": "abc", "in": "abcd"}', content_type="application/json"),
        web.Response(body=b"\xff\x00key=s3cr3t-value\x00", content_type="application/octet-stream"),
    ]
    left = iter(answers)

    async def handler(got: web.BaseRequest) -> web.Response:
        return next(left)

    form = ("Content-Type", "application/x-www-form-urlencoded")
    effects = [
        lambda url: request("GET", f"{url}/x?q=s3cr3t-value", ("Authorization", "Basic bWU6c2VzYW1l"), ("Cookie", "a=b; c=d")),
        lambda url: request("POST", url, form, ("X-Api-Key", "any"), body=b"a=1&pw=s3cr3t-value"),
    ]  # fmt: skip
    log, _, _ = asyncio.run(_recorded(tmp_path / "r.har", handler, *effects, secrets=[12345, "abc", "s3cr3t-value"]))
    first, second = log["entries"]
    assert json.loads(first["response"]["content"]["text"]) == {"pin": "***", "n": 1, "code": "***", "in": "abcd"}
    assert base64.b64decode(second["response"]["content"]["text"]) == b"\xff\x00key=***\x00"
    assert first["request"]["queryString"] == [{"name": "q", "value": "***"}]
    sent = {one["name"]: one["value"] for one in first["request"]["headers"] + second["request"]["headers"]}
    assert sent == {"Authorization": "Basic ***", "Cookie": "a=***; c=***", form[0]: form[1], "X-Api-Key": "***"}
    assert first["request"]["cookies"] == [{"name": "a", "value": "***"}, {"name": "c", "value": "***"}]
    assert second["request"]["postData"] == {"mimeType": form[1], "text": "a=1&pw=***"}


def test_bodies_with_files_and_parts(tmp_path):
    """A file is named, not kept; boundaries are the same each time; a secret in a part is masked."""
    photo = tmp_path / "cat.png"
    photo.write_bytes(b"\x89PNG")
    file = File(str(photo), "cat.png", "image/png")
    inner = Multipart((Part((("A", "1"),), b"s3cr3t-value"),))
    part = ("Content-Type", "multipart/mixed")
    parts = Multipart((Part((("A", "0"),), file), Part((("B", "2"),), b"plain"), Part((part,), inner)))

    async def handler(got: web.BaseRequest) -> web.Response:
        return web.Response(body=await got.read(), content_type="text/plain")

    effects = [
        lambda url: request("POST", url, ("Content-Type", "multipart/form-data; charset=utf-8"), body=parts),
        lambda url: request("PUT", url, ("Content-Type", "image/png"), body=file),
    ]

    async def run():
        log, first, url = await _recorded(tmp_path / "r.har", handler, *effects, secrets=["s3cr3t-value"])
        return log, first, await _again(tmp_path / "r.har", url, *effects)

    log, first, again = asyncio.run(run())
    assert b"\x89PNG" in first[0].body
    assert first[1] == again[1]
    kind = "multipart/form-data; charset=utf-8; boundary=recorded"
    posted, put = (entry["request"] for entry in log["entries"])
    assert posted["headers"] == [{"name": "Content-Type", "value": kind}]
    assert posted["postData"]["mimeType"] == kind
    assert posted["postData"]["text"].split("\r\n") == [
        "--recorded", "A: 0", "", "<file cat.png>", "--recorded", "B: 2", "", "plain",
        "--recorded", "Content-Type: multipart/mixed; boundary=inner-recorded", "",
        "--inner-recorded", "A: 1", "", "***", "--inner-recorded--", "", "--recorded--", "",
    ]  # fmt: skip
    assert put["postData"] == {"mimeType": "image/png", "text": "<file cat.png>"}


@pytest.mark.parametrize("waits", ["for its answer", "for its turn"])
def test_a_step_whose_time_was_over(waits, tmp_path):
    """The step's own limit ends an exchange from outside; the replay comes to the same."""
    hold = asyncio.Event()

    async def handler(got: web.BaseRequest) -> web.Response:
        await hold.wait()
        return web.Response()

    rate = ("1/h",) if waits == "for its turn" else ()

    async def run():
        async with serving(handler) as url:
            transport = Transport(Connection(rate=rate), "treadle-tests")
            recorder = Recorder(str(tmp_path / "r.har"), SystemClock())
            page = recorder.page("w", _Cut(transport), Secrets())
            asked = structs.replace(request("GET", url), timeout=0.05)
            if rate:
                hold.set()
                await transport.exchange(HttpRequest("GET", url), 1.0)
            recorded = await Http(page, SystemClock()).send(asked)
            hold.set()
            await transport.close()
            assert recorder.save() is None
        player = Player(str(tmp_path / "r.har"), Connection())
        return recorded, await Http(player.run("w", Secrets()), player.clock).send(asked)

    recorded, again = asyncio.run(run())
    assert (recorded.kind, recorded.sent) == ("timeout", waits == "for its answer")
    assert again == recorded


def test_a_token_that_was_forgotten_is_masked_in_its_own_answer(tmp_path):
    """A run keeps a bounded number of those that it learns; the recording looks at each answer once more."""

    async def handler(got: web.BaseRequest) -> web.Response:
        return web.json_response({"access_token": f"token-{got.path[1:]}-of-many"})

    effects = [lambda url, n=n: request("GET", f"{url}/{n}") for n in range(3)]
    log, _, _ = asyncio.run(_recorded(tmp_path / "r.har", handler, *effects))
    assert {entry["response"]["content"]["text"] for entry in log["entries"]} == {'{"access_token": "***"}'}


def _body_of(written):
    if "file" in written:
        return File(f"/files/{written['file']}", written["file"])
    if "multipart" in written:
        parts = [Part(tuple(headers.items()), _body_of(content)) for headers, content in written["multipart"]]
        return Multipart(tuple(parts))
    return written["body"].encode() if "body" in written else None


@pytest.mark.parametrize("case", cases("drivers/matching.yaml"))
def test_which_requests_fit(case, tmp_path):
    given = {"method": "GET", "url": "http://a.test/x"}
    recorded, asked = case.get("recorded", {}), {**given, **case.get("asked", case.get("recorded", {}))}
    data = {"mimeType": recorded.get("type", ""), "text": recorded.get("body"), "params": recorded.get("params", [])}
    sent = {**given, **recorded, **({"postData": data} if {"body", "params"} & recorded.keys() else {})}
    entry = {"request": sent, "response": {"status": 204}, "pageref": "p", "startedDateTime": "2026-01-01T00:00:00Z"}
    log = {"creator": {"name": "Treadle"}, "pages": [{"id": "p", "title": "w"}], "entries": [entry]}
    (tmp_path / "r.har").write_text(json.dumps({"log": log}), "utf-8")
    tape = Player(str(tmp_path / "r.har"), Connection()).run("w", Secrets(case.get("secrets", ())))
    headers = (("Content-Type", asked["type"]),) if "type" in asked else ()
    body = _body_of(asked)
    made = HttpRequest(asked["method"], asked["url"].partition("#")[0], headers, body)
    if case.get("fits"):
        assert asyncio.run(tape.exchange(made, 1.0)).status == 204
        assert tape.unused() is None
    else:
        with pytest.raises(Departed) as departed:
            asyncio.run(tape.exchange(made, 1.0))
        assert departed.value.message.endswith(case["differs"])


# Through the Python interface

DOCUMENT = {
    "arazzo": "1.0.1",
    "info": {"title": "x", "version": "1"},
    "sourceDescriptions": [{"name": "api", "url": "api.json", "type": "openapi"}],
    "workflows": [
        {
            "workflowId": name,
            "inputs": {"type": "object", "properties": {"n": {"type": "integer"}}},
            "steps": [
                {
                    "stepId": "one",
                    "operationId": "get",
                    "parameters": [{"name": "n", "in": "query", "value": "$inputs.n"}],
                    "outputs": {"n": "$response.body#/n"},
                }
            ],
            "outputs": {"n": "$steps.one.outputs.n"},
        }
        for name in ("first", "second")
    ],
}
API = {"openapi": "3.1.0", "info": {"title": "x", "version": "1"}, "paths": {"/x": {"get": {"operationId": "get"}}}}


async def _answer(got: web.BaseRequest) -> web.Response:
    return web.json_response({"n": f"answer to {got.query['n']}"})


@pytest.fixture
def document(tmp_path):
    (tmp_path / "w.json").write_text(json.dumps(DOCUMENT), "utf-8")
    (tmp_path / "api.json").write_text(json.dumps(API), "utf-8")
    return str(tmp_path / "w.json")


def test_many_runs_in_one_recording(document, tmp_path):
    path = str(tmp_path / "r.har")

    async def outcomes(url, **option):
        async with treadle.Runner(server=url, **option) as runner:
            loaded = await runner.load(document)
            runs = (runner.run(loaded, "first" if n % 2 else "second", {"n": n}) for n in range(6))
            return [(outcome.status, outcome.outputs) for outcome in await asyncio.gather(*runs)]

    async def run():
        async with serving(_answer) as url:
            first = await outcomes(url, record=path)
        return first, await outcomes(url, replay=path)

    first, again = asyncio.run(run())
    assert first == [("succeeded", {"n": f"answer to {n}"}) for n in range(6)]
    assert again == first


def test_a_recording_that_cannot_be_written_is_a_warning(document, tmp_path):
    folder = tmp_path / "goes"
    folder.mkdir()

    async def run():
        async with serving(_answer) as url:
            runner = treadle.Runner(server=url, record=str(folder / "r.har"))
            outcome = await runner.run(document, "first", {"n": 1})
            folder.rmdir()
            with pytest.warns(
                RuntimeWarning, match="the recording could not be written to .*: No such file or directory"
            ):
                await runner.close()
            return outcome

    assert asyncio.run(run()).status == "succeeded"
