"""Somebody with OAuth client credentials and a private CA gets through with docs/credentials.md alone.

The page's own description, workflow, commands and config file are run, against a real API and token server over TLS
with a CA that is made here; only the host and the secret are others.
"""

from __future__ import annotations

import re
import shlex
import subprocess

import pytest
from aiohttp import web
from auth_server import over_tls
from cli_case import LIMIT, ROOT, TREADLE, environment, shared_files

PAGE = (ROOT / "docs" / "credentials.md").read_text("utf-8")
SECRET = "hunter2222"
HIDDEN = (SECRET, "t0k3n", "cmVwb3J0aW5nOmh1bnRlcjIyMjI")


def example(name: str) -> str:
    """Give an example of the page."""
    found = re.search(rf"<!-- example: {re.escape(name)} -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None, f"the page has no example '{name}'"
    return found[1]


@pytest.fixture
def service(tmp_path):
    with over_tls(tmp_path) as running:
        for name in ("orders.openapi.yaml", "orders.arazzo.yaml", "config.toml"):
            text = example(name).replace('"orders.internal.test"', '"localhost"')
            (tmp_path / name).write_text(text.replace("orders.internal.test", f"localhost:{running.port}"), "utf-8")
        yield running


def treadle(folder, command: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the page, without its export."""
    words = shlex.split(command[command.index("treadle") :].replace("\\\n", " "))
    env = environment(folder, {"ORDERS_SECRET": SECRET, "TREADLE_TRANSPORT_RETRIES": "0", **more})
    ended = subprocess.run(
        [*TREADLE, *words[1:]], cwd=folder, env=env, capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert not [text for text in (*HIDDEN, "Traceback") if text in ended.stdout + ended.stderr]
    return ended


def test_the_command_of_the_page(tmp_path, service):
    ended = treadle(tmp_path, example("command"))
    assert (ended.returncode, ended.stdout.split()) == (0, ["{", '"orders":', "[", "{", '"id":', "1", "}", "]", "}"])
    assert service.seen == ["POST /token", "GET /v1/orders"]


def test_the_config_file_of_the_page(tmp_path, service):
    ended = treadle(tmp_path, example("short command"), TREADLE_CONFIG=str(tmp_path / "config.toml"))
    assert (ended.returncode, service.seen) == (0, ["POST /token", "GET /v1/orders"]), ended.stderr


def test_what_is_said_on_the_way_there(tmp_path, service):
    shown = treadle(tmp_path, "treadle show orders.arazzo.yaml --credentials")
    for text in ("orders:orders_oauth (oauth2)", "tokens from https://localhost:", "orders_oauth.client_id=…"):
        assert text in shown.stdout

    without_ca = treadle(tmp_path, example("command").replace("--ca-cert ca.pem", ""))
    assert without_ca.returncode == 1
    assert "the server's certificate is refused" in without_ca.stderr
    assert "--ca-cert" in without_ca.stderr
    assert service.seen == []

    without_credential = treadle(tmp_path, "treadle run orders.arazzo.yaml --ca-cert ca.pem")
    assert without_credential.returncode == 1
    assert "warning[missing-credential]" in without_credential.stderr
    assert without_credential.stderr.count("give --credential orders_oauth.client_id=… or") == 2

    wrong = treadle(tmp_path, example("command"), ORDERS_SECRET="wrong-secret")
    assert wrong.returncode == 1
    assert "refuses: invalid_client" in wrong.stderr
    assert "client_auth=body" in wrong.stderr
    assert "wrong-secret" not in wrong.stderr


class Both:
    """Says which key came in, over a connection that only a client's certificate opens."""

    def __init__(self) -> None:
        self.port = 0

    async def handle(self, request: web.BaseRequest) -> web.Response:
        return web.json_response(
            {"key": request.headers.get("X-Key")}, status=200 if "X-Key" in request.headers else 401
        )


def test_mutual_tls_and_a_key(tmp_path):
    for name in ("vault.yaml", "vault.openapi.yaml"):
        (tmp_path / name).write_text(shared_files()[name], "utf-8")
    with over_tls(tmp_path, Both(), mutual=True) as running:
        command = f"treadle run vault.yaml byBoth --ca-cert ca.pem --server https://localhost:{running.port}"
        command += f" --credential key={SECRET}"
        without = treadle(tmp_path, command)
        assert without.returncode == 1
        assert "none was given for 'tls' or 'token'" in without.stderr
        assert "give --client-cert; or --credential token=…" in without.stderr
        ended = treadle(tmp_path, f"{command} --client-cert ann.pem")
    assert (ended.returncode, "warning" in ended.stderr) == (0, False), ended.stderr
