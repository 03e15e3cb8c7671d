"""YAML 1.2 and JSON text to plain values, with a span for any location on demand.

Values come from a fast parser that keeps no positions; when a diagnostic needs one, the text is walked once more by
a parser that does. What the values mean is not known here.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import msgspec

from treadle.diagnostics import Diagnostic, Severity, Span
from treadle.errors import DocumentInvalid
from treadle.pointer import Path

MAX_TEXT = 64 * 1024 * 1024
"""The largest text that is read, in characters."""
MAX_DUPLICATES = 100
"""How many keys that stand twice are told."""
MAX_ALIAS_BYTES = 16 * 1024 * 1024
"""How much text YAML aliases may expand to, in bytes."""

# What one character of a quoted scalar is written as.
_WRITTEN = {
    "'": re.compile(r"''|.", re.DOTALL),
    '"': re.compile(r"\\(?:x..|u[dD][89abAB]..\\u....|u....|U........|.)|.", re.DOTALL),
}
# JSON writes an emoji as two escapes that YAML does not allow; another of their length takes their place.
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_PLAIN = {
    "YAML complex keys": "a key is an object or an array, but keys are texts",
    "equal as a Python dict key": "two keys are one and the same, once read as numbers",
}
"""What the parser says in words of Python, and plain words for it."""
_CONTAINERS = frozenset({dict, list, set})
_MAY_BE_TAG = re.compile(r"(?:^|[\s,\[{])!\S", re.MULTILINE)
_JSON_TAGS = frozenset(
    {"!", *(f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "str", "seq", "map"))}
)
_LIMIT = "YAML resource limit exceeded"
_POSITION = re.compile(r" at line (\d+), column (\d+)")
_NOISE = re.compile(
    f"{_POSITION.pattern}|YAML parse error: |Linting failed: |YAML syntax error: |{_LIMIT}"
    r"|, which the depth limit cannot raise| ?\(document \d+\)"
)


class Reading:
    """A text with the value it holds.

    Attributes:
        name: the file or URL as the user named it; spans carry it.
        text: the text itself.
        value: the JSON value (objects, arrays, strings, numbers, booleans, None).
    """

    __slots__ = ("_index", "_split", "_walk", "name", "text", "value")

    def __init__(self, name: str, text: str, value: Any) -> None:
        self.name = name
        self.text = text
        self.value = value
        self._index: dict[tuple[str, ...], _Place] = {}
        self._split: list[str] | None = None
        self._walk: Iterator[_Place] | None = None

    def span(self, at: Path, start: int = 0, end: int | None = None, *, key: bool = False) -> Span:
        """Give the place of the value at `at`, or with `key` of the name it stands under.

        `start` and `end` narrow it to a part of a string value (offsets in characters). Where the location is absent,
        the nearest place above it is given.
        """
        place = self._place(at)
        if place is None:
            return Span(self.name)
        line, column, end_line, end_column = (place.key if key and place.key else None) or place.value
        if key or not place.scalar or (start == 0 and end is None):
            return Span(self.name, line + 1, column + 1, end_line + 1, end_column + 1)
        return self._within(place, start, end)

    def foreign_tags(self) -> Iterator[tuple[Path, str]]:
        """Give every value that has a tag beyond those of the JSON schema of YAML (YAML 1.2, section 10.2), with the tag."""
        if _MAY_BE_TAG.search(self.text):
            for place in _places(_SURROGATE.sub(r"\\uFFFD", self.text)):
                if place.tag is not None and place.tag not in _JSON_TAGS:
                    yield place.at, place.tag

    def _within(self, place: "_Place", start: int, end: int | None) -> Span:
        line, column, end_line, end_column = place.value
        if place.style in ("|", ">"):
            return self._within_block(place, start, end)
        if end_line != line:
            return Span(self.name, line + 1, column + 1, end_line + 1, end_column + 1)
        # A tag or an anchor stands before the text, so it is measured from its end.
        written = self._lines()[line][column:end_column]
        if place.style in ("'", '"'):
            opening = written.find(place.style) + 1
            widths = [len(match[0]) for match in _WRITTEN[place.style].finditer(written[opening:-1])]
        else:
            opening = len(written) - len(place.text)
            widths = [1] * len(place.text)
        first = column + opening + sum(widths[:start])
        last = column + opening + sum(widths[:end])
        return Span(self.name, line + 1, first + 1, line + 1, max(last, first + 1) + 1)

    def _within_block(self, place: "_Place", start: int, end: int | None) -> Span:
        """Find a part of a block scalar; in a folded one a single line break has become a space."""
        written = self._lines()[place.value[0] + 1 : place.value[2] + 1]
        indent = _indent(written) - _indent(place.text.split("\n"))
        number, left = 0, start
        while number + 1 < len(written) and left > len(written[number][indent:]):
            folded = place.style == ">" and written[number].strip() and not written[number + 1].strip()
            left -= len(written[number][indent:]) + (0 if folded else 1)
            number += 1
        line, column = place.value[0] + 2 + number, indent + left + 1
        return Span(self.name, line, column, line, column + (1 if end is None else max(1, end - start)))

    def _lines(self) -> list[str]:
        if self._split is None:
            self._split = self.text.splitlines()
        return self._split

    def _place(self, at: Path) -> "_Place | None":
        if self._walk is None:
            self._walk = _places(_SURROGATE.sub(r"\\uFFFD", self.text))
        for depth in range(len(at), -1, -1):
            wanted = tuple(map(str, at[:depth]))
            found = self._index.get(wanted)
            if found is None:
                for place in self._walk:
                    where = tuple(map(str, place.at))
                    self._index.setdefault(where, place)
                    if where == wanted:
                        found = place
                        break
            if found is not None:
                return found
        return None


class _Place:
    """Where one node stands: its path, the marks of its key and of its value (0-based), and a scalar's text."""

    __slots__ = ("at", "key", "scalar", "style", "tag", "text", "value")

    def __init__(self, at: Path, key: tuple[int, int, int, int] | None, event: Any) -> None:
        self.at = at
        self.key = key
        self.value = _marks(event)
        self.text = getattr(event, "value", "")
        self.scalar = hasattr(event, "value")
        self.style = getattr(event, "style", None)
        self.tag = getattr(event, "tag", None)


def read(text: str, name: str) -> Reading:
    """Read one YAML 1.2 or JSON document.

    Args:
        text: the text, already decoded.
        name: what to call it in messages.

    Raises:
        DocumentInvalid: it is neither YAML nor JSON, a key stands twice, it is too large, nested too deeply, or its
            aliases expand without bound.
    """
    if len(text) > MAX_TEXT:
        raise _invalid("text-too-large", f"{name} has {len(text):,} characters; the limit is {MAX_TEXT:,}", name)
    value = _load(text, name)
    duplicates = _duplicate_keys(text, name)
    if duplicates:
        raise DocumentInvalid(f"{name} has a key that stands twice", duplicates)
    return Reading(name, text, value)


def _load(text: str, name: str) -> Any:
    if text.lstrip()[:1] in ("{", "["):
        try:
            return msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            pass  # flow-style YAML looks like JSON from afar; the YAML parser has the last word and the better message
    import fast_yaml  # noqa: PLC0415 - JSON documents do without it

    try:
        value = fast_yaml.safe_load(text, max_alias_bytes=MAX_ALIAS_BYTES, max_documents=1)
    except ValueError as error:
        raise _yaml_invalid(str(error), name) from error
    _make_json(value, name)
    return value


def _make_json(value: Any, name: str) -> None:
    """Give every member of an object a text for a name, as in JSON: YAML reads `200:` and `null:` as other values.

    What YAML has and JSON has not is refused.
    """
    todo = [value]
    while todo:
        value = todo.pop()
        if type(value) is dict:
            if set(map(type, value)) - {str}:
                _rename_members(value, name)
            value = value.values()
        elif type(value) is set:
            raise _invalid("yaml-tag", f"{name} has a YAML set, which JSON has not", name, "write it as a list")
        elif type(value) is not list:
            continue
        todo += [item for item in value if type(item) in _CONTAINERS]


def _rename_members(value: dict[Any, Any], name: str) -> None:
    members = [(key if isinstance(key, str) else msgspec.json.encode(key).decode(), value[key]) for key in value]
    value.clear()
    value.update(members)
    if len(value) < len(members):
        twice = Counter(key for key, _ in members).most_common(1)[0][0]
        raise DocumentInvalid(
            f"{name} has a key that stands twice", [_duplicate(f"duplicate key '{twice}'", Span(name))]
        )


def _yaml_invalid(message: str, name: str) -> DocumentInvalid:
    found = _POSITION.search(message)
    line, column = (int(found[1]), int(found[2])) if found else (1, 1)
    span = Span(name, line, column, line, column + 1)
    phrase = _NOISE.sub("", message).strip(" :")
    if "int_max_str_digits" in message:
        return _invalid("document-limit", f"{name} has a number of thousands of digits", name, "write it as a text")
    for words, plain in _PLAIN.items():
        phrase = plain if words in message else phrase
    if _LIMIT in message:
        limit = Diagnostic("document-limit", Severity.ERROR, phrase, span, "write less into one document")
        return DocumentInvalid(f"{name} is more than is read: {phrase}", [limit])
    diagnostic = Diagnostic("yaml-syntax", Severity.ERROR, phrase, span, "the text must be YAML 1.2 or JSON")
    return DocumentInvalid(f"{name} is not valid YAML: {phrase}", [diagnostic])


def _invalid(rule: str, message: str, name: str, hint: str | None = None) -> DocumentInvalid:
    return DocumentInvalid(message, [Diagnostic(rule, Severity.ERROR, message, Span(name), hint)], hint=hint)


def _duplicate_keys(text: str, name: str) -> list[Diagnostic]:
    try:
        found = _duplicate_key_linter().lint(text)
    except ValueError as error:
        if _LIMIT in str(error):
            raise _yaml_invalid(str(error), name) from error
        # JSON may hold what YAML does not allow, such as the two escapes of an emoji.
        return [_duplicate(f"duplicate key '{key}'", Span(name)) for key in _duplicate_json_keys(text)]
    del found[MAX_DUPLICATES:]
    spans = [Span(name, at.start.line, at.start.column, at.end.line, at.end.column) for at in (it.span for it in found)]
    return [_duplicate(one.message, span) for one, span in zip(found, spans, strict=True)]


def _duplicate(message: str, span: Span) -> Diagnostic:
    hint = "remove or rename one of the two; YAML and JSON keys are unique"
    return Diagnostic("duplicate-key", Severity.ERROR, message, span, hint)


def _duplicate_json_keys(text: str) -> list[str]:
    found: list[str] = []

    def members(pairs: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen and len(found) < MAX_DUPLICATES:
                found.append(key)
            seen.add(key)

    json.loads(text, object_pairs_hook=members)
    return found


@lru_cache(1)
def _duplicate_key_linter() -> Any:
    from fast_yaml import lint  # noqa: PLC0415 - as above

    style = (
        "braces brackets colons commas comments comments-indentation document-end document-start empty-lines "
        "empty-values hyphens indentation key-ordering line-length new-line-at-end-of-file new-lines octal-values "
        "quoted-strings trailing-whitespace truthy float-values invalid-anchor anchors"
    )
    # Only duplicate keys matter here; every style rule left on costs as much again as the parse.
    return lint.Linter(lint.LintConfig(disabled_rules=style.split(), max_input_bytes=4 * MAX_TEXT))


def _indent(lines: list[str]) -> int:
    return next((len(line) - len(line.lstrip(" ")) for line in lines if line.strip()), 0)


def _marks(event: Any) -> tuple[int, int, int, int]:
    return (event.start_mark.line, event.start_mark.column, event.end_mark.line, event.end_mark.column)


def _places(text: str) -> Iterator[_Place]:
    import yaml  # noqa: PLC0415 - only a text that has something wrong is walked

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    stack: list[_Open] = []
    try:
        while loader.check_event():
            yield from _advance(loader.get_event(), stack, yaml)
    except yaml.YAMLError:
        return  # the value was read by another parser; where the two differ, the nearest known place has to do


class _Open:
    """A collection that is being walked: its path, and in a mapping the key whose value comes next."""

    __slots__ = ("at", "count", "key", "mapping")

    def __init__(self, at: Path, *, mapping: bool) -> None:
        self.at = at
        self.mapping = mapping
        self.key: Any = None
        self.count = 0


def _advance(event: Any, stack: list[_Open], yaml: Any) -> Iterator[_Place]:
    if isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
        stack.pop()
        return
    if not isinstance(event, yaml.NodeEvent):
        return
    above = stack[-1] if stack else None
    if above is not None and above.mapping and above.key is None:
        above.key = event
        return
    key = None
    at: Path = ()
    if above is not None and above.mapping:
        at, key = (*above.at, getattr(above.key, "value", "")), _marks(above.key)
        above.key = None
    elif above is not None:
        at = (*above.at, above.count)
        above.count += 1
    yield _Place(at, key, event)
    if isinstance(event, yaml.MappingStartEvent):
        stack.append(_Open(at, mapping=True))
    elif isinstance(event, yaml.SequenceStartEvent):
        stack.append(_Open(at, mapping=False))
