"""Secret inputs in what is stored: they are left out, and what holds one has a mark with its name in that place.

So a run that is resumed works with the secrets as they are then, wherever they were handed on to.
"""

from collections.abc import Mapping
from typing import Any

from treadle.engine.secret_inputs import secret_values
from treadle.engine.secrets import SHORTEST

_MARK = "$secret"
_PLAIN = "$plain"
"""Around an object that looks like a mark and is none."""


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
        return any(text in value for text in texts)
    if isinstance(value, Mapping):
        return any(_holds(entry, secret, texts) for entry in value.values())
    return isinstance(value, list) and any(_holds(entry, secret, texts) for entry in value)


class Withheld:
    """The inputs of a run that are not stored, by name."""

    __slots__ = ("_inputs", "_texts")

    def __init__(self, inputs: Mapping[str, Any], names: tuple[str, ...]) -> None:
        self._inputs = {name: inputs[name] for name in names}
        texts = {
            name: value for name, value in self._inputs.items() if isinstance(value, str) and len(value) >= SHORTEST
        }
        self._texts = sorted(texts.items(), key=lambda entry: -len(entry[1]))

    def marked(self, value: Any) -> Any:
        """Give a JSON value with marks in place of what is withheld."""
        if not self._inputs:
            return value
        name = next((name for name, secret in self._inputs.items() if _same(secret, value)), None)
        if name is not None:
            return {_MARK: name}
        if isinstance(value, str):
            return self._marked_text(value)
        if isinstance(value, Mapping):
            marked = {key: self.marked(entry) for key, entry in value.items()}
            return {_PLAIN: marked} if len(marked) == 1 and (_MARK in marked or _PLAIN in marked) else marked
        if isinstance(value, list | tuple):
            return [self.marked(entry) for entry in value]
        return value

    def _marked_text(self, text: str) -> Any:
        parts: list[Any] = [text]
        for name, secret in self._texts:
            if secret in text:
                parts = [piece for part in parts for piece in _split(part, secret, name)]
        return text if len(parts) == 1 else {_MARK: parts}

    def filled(self, value: Any) -> Any:
        """Give a JSON value with what is withheld in place of the marks."""
        if not self._inputs:
            return value
        if isinstance(value, Mapping):
            if len(value) == 1 and _MARK in value:
                return self._of(value[_MARK])
            if len(value) == 1 and _PLAIN in value:
                value = value[_PLAIN]
            return {key: self.filled(entry) for key, entry in value.items()}
        if isinstance(value, list):
            return [self.filled(entry) for entry in value]
        return value

    def _of(self, mark: Any) -> Any:
        if isinstance(mark, str):
            return self._inputs[mark]
        return "".join(str(part if isinstance(part, str) else self._inputs[part[_MARK]]) for part in mark)


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
