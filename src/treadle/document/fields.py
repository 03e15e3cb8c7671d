"""Readers of fields: each takes a plain value and its place, gives what it becomes, and notes every finding.

What an Object may hold is a table of Fields; the tables and the checks between fields are in `build`.
"""

import math
import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, NamedTuple

from msgspec import Struct

from treadle.diagnostics import Diagnostic, Severity
from treadle.document.reader import Reading
from treadle.pointer import Path

_NAME = re.compile(r"[a-zA-Z0-9.\-_]+")
_KINDS = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number"}


class Field(NamedTuple):
    """One fixed field of an Object: its name in documents, the attribute it becomes, how its value is read.

    `instead` stands for a required value that is absent or wrong, where the rest can be looked at without it.
    """

    name: str
    attribute: str
    read: "Reader"
    required: bool = False
    since: str = "1.0"
    instead: Any = None


MOST_FINDINGS = 1_000
"""How many errors, and how many warnings, are told of one document."""

MOST_NUMBER = 10**15
"""The largest number of seconds, milliseconds or attempts; larger ones are none that a clock can tell."""

_NO_LIMIT = "leave it out for no limit"

Reader = Callable[["Builder", Any, Path], Any]
REFUSED = object()


class Builder:
    """Collects what is found while one document is built.

    Attributes:
        reading: the document as plain values, and where they stand.
        version: of Arazzo, as the document says.
        holes: the places of Objects that are read without a field that was refused.
    """

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.version = "1.1"
        self.holes: set[Path] = set()
        self._found: list[Diagnostic] = []
        self._count = dict.fromkeys(Severity, 0)

    def error(self, rule: str, message: str, at: Path, hint: str | None = None, *, key: bool = False) -> None:
        """Note an error at a location."""
        self._note(rule, Severity.ERROR, message, at, hint, key=key)

    def warn(self, rule: str, message: str, at: Path, hint: str | None = None, *, key: bool = False) -> None:
        """Note a warning at a location."""
        self._note(rule, Severity.WARNING, message, at, hint, key=key)

    def dialect(self, rule: str, message: str, at: Path, hint: str | None = None, *, key: bool = False) -> None:
        """Note a dialect at a location: a warning, which `dialects.strictly` makes an error."""
        self._note(rule, Severity.WARNING, message, at, hint, key=key)

    def _note(self, rule: str, severity: Severity, message: str, at: Path, hint: str | None, *, key: bool) -> None:
        self._count[severity] += 1
        if self._count[severity] <= MOST_FINDINGS:
            self._found.append(Diagnostic(rule, severity, message, self.reading.span(at, key=key), hint))

    def finished(self) -> list[Diagnostic]:
        """Give everything that was found; of more than anybody reads, how much more."""
        for severity, count in self._count.items():
            if count > MOST_FINDINGS:
                message = f"{count - MOST_FINDINGS:,} more {severity}s are not shown"
                self._found.append(Diagnostic("more-findings", severity, message, self.reading.span(())))
        return self._found


def kind(value: Any) -> str:
    """Say what a value is, for messages."""
    return "null" if value is None else _KINDS.get(type(value), type(value).__name__)


def written(value: Any) -> str:
    """Show a value as a document writes it; of an object or an array only what it is."""
    if isinstance(value, str):
        return repr(value)
    return kind(value) if value is None or isinstance(value, dict | list) else str(value).lower()


def typed(*types: type, word: str) -> Reader:
    """Take a value of one of these types; a boolean is no number."""

    def read(builder: Builder, value: Any, at: Path) -> Any:
        if isinstance(value, types) and not (isinstance(value, bool) and bool not in types):
            return value
        hint = _advice(value, types, word)
        builder.error("wrong-type", f"{label(at)} is {kind(value)}, but {word} belongs here", at, hint)
        return REFUSED

    return read


def _advice(value: Any, types: tuple[type, ...], word: str) -> str:
    if value is None:
        return "give it a value, or take the field away"
    if str in types and isinstance(value, int | float):
        return f"write it in quotes: `'{written(value)}'`"
    if isinstance(value, str) and int in types:
        return f"write {word} without quotes"
    return f"write {word} in its place"


def anything(builder: Builder, value: Any, at: Path) -> Any:  # noqa: ARG001 - one signature for all readers
    """Take any value as it is."""
    return value


def not_negative(read: Reader) -> Reader:
    """Take a number from 0 up."""

    def checked(builder: Builder, value: Any, at: Path) -> Any:
        result = read(builder, value, at)
        if result is REFUSED:
            return REFUSED
        if isinstance(result, float) and not math.isfinite(result):  # YAML can say .inf and .nan
            builder.error("wrong-type", f"{label(at)} is {value}, but a finite number belongs here", at, _NO_LIMIT)
            return REFUSED
        if result < 0:
            shown = value if result > -MOST_NUMBER else "far below 0"
            builder.error("negative", f"{label(at)} is {shown}, but it must not be negative", at, "write 0 or more")
            return REFUSED
        if result > MOST_NUMBER:
            builder.error("wrong-type", f"{label(at)} is larger than {MOST_NUMBER:,}", at, _NO_LIMIT)
            return REFUSED
        return result

    return checked


def one_of(*allowed: str, hint: dict[str, str] | None = None, since: dict[str, str] | None = None) -> Reader:
    """Take one of these texts.

    `hint` has advice for values that people write instead, `since` the version of Arazzo that brought a value.
    """

    def read(builder: Builder, value: Any, at: Path) -> Any:
        if value in allowed:
            check_since(builder, f"'{value}'", (since or {}).get(value, ""), at)
            return value
        choices = ", ".join(f"'{choice}'" for choice in allowed)
        advice = (hint or {}).get(value) if isinstance(value, str) else None
        if advice is None and isinstance(value, str) and value.lower() in allowed:
            advice = f"write '{value.lower()}'"
        if advice is None:
            near = get_close_matches(value, allowed, 1, 0.75) if isinstance(value, str) else ()
            advice = f"did you mean '{near[0]}'?" if near else "write one of these"
        builder.error("unknown-value", f"{label(at)} is {written(value)}, but it must be one of {choices}", at, advice)
        return REFUSED

    return read


def list_of(item: Reader, *, at_least: int = 0) -> Reader:
    """Take an array; entries that are refused are left out."""

    def read(builder: Builder, value: Any, at: Path) -> Any:
        if not isinstance(value, list):
            hint = "write a list, with `- ` before each entry"
            builder.error("wrong-type", f"{label(at)} is {kind(value)}, but an array belongs here", at, hint)
            return REFUSED
        if len(value) < at_least:
            builder.error("empty-list", f"{label(at)} is empty, but needs at least one entry", at, "add one")
        items = [item(builder, entry, (*at, index)) for index, entry in enumerate(value)]
        return tuple(entry for entry in items if entry is not REFUSED)

    return read


def map_of(item: Reader) -> Reader:
    """Take an object whose names the document chooses; entries that are refused are left out."""

    def read(builder: Builder, value: Any, at: Path) -> Any:
        if not isinstance(value, dict):
            hint = "write each as `name: $expression`" if isinstance(value, list) else "write it as `{name: …}`"
            builder.error("wrong-type", f"{label(at)} is {kind(value)}, but an object belongs here", at, hint)
            return REFUSED
        result = {}
        for name, entry in value.items():
            where = (*at, name)
            if not _NAME.fullmatch(name):
                builder.dialect(
                    "name-characters",
                    f"the name {name!r} has characters that names must not have",
                    where,
                    "names match [a-zA-Z0-9._-]+; no runtime expression can reach this one otherwise",
                    key=True,
                )
            read_entry = item(builder, entry, where)
            if read_entry is not REFUSED:
                result[name] = read_entry
        return result

    return read


def object_of(
    struct: type[Struct],
    fields: tuple[Field, ...],
    *,
    keep_extensions: bool = False,
    with_holes: bool = False,
    hint: str | None = None,
) -> Reader:
    """Take an Object of the specification; it is refused as a whole where a required or wrong field leaves a hole.

    `hint` is the advice where a text stands in its place. `with_holes` is for Objects that hold much else to look at:
    they are read without a field that is wrong, if they need not have it.
    """
    by_name = {field.name: field for field in fields}
    title = re.sub(r"(?<!^)([A-Z])", r" \1", struct.__name__) + " Object"
    article = "an" if title[0] in "AEIOU" else "a"
    required = [field for field in fields if field.required]
    needed = ", ".join(f"{field.name}: …" for field in required or fields[:1])

    def read(builder: Builder, value: Any, at: Path) -> Any:
        if not isinstance(value, dict):
            advice = hint if hint is not None and isinstance(value, str) else f"write it as `{{{needed}}}`"
            builder.error("wrong-type", f"{label(at)} is {kind(value)}, but {article} {title} belongs here", at, advice)
            return REFUSED
        found: dict[str, Any] = {"at": at}
        extensions: dict[str, Any] = {}
        for name, entry in value.items():
            field = by_name.get(name)
            if field is not None:
                found[field.attribute] = field.read(builder, entry, (*at, name))
                check_since(builder, f"the field '{name}'", field.since, (*at, name), key=True)
            elif name.startswith("x-"):
                extensions[name] = entry
            else:
                _unknown_field(builder, title, name, tuple(by_name), at)
        for field in required:
            if field.name not in value:
                found[field.attribute] = _missing(builder, field, at)
        # Every field is looked at: each that is left out makes a hole.
        wrong = [field for field in fields if found.get(field.attribute) is REFUSED]
        left_out = [_left_out(builder, field, found, with_holes=with_holes) for field in wrong]
        if not all(left_out):
            return REFUSED
        if keep_extensions:
            found["extensions"] = extensions
        return struct(**found)

    return read


def _missing(builder: Builder, field: Field, at: Path) -> Any:
    where = f" in {label(at)}" if at else ""
    message = f"the required field '{field.name}' is absent{where}"
    builder.error("missing-field", message, at, f"add `{field.name}:`")
    return REFUSED


def _left_out(builder: Builder, field: Field, found: dict[str, Any], *, with_holes: bool) -> bool:
    """Put what stands for a refused value in its place, or leave it out; False where the Object cannot be without."""
    if field.instead is not None:
        found[field.attribute] = field.instead
    elif with_holes and not field.required:
        del found[field.attribute]
        builder.holes.add(found["at"])
    else:
        return False
    return True


def check_since(builder: Builder, what: str, since: str, at: Path, *, key: bool = False) -> None:
    """Note the dialect that something stands in a document of an earlier version of Arazzo."""
    if since > builder.version:
        message = f"{what} came with Arazzo {since}, but the document says {builder.version}"
        builder.dialect("field-of-later-version", message, at, f"write `arazzo: {since}.0` at the top", key=key)


def _unknown_field(builder: Builder, title: str, name: str, known: tuple[str, ...], at: Path) -> None:
    near = get_close_matches(name, known, 1)
    hint = f"did you mean '{near[0]}'?" if near else "fields of your own start with 'x-'"
    builder.warn("unknown-field", f"the {title} has no field '{name}'; it is ignored", (*at, name), hint, key=True)


def label(at: Path) -> str:
    """Name a location as people write it: `workflows[0].steps[1]`."""
    return "".join(
        f"[{part}]" if isinstance(part, int) else ("." if i else "") + str(part) for i, part in enumerate(at)
    )
