"""Files and binary answers from Python."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

import treadle
from treadle.drivers.files import LocalFiles
from treadle.engine.file_inputs import with_files
from treadle.engine.inputs import validated

FILES = Path(__file__).parent / "cases" / "cli" / "files"
PNG = b"\x89PNG\0\xff"


async def _run(workflow, inputs):
    seen = []

    async def handler(got):
        seen.append((got.method, got.path, got.headers.get("Content-Type"), await got.read()))
        return web.Response(body=PNG, content_type="image/png")

    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.01)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return await treadle.run_async(str(FILES / "upload.yaml"), workflow, inputs, server=server), seen
    finally:
        await runner.cleanup()


def test_a_path_is_a_file_where_the_input_is_one(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    outcome, seen = asyncio.run(_run("replace", {"photo": path}))
    assert outcome.status == "succeeded"
    assert seen == [("PUT", "/photo", "image/png", PNG)]


def test_a_path_is_no_value_of_other_inputs(tmp_path):
    with pytest.raises(treadle.InputsInvalid, match="'/note' is not a JSON value"):
        asyncio.run(_run("upload", {"photo": "x", "note": tmp_path}))


def test_files_in_a_list_are_inputs_like_others(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    file = {"type": "string", "format": "binary"}
    schema = {"properties": {"all": {"type": "array", "items": file}}}
    given = with_files(schema, {"all": [path, path]}, LocalFiles())
    values, _ = validated(schema, given, "w")
    assert [entry.path for entry in values["all"]] == [str(path), str(path)]
    with pytest.raises(treadle.InputsInvalid, match="'/all' does not keep to 'maxItems'"):
        validated({"properties": {"all": {"type": "array", "maxItems": 1}}}, given, "w")


def test_a_schema_that_refers_in_a_circle_marks_no_file(tmp_path):
    schema = {"properties": {"a": {"$ref": "#/$defs/b"}}, "$defs": {"b": {"$ref": "#/$defs/b"}}}
    given = {"a": {"file": f"@{tmp_path}"}}
    assert with_files(schema, given, LocalFiles()) == given


def test_a_path_that_leads_nowhere_is_refused(tmp_path):
    with pytest.raises(treadle.RunRefused, match="cannot be read: No such file"):
        asyncio.run(_run("replace", {"photo": tmp_path / "gone"}))


def test_a_file_has_no_text_and_is_only_itself(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    outcome, seen = asyncio.run(_run("misuse", {"photo": path}))
    assert (outcome.status, seen) == ("failed", [])
    assert "parameter 'q' in query is a file" in outcome.error.message
    assert treadle.Binary(PNG, "image/png") != PNG


def test_an_output_that_is_no_text():
    outcome, seen = asyncio.run(_run("download", {}))
    assert outcome.outputs["photo"] == treadle.Binary(PNG, "image/png")
    assert repr(outcome.outputs["photo"]) == "<Binary image/png, 6 bytes>"
    assert seen[1] == ("PUT", "/photo", "image/png", PNG)
    shown = {"file": None, "bytes": 6, "mediaType": "image/png"}
    assert outcome.report()["outputs"] == {"photo": shown}
    assert outcome.report(lambda body: f"{len(body.content)}.png")["outputs"]["photo"]["file"] == "6.png"
    assert outcome.steps[0]["outputs"] == {"photo": shown}
