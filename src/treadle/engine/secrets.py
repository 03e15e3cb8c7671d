"""Keeping secret values out of everything that is shown: `***` wherever one stands, however it is encoded."""

import base64
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus

import msgspec

MASK = "***"
SHORTEST = 4
"""A shorter secret is masked only where it stands alone: as a part, it would be found everywhere."""


class Secrets:
    """The secret values of a run; nothing is worked out until something is to be shown."""

    __slots__ = ("_masks", "_values")

    def __init__(self, values: Iterable[Any] = ()) -> None:
        self._values = tuple(values)
        self._masks: tuple[frozenset[str], re.Pattern[str] | None] | None = None

    def _prepared(self) -> tuple[frozenset[str], re.Pattern[str] | None]:
        if self._masks is None:
            texts = {text for value in self._values for text in _texts(value) if text}
            forms = {form for text in texts if len(text) >= SHORTEST for form in _forms(text)}
            longest_first = sorted(forms, key=len, reverse=True)
            pattern = re.compile("|".join(map(re.escape, longest_first))) if forms else None
            self._masks = (frozenset(texts), pattern)
        return self._masks

    def text(self, text: str) -> str:
        """Give a text with every secret masked."""
        whole, pattern = self._prepared()
        if text in whole:
            return MASK
        return text if pattern is None else pattern.sub(MASK, text)

    def value(self, value: Any) -> Any:
        """Give a JSON value with every secret in it masked, in names of members too."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(str(name)): self.value(entry) for name, entry in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(entry) for entry in value]
        if isinstance(value, int | float) and not isinstance(value, bool) and str(value) in self._prepared()[0]:
            return MASK
        return value


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for entry in value.values():
            yield from _texts(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _texts(entry)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)


def _forms(text: str) -> Iterable[str]:
    """Give the ways in which a text may stand in a URL, a form, a JSON text or base64."""
    encoded = msgspec.json.encode(text).decode()[1:-1]
    ascii_only = "".join(c if c < "\x7f" else "".join(f"\\u{ord(u):04x}" for u in _utf16(c)) for c in encoded)
    yield from (text, quote(text, safe=""), quote(text), quote_plus(text), encoded, ascii_only, repr(text)[1:-1])
    for padding in range(3):
        # In base64 a text looks different at each of three offsets; its first and last characters mix with neighbours.
        for code in (base64.b64encode, base64.urlsafe_b64encode):
            whole = code(b"\0" * padding + text.encode()).decode().rstrip("=")
            first = (0, 2, 3)[padding]
            last = len(whole) - (1 if (padding + len(text.encode())) % 3 else 0)
            if last - first >= SHORTEST + 2:
                yield whole[first:last]


def _utf16(character: str) -> list[str]:
    code = ord(character)
    if code < 0x10000:
        return [character]
    code -= 0x10000
    return [chr(0xD800 + (code >> 10)), chr(0xDC00 + (code & 0x3FF))]
