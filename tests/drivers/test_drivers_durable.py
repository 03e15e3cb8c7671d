"""Durable runs with what else a run can have: files, binary answers, credentials, tokens, rules, recordings, policies."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from urllib.parse import parse_qs

import msgspec
import pytest
from aiohttp import web
from served import StillClock, serving
from test_drivers_resume import Died, Until

import treadle
from treadle.drivers.kept import options_again, to_keep
from treadle.engine import journal as records

KEY = "k3y-of-the-environment"
LOGIN = "l0gin-t0ken-of-an-answer"
CLIENT_SECRET = "cl1ent-s3cret"
SCHEMES = {
    "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
    "oauth": {"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": "/oauth/token", "scopes": {}}}},
}
NOTHING = {"responses": {"200": {"description": "yes"}}}
OPENAPI = {
    "openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "components": {"securitySchemes": SCHEMES},
    "paths": {
        "/login": {"get": {"operationId": "login", "security": [{"key": []}], **NOTHING}},
        "/poll": {"get": {"operationId": "poll", "security": [{"oauth": []}], **NOTHING}},
        "/jobs": {
            "get": {"operationId": "jobs", "security": [{"key": []}], **NOTHING},
            "post": {"operationId": "start", "security": [{"key": []}], **NOTHING},
        },
        "/blob": {
            "get": {"operationId": "blob", **NOTHING},
            "put": {
                "operationId": "keep", **NOTHING,
                "requestBody": {"content": {"multipart/form-data": {"schema": {"type": "object"}}}},
            },
        },
    },
}  # fmt: skip
POLL_AGAIN = [{"name": "more", "type": "goto", "stepId": "poll", "criteria": [{"condition": "$response.body#/n < 4"}]}]
WORKFLOWS = [
    {
        "workflowId": "secrets",
        "steps": [
            {"stepId": "login", "operationId": "login", "outputs": {"token": "$response.body#/access_token"}},
            {
                "stepId": "poll", "operationId": "poll", "outputs": {"echo": "$response.body#/echo"}, "onSuccess": POLL_AGAIN,
                "parameters": [{"name": "X-Login-Token", "in": "header", "value": "$steps.login.outputs.token"}],
            },
        ],
        "outputs": {"echo": "$steps.poll.outputs.echo"},
    },
    {
        "workflowId": "reconciled",
        "steps": [
            {
                "stepId": "start", "operationId": "start", "outputs": {"id": "$response.body#/id"},
                "x-treadle-reconcile": {
                    "operationId": "jobs", "criteria": [{"condition": "$response.body#/id == 7"}],
                    "outputs": {"id": "$response.body#/id"},
                },
            },
        ],
        "outputs": {"id": "$steps.start.outputs.id"},
    },
    {
        "workflowId": "given",
        "steps": [
            {
                "stepId": "start", "outputs": {"id": "$response.body#/id"},
                "x-operation": {"method": "POST", "url": "{$inputs.server}/jobs"},
                "x-security": [{"scheme": SCHEMES["key"], "values": {"apiKey": "$inputs.apiKey"}}],
                "x-treadle-reconcile": {
                    "operationId": "jobs", "criteria": [{"condition": "$response.body#/id == 7"}],
                    "outputs": {"id": "$response.body#/id"},
                },
            },
        ],
        "inputs": {"type": "object", "properties": {"server": {"type": "string"}, "apiKey": {"type": "string"}}},
        "outputs": {"id": "$steps.start.outputs.id"},
    },
    {
        "workflowId": "files",
        "inputs": {"type": "object", "properties": {"document": {"type": "string", "format": "binary"}}},
        "steps": [
            {"stepId": "get", "operationId": "blob", "outputs": {"blob": "$response.body"}},
            {"stepId": "poll", "operationId": "poll", "outputs": {"n": "$response.body#/n"}, "onSuccess": POLL_AGAIN},
            {
                "stepId": "put", "operationId": "keep",
                "requestBody": {
                    "contentType": "multipart/form-data",
                    "payload": {"blob": "$steps.get.outputs.blob", "document": "$inputs.document"},
                },
            },
        ],
        "outputs": {"blob": "$steps.get.outputs.blob"},
    },
]  # fmt: skip
BLOB = bytes(range(256)) * 300  # enough that a checkpoint takes the place of its answer


class Api:
    """Throws back what it was sent, in a member that no name calls secret."""

    def __init__(self):
        self.seen = []
        self.tokens = []
        self.parts = {}
        self.polls = 0

    async def __call__(self, request):
        self.seen.append((request.method, request.path))
        match request.path:
            case "/oauth/token":
                form = parse_qs((await request.read()).decode())
                assert form["grant_type"] == ["client_credentials"]
                self.tokens.append(f"0auth-access-t0ken-{len(self.tokens)}")
                return web.json_response({"access_token": self.tokens[-1], "token_type": "Bearer"})
            case "/blob" if request.method == "GET":
                return web.Response(body=BLOB, content_type="application/octet-stream")
            case "/blob":
                async for part in await request.multipart():
                    self.parts[part.name] = await part.read()
                return web.json_response({})
            case "/login" | "/jobs":
                assert request.headers["X-Key"] == KEY
                return web.json_response({"access_token": LOGIN, "id": 7})
        self.polls += 1
        sent = [f"{name}: {value}" for name, value in request.headers.items()]
        return web.json_response({"n": self.polls, "echo": [*sent, KEY, *self.tokens]})


@pytest.fixture
def document(tmp_path, monkeypatch):
    monkeypatch.setenv("TREADLE_CREDENTIAL_KEY", KEY)
    monkeypatch.setenv("TREADLE_CREDENTIAL_OAUTH_CLIENT_ID", "me")
    monkeypatch.setenv("TREADLE_CREDENTIAL_OAUTH_CLIENT_SECRET", CLIENT_SECRET)
    (tmp_path / "api.json").write_text(json.dumps(OPENAPI))
    whole = {
        "arazzo": "1.1.0", "info": {"title": "t", "version": "1"}, "workflows": WORKFLOWS,
        "sourceDescriptions": [{"name": "api", "url": "api.json", "type": "openapi"}],
    }  # fmt: skip
    path = tmp_path / "w.arazzo.json"
    path.write_text(json.dumps(whole))
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "journal.sqlite"


async def _die(journal, document, workflow_id, inputs=None, **options):
    """Run until the process of the journal dies; give the run's id."""
    with suppress(Died):
        async with treadle.Runner(clock=StillClock(), journal=journal, **options) as runner:
            await runner.run(document, workflow_id, inputs)
    (entry,) = await journal.entries()
    await journal.close()
    return entry.run_id


async def _resume(path, run_id, secrets=None, observe=None, **options):
    async with treadle.Runner(clock=StillClock(), journal=path, **options) as runner:
        return await runner.resume(run_id, secrets, observe=observe)


def _held(path):
    return b"".join(file.read_bytes() for file in path.parent.rglob("*") if file.is_file())


@pytest.mark.parametrize("fold_after", [1, 256])
def test_what_a_run_learnt_is_in_no_file_and_stays_secret(document, path, monkeypatch, fold_after):
    """With checkpoints in place of all records, and without any."""
    monkeypatch.setattr("treadle.drivers.durable.FOLD_AFTER", fold_after)

    async def both():
        api = Api()
        async with serving(api) as url:
            run_id = await _die(Until(path, "poll", 2), document, "secrets", server=url)
            held, shown = _held(path), []
            outcome = await _resume(path, run_id, observe=shown.append, server=url)
            return api, held + _held(path), outcome, shown

    api, held, outcome, shown = asyncio.run(both())
    assert outcome.status == "succeeded", outcome.error
    assert len(api.tokens) == 2  # the token of the first process is known to nobody but to the journal
    echo = "\n".join(outcome.outputs["echo"])
    secrets = (KEY, LOGIN, *api.tokens)
    assert all(secret in echo for secret in secrets)
    report = json.dumps(outcome.report())
    for secret in (*secrets, CLIENT_SECRET):
        assert secret not in report
        for form in (secret.encode(), secret.encode("utf-16-le")):
            assert form not in held
    assert any(isinstance(record, records.StepEnded) for record in shown)


def test_a_credential_comes_anew_from_where_it_came(document, path, monkeypatch):
    """What `SendHttp` needs is in the program; the credential itself is nowhere, so a run without one says so."""

    async def both():
        async with serving(Api()) as url:
            run_id = await _die(Until(path, "login"), document, "secrets", server=url)
            monkeypatch.delenv("TREADLE_CREDENTIAL_OAUTH_CLIENT_SECRET")
            return await _resume(path, run_id, server=url)

    outcome = asyncio.run(both())
    assert [found.rule for found in outcome.diagnostics] == ["missing-credential"]
    assert "none was given for 'oauth'" in outcome.diagnostics[0].message


@pytest.mark.parametrize(("workflow", "inputs"), [("reconciled", {}), ("given", {"apiKey": KEY})])
def test_what_a_rule_asks_is_authorised_as_any_step_is(document, path, workflow, inputs, monkeypatch):
    if workflow == "given":
        monkeypatch.delenv("TREADLE_CREDENTIAL_KEY")

    async def both():
        api = Api()
        async with serving(api) as url:
            where = {"server": url} if inputs else {}
            run_id = await _die(Until(path, "start"), document, workflow, {**where, **inputs}, server=url)
            return api, await _resume(path, run_id, inputs, server=url)

    api, outcome = asyncio.run(both())
    assert (outcome.status, outcome.outputs) == ("succeeded", {"id": 7}), outcome.error
    assert api.seen == [("POST", "/jobs"), ("GET", "/jobs")]


@pytest.mark.parametrize("fold_after", [1, 256, 10_000])
def test_files_and_binary_answers_outlive_a_process(document, path, tmp_path, monkeypatch, fold_after):
    monkeypatch.setattr("treadle.drivers.durable.FOLD_AFTER", fold_after)
    (tmp_path / "letter.txt").write_bytes(b"Dear all")
    monkeypatch.chdir(tmp_path)

    async def both():
        api = Api()
        async with serving(api) as url:
            inputs = {"document": {"file": "@letter.txt"}}
            run_id = await _die(Until(path, "poll", 2), document, "files", inputs, server=url)
            monkeypatch.chdir("/")
            return api, await _resume(path, run_id, server=url)

    api, outcome = asyncio.run(both())
    assert outcome.status == "succeeded", outcome.error
    assert outcome.outputs["blob"] == treadle.Binary(BLOB, "application/octet-stream")
    assert api.parts == {"blob": BLOB, "document": b"Dear all"}
    assert api.seen.count(("GET", "/blob")) == 1
    kept = []
    assert outcome.report(lambda binary: kept.append(binary) or "blob.bin")["outputs"]["blob"]["file"] == "blob.bin"


def test_a_file_that_is_gone_is_said_and_the_run_can_be_resumed_when_it_is_back(document, path, tmp_path, monkeypatch):
    letter = tmp_path / "letter.txt"
    letter.write_bytes(b"Dear all")
    policy = tmp_path / "policy.toml"
    policy.write_text("files = false\n")

    async def tried():
        async with serving(Api()) as url:
            inputs = {"document": letter}
            run_id = await _die(Until(path, "poll"), document, "files", inputs, server=url)
            letter.unlink()
            with pytest.raises(treadle.RunRefused, match=f"input 'document': {letter} cannot be read: No such file"):
                await _resume(path, run_id, server=url)
            letter.write_bytes(b"Dear both")
            with monkeypatch.context() as patch:
                patch.setenv("TREADLE_POLICY", str(policy))
                with pytest.raises(treadle.RunRefused, match=r"the policy file .* allows no files"):
                    await _resume(path, run_id, server=url)
            return await _resume(path, run_id, server=url)

    assert asyncio.run(tried()).status == "succeeded"


def test_rules_for_requests_hold_on_resumption_too(document, path, tmp_path, monkeypatch):
    policy = tmp_path / "policy.toml"

    async def tried():
        api = Api()
        async with serving(api) as url:
            run_id = await _die(
                Until(path, "poll"), document, "secrets", server=url, allow_host="127.0.0.1", max_steps=50
            )
            seen = len(api.seen)
            with pytest.raises(
                treadle.RunRefused, match=r"started with --allow-host 127\.0\.0\.1, and no rule"
            ) as refused:
                await _resume(path, run_id)
            assert refused.value.hint == "give --allow-host again, the same or another one"
            with pytest.raises(treadle.RunRefused, match=r"requests may not go to .*--allow-host"):
                await _resume(path, run_id, allow_host="api.test")
            policy.write_text('allow_hosts = ["api.test"]\n')
            monkeypatch.setenv("TREADLE_POLICY", str(policy))
            with pytest.raises(treadle.RunRefused, match=r"requests may not go to .*the policy file"):
                await _resume(path, run_id, allow_host="127.0.0.1")
            assert len(api.seen) == seen
            policy.write_text("max_steps = 3\n")
            return await _resume(path, run_id, allow_host="127.0.0.1")

    assert asyncio.run(tried()).status == "limited"


def test_a_run_that_wanted_no_private_address_is_not_resumed_without_that():
    from treadle.drivers.policy_file import check_kept, tightened  # noqa: PLC0415

    kept = to_keep(treadle.Options(deny_private=True))
    with pytest.raises(treadle.RunRefused, match="started with --deny-private, which is not given now"):
        check_kept(kept, *tightened(treadle.Options()))
    check_kept(kept, *tightened(treadle.Options(deny_private=True)))


@pytest.mark.parametrize("asked", [True, False])
def test_a_resumed_run_records_only_where_that_is_asked_for(document, path, tmp_path, asked):
    first, second = tmp_path / "first.har", tmp_path / "second.har"

    async def both():
        async with serving(Api()) as url:
            run_id = await _die(Until(path, "poll", 2), document, "secrets", server=url, record=str(first))
            first.unlink()
            return await _resume(path, run_id, server=url, **({"record": str(second)} if asked else {}))

    assert asyncio.run(both()).status == "succeeded"
    assert not first.exists()
    assert second.exists() is asked
    if not asked:
        return
    recording = second.read_text()
    shown = [entry["request"]["url"].rpartition("/")[2] for entry in json.loads(recording)["log"]["entries"]]
    assert "poll" in shown
    assert "login" not in shown  # it was answered before
    for secret in (KEY, LOGIN, CLIENT_SECRET, "0auth-access-t0ken"):
        assert secret not in recording


def test_a_replayed_run_is_in_no_journal(document, path, tmp_path):
    with pytest.raises(treadle.RunRefused, match="a run that is replayed from a recording is not journaled"):
        treadle.run(document, "secrets", journal=path, replay=str(tmp_path / "r.har"))
    assert not path.exists()


def test_what_is_kept_of_the_options_holds_no_secret_and_all_that_a_run_needs():
    options = treadle.Options(
        server="http://a.test", source={"a": "b"}, server_var={"region": "eu"}, no_cache=True, strict=True,
        proxy="http://u:s3cret@p.test", client_key_password="s3cret", credentials={"key": "s3cret"},
        record="s3cret.har", timeout=9.0, allow_host=("a.test",), deny_private=True, rate="5/s", profile="mine",
        keep_tokens=True, idempotency_key=True, insecure=True, max_connections=3,
    )  # fmt: skip
    kept = to_keep(options)
    assert b"s3cret" not in msgspec.json.encode(kept)
    assert kept == {
        "timeout": 9.0, "allow_host": ("a.test",), "deny_private": True, "rate": "5/s", "profile": "mine",
        "keep_tokens": True, "idempotency_key": True, "insecure": True, "max_connections": 3,
        "proxy": "http://***@p.test", "credentials": {"key": {"": None}},
    }  # fmt: skip
    written = msgspec.json.decode(msgspec.json.encode(kept))
    again = options_again(written, {"proxy": "http://u:an0ther@p.test", "credentials": {"key": "an0ther"}})
    assert to_keep(again) == kept
