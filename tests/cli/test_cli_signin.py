"""Signing in with a browser: authorisation code with PKCE over a loopback redirect, and OpenID Connect discovery."""

from __future__ import annotations

import base64
import hashlib
import os
import pty
import re
import select
import subprocess
import time
from contextlib import contextmanager
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
from aiohttp import web
from auth_server import serving
from cli_case import LIMIT, TREADLE, environment, read_screen, shared_files

TOKEN = "t0k3n-of-ann"


class Provider:
    """An OpenID provider whose user says yes, or what `denies` says; and the API that takes its tokens."""

    def __init__(self, *, denies: str = "", issuer: str = "") -> None:
        self.seen: list[str] = []
        self.port = 0
        self.denies = denies
        self.issuer = issuer
        self.challenges: dict[str, dict[str, str]] = {}

    async def handle(self, request: web.BaseRequest) -> web.Response:
        self.seen.append(f"{request.method} {request.path}")
        base = f"http://localhost:{self.port}"
        match request.path:
            case "/.well-known/openid-configuration":
                names = ("authorization_endpoint", "authorize"), ("token_endpoint", "token")
                urls = {name: f"{base}/{path}" for name, path in names}
                return web.json_response({"issuer": base, **urls})
            case "/authorize":
                given = dict(request.query)
                back = {"state": given["state"], **({"iss": self.issuer} if self.issuer else {})}
                if self.denies:
                    back |= {"error": self.denies}
                else:
                    back |= {"code": "c0d3"}
                    self.challenges["c0d3"] = given
                return web.Response(status=302, headers={"Location": f"{given['redirect_uri']}?{urlencode(back)}"})
            case "/token":
                return self.token({name: values[0] for name, values in parse_qs(await request.text()).items()})
        allowed = request.headers.get("Authorization") == f"Bearer {TOKEN}"
        return web.json_response({"ok": allowed}, status=200 if allowed else 401)

    def token(self, form: dict[str, str]) -> web.Response:
        asked = self.challenges.pop(form.get("code", ""), {})
        verifier = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        proved = base64.urlsafe_b64encode(verifier).decode().rstrip("=") == asked.get("code_challenge")
        same = all(form.get(name) == asked.get(name) for name in ("client_id", "redirect_uri"))
        if form["grant_type"] != "authorization_code" or not proved or not same:
            return web.json_response({"error": "invalid_grant"}, status=400)
        return web.json_response({"access_token": TOKEN, "token_type": "bearer"})


class Command:
    """A command whose stderr is a terminal."""

    def __init__(self, folder, arguments: list[str]) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [*TREADLE, *arguments],
            cwd=folder,
            env=environment(folder, {"TERM": "xterm", "COLUMNS": "400"}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=slave,
        )
        os.close(slave)
        self.screen = ""

    def url(self) -> str:
        """Give the URL that it shows."""
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            if select.select([self._master], [], [], 0.2)[0]:
                self.screen += os.read(self._master, 65536).decode()
            plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.screen)
            found = re.search(r"open this in a browser on this machine: (\S+)\s", plain)
            if found:
                return found[1]
        pytest.fail(f"it shows no URL: {self.screen}")

    def ended(self) -> int:
        self.screen += read_screen(self._master).decode()
        stdout, _ = self.process.communicate(timeout=LIMIT)
        for text in (TOKEN, "c0d3", "Traceback"):
            assert text not in self.screen + stdout.decode()
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._master)
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextmanager
def started(folder, port: int, workflow: str, *more: str):
    for name in ("vault.yaml", "vault.openapi.yaml"):
        (folder / name).write_text(shared_files()[name], "utf-8")
    scheme = "oidc" if workflow == "byOidc" else "oauth"
    command = Command(folder, [
        "run", "vault.yaml", workflow, "--server", f"http://localhost:{port}", "--credential", f"{scheme}.client_id=me",
        "--credential", f"{scheme}.flow=authorizationCode", *more,
    ])  # fmt: skip
    try:
        yield command
    finally:
        command.close()


def browse(url: str) -> str:
    """Do what a browser does; give what is shown in the end."""
    return requests.get(url, timeout=LIMIT).text


@pytest.mark.parametrize("progress", [("-v",), ()])
@pytest.mark.parametrize("workflow", ["byOAuth", "byOidc"])
def test_signing_in(tmp_path, workflow, progress):
    with serving(Provider()) as provider, started(tmp_path, provider.port, workflow, *progress) as command:
        url = command.url()
        query = dict(parse_qs(urlsplit(url).query))
        assert query["code_challenge_method"] == ["S256"]
        assert urlsplit(query["redirect_uri"][0]).hostname == "127.0.0.1"
        assert "You are signed in" in browse(url)
        assert command.ended() == 0, command.screen
    discovery = ["GET /.well-known/openid-configuration"] if workflow == "byOidc" else []
    path = "/oidc" if workflow == "byOidc" else "/oauth"
    assert provider.seen == [*discovery, "GET /authorize", "POST /token", f"GET {path}"]


def test_another_state_is_not_ours(tmp_path):
    with serving(Provider()) as provider, started(tmp_path, provider.port, "byOAuth") as command:
        url = command.url()
        back = parse_qs(urlsplit(url).query)["redirect_uri"][0]
        for forged in ("?code=evil&state=guessed", "?code=evil", "", "/elsewhere?code=evil"):
            assert "not what Treadle is waiting for" in browse(f"{back}{forged}")
        assert "You are signed in" in browse(url)
        assert command.ended() == 0, command.screen


def test_the_user_says_no(tmp_path):
    with serving(Provider(denies="access_denied")) as provider:
        with started(tmp_path, provider.port, "byOAuth") as command:
            assert "Treadle was not let in" in browse(command.url())
            assert command.ended() == 1
            assert "signing in was refused: access_denied" in command.screen
        assert provider.seen == ["GET /authorize"]


def test_an_answer_of_another_issuer_is_refused(tmp_path):
    with serving(Provider(issuer="https://evil.test")) as provider:
        with started(tmp_path, provider.port, "byOidc") as command:
            browse(command.url())
            assert command.ended() == 1
            assert "the browser came back from another issuer" in command.screen
        assert "POST /token" not in provider.seen


def test_a_redirect_to_another_machine_is_refused(tmp_path):
    redirect = ("--credential", "oauth.redirect_uri=http://evil.test/")
    with serving(Provider()) as provider, started(tmp_path, provider.port, "byOAuth", *redirect) as command:
        assert command.ended() == 1
        assert "redirect_uri http://evil.test/ is none of this machine" in command.screen
        assert provider.seen == []
