"""What Treadle raises: one base class and one class for each way in which work can be refused or fail."""

from treadle.diagnostics import Diagnostic


class TreadleError(Exception):
    """Base of all errors of Treadle: a message for people and a hint that says what to do.

    Attributes:
        message: what happened, with the place where it happened.
        hint: what to do about it, or None.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class DocumentInvalid(TreadleError):
    """A document cannot be used; `diagnostics` holds every finding, errors and warnings."""

    def __init__(self, message: str, diagnostics: list[Diagnostic], *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.diagnostics = diagnostics


class SourceInvalid(DocumentInvalid):
    """A source description is absent, cannot be read, or lacks what the document asks of it."""


class ExpressionInvalid(TreadleError):
    """A text is not what its place asks for; `start` and `end` are offsets into that text (characters)."""

    def __init__(self, message: str, start: int = 0, end: int | None = None, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.start = start
        self.end = end


class InputsInvalid(TreadleError):
    """The inputs do not fit the workflow; `problems` names each with its JSON Pointer."""

    def __init__(self, message: str, problems: list[str], *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.problems = problems


class RunRefused(TreadleError):
    """A run was not started, or an option of it makes no sense; nothing was sent."""


class RequestInvalid(TreadleError):
    """A value cannot go where the operation wants it; nothing was sent."""


class EffectFailed(TreadleError):
    """A run ended otherwise than in success and the caller asked for an error (`Outcome.raise_for_status`)."""


class JournalFailed(TreadleError):
    """A journal cannot be read or written. What is in it stays there; a run goes no further than it can be written."""
