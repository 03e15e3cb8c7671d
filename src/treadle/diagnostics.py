"""Diagnostics: what is wrong, where, and what to do about it. Knows nothing of Arazzo.

A diagnostic is a value; how it is shown (colour, JSON, annotations) is up to `surfaces`.
"""

from enum import StrEnum

from msgspec import Struct


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
        hint = f"\n  hint: {self.hint}" if self.hint else ""
        return f"{where}{self.severity}[{self.rule}]: {self.message}{hint}"


def errors(diagnostics: list[Diagnostic]) -> list[Diagnostic]:
    """Give those that stop the work."""
    return [diagnostic for diagnostic in diagnostics if diagnostic.severity is Severity.ERROR]


def code_frame(diagnostic: Diagnostic, text: str | None) -> str:
    """Show a diagnostic with the line of `text` it speaks of and a marker below it; without text, only the words."""
    span = diagnostic.span
    if span is None:
        return str(diagnostic)
    head = f"{diagnostic.severity}[{diagnostic.rule}]: {diagnostic.message}"
    lines = text.splitlines() if text is not None else []
    gutter = " " * len(str(span.line))
    frame = [head, f"{gutter}--> {span}"]
    if 0 < span.line <= len(lines):
        line = lines[span.line - 1]
        end = span.end_column if span.end_line == span.line else len(line) + 1
        marker = "^" * max(1, min(end, len(line) + 1) - span.column)
        # A tab keeps its width in the marker line, so the marker stands below what it marks.
        indent = "".join("\t" if character == "\t" else " " for character in line[: span.column - 1])
        frame += [f"{gutter} |", f"{span.line} | {line}", f"{gutter} | {indent}{marker}"]
    if diagnostic.hint:
        frame.append(f"{gutter} = hint: {diagnostic.hint}")
    return "\n".join(frame)
