"""Sealing: what a journal's file holds of inputs, answers and outputs can be read only with the key.

A run learns secrets, such as a token that a later step sends, and needs them to be resumed. The key stands in a file of
its own beside the journal that only its owner may read, or in the environment. So a copy of the journal alone tells
nothing; whoever can read all files of the user can read it.
"""

import base64
import binascii
import hashlib
import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from treadle.errors import JournalFailed

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

VARIABLE = "TREADLE_STATE_KEY"
"""The environment variable that may hold the key: 32 bytes in base64."""
_SIZE = 32
_NONCE = 12
_NONCES: int = 2 ** (8 * _NONCE)


class Sealer:
    """Seals and opens contents; each has a label that says what it is, and opens only under that label."""

    __slots__ = ("_ciphers", "_key", "_nonce", "_path")

    def __init__(self, path: Path, key: bytes) -> None:
        self._path = path
        self._key = key
        self._ciphers: dict[str, ChaCha20Poly1305] = {}
        # Counted from a random one: no two processes that seal under the same label meet, and none asks the system for each.
        self._nonce = int.from_bytes(os.urandom(_NONCE), "big")

    def seal(self, label: str, content: bytes) -> bytes:
        """Give the sealed content."""
        self._nonce = (self._nonce + 1) % _NONCES
        nonce = self._nonce.to_bytes(_NONCE, "big")
        return nonce + (self._ciphers.get(label) or self._cipher(label)).encrypt(nonce, content, None)

    def open(self, label: str, sealed: bytes) -> bytes:
        """Give the content.

        Raises:
            JournalFailed: it was sealed with another key or under another label, or was changed since.
        """
        try:
            return self._cipher(label).decrypt(sealed[:_NONCE], sealed[_NONCE:], None)
        except _unopened() as error:
            message = f"the journal {self._path} cannot be opened with the key that is there, or it is damaged"
            hint = f"give the key it was written with: {self._path}.key, or {VARIABLE}"
            raise JournalFailed(message, hint=hint) from error

    def forget(self, label: str) -> None:
        """Keep no cipher for that label any longer."""
        self._ciphers.pop(label, None)

    def _cipher(self, label: str) -> "ChaCha20Poly1305":
        """Give the cipher of one label, which has a key of its own."""
        cipher = self._ciphers.get(label)
        if cipher is None:
            key = hashlib.blake2b(label.encode(), key=self._key, digest_size=_SIZE).digest()
            cipher = self._ciphers[label] = _aead()(key)
        return cipher


def _unopened() -> tuple[type[Exception], ...]:
    """Give the errors by which a cipher refuses to open something; asked for when one has come."""
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - see above

    return (InvalidTag, ValueError)


@cache
def _aead() -> "type[ChaCha20Poly1305]":
    try:
        # The public name stands in a package that brings twenty other modules, none of which is needed here; they make the
        # import take 5 ms instead of 3, of each start.
        from cryptography.hazmat.bindings._rust import openssl  # noqa: PLC0415

        found = openssl.aead.ChaCha20Poly1305
    except (AttributeError, ImportError):
        from cryptography.hazmat.primitives.ciphers import aead  # noqa: PLC0415

        found = aead.ChaCha20Poly1305
    return found


def key_of(path: Path, *, new: bool) -> bytes:
    """Give the key of a journal: from the environment, or from the file beside it, which a new journal gets.

    Raises:
        JournalFailed: it is no key, or it is not there.
        OSError: it cannot be read or written.
    """
    text = os.environ.get(VARIABLE)
    if text is not None:
        return _decoded(text, VARIABLE)
    file = path.with_name(f"{path.name}.key")
    if new:
        _make(file)
    try:
        text = file.read_bytes().decode("ascii")
    except FileNotFoundError as error:
        message = f"the key of the journal {path} is not there: {file}"
        raise JournalFailed(message, hint=f"bring it back, or give it in {VARIABLE}") from error
    except UnicodeDecodeError:
        text = ""
    return _decoded(text, str(file))


def _make(file: Path) -> None:
    """Make a key file, whole, for its owner alone; one that is there stays."""
    if file.exists():
        return
    made = file.with_name(f"{file.name}.{os.getpid()}.{os.urandom(4).hex()}")
    handle = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as opened:
            opened.write(base64.b64encode(os.urandom(_SIZE)) + b"\n")
            opened.flush()
            os.fsync(handle)
        with suppress(FileExistsError):  # another process was faster
            os.link(made, file)
    finally:
        made.unlink()


def _decoded(text: str, where: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _SIZE:
        hint = "make one with: openssl rand -base64 32"
        raise JournalFailed(f"{where} holds no key: it must be {_SIZE} bytes in base64", hint=hint)
    return key
