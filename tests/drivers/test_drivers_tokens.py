"""Tokens and challenges that many runs share, and credentials from Python; against a real local server."""

from __future__ import annotations

import asyncio
import json
import sys
from urllib.parse import parse_qs

import keyring
import pytest
from aiohttp import web
from keyring.backend import KeyringBackend
from served import StillClock, serving

from treadle import Options, Runner, RunRefused, run
from treadle.drivers.oauth import Held
from treadle.engine.journal import StepBegan

SECRET = "hunter2222"
CLIENT = {"oauth": {"client_id": "me", "client_secret": SECRET}}
DESCRIPTION = {
    "openapi": "3.1.0",
    "info": {"title": "t", "version": "1"},
    "paths": {
        "/a": {"get": {"operationId": "a", "security": [{"oauth": []}]}},
        "/d": {"get": {"operationId": "d", "security": [{"digested": []}]}},
        "/k": {"get": {"operationId": "k", "security": [{"key": []}]}},
    },
    "components": {
        "securitySchemes": {
            "oauth": {"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": "/token", "scopes": {}}}},
            "digested": {"type": "http", "scheme": "digest"},
            "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
        }
    },
}
DOCUMENT = {
    "arazzo": "1.0.1",
    "info": {"title": "t", "version": "1"},
    "sourceDescriptions": [{"name": "api", "url": "api.json", "type": "openapi"}],
    "workflows": [
        {
            "workflowId": operation,
            "steps": [{"stepId": "s", "operationId": operation, "outputs": {"you": "$response.body"}}],
            "outputs": {"you": "$steps.s.outputs.you"},
        }
        for operation in ("a", "d", "k")
    ],
}


@pytest.fixture
def document(tmp_path):
    (tmp_path / "api.json").write_text(json.dumps(DESCRIPTION), "utf-8")
    path = tmp_path / "flow.json"
    path.write_text(json.dumps(DOCUMENT), "utf-8")
    return path


class Api:
    """Gives tokens t0k3n-1, t0k3n-2 and so on, and says back what came."""

    def __init__(self, lifetime: float | None = None) -> None:
        self.seen: list[str] = []
        self.given = 0
        self.lifetime = lifetime
        self.revoked: set[str] = set()
        self.hold = asyncio.Event()
        self.hold.set()

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        self.seen.append(request.path)
        if request.path == "/token":
            await self.hold.wait()
            self.given += 1
            assert parse_qs(await request.text())["grant_type"] == ["client_credentials"]
            return web.json_response({"access_token": f"t0k3n-{self.given}", "expires_in": self.lifetime})
        given = request.headers.get("Authorization", request.headers.get("X-Key", ""))
        if request.path == "/d" and not given:
            return web.Response(status=401, headers={"WWW-Authenticate": 'Digest realm="r", nonce="n", qop="auth"'})
        status = 401 if given.removeprefix("Bearer ") in self.revoked else 200
        return web.json_response({"you": given}, status=status)


def test_many_runs_wait_for_one_token(document):
    async def tried():
        api = Api()
        api.hold.clear()
        begun = 0

        def observe(record: object) -> None:
            nonlocal begun
            begun += isinstance(record, StepBegan)
            if begun == 5:
                api.hold.set()

        async with serving(api) as url, Runner(server=url, credentials=CLIENT) as runner:
            loaded = await runner.load(document)
            outcomes = await asyncio.gather(*(runner.run(loaded, "a", observe=observe) for _ in range(5)))
        return api, outcomes

    api, outcomes = asyncio.run(tried())
    assert [outcome.status for outcome in outcomes] == ["succeeded"] * 5
    assert api.seen.count("/token") == 1
    for outcome in outcomes:  # also where another run had asked for it
        assert outcome.outputs == {"you": {"you": "Bearer t0k3n-1"}}
        shown = json.dumps(outcome.report())
        assert "t0k3n" not in shown
        assert SECRET not in shown


def test_many_runs_whose_token_was_revoked_renew_it_once(document):
    async def tried():
        api = Api()
        async with serving(api) as url, Runner(server=url, credentials=CLIENT) as runner:
            loaded = await runner.load(document)
            await runner.run(loaded, "a")
            api.revoked.add("t0k3n-1")
            outcomes = await asyncio.gather(*(runner.run(loaded, "a") for _ in range(4)))
        return api, outcomes

    api, outcomes = asyncio.run(tried())
    assert [outcome.outputs["you"]["you"] for outcome in outcomes] == ["Bearer t0k3n-2"] * 4
    assert api.given == 2


@pytest.mark.parametrize(("later", "tokens"), [(0, 1), (269, 1), (271, 2)])
def test_a_token_is_renewed_shortly_before_its_end(document, later, tokens):
    async def tried():
        api, clock = Api(300), StillClock()
        async with serving(api) as url, Runner(clock=clock, server=url, credentials=CLIENT) as runner:
            loaded = await runner.load(document)
            await runner.run(loaded, "a")
            clock.time += later
            await runner.run(loaded, "a")
        return api

    assert asyncio.run(tried()).given == tokens


def test_a_token_that_was_got_for_one_api_goes_to_no_other(tmp_path):
    """Both are of one token endpoint and one name; a description is not to be trusted with that."""

    async def tried():
        api = Api()
        async with serving(api) as one, serving(api) as two:
            described = json.loads(json.dumps(DESCRIPTION))
            flows = described["components"]["securitySchemes"]["oauth"]["flows"]
            flows["clientCredentials"]["tokenUrl"] = f"{one}/token"
            (tmp_path / "api.json").write_text(json.dumps(described), "utf-8")
            sources = [{"name": name, "url": "api.json", "type": "openapi"} for name in ("one", "two")]
            steps = [
                {"stepId": name, "operationId": f"$sourceDescriptions.{name}.a", "outputs": {"you": "$response.body"}}
                for name in ("one", "two")
            ]
            outputs = {name: f"$steps.{name}.outputs.you" for name in ("one", "two")}
            flow = {**DOCUMENT, "sourceDescriptions": sources}
            flow["workflows"] = [{"workflowId": "both", "steps": steps, "outputs": outputs}]
            (tmp_path / "flow.json").write_text(json.dumps(flow), "utf-8")
            async with Runner(server={"one": one, "two": two}, credentials=CLIENT) as runner:
                return (await runner.run(tmp_path / "flow.json")).outputs

    assert asyncio.run(tried()) == {"one": {"you": "Bearer t0k3n-1"}, "two": {"you": "Bearer t0k3n-2"}}


@pytest.mark.parametrize(("back", "key"), [("/other", ""), ("/k", SECRET)])
def test_a_server_that_sends_a_request_back_does_not_choose_where_a_key_goes(document, back, key):
    urls: list[str] = []
    hops: list[str] = []

    async def home(request: web.BaseRequest) -> web.Response:
        if request.path == "/k" and not hops:
            return web.Response(status=302, headers={"Location": f"{urls[1]}/elsewhere"})
        return web.json_response({"you": request.headers.get("X-Key", "")})

    async def elsewhere(request: web.BaseRequest) -> web.Response:
        hops.append(request.headers.get("X-Key", ""))
        return web.Response(status=302, headers={"Location": f"{urls[0]}{back}"})

    async def tried():
        async with serving(home) as one, serving(elsewhere) as two:
            urls.extend((one, two))
            async with Runner(server=one, credentials={"key": SECRET}) as runner:
                return (await runner.run(document, "k")).outputs

    assert asyncio.run(tried()) == {"you": {"you": key}}
    assert hops == [""]


class Ring(KeyringBackend):
    """A keyring in memory."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password


@pytest.fixture
def ring():
    before = keyring.get_keyring()
    found = Ring()
    keyring.set_keyring(found)
    yield found
    keyring.set_keyring(before)


@pytest.mark.parametrize(
    ("broken", "given"),
    [(None, 1), ("", 2), ("no JSON", 2), ("[1]", 2), ('{"token": 7}', 2), ('{"token": "t0k3n-1", "renew_at": 1}', 2)],
)
def test_kept_tokens_are_taken_from_the_keyring(document, ring, broken, given):
    async def tried():
        api = Api(300)
        async with serving(api) as url:
            for _ in range(2):
                async with Runner(server=url, credentials=CLIENT, keep_tokens=True) as runner:
                    outcome = await runner.run(document, "a")
                    assert "t0k3n" not in json.dumps(outcome.report())
                if broken is not None:
                    ring.kept = dict.fromkeys(ring.kept, broken)
        return api

    assert asyncio.run(tried()).given == given
    assert {service for service, _ in ring.kept} == {"treadle"}


def test_a_kept_token_is_not_renewed_where_another_description_says(document, ring):
    """A refresh token of one description must not go to the `refreshUrl` of one that is the same but for that."""
    flow = DESCRIPTION["components"]["securitySchemes"]["oauth"]["flows"]["clientCredentials"]
    other = {**flow, "refreshUrl": "/elsewhere"}
    forged = {
        **DESCRIPTION["components"]["securitySchemes"],
        "oauth": {"type": "oauth2", "flows": {"clientCredentials": other}},
    }

    async def tried():
        api = Api()
        async with serving(api) as url:
            async with Runner(server=url, credentials=CLIENT, keep_tokens=True) as runner:
                await runner.run(document, "a")
            ring.kept = dict.fromkeys(ring.kept, '{"token": "t0k3n-1", "renew_at": 1, "refresh_token": "r3fr3sh"}')
            described = {**DESCRIPTION, "components": {"securitySchemes": forged}}
            document.with_name("api.json").write_text(json.dumps(described), "utf-8")
            async with Runner(server=url, credentials=CLIENT, keep_tokens=True) as runner:
                await runner.run(document, "a")
        return api.seen

    assert asyncio.run(tried()) == ["/token", "/a", "/token", "/a"]


def test_without_being_told_to_nothing_is_kept(document, ring):
    async def tried():
        async with serving(Api(300)) as url, Runner(server=url, credentials=CLIENT) as runner:
            await runner.run(document, "a")

    asyncio.run(tried())
    assert ring.kept == {}


def test_a_device_is_polled_as_the_server_says(document):
    """`slow_down` adds five seconds to the interval (RFC 8628 section 3.5)."""
    answers = ["authorization_pending", "slow_down", "authorization_pending"]

    async def api(request: web.BaseRequest) -> web.Response:
        if request.path == "/device":
            uri = "https://auth.test/device"
            return web.json_response(
                {"device_code": "d3v1c3", "user_code": "AB-CD", "verification_uri": uri, "interval": 2}
            )
        if request.path == "/token":
            if answers:
                return web.json_response({"error": answers.pop(0)}, status=400)
            return web.json_response({"access_token": "t0k3n"})
        return web.json_response({"you": request.headers.get("Authorization")})

    async def tried():
        clock, said = StillClock(), []
        async with serving(api) as url:
            fields = {"client_id": "me", "flow": "deviceAuthorization", "device_url": f"{url}/device"}
            async with Runner(clock=clock, prompt=said.append, server=url, credentials={"oauth": fields}) as runner:
                return await runner.run(document, "a"), clock.sleeps, said

    outcome, sleeps, said = asyncio.run(tried())
    assert outcome.outputs == {"you": {"you": "Bearer t0k3n"}}
    assert sleeps == [2, 2, 7, 7]
    assert said == ["to sign in for 'oauth', open https://auth.test/device and enter the code AB-CD"]


@pytest.mark.parametrize(
    ("methods", "in_body"),
    [(None, False), (["client_secret_basic"], False), (["client_secret_post"], True), (["private_key_jwt"], False)],
)
def test_a_provider_says_how_clients_say_who_they_are(document, methods, in_body):
    seen = []

    async def api(request: web.BaseRequest) -> web.Response:
        base = f"http://{request.host}"
        if request.path == "/.well-known/openid-configuration":
            more = {} if methods is None else {"token_endpoint_auth_methods_supported": methods}
            return web.json_response({"issuer": f"{base}/", "token_endpoint": f"{base}/t", **more})
        if request.path == "/t":
            seen.append(("client_secret" in await request.text(), "Authorization" in request.headers))
            return web.json_response({"access_token": "t0k3n"})
        return web.json_response({"you": request.headers.get("Authorization")})

    async def tried():
        described = json.loads(json.dumps(DESCRIPTION))
        scheme = {"type": "openIdConnect", "openIdConnectUrl": "/.well-known/openid-configuration"}
        described["components"]["securitySchemes"]["oauth"] = scheme
        (document.parent / "api.json").write_text(json.dumps(described), "utf-8")
        async with serving(api) as url, Runner(server=url, credentials=CLIENT) as runner:
            return await runner.run(document, "a")

    assert asyncio.run(tried()).outputs == {"you": {"you": "Bearer t0k3n"}}
    assert seen == [(in_body, not in_body)]


def test_a_nonce_is_counted_and_answered_without_being_asked_again(document):
    async def tried():
        api = Api()
        credentials = {"digested": {"username": "ann", "password": SECRET}}
        async with serving(api) as url, Runner(server=url, credentials=credentials) as runner:
            loaded = await runner.load(document)
            outcomes = [await runner.run(loaded, "d") for _ in range(3)]
        return api, [outcome.outputs["you"]["you"] for outcome in outcomes]

    api, answers = asyncio.run(tried())
    assert api.seen == ["/d"] * 4
    assert [f"nc=0000000{number}" in answer for number, answer in enumerate(answers, 1)] == [True] * 3
    assert len({answer.partition("cnonce=")[2] for answer in answers}) == 3


def test_a_text_from_python_is_taken_as_it_is(document, monkeypatch):
    async def tried():
        async with serving(Api()) as url, Runner(server=url, credentials={"key": "env:HOME"}) as runner:
            return await runner.run(document, "k")

    assert asyncio.run(tried()).outputs == {"you": {"you": "env:HOME"}}


def test_a_profile_from_python(document, tmp_path, monkeypatch):
    config = tmp_path / "config.toml"
    config.write_text("[profiles.work]\nmax-steps = 0\n[profiles.work.credentials]\nkey = 'env:MY_KEY'\n", "utf-8")
    monkeypatch.setenv("TREADLE_CONFIG", str(config))
    monkeypatch.setenv("MY_KEY", SECRET)

    async def tried(**options):
        async with serving(Api()) as url, Runner(server=url, **options) as runner:
            return await runner.run(document, "k")

    assert asyncio.run(tried(profile="work")).status == "limited"
    assert asyncio.run(tried(profile="work", max_steps=5)).outputs == {"you": {"you": SECRET}}
    assert asyncio.run(tried()).outputs == {"you": {"you": ""}}


@pytest.mark.parametrize(
    ("credentials", "message"),
    [
        ({"key": 7}, "the credential 'key' (--credential) is neither a text nor fields"),
        ({"key": {"tokn": SECRET}}, "the credential 'key' has no field 'tokn'"),
        ({"key": {"token": 7}}, "the field 'token' of the credential 'key' is no text"),
        ({"key": {"token": SECRET, "hosts": "x.test"}}, "the field 'hosts' of the credential 'key' is a list of names"),
    ],
)
def test_what_is_no_credential(document, credentials, message):
    with pytest.raises(RunRefused) as refused:
        run(document, "k", server="http://x.test", credentials=credentials)
    assert refused.value.message == message


def test_options_show_no_credential():
    shown = repr(Options(server="https://x.test", credentials={"key": SECRET, "oauth": CLIENT["oauth"]}))
    assert SECRET not in shown
    assert shown == "Options(server='https://x.test', credentials={'key': '***', 'oauth': '***'})"
    sourced = repr(Options(source={"api": f"https://ann:{SECRET}@x.test/api.json?token={SECRET}", "other": "a.yaml"}))
    assert sourced == "Options(source={'api': 'https://***@x.test/api.json?token=***', 'other': 'a.yaml'})"
    assert SECRET not in repr(Held(SECRET, 1.0, SECRET))


def test_a_run_without_needs_imports_nothing_of_it(tmp_path):
    """The bundled workflow gives its key itself, though its description has security."""
    program = (
        "import sys, asyncio, treadle\n"
        "inputs = {'apiKey': 'a-key-of-mine', 'projectKey': 'P', 'scenarioId': 'S'}\n"
        "async def main():\n"
        "    async with treadle.Runner(server='http://127.0.0.1:1', transport_retries=0) as runner:\n"
        "        print((await runner.run('dataiku', None, inputs)).status)\n"
        "asyncio.run(main())\n"
        "new = ('authorization', 'credentials', 'tokens', 'oauth', 'signin', 'config', 'keyrings')\n"
        "print([name for name in new if f'treadle.drivers.{name}' in sys.modules])\n"
    )

    async def tried():
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, cwd=tmp_path
        )
        return (await process.communicate())[0].decode()

    assert asyncio.run(tried()) == "failed\n[]\n"
