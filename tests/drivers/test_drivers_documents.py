"""Documents and the descriptions they name: files, URLs, bundles, and what is said when one is not there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web
from served import StillClock, serving

import treadle

DOCUMENT = """
arazzo: 1.0.1
info: {title: a case, version: "1"}
sourceDescriptions: [{name: api, url: api.yaml}]
workflows:
- workflowId: w
  steps: [{stepId: one, operationId: a}]
"""
API = """
openapi: 3.1.0
servers: [{url: http://127.0.0.1:9}]
paths: {/a: {$ref: "parts/a.yaml#/item"}}
"""
PART = """
item: {get: {operationId: a, parameters: [{$ref: "../more%20parts/q.yaml"}]}}
"""
FILES = {"w.yaml": DOCUMENT, "api.yaml": API, "parts/a.yaml": PART, "more parts/q.yaml": "{name: q, in: query}"}
Lay = Callable[..., Path]


@pytest.fixture
def lay(tmp_path) -> Lay:
    """Write the files of a case: those above, changed or left out (None)."""

    def write(**changed: str | bytes | None) -> Path:
        for name, text in {
            **FILES,
            **{name.replace("__", "/").replace("_yaml", ".yaml"): t for name, t in changed.items()},
        }.items():
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            if isinstance(text, str):
                path.write_text(text, "utf-8")
            elif text is not None:
                path.write_bytes(text)
        return tmp_path / "w.yaml"

    return write


def _findings(path: Path | str, **options: object) -> list[tuple[str, str]]:
    return [(found.rule, found.message) for found in treadle.check(str(path), **options)]


def test_references_are_followed_from_file_to_file(lay):
    assert treadle.check(str(lay())) == []


def test_a_file_that_a_description_refers_to_is_not_there(lay):
    ((rule, message),) = _findings(lay(parts__a_yaml=None))
    assert rule == "source"
    assert message.startswith("a description refers to file://")
    assert message.endswith(f"there is no file {lay().parent / 'parts/a.yaml'}")


def test_a_file_that_a_description_refers_to_is_no_yaml(lay):
    ((rule, _),) = _findings(lay(parts__a_yaml="a: [\n"))
    assert rule == "yaml-syntax"


def test_references_without_end(lay):
    endless = 'openapi: 3.1.0\nservers: [{url: http://x.test}]\npaths: {/a: {$ref: "parts/a.yaml#/item"}}\n'
    path = lay(api_yaml=endless, parts__a_yaml="item: {$ref: '#/item'}")
    ((rule, message),) = _findings(path)
    assert rule == "unknown-operation"
    assert "a.yaml:1:7 goes in a circle" in message


@pytest.mark.parametrize(
    ("content", "rule", "message"),
    [
        (None, "source", "source 'api' cannot be used: there is no file "),
        (b"\xff\xfa", "source", "is not UTF-8 text (byte 0)"),
        ("a: [\n", "yaml-syntax", ""),
        ("a: 1\na: 2\n", "duplicate-key", ""),
        ("swagger: '1.0'", "source", "not a description this version reads: Swagger 1.0"),
        ("openapi: 3.1.0\npaths: {}\n", "unknown-operation", "no source has an operation 'a'"),
    ],
    ids=["absent", "no text", "no YAML", "duplicate key", "Swagger", "empty"],
)
def test_a_source_that_cannot_be_used(lay, content, rule, message):
    ((found, text),) = _findings(lay(api_yaml=content))
    assert found == rule
    assert message in text


def test_a_source_that_is_a_folder(lay):
    path = lay(api_yaml=None)
    (path.parent / "api.yaml").mkdir()
    ((_, message),) = _findings(path)
    assert message.endswith("api.yaml is a folder")


def test_a_source_whose_name_no_file_can_have(lay):
    ((rule, message),) = _findings(lay(w_yaml=DOCUMENT.replace("url: api.yaml", 'url: "a%00.yaml"')))
    assert rule == "source"
    assert "cannot be the name of a file" in message


def test_a_byte_order_mark_and_a_uri_of_a_file(lay):
    path = lay(api_yaml=b"\xef\xbb\xbf" + API.encode())
    assert treadle.check(path.as_uri()) == []


def test_an_override_of_a_source(lay, tmp_path):
    path = lay(api_yaml=None)
    other = tmp_path / "other.yaml"
    other.write_text(API, "utf-8")
    assert _findings(path, source={"api": str(other)}) == []
    with pytest.raises(treadle.RunRefused, match="has no source description 'apis'") as refused:
        treadle.check(str(path), source={"apis": str(other)})
    assert refused.value.hint == "it has api"


def test_the_bundled_source_is_offered_where_it_fits(lay):
    document = DOCUMENT.replace("operationId: a", "operationId: getScenario")
    (found,) = treadle.check(str(lay(w_yaml=document, api_yaml=None)))
    assert found.hint == "say where it is: --source api=FILE-OR-URL; the bundled one fits: --source api=dataiku"
    (found,) = treadle.check(str(lay(api_yaml=None)))
    assert found.hint == "say where it is: --source api=FILE-OR-URL"


def test_a_description_that_is_none_has_its_own_hint(lay):
    (found,) = treadle.check(str(lay(api_yaml="swagger: '1.0'")))
    assert found.hint == "convert it to Swagger 2.0 or OpenAPI 3"


def test_a_source_of_another_type_is_not_loaded(lay):
    document = DOCUMENT.replace(
        "[{name: api, url: api.yaml}]", "[{name: api, url: api.yaml}, {name: b, url: none, type: arazzo}]"
    )
    assert _findings(lay(w_yaml=document)) == []


def test_self_is_what_sources_are_read_against(lay, tmp_path):
    document = DOCUMENT.replace("arazzo: 1.0.1", "arazzo: 1.1.0\n$self: sub/w.yaml")
    path = lay(w_yaml=document, api_yaml=None, sub__api_yaml=API.replace("parts", "../parts"))
    assert _findings(path) == []
    assert (tmp_path / "sub").is_dir()


def test_a_file_that_cannot_be_read(tmp_path):
    # A name that no file system takes; root may read what permissions forbid, so those would prove nothing there.
    ((rule, message),) = _findings(tmp_path / ("x" * 300))
    assert rule == "not-found"
    assert message.endswith("cannot be read: File name too long")


@pytest.mark.parametrize("name", ["nothing.yaml", "dataikuu"])
def test_a_document_that_is_not_there(name):
    with pytest.raises(treadle.DocumentInvalid, match="there is no file ") as refused:
        treadle.load(name)
    assert "bundled documents: dataiku" in (refused.value.hint or "")
    assert [found.rule for found in refused.value.diagnostics] == ["not-found"]


def test_a_document_that_is_none(lay):
    with pytest.raises(treadle.DocumentInvalid, match="is not a valid Arazzo document") as refused:
        treadle.load(str(lay(w_yaml=API)))
    assert [found.rule for found in refused.value.diagnostics] == ["not-arazzo"]


def test_a_file_wins_over_a_bundle(lay, tmp_path, monkeypatch):
    lay()
    monkeypatch.chdir(tmp_path)
    assert treadle.load("dataiku").workflow_ids[0] == "run-scenario-and-poll"
    (tmp_path / "dataiku").write_text(DOCUMENT, "utf-8")
    assert treadle.load("dataiku").workflow_ids == ["w"]


async def _check_at(answers: dict[str, web.Response], path: str) -> object:
    """Check a document at a server that has these answers by path."""

    async def handler(request: web.BaseRequest) -> web.Response:
        answer = answers.get(request.raw_path, web.Response(status=404))
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)

    async with serving(handler) as url, treadle.Runner(clock=StillClock()) as runner:
        document = await runner.load(url + path)
        return await runner.check(document, "w")


def test_documents_and_descriptions_at_a_server():
    answers = {
        "/docs/w.yaml": web.Response(body=DOCUMENT),
        "/docs/api.yaml": web.Response(body=API.replace("http://127.0.0.1:9", "../v1")),
        "/docs/parts/a.yaml": web.Response(body=PART),
        "/docs/more%20parts/q.yaml": web.Response(body=b"{name: q, in: query}"),
        "/moved.yaml": web.Response(status=302, headers={"Location": "/docs/w.yaml"}),
    }
    program, diagnostics = asyncio.run(_check_at(answers, "/docs/w.yaml"))
    assert diagnostics == []
    assert program.entry.steps[0].call.server.endswith("/v1")


def test_a_document_that_has_moved_is_found():
    answers = {
        "/w.yaml": web.Response(status=302, headers={"Location": "/x.yaml"}),
        "/x.yaml": web.Response(body=DOCUMENT),
        "/api.yaml": web.Response(
            body=b"openapi: 3.0.0\nservers: [{url: http://x.test}]\npaths: {/a: {get: {operationId: a}}}"
        ),
    }
    program, _ = asyncio.run(_check_at(answers, "/w.yaml"))
    assert program.workflow_id == "w"


def test_a_document_that_a_server_does_not_have():
    with pytest.raises(treadle.DocumentInvalid, match=r"/w\.yaml cannot be loaded: the server answered 404"):
        asyncio.run(_check_at({}, "/w.yaml"))


def test_a_server_that_is_not_there():
    async def refused() -> None:
        async with treadle.Runner(clock=StillClock()) as runner:
            await runner.load("http://127.0.0.1:9/w.yaml")

    with pytest.raises(treadle.DocumentInvalid, match=r"cannot be loaded: no connection to 127\.0\.0\.1:9: "):
        asyncio.run(refused())


@pytest.mark.parametrize(
    "answers",
    [
        {"/w.yaml": DOCUMENT.replace("url: api.yaml", "url: file:///etc/api.yaml")},
        {"/w.yaml": DOCUMENT, "/api.yaml": API.replace("parts/a.yaml", "file:///etc/parts.yaml")},
        {"/w.yaml": DOCUMENT, "/api.yaml": API.replace("3.1.0", "3.2.0\n$self: file:///etc/api.yaml")},
    ],
    ids=["a source", "a reference", "a $self"],
)
def test_what_comes_from_the_network_leads_to_no_file(answers):
    served = {path: web.Response(body=text) for path, text in answers.items()}
    program, (found,) = asyncio.run(_check_at(served, "/w.yaml"))
    assert program is None
    assert found.rule == "source"
    assert found.message.endswith("a document from the network must not name files of this machine")


def test_relative_sources_are_read_against_the_place_a_document_was_found_at():
    answers = {
        "/docs/w.yaml": web.Response(body=DOCUMENT),
        "/docs/api.yaml": web.Response(body=API),
        "/docs/parts/a.yaml": web.Response(body=PART),
        "/docs/more%20parts/q.yaml": web.Response(body=b"{name: q, in: query}"),
        "/moved.yaml": web.Response(status=302, headers={"Location": "/docs/w.yaml"}),
    }
    _, diagnostics = asyncio.run(_check_at(answers, "/moved.yaml"))
    assert diagnostics == []


VARIABLES = API.replace("http://127.0.0.1:9", "'https://{region}.test/{v}'")


@pytest.mark.parametrize(
    ("given", "rule", "message", "hint"),
    [
        ({}, "server", "in which 'region' and 'v' have no values", "--server-var region=VALUE --server-var v=VALUE"),
        ({"v": "1"}, "server", "in which 'region' has no value", "or the whole: --server api=URL"),
        ({"v": "1", "api.region": "eu"}, None, "", ""),
        ({"v": "1", "region": "eu", "api.w": "1"}, "refused", "has a variable 'api.w'", "there are region, v"),
        ({"v": "1", "other.region": "eu"}, "refused", "has a variable 'other.region'", "there are region, v"),
    ],
    ids=["none", "one", "all", "unknown", "of another source"],
)
def test_values_of_server_variables(lay, given, rule, message, hint):
    path = str(lay(api_yaml=VARIABLES))
    if rule == "refused":
        with pytest.raises(treadle.RunRefused, match=message) as refused:
            treadle.check(path, server_var=given)
        assert refused.value.hint == hint
        return
    found = treadle.check(path, server_var=given)
    assert [one.rule for one in found] == ([rule] if rule else [])
    for one in found:
        assert message in one.message
        assert hint in (one.hint or "")


def test_variables_where_no_server_has_any(lay):
    with pytest.raises(treadle.RunRefused, match="no server of these sources has a variable 'region'") as refused:
        treadle.check(str(lay()), server_var={"region": "eu"})
    assert refused.value.hint == "no server has variables"


def test_variables_of_paths_and_operations_count_too(lay):
    api = (
        API
        + "  /b: {servers: [{url: 'http://{b}.test'}], get: {servers: [{url: 'http://{c}.test'}], operationId: b}}\n"
    )
    api = api.replace('paths: {/a: {$ref: "parts/a.yaml#/item"}}', 'paths:\n  /a: {$ref: "parts/a.yaml#/item"}')
    assert _findings(lay(api_yaml=api), server_var={"b": "x", "c": "y"}) == []


def test_variables_of_a_source_that_cannot_be_used_are_not_known(lay):
    ((rule, _),) = _findings(lay(api_yaml=None), server_var={"region": "eu"})
    assert rule == "source"


TWO = DOCUMENT.replace(
    "[{name: api, url: api.yaml}]",
    "[{name: api, url: api.yaml, type: openapi}, {name: b, url: b.yaml, type: openapi}]",
)


def test_of_two_descriptions_the_one_is_loaded_that_is_named(lay):
    qualified = TWO.replace("operationId: a", "operationId: $sourceDescriptions.api.a")
    assert _findings(lay(w_yaml=qualified)) == []
    ((rule, message),) = _findings(lay(w_yaml=qualified.replace("api.a", "b.a")))
    assert rule == "source"
    assert message.startswith("source 'b' cannot be used: there is no file ")


def test_a_plain_operation_id_is_looked_for_in_all_descriptions(lay):
    found = _findings(lay(w_yaml=TWO, b_yaml="openapi: 3.0.0\npaths: {/x: {get: {operationId: a}}}\n"))
    assert found == [("unknown-operation", "operationId 'a' stands in several sources: api, b")]


def test_a_path_item_that_is_not_there_does_not_matter_to_others(lay):
    api = API.replace("paths: {", "paths: {/x: {$ref: gone.yaml}, /b: {get: {operationId: b}}, ")
    assert _findings(lay(api_yaml=api)) == []
    ((rule, message),) = _findings(lay(api_yaml=api, w_yaml=DOCUMENT.replace("operationId: a", "operationId: c")))
    assert rule == "source"
    assert message.endswith(f"there is no file {lay().parent / 'gone.yaml'}")


def test_documents_that_lead_to_documents_without_end():
    asked = []

    async def handler(request: web.BaseRequest) -> web.Response:
        asked.append(request.raw_path)
        if request.raw_path == "/w.yaml":
            return web.Response(body=DOCUMENT)
        number = request.raw_path.removeprefix("/").removesuffix("api.yaml").removesuffix(".yaml")
        if not number:
            return web.Response(body="openapi: 3.1.0\npaths: {/a: {$ref: 1.yaml}}")
        return web.Response(body=f"$ref: {int(number) + 1}.yaml")

    async def checked() -> tuple[object, list[treadle.Diagnostic]]:
        async with serving(handler) as url, treadle.Runner(clock=StillClock()) as runner:
            return await runner.check(await runner.load(f"{url}/w.yaml"), "w")

    with pytest.raises(treadle.RunRefused, match="lead from document to document, more than 100 times"):
        asyncio.run(checked())
    assert len(asked) < 200


def test_too_many_documents(lay, monkeypatch):
    monkeypatch.setattr("treadle.drivers.documents.MAX_REFERRED", 2)
    with pytest.raises(treadle.RunRefused, match="refer to more than 2 documents"):
        treadle.check(str(lay()))


def test_a_description_that_is_cached_is_not_sent_again(tmp_path, monkeypatch):
    monkeypatch.setenv("TREADLE_CACHE_DIR", str(tmp_path))
    asked = []

    async def handler(request: web.BaseRequest) -> web.Response:
        asked.append(f"{request.raw_path} {request.headers.get('If-None-Match')}")
        if "If-None-Match" in request.headers:
            return web.Response(status=304)
        texts = {"/w.yaml": DOCUMENT, "/api.yaml": "openapi: 3.1.0\npaths: {/a: {get: {operationId: a}}}"}
        return web.Response(body=texts[request.raw_path], headers={"ETag": '"1"'})

    async def checked() -> None:
        async with serving(handler) as url:
            for no_cache in (False, False, True):
                async with treadle.Runner(clock=StillClock(), no_cache=no_cache) as runner:
                    _, diagnostics = await runner.check(await runner.load(f"{url}/w.yaml"), "w")
                    assert diagnostics == []

    asyncio.run(checked())
    assert asked == [
        *("/w.yaml None", "/api.yaml None"),
        *('/w.yaml "1"', '/api.yaml "1"'),
        *("/w.yaml None", "/api.yaml None"),
    ]


@pytest.mark.parametrize("name", ["a\0b.yaml", "x" * 300])
def test_a_name_that_no_file_has(name):
    with pytest.raises(treadle.DocumentInvalid, match=r"cannot be"):
        treadle.load(name)
