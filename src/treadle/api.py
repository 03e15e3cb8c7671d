"""The Python interface: load, check, run. What is here is exported by `treadle` itself, with the Runner and its like."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from treadle.diagnostics import Diagnostic, Severity
from treadle.drivers.blocking import blocking
from treadle.drivers.documents import LoadedDocument
from treadle.drivers.durable import Observe
from treadle.drivers.given import options_of
from treadle.drivers.journals.protocol import Journal
from treadle.drivers.outcome import Outcome
from treadle.drivers.settings import Options
from treadle.errors import DocumentInvalid
from treadle.runner import INSECURE, Runner

_T = TypeVar("_T")


def load(source: str | Path) -> LoadedDocument:
    """Load an Arazzo document from a path, an http(s) URL, or a bundled name such as `dataiku`.

    Raises:
        DocumentInvalid: it is not there or not valid; `diagnostics` says why, each with its place.
    """
    return blocking(_with_runner(lambda runner: runner.load(source), Options()))


def check(
    source: str | Path | LoadedDocument, /, *more: str | Path | LoadedDocument, offline: bool = False, **options: Any
) -> list[Diagnostic]:
    """Load documents, compile all their workflows, and give every diagnostic, most of them with a place and a hint.

    Documents that are checked together find each other by their `$self`. Nothing is sent to the described APIs; with
    `offline` nothing is fetched either, and what needs a source that is out of reach is not checked. Takes the options
    of `Options` as keywords (`strict`, `server`, `source`, `server_var`, `no_cache`).
    """

    async def checked(runner: Runner) -> list[Diagnostic]:
        documents = []
        found: dict[Diagnostic, None] = {INSECURE: None} if runner.options.insecure else {}
        for one in (source, *more):
            if offline and isinstance(one, str) and one.startswith(("http://", "https://")):
                message = f"{one} is not fetched when offline"
                found[Diagnostic("offline", Severity.ERROR, message, None, "give a file")] = None
                continue
            try:
                documents.append(await runner.loaded(one))
            except DocumentInvalid as error:
                found |= dict.fromkeys(error.diagnostics)
        for document in documents:
            found |= dict.fromkeys(await runner.check_all(document, offline=offline))
        return list(found)

    return blocking(_with_runner(checked, options_of(options)))


async def run_async(
    document: LoadedDocument | str | Path,
    workflow_id: str | None = None,
    inputs: Mapping[str, Any] | None = None,
    *,
    observe: Observe | None = None,
    journal: Journal | str | Path | None = None,
    **options: Any,
) -> Outcome:
    """Run a workflow on the running event loop.

    Args:
        document: a loaded document, or what `load` takes.
        workflow_id: the workflow; may be left out where the document has one.
        inputs: the workflow's inputs by name.
        observe: is shown each record of the run as it happens.
        journal: makes the run durable: a Journal, or the path of a SQLite file.
        options: those of `Options`.

    Raises:
        DocumentInvalid: the document or a source cannot be used.
        InputsInvalid: the inputs do not fit.
        RunRefused: there is no such workflow, or an option makes no sense.
        JournalFailed: the journal cannot be written; the run goes no further.
    """
    return await _with_runner(
        lambda runner: runner.run(document, workflow_id, inputs, observe=observe), options_of(options), journal
    )


def run(
    document: LoadedDocument | str | Path,
    workflow_id: str | None = None,
    inputs: Mapping[str, Any] | None = None,
    *,
    observe: Observe | None = None,
    journal: Journal | str | Path | None = None,
    **options: Any,
) -> Outcome:
    """Run a workflow and wait for its end, with or without a running event loop. Takes and raises as `run_async`."""
    return blocking(run_async(document, workflow_id, inputs, observe=observe, journal=journal, **options))


async def _with_runner(
    use: Callable[[Runner], Awaitable[_T]], options: Options, journal: Journal | str | Path | None = None
) -> _T:
    async with Runner(options=options, journal=journal) as runner:
        return await use(runner)


__all__ = [
    "Diagnostic", "LoadedDocument", "Options", "Outcome", "Runner", "Severity", "check", "load", "run", "run_async",
]  # fmt: skip
