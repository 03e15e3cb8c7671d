"""Sealing: what a journal's file holds of inputs, answers and outputs can be read only with the key.

A run learns secrets, such as a token that a later step sends, and needs them to be resumed. The key stands in a file of
its own beside the journal that only its owner may read, or in the environment. So a copy of the journal alone tells nothing
of what runs worked with; whoever can read all files of the user can read it.
"""

import base64
import binascii
import hashlib
import os
from contextlib import suppress
from pathlib import Path

# The public names stand in a package that brings all of libsodium's others, none of which is needed here; they make the
# import take 24 ms instead of 3, of each start.
from nacl._sodium import ffi, lib

from treadle.errors import JournalFailed

VARIABLE = "TREADLE_STATE_KEY"
"""The environment variable that may hold the key: 32 bytes in base64."""
_SIZE = 32
_NONCE = 12
_TAG = 16
_NONCES: int = 2 ** (8 * _NONCE)
_BYTES = ffi.typeof("unsigned char[]")
_NULL = ffi.NULL


class Sealer:
    """Seals and opens contents; each has a label that says what it is, and opens only under that label.

    With ChaCha20-Poly1305 (RFC 8439): a nonce, what is sealed, and its tag, one after the other.

    Args:
        path: the journal, which is named where something cannot be opened.
        key: 32 bytes.
    """

    __slots__ = ("_key", "_keys", "_nonce", "_path")

    def __init__(self, path: Path, key: bytes) -> None:
        lib.sodium_init()  # chooses what is fastest on this processor; any number of times
        self._path = path
        self._key = key
        self._keys: dict[str, bytes] = {}
        # Counted from a random one: no two processes that seal under the same label meet, and none asks the system for each.
        self._nonce = int.from_bytes(os.urandom(_NONCE), "big")

    def seal(self, label: str, content: bytes) -> bytes:
        """Give the sealed content."""
        self._nonce = (self._nonce + 1) % _NONCES
        nonce = self._nonce.to_bytes(_NONCE, "big")
        size = len(content)
        sealed = ffi.new(_BYTES, size + _TAG)
        key = self._keys.get(label)
        if key is None:
            key = self._keys[label] = self._key_of(label)
        lib.crypto_aead_chacha20poly1305_ietf_encrypt(sealed, _NULL, content, size, _NULL, 0, _NULL, nonce, key)
        return nonce + bytes(ffi.buffer(sealed))

    def open(self, label: str, sealed: bytes) -> bytes:
        """Give the content.

        Raises:
            JournalFailed: it was sealed with another key or under another label, or was changed since.
        """
        nonce, rest = sealed[:_NONCE], sealed[_NONCE:]
        size = len(rest) - _TAG
        if size >= 0:
            content = ffi.new(_BYTES, size)
            key = self._keys.get(label) or self._key_of(label)  # who only reads keeps none
            decrypt = lib.crypto_aead_chacha20poly1305_ietf_decrypt
            if decrypt(content, _NULL, _NULL, rest, len(rest), _NULL, 0, nonce, key) == 0:
                return bytes(ffi.buffer(content))
        message = f"the journal {self._path} cannot be opened with the key that is there, or it is damaged"
        raise JournalFailed(message, hint=f"give the key it was written with: {self._path}.key, or {VARIABLE}")

    def forget(self, label: str) -> None:
        """Keep the key of that label no longer: nothing will be sealed under it soon."""
        self._keys.pop(label, None)

    def _key_of(self, label: str) -> bytes:
        """Give the key of one label, which has one of its own."""
        return hashlib.blake2b(label.encode(), key=self._key, digest_size=_SIZE).digest()


def key_of(path: Path, named: Path, *, new: bool) -> bytes:
    """Give the key of a journal: from the environment, or from the file beside it, which a new journal gets.

    Messages say `named` for the path.

    Raises:
        JournalFailed: it is no key, or it is not there.
        OSError: it cannot be read or written.
    """
    text = os.environ.get(VARIABLE)
    make = "make one with: openssl rand -base64 32"
    back = "bring back the key that the journal was made with"
    if text is not None:
        return _decoded(text, VARIABLE, make if new else back)
    file, shown = path.with_name(f"{path.name}.key"), f"{named}.key"
    if new:
        _make(file)
    try:
        text = file.read_bytes().decode("ascii")
    except FileNotFoundError as error:
        message = f"the key of the journal {named} is not there: {shown}"
        raise JournalFailed(message, hint=f"bring it back, or give it in {VARIABLE}") from error
    except UnicodeDecodeError:
        text = ""
    return _decoded(text, shown, "take it away, and a new one is made" if new else back)


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


def _decoded(text: str, where: str, hint: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _SIZE:
        raise JournalFailed(f"{where} holds no key: it must be {_SIZE} bytes in base64", hint=hint)
    return key
