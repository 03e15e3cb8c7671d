"""Treadle runs Arazzo documents: API workflows, from the command line or from Python.

>>> import treadle
>>> outcome = treadle.run("dataiku", "run-scenario-and-poll", {...}, server="https://dss.example.com/public/api")
>>> outcome.raise_for_status()

The names below are imported when they are first used, so that `import treadle` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from treadle.drivers.collector import at_rest
from treadle.version import __version__

if TYPE_CHECKING:
    from treadle.api import LoadedDocument, Options, Outcome, Runner, check, load, run, run_async
    from treadle.diagnostics import Diagnostic, Severity, Span, code_frame
    from treadle.drivers.journals.memory import MemoryJournal
    from treadle.drivers.journals.protocol import Journal
    from treadle.drivers.journals.sqlite import SqliteJournal
    from treadle.errors import (
        DocumentInvalid,
        EffectFailed,
        ExpressionInvalid,
        InputsInvalid,
        JournalFailed,
        RunRefused,
        SourceInvalid,
        TreadleError,
    )
    from treadle.files import Binary

_HOMES = {
    "treadle.api": ("LoadedDocument", "Options", "Outcome", "Runner", "check", "load", "run", "run_async"),
    "treadle.diagnostics": ("Diagnostic", "Severity", "Span", "code_frame"),
    "treadle.drivers.journals.memory": ("MemoryJournal",),
    "treadle.drivers.journals.protocol": ("Journal",),
    "treadle.drivers.journals.sqlite": ("SqliteJournal",),
    "treadle.errors": (
        "DocumentInvalid", "EffectFailed", "ExpressionInvalid", "InputsInvalid", "JournalFailed", "RunRefused", "SourceInvalid",
        "TreadleError",
    ),
    "treadle.files": ("Binary",),
}  # fmt: skip
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Binary", "Diagnostic", "DocumentInvalid", "EffectFailed", "ExpressionInvalid", "InputsInvalid", "Journal",
    "JournalFailed", "LoadedDocument", "MemoryJournal", "Options", "Outcome", "RunRefused", "Runner", "Severity", "SourceInvalid", "Span",
    "SqliteJournal", "TreadleError", "__version__", "check", "code_frame", "load", "run", "run_async",
]  # fmt: skip


if not TYPE_CHECKING:  # a type checker reads the imports above, and refuses names that are not among them

    def __getattr__(name: str) -> Any:
        module = _HOME_OF.get(name)
        if module is None:
            raise AttributeError(f"module 'treadle' has no attribute {name!r}")
        with at_rest():
            return getattr(import_module(module), name)

    def __dir__() -> list[str]:
        return __all__
