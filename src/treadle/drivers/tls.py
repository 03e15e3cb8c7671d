"""The TLS settings of connections: whom they trust, and the client's own certificate."""

import os
import ssl
from collections.abc import Iterator
from pathlib import Path

from treadle.drivers.connection import Connection
from treadle.errors import RunRefused

CERTIFICATES = frozenset({".pem", ".crt", ".cer", ".0"})
"""How the names of certificate files in a folder end; `.0` is what OpenSSL's own folders have."""


def tls_context(connection: Connection) -> ssl.SSLContext:
    """Give the TLS settings: those of this machine, changed as the connection says.

    OpenSSL's variables SSL_CERT_FILE and SSL_CERT_DIR stand for the machine's trust store where they are set.

    Raises:
        RunRefused: a certificate or key file cannot be used.
    """
    context = ssl.create_default_context()
    if connection.ca_cert:
        _trust(context, connection.ca_cert)
    if connection.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if connection.client_cert:
        _present(context, connection, connection.client_cert)
    return context


def _trust(context: ssl.SSLContext, named: str) -> None:
    try:
        for file in _certificate_files(Path(named)):
            context.load_verify_locations(cafile=file)
    except (OSError, ssl.SSLError) as error:
        message = f"--ca-cert {named} cannot be used: {first_line(error)}"
        hint = "give a file of CA certificates in PEM form, or a folder of them"
        raise RunRefused(message, hint=hint) from error


def _certificate_files(named: Path) -> Iterator[Path]:
    if not named.is_dir():
        yield named
        return
    files = [file for file in sorted(named.iterdir()) if file.suffix in CERTIFICATES and file.is_file()]
    if not files:
        raise OSError(f"the folder has no files that end in {', '.join(sorted(CERTIFICATES - {'.0'}))}")
    yield from files


def _present(context: ssl.SSLContext, connection: Connection, certificate: str) -> None:
    password = connection.client_key_password
    asked = False

    def given() -> str:
        # Without a function OpenSSL would ask for it on the terminal.
        nonlocal asked
        asked = True
        return password or ""

    try:
        context.load_cert_chain(certificate, connection.client_key, given)
    except (OSError, ssl.SSLError) as error:
        if asked:
            wrong = "the password in TREADLE_CLIENT_KEY_PASSWORD does not open it"
            what = wrong if password else "it is encrypted, and there is no password for it"
            message = f"the key of --client-cert {certificate} cannot be used: {what}"
            hint = "set the environment variable TREADLE_CLIENT_KEY_PASSWORD"
            raise RunRefused(message, hint=hint) from error
        no_pem = isinstance(error, ssl.SSLError) and error.reason is None
        what = "it is not in PEM form" if no_pem else first_line(error)
        message = f"--client-cert {certificate} cannot be used: {what}"
        hint = "give certificate and key in PEM form; the key as --client-key"
        raise RunRefused(message, hint=hint) from error


def first_line(error: BaseException) -> str:
    """Say shortly what an error of the operating system or of TLS is."""
    if isinstance(error, ssl.SSLCertVerificationError) and error.verify_message:
        return error.verify_message
    number = getattr(error, "errno", None)
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    if isinstance(error, OSError) and number and number > 0:
        return os.strerror(number)
    return next(iter(str(error).splitlines()), type(error).__name__)
