"""Certificates for servers and clients of the tests, made new for each process that runs them."""

from __future__ import annotations

import datetime as dt
import ssl
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import trustme
from cryptography.hazmat.primitives import serialization

PAST = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


class Certificates:
    """Files of one CA that clients can be told to trust, of one that they cannot, and of what these have signed.

    `{ca}`, `{folder}`, `{client}`, `{key}`, `{locked}`, `{stranger}` of a case are its paths.
    """

    def __init__(self, folder: Path) -> None:
        self.ca, self.other = trustme.CA(), trustme.CA()
        (folder / "folder").mkdir()
        self.paths = {"folder": str(folder / "folder")}
        client, stranger = self.ca.issue_cert("client@test.invalid"), self.other.issue_cert("stranger@test.invalid")
        key = serialization.load_pem_private_key(client.private_key_pem.bytes(), None)
        password = serialization.BestAvailableEncryption(b"open sesame")
        locked = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, password)
        contents = {
            "ca": self.ca.cert_pem.bytes(),
            "client": client.cert_chain_pems[0].bytes(),
            "key": client.private_key_pem.bytes(),
            "locked": locked,
            "stranger": stranger.private_key_and_cert_chain_pem.bytes(),
            "folder/own": self.ca.cert_pem.bytes(),
        }
        for name, content in contents.items():
            self.paths[name] = str(folder / f"{name}.pem")
            Path(self.paths[name]).write_bytes(content)

    @lru_cache  # noqa: B019 - one for the whole session
    def server(self, kind: str, *, client: bool = False) -> ssl.SSLContext:
        """Give the TLS settings of a server that has a certificate of some kind, and may ask for the client's."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        match kind:
            case "good":
                self.ca.issue_cert("127.0.0.1", "::1", "localhost").configure_cert(context)
            case "other-host":
                self.ca.issue_cert("other.test").configure_cert(context)
            case "expired":
                self.ca.issue_cert("127.0.0.1", not_before=PAST, not_after=PAST + dt.timedelta(1)).configure_cert(
                    context
                )
            case "unknown-ca":
                self.other.issue_cert("127.0.0.1").configure_cert(context)
            case "self-signed":
                trustme.CA().issue_cert("127.0.0.1")
                _own(self.other, context)
        if client:
            context.verify_mode = ssl.CERT_REQUIRED
            self.ca.configure_trust(context)
        return context


def _own(authority: trustme.CA, context: ssl.SSLContext) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "own.pem"
        file.write_bytes(authority.private_key_pem.bytes() + authority.cert_pem.bytes())
        context.load_cert_chain(file)
