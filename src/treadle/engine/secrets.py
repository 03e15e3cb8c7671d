"""Keeping secret values out of everything that is shown: `***` wherever one stands, however it is encoded."""

import base64
import re
from collections.abc import Iterable
from functools import lru_cache
from html import escape
from typing import Any
from urllib.parse import quote, quote_plus

import msgspec
from msgspec import Struct

MASK = "***"
BACKSLASH = "\\"
SHORTEST = 4
"""A shorter secret is masked only where it stands alone: as a part, it would be found everywhere."""


MOST_LEARNT = 250
"""How many values are kept that a run learns while it goes on, and as many tokens; of more, the last ones: each makes
masking slower."""
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9-]{2,}) +(\S+)")
"""A scheme and its credentials, as `Authorization` has them (RFC 9110 section 11.6.2)."""
_NUMBER = re.compile(r"[-+.0-9eE]+")
_OTHERWISE_ENCODED = re.compile(r"[^A-Za-z0-9._~-]+")
"""What of a text may be there in another form; the rest stays as it is in URLs, forms, JSON and HTML."""
_MOST_NEEDLES = 50
"""Up to how many texts are looked for one by one."""


class _Masks(Struct, frozen=True, gc=False):
    """How secrets are found.

    Attributes:
        whole: the texts that are secret where they stand alone.
        pattern: finds them in other texts, however they are encoded.
        needles: texts of which one is in whatever the pattern finds; None where that is not known. To look for these takes a
            fifth of the time.
        searchable: the pattern finds all of them in JSON: none is shorter than SHORTEST, or might stand as a number
            that is written in another way.
    """

    whole: frozenset[str]
    pattern: re.Pattern[str] | None
    needles: tuple[str, ...] | None
    searchable: bool

    def find_none(self, text: str) -> bool:
        """Say that the pattern finds nothing in a text."""
        if self.needles is None:
            return self.pattern is None or self.pattern.search(text) is None
        for needle in self.needles:
            if needle in text:
                return self.pattern is None or self.pattern.search(text) is None
        return True


class Secrets:
    """The secret values of a run; nothing is worked out until something is to be shown."""

    __slots__ = ("_learnt", "_masks", "_tokens", "_untold", "_values")

    def __init__(self, values: Iterable[Any] = ()) -> None:
        self._values = tuple(values)
        self._learnt: dict[str, None] = {}
        self._tokens: dict[str, None] = {}
        self._untold: tuple[str, ...] = ()
        self._masks: _Masks | None = None

    def add(self, values: Iterable[Any]) -> None:
        """Take in further values that must not be shown."""
        new = tuple(value for value in values if value not in self._values)
        if new:
            self._values += new
            self._masks = None

    def learn(self, texts: Iterable[str]) -> None:
        """Take in what turned out to be secret while the run went on; what is shorter than SHORTEST is no secret."""
        self._take(self._learnt, texts)

    def obtain(self, texts: Iterable[str]) -> None:
        """Take in tokens that a driver obtained for the run; no other values make them be forgotten."""
        new = self._take(self._tokens, (text for text in texts if not self.has(text)))
        self._untold = (*self._untold, *new)

    def overhear(self, texts: Iterable[str]) -> None:
        """Take in what a driver learns for the run, which sees nothing of where it came from."""
        new = self._take(self._learnt, (text for text in texts if not self.has(text)))
        self._untold = (*self._untold, *new)

    def _take(self, known: dict[str, None], texts: Iterable[str]) -> list[str]:
        new = []
        for text in texts:
            if text in known or len(text) < SHORTEST:
                continue
            new.append(text)
            if len(known) >= MOST_LEARNT:
                del known[next(iter(known))]
            known[text] = None
            self._masks = None
        return new

    def take_untold(self) -> tuple[str, ...]:
        """Give what a driver took in since this was last asked for: no record of the run has it."""
        untold, self._untold = self._untold, ()
        return untold

    @property
    def learnt(self) -> tuple[str, ...]:
        """What was not known to be secret, or not there, when the run began."""
        return (*self._tokens, *self._learnt)

    def has(self, value: Any) -> bool:
        """Say whether a value is one of the secrets."""
        return value in self._values

    @property
    def values(self) -> tuple[Any, ...]:
        """The values that are secret at this moment: those that were given, and those that were learnt."""
        return (*self._values, *self._tokens, *self._learnt)

    def _prepared(self) -> "_Masks":
        if self._masks is None:
            self._masks = _masks(frozenset(text for value in self.values for text in _texts(value) if text))
        return self._masks

    def absent_from(self, text: str) -> bool:
        """Say that no secret stands in a JSON text, which is quick and may be False though none does."""
        masks = self._masks or self._prepared()
        return masks.searchable and masks.find_none(text)

    def text(self, text: str) -> str:
        """Give a text with every secret masked."""
        masks = self._masks or self._prepared()
        if text in masks.whole:
            return MASK
        return text if masks.pattern is None or masks.find_none(text) else masks.pattern.sub(MASK, text)

    def value(self, value: Any) -> Any:
        """Give a JSON value with every secret in it masked, in names of members too."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(str(name)): self.value(entry) for name, entry in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(entry) for entry in value]
        if isinstance(value, float) and value.is_integer() and self._prepared().whole.intersection(_texts(int(value))):
            return MASK  # 1234.0 is the number 1234
        number = next(iter(_texts(value)), None)
        return value if number is None or number not in self._prepared().whole else MASK


def parts(text: str) -> Iterable[str]:
    """Give what is secret by itself in credentials that are written with their scheme: the token, the password."""
    found = _SCHEME.fullmatch(text)
    if found is None or len(found[2]) < SHORTEST:
        return
    yield found[2]
    if found[1].lower() == "basic":
        try:
            password = base64.b64decode(found[2], validate=True).decode().partition(":")[2]
        except ValueError:
            return
        if len(password) >= SHORTEST:
            yield password


@lru_cache(256)
def _masks(texts: frozenset[str]) -> _Masks:
    whole = texts | {part for text in texts for part in parts(text)}
    longest_first = sorted((text for text in whole if len(text) >= SHORTEST), key=len, reverse=True)
    ways = list(dict.fromkeys(way for text in longest_first for way in _ways(text)))
    searchable = len(longest_first) == len(whole) and not any(map(_NUMBER.fullmatch, whole))
    pattern = re.compile("|".join("".join(map(_character, way)) for way in ways)) if ways else None
    needles = tuple({max(_OTHERWISE_ENCODED.split(way), key=len): None for way in ways})
    known = len(needles) <= _MOST_NEEDLES and all(len(needle) >= SHORTEST for needle in needles)
    return _Masks(whole, pattern, needles if known else None, searchable)


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
        yield msgspec.json.encode(value).decode()


def _ways(text: str) -> Iterable[str]:
    """Give what a text is in base64 besides itself: at each of three offsets, and of each form in which it may be there."""
    yield text
    in_json = msgspec.json.encode(text).decode()[1:-1]
    in_xml = {escape(text), escape(text, quote=False)}
    for content in {text, quote(text, safe=""), quote_plus(text), in_json, *in_xml}:
        yield from _in_base64(content.encode())


def _in_base64(content: bytes) -> Iterable[str]:
    for padding in range(3):
        # In base64 a text looks different at each of three offsets; its first and last characters mix with neighbours.
        for code in (base64.b64encode, base64.urlsafe_b64encode):
            whole = code(b"\0" * padding + content).decode().rstrip("=")
            first = (0, 2, 3)[padding]
            last = len(whole) - (1 if (padding + len(content)) % 3 else 0)
            yield whole[first:last]


@lru_cache(1024)
def _character(character: str) -> str:
    """Give a regular expression of one character, plain or encoded; encoders differ in which ones they leave alone."""
    if _unreserved(character):
        return re.escape(character)
    in_json = msgspec.json.encode(character).decode()[1:-1]
    utf_16 = character.encode("utf-16-be").hex()
    units = "".join(rf"{_escapes(1)}u{utf_16[at : at + 4]}" for at in range(0, len(utf_16), 4))
    ways = [rf"(?i:{units})", "".join(map(_in_url, escape(character)))]
    if character == BACKSLASH:
        ways.insert(1, _escapes(1))  # as many as there are, before one of them is taken for the whole
    else:
        least, last = (1, in_json[-1]) if len(in_json) == 2 and in_json[-1] != character else (0, character)
        ways += [_escapes(least) + _in_url(last), _in_url(character)]
    ways += [re.escape(repr(character)[1:-1]), r"\+"] if character == " " or not character.isprintable() else []
    return f"(?:{'|'.join(ways)})"


def _escapes(least: int) -> str:
    """Give a regular expression of backslashes: JSON stands in JSON in JSON, and each level doubles them."""
    return f"{_in_url(BACKSLASH)}{{{least},16}}"


def _in_url(character: str) -> str:
    """Give a regular expression of a character as it is, or percent-encoded up to three times: URLs stand in URLs."""
    if _unreserved(character):
        return re.escape(character)
    encoded = "".join(f"%(?:25){{0,2}}{byte:02x}" for byte in character.encode())
    return f"(?:(?i:{encoded})|{re.escape(character)})"


def _unreserved(character: str) -> bool:
    return character.isascii() and (character.isalnum() or character in "-._~")
