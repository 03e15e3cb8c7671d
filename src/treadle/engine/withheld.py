"""Secret inputs in what is stored: they are left out, and what holds one has a mark with its name in that place.

So a run that is resumed works with the secrets as they are then, wherever they were handed on to. Files that inputs name
are marked by their places among the inputs, for the same reason, and binary data stands there in base64.
"""

import base64
from collections.abc import Iterator, Mapping
from typing import Any

from treadle.engine.secret_inputs import secret_values
from treadle.engine.secrets import SHORTEST
from treadle.files import Binary, File
from treadle.pointer import Path

_MARK = "$secret"
_FILE = "$file"
_BINARY = "$binary"
_PLAIN = "$plain"
"""Around an object that looks like a mark and is none."""
_MARKS = frozenset({_MARK, _FILE, _BINARY, _PLAIN})


def storable(inputs: Mapping[str, Any], secret: frozenset[str], schema: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Part inputs into those that may be stored, and the names of those that are secret or hold something secret."""
    values = secret_values(inputs, secret, schema)
    texts = [value for value in values if isinstance(value, str) and len(value) >= SHORTEST]
    kept = {n: value for n, value in inputs.items() if n not in secret and not _holds(value, values, texts)}
    return kept, tuple(name for name in inputs if name not in kept)


def _holds(value: Any, secret: list[Any], texts: list[str]) -> bool:
    if value in secret:
        return True
    if isinstance(value, str):
        for text in texts:  # noqa: SIM110 - for each input of each run: a generator takes three times as long
            if text in value:
                return True
        return False
    if isinstance(value, Mapping):
        return any(_holds(entry, secret, texts) for entry in value.values())
    return isinstance(value, list) and any(_holds(entry, secret, texts) for entry in value)


class Withheld:
    """The inputs of a run that are not stored, by name, and its files, by their places."""

    __slots__ = ("_files", "_inputs", "_texts")

    def __init__(self, inputs: Mapping[str, Any], names: tuple[str, ...]) -> None:
        self._files = dict(_files(inputs, ()))
        self._inputs = {name: inputs[name] for name in names}
        texts = {
            name: value for name, value in self._inputs.items() if isinstance(value, str) and len(value) >= SHORTEST
        }
        self._texts = sorted(texts.items(), key=lambda entry: -len(entry[1]))

    def marked(self, value: Any) -> Any:
        """Give a JSON value with marks in place of what is withheld, and of what JSON has no form for."""
        name = next((name for name, secret in self._inputs.items() if _same(secret, value)), None)
        if name is not None:
            return {_MARK: name}
        if isinstance(value, str):
            return self._marked_text(value)
        if isinstance(value, Mapping):
            marked = {key: self.marked(entry) for key, entry in value.items()}
            return {_PLAIN: marked} if len(marked) == 1 and not _MARKS.isdisjoint(marked) else marked
        if isinstance(value, list | tuple):
            return [self.marked(entry) for entry in value]
        if isinstance(value, File):
            return {_FILE: next(list(place) for place, file in self._files.items() if file is value)}
        if isinstance(value, Binary):
            return {_BINARY: [value.media_type, base64.b64encode(value.content).decode()]}
        return value

    def _marked_text(self, text: str) -> Any:
        parts: list[Any] = [text]
        for name, secret in self._texts:
            if secret in text:
                parts = [piece for part in parts for piece in _split(part, secret, name)]
        return text if len(parts) == 1 else {_MARK: parts}

    def filled(self, value: Any) -> Any:
        """Give a JSON value with what is withheld in place of the marks."""
        if isinstance(value, Mapping):
            match value:
                case {"$secret": mark} if len(value) == 1:
                    return self._of(mark)
                case {"$file": place} if len(value) == 1:
                    return self._files[tuple(place)]
                case {"$binary": [media_type, content]} if len(value) == 1:
                    return Binary(base64.b64decode(content), media_type)
                case {"$plain": plain} if len(value) == 1:
                    value = plain
            return {key: self.filled(entry) for key, entry in value.items()}
        if isinstance(value, list):
            return [self.filled(entry) for entry in value]
        return value

    def _of(self, mark: Any) -> Any:
        if isinstance(mark, str):
            return self._inputs[mark]
        return "".join(str(part if isinstance(part, str) else self._inputs[part[_MARK]]) for part in mark)


def _files(value: Any, place: Path) -> Iterator[tuple[Path, File]]:
    """Give the files among inputs, each with its place."""
    if isinstance(value, File):
        yield place, value
    elif isinstance(value, Mapping):
        for name, entry in value.items():
            yield from _files(entry, (*place, name))
    elif isinstance(value, list):
        for number, entry in enumerate(value):
            yield from _files(entry, (*place, number))


def _split(part: Any, secret: str, name: str) -> list[Any]:
    """Part a text at a secret; `[text, mark, text …]`."""
    if not isinstance(part, str):
        return [part]
    found: list[Any] = []
    for number, piece in enumerate(part.split(secret)):
        found += [{_MARK: name}, piece] if number else [piece]
    return found


def _same(secret: Any, value: Any) -> bool:
    """Compare so that a boolean or a number of another type is not taken for the secret."""
    return type(secret) is type(value) and bool(secret == value)
