"""Findings of the compiler as diagnostics, each with its place; a dialect once for each text that uses it."""

from collections.abc import Iterable

from msgspec import Struct, structs

from treadle.diagnostics import Diagnostic, Severity, Span
from treadle.document.reader import Reading
from treadle.errors import ExpressionInvalid, TreadleError
from treadle.expressions.dialect import Finding
from treadle.expressions.words import shortened
from treadle.expressions.xpath import ExtraMissing
from treadle.pointer import Path

MOST_LINES = 8
"""How many of the other lines a hint names."""
MOST_SAID = 1_000
"""How many characters of a message or hint are shown."""


_HINTS = {
    "condition-syntax": "a condition is such as `$statusCode == 200 && $response.body#/state != 'failed'`",
    "expression-syntax": "expressions are such as `$inputs.name`, `$steps.id.outputs.name`, `$response.body#/pointer`",
    "inputs-schema": "inputs are described by JSON Schema 2020-12",
    "unknown-operation": "write `operationId: $sourceDescriptions.NAME.ID`",
}
"""What to do where a reader says only what is wrong."""


class _Use(Struct):
    """A dialect in a text: the diagnostic that says so, and every place where the text stands."""

    number: int
    finding: Finding
    places: dict[Path, None]


class Findings:
    """Collects diagnostics; `strict` makes each dialect an error."""

    def __init__(self, reading: Reading, *, strict: bool) -> None:
        self.reading = reading
        self.strict = strict
        self.diagnostics: list[Diagnostic] = []
        self._uses: dict[tuple[object, ...], _Use] = {}

    def report(self, rule: str, severity: Severity, message: str, span: Span, hint: str | None = None) -> None:
        """Add a diagnostic; what a hostile document makes very long is cut."""
        hint = None if hint is None else shortened(hint, MOST_SAID)
        self.diagnostics.append(Diagnostic(rule, severity, shortened(message, MOST_SAID), span, hint))

    def error(self, rule: str, message: str, at: Path, hint: str | None = None) -> None:
        """Add an error about the value at a place, once: what workflows and components share is read for each step."""
        self.add(Diagnostic(rule, Severity.ERROR, shortened(message, MOST_SAID), self.reading.span(at), hint))

    def warn(self, rule: str, message: str, at: Path, hint: str | None = None) -> None:
        """Add a warning about the value at a place."""
        self.report(rule, Severity.WARNING, message, self.reading.span(at), hint)

    def add(self, found: Diagnostic) -> None:
        """Add a diagnostic that was made elsewhere, once."""
        if found not in self.diagnostics:
            self.diagnostics.append(found)

    def not_yet(self, what: str, at: Path) -> None:
        """Add the error that something is valid, but not run."""
        self.error("not-supported", f"{what} cannot be run by this version of Treadle", at, "run a workflow without it")

    def refused(self, error: TreadleError, at: Path, rule: str = "expression-syntax") -> None:
        """Add what a reader raised; that an extra is missing, once."""
        if isinstance(error, ExtraMissing):
            rule = "missing-extra"
            if any(diagnostic.rule == rule for diagnostic in self.diagnostics):
                return
        start = error.start if isinstance(error, ExpressionInvalid) else 0
        end = error.end if isinstance(error, ExpressionInvalid) else None
        hint = error.hint or _HINTS.get(rule)
        self.report(rule, Severity.ERROR, error.message, self.reading.span(at, start, end), hint)

    def dialects(self, findings: Iterable[Finding], text: str, at: Path) -> None:
        """Add each dialect: strictly every use, else one for each text, however often that text stands in the document.

        What workflows and components share is read for each step, and is still one use.
        """
        for finding in findings:
            key = (finding.rule, text, *((at, finding.start) if self.strict else ()))
            if key in self._uses:
                self._uses[key].places[at] = None
                continue
            self._uses[key] = _Use(len(self.diagnostics), finding, {at: None})
            severity = Severity.ERROR if self.strict else Severity.WARNING
            span = self.reading.span(at, finding.start, finding.end)
            self.report(finding.rule, severity, f"{finding.message}: `{text}`", span, finding.correct)

    def name_other_lines(self) -> None:
        """Say in the hint of a dialect on which other lines its text stands; call it once, when all is found."""
        for use in self._uses.values():
            found = self.diagnostics[use.number]
            if len(use.places) == 1 or found.span is None:
                continue
            spans = (self.reading.span(at, use.finding.start, use.finding.end) for at in use.places)
            lines = sorted({span.line for span in spans} - {found.span.line})
            if lines:
                shown = ", ".join(map(str, lines[:MOST_LINES]))
                shown += f" and {len(lines) - MOST_LINES} more" if len(lines) > MOST_LINES else ""
                hint = f"{found.hint} (also on line{'s' if len(lines) > 1 else ''} {shown})"
                self.diagnostics[use.number] = structs.replace(found, hint=hint)
