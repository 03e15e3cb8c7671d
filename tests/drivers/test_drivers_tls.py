"""Client certificates as servers refuse them, and certificate files that are of no use."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import sys
import threading
from contextlib import contextmanager, suppress

import pytest
from certificates import Certificates
from faulty import Scripted, acting
from served import client, request

from treadle.drivers.connection import Connection
from treadle.drivers.tls import tls_context
from treadle.errors import RunRefused

DOCUMENT = """
arazzo: 1.0.1
info: {title: t, version: '1'}
sourceDescriptions: [{name: api, url: api.yaml, type: openapi}]
workflows:
  - workflowId: w
    steps: [{stepId: ask, operationId: ask, successCriteria: [{condition: $statusCode == 200}]}]
"""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


@contextmanager
def demanding(certificates: Certificates, version: ssl.TLSVersion):
    """Serve TLS that asks for a client certificate; unlike asyncio's, it says why it refuses one (RFC 8446 4.4.2.4)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificates.ca.issue_cert("127.0.0.1").configure_cert(context)
    certificates.ca.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = context.maximum_version = version

    def serve() -> None:
        connection, _ = listening.accept()
        with (
            connection,
            suppress(OSError),
            context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False) as one,
        ):
            try:
                one.do_handshake()
            except ssl.SSLError:
                while socket.socket.recv(one, 65536):
                    pass  # a close with bytes unread would be a reset, and could overtake the alert

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"https://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            thread.join()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("given", "says"), [(None, ("handshake failure", "certificate required")), ("stranger", ("unknown ca",) * 2)]
)
def test_a_client_certificate_that_is_missing_or_wrong_leaves_no_doubt(given, says, version, certificates):
    async def run(url):
        path = certificates.paths[given] if given else None
        async with client(ca_cert=certificates.paths["ca"], client_cert=path) as http:
            return await http.send(request("POST", url, body=b"x"))

    with demanding(certificates, version) as url:
        result = asyncio.run(run(url))
    assert (result.kind, result.sent) == ("tls", False)
    assert result.message.startswith("the server ended TLS: ")
    assert result.message.endswith(says[version is ssl.TLSVersion.TLSv1_3])
    assert result.hint == "it wants a client certificate that it trusts: --client-cert and --client-key"


@pytest.mark.parametrize(
    ("password", "message"),
    [
        (None, "the key of --client-cert {client} cannot be used: it is encrypted, and there is no password for it"),
        (
            "geheim",
            "the key of --client-cert {client} cannot be used: the password in TREADLE_CLIENT_KEY_PASSWORD does not open it",
        ),
    ],
)
def test_a_key_that_does_not_open(password, message, certificates):
    paths = certificates.paths
    connection = Connection(client_cert=paths["client"], client_key=paths["locked"], client_key_password=password)
    with pytest.raises(RunRefused) as refused:
        tls_context(connection)
    assert refused.value.message == message.format(**paths)
    assert refused.value.hint == "set the environment variable TREADLE_CLIENT_KEY_PASSWORD"


def test_a_folder_without_certificates(tmp_path):
    (tmp_path / "readme.txt").write_text("nothing here")
    with pytest.raises(RunRefused, match="the folder has no files that end in") as refused:
        tls_context(Connection(ca_cert=str(tmp_path)))
    assert refused.value.hint == "give a file of CA certificates in PEM form, or a folder of them"


def test_a_ca_is_trusted_beside_those_of_the_machine(certificates, monkeypatch):
    # OpenSSL's variable stands for the machine's store.
    monkeypatch.setenv("SSL_CERT_FILE", certificates.paths["stranger"])
    (tmp := ssl.create_default_context()).load_verify_locations(certificates.paths["ca"])
    assert len(tls_context(Connection(ca_cert=certificates.paths["ca"])).get_ca_certs()) == len(tmp.get_ca_certs())


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "said"),
    [
        (["--ca-cert", "{ca}", "--client-cert", "{client}", "--client-key", "{locked}"], {"TREADLE_CLIENT_KEY_PASSWORD": "open sesame"}, 0, "succeeded"),
        (["--client-cert", "{client}", "--client-key", "{locked}"], {"TREADLE_CA_CERT": "{ca}"}, 2, "set the environment variable TREADLE_CLIENT_KEY_PASSWORD"),
        (["--client-cert", "{client}", "--client-key", "{key}", "--insecure"], {}, 0, "warning[insecure]: TLS certificates are not verified"),
        (["--client-cert", "{client}", "--client-key", "{key}"], {}, 1, "the server's certificate is refused: self-signed certificate in certificate chain"),
    ],
)  # fmt: skip
def test_the_command_line(arguments, environment, code, said, certificates, tmp_path):
    (tmp_path / "doc.yaml").write_text(DOCUMENT)
    (tmp_path / "api.yaml").write_text("{openapi: 3.1.0, paths: {/x: {post: {operationId: ask}}}}")
    filled = [argument.format(**certificates.paths) for argument in arguments]
    variables = {name: value.format(**certificates.paths) for name, value in environment.items()}

    async def run():
        async with acting(Scripted(tls="good", client=True), certificates.server("good", client=True)) as server:
            url = f"https://127.0.0.1:{server.port}"
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "treadle", "run", "doc.yaml", "--server", url, *filled,
                cwd=tmp_path, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **variables}, stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            return process, *(await process.communicate())

    process, _, errors = asyncio.run(run())
    assert (process.returncode, said in errors.decode()) == (code, True), errors.decode()
    assert "open sesame" not in errors.decode()
