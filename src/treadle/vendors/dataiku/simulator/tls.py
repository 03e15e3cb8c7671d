"""A certificate for the TLS listener, made at its start and signed by nobody else, as servers on the inside often have one.

It takes the package cryptography, which the extra `simulator` brings; nothing else in the simulator needs it.
"""

from __future__ import annotations

import ipaddress
import ssl
import tempfile
import time
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple


class TlsUnavailable(RuntimeError):
    """The package that makes certificates is not installed."""


class Identity(NamedTuple):
    """A certificate in PEM, and the context that serves with it and its key."""

    certificate: str
    context: ssl.SSLContext


def self_signed(host: str) -> Identity:
    """Make a certificate for a host, localhost and the loopback addresses, for a year from yesterday on."""
    try:
        from cryptography import x509  # noqa: PLC0415 - an extra
        from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
        from cryptography.x509.oid import NameOID  # noqa: PLC0415
    except ImportError as error:
        raise TlsUnavailable("TLS needs the package cryptography") from error
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "DSS simulator")])
    # The wall clock, whatever the simulated one says: clients hold certificates against theirs.
    yesterday = datetime.fromtimestamp(time.time(), tz=UTC) - timedelta(days=1)
    names = [_general_name(text) for text in dict.fromkeys((host, "localhost", "127.0.0.1", "::1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(yesterday)
        .not_valid_after(yesterday + timedelta(days=366))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Identity(pem.decode(), _context(pem + secret))


def _general_name(text: str) -> Any:
    from cryptography import x509  # noqa: PLC0415

    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _context(pem: bytes) -> ssl.SSLContext:
    """Make the context. It reads its key from a file only; that one is gone when this returns."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        file.write(pem)
        file.flush()
        context.load_cert_chain(file.name)
    return context
