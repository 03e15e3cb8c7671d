"""What is sealed: it opens with its key and label alone, and another library reads it."""

import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st

from treadle.drivers.journals.sealing import Sealer
from treadle.errors import JournalFailed

KEY = bytes(range(32))
LABELS = st.text(max_size=40)
CONTENTS = st.binary(max_size=400)


def sealer() -> Sealer:
    return Sealer(Path("journal.sqlite"), KEY)


@given(LABELS, CONTENTS)
def test_what_is_sealed_is_opened_with_the_same_key_and_label(label, content):
    sealed = sealer().seal(label, content)
    assert sealer().open(label, sealed) == content
    assert len(content) < 8 or content not in sealed


@given(LABELS, CONTENTS)
def test_another_library_opens_it_with_the_key_of_the_label(label, content):
    sealed = sealer().seal(label, content)
    key = hashlib.blake2b(label.encode(), key=KEY, digest_size=32).digest()
    assert ChaCha20Poly1305(key).decrypt(sealed[:12], sealed[12:], None) == content


@given(CONTENTS, st.data())
def test_a_changed_byte_is_refused(content, data):
    sealed = bytearray(sealer().seal("run", content))
    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(JournalFailed, match="cannot be opened with the key that is there, or it is damaged"):
        sealer().open("run", bytes(sealed))


@given(CONTENTS, st.data())
def test_what_is_cut_off_is_refused(content, data):
    sealed = sealer().seal("run", content)
    with pytest.raises(JournalFailed):
        sealer().open("run", sealed[: data.draw(st.integers(0, len(sealed) - 1))])


def test_another_label_and_another_key_are_refused():
    sealed = sealer().seal("one", b"content")
    with pytest.raises(JournalFailed):
        sealer().open("another", sealed)
    with pytest.raises(JournalFailed, match=r"journal\.sqlite"):
        Sealer(Path("journal.sqlite"), bytes(32)).open("one", sealed)


def test_nothing_is_sealed_to_the_same_twice():
    one = sealer()
    assert len({one.seal("run", b"content") for _ in range(1000)} | {sealer().seal("run", b"content")}) == 1001
