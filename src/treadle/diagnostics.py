"""Diagnostics: what is wrong, where, and what to do about it. Knows nothing of Arazzo.

A diagnostic is a value; how it is shown (colour, JSON, annotations) is up to `surfaces`.
"""

import unicodedata
from enum import StrEnum

from msgspec import Struct

WIDTH = 120
"""How many columns of a line a code frame shows."""


class Severity(StrEnum):
    """How much a diagnostic weighs: an error stops the work, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


class Span(Struct, frozen=True):
    """A place in a text: the file as the user named it, and 1-based lines and columns (in characters)."""

    file: str
    line: int = 1
    column: int = 1
    end_line: int = 1
    end_column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Diagnostic(Struct, frozen=True):
    """One finding: the rule's name, a short phrase, the place, and a hint that says what to write or do instead."""

    rule: str
    severity: Severity
    message: str
    span: Span | None = None
    hint: str | None = None

    def __str__(self) -> str:
        where = f"{self.span}: " if self.span else ""
        hint = f"\n  hint: {printable(self.hint)}" if self.hint else ""
        return f"{printable(where)}{self._words()}{hint}"

    def _words(self) -> str:
        return printable(f"{self.severity}[{self.rule}]: {self.message}")


def errors(diagnostics: list[Diagnostic]) -> list[Diagnostic]:
    """Give those that stop the work."""
    return [diagnostic for diagnostic in diagnostics if diagnostic.severity is Severity.ERROR]


def printable(text: str, keep: str = "") -> str:
    """Escape what a terminal would obey rather than show (such as ESC and line ends), but for what is in `keep`.

    Texts of servers and documents could else clear the screen, or forge lines.
    """
    if text.isprintable():
        return text
    return "".join(character if character in keep else _shown(character) for character in text)


def _shown(character: str) -> str:
    if character.isprintable() or unicodedata.category(character) == "Zs":
        return character
    return character.encode("unicode_escape").decode("ascii")


def code_frame(diagnostic: Diagnostic, text: str | None) -> str:
    """Show a diagnostic with the line of `text` it speaks of and a marker below it; without text, only the words."""
    span = diagnostic.span
    if span is None:
        return str(diagnostic)
    head = diagnostic._words()  # noqa: SLF001 - of this module
    lines = text.splitlines() if text is not None else []
    gutter = " " * len(str(span.line))
    frame = [head, f"{gutter}--> {printable(str(span))}"]
    if 0 < span.line <= len(lines):
        line, marker = _marked(lines[span.line - 1], span)
        frame += [f"{gutter} |", f"{span.line} | {line}", f"{gutter} | {marker}"]
    if diagnostic.hint:
        frame.append(f"{gutter} = hint: {printable(diagnostic.hint)}")
    return "\n".join(frame)


def _marked(line: str, span: Span) -> tuple[str, str]:
    """Give a line as it is shown, and the marker that stands below it."""
    start = span.column - 1
    end = span.end_column - 1 if span.end_line == span.line else len(line)
    end = min(end, len(line))
    # Each part by itself, for escapes are wider than what they stand for.
    before, marked, after = (printable(part, "\t") for part in (line[:start], line[start:end], line[end:]))
    before, marked, after = _cut(before, marked, after)
    # A tab keeps its width in the marker line, so the marker stands below what it marks.
    indent = "".join("\t" if character == "\t" else " " for character in before)
    return before + marked + after, indent + "^" * max(1, len(marked))


def _cut(before: str, marked: str, after: str) -> tuple[str, str, str]:
    """Cut what is too much for a screen, and leave as much on both sides of the mark as there is room for."""
    if len(before) + len(marked) + len(after) <= WIDTH:
        return before, marked, after
    if len(marked) > WIDTH // 2:
        # What follows the mark is then no help, but an end is shown as one.
        marked, after = marked[: WIDTH // 2 - 1] + "…", ""
    room = WIDTH - len(marked)
    left = max(room // 2, room - len(after))
    if len(before) > left:
        before = "…" + before[len(before) - left + 1 :]
    right = room - len(before)
    if len(after) > right:
        after = after[: right - 1] + "…"
    return before, marked, after
