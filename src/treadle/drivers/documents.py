"""Loads Arazzo documents and their source descriptions from files, URLs and bundles, until nothing is missing."""

import gc
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from treadle.diagnostics import Diagnostic, Severity
from treadle.document import model
from treadle.document.build import build
from treadle.document.reader import MAX_TEXT, Reading, read
from treadle.engine.compile import Source, compile_workflow
from treadle.engine.program import Program
from treadle.errors import DocumentInvalid, RunRefused, TreadleError
from treadle.sources.openapi import Description, DescriptionInvalid
from treadle.sources.references import DocumentsMissing, Registry

MAX_ROUNDS = 100
"""How often loading may find further documents that are referred to."""

LARGE_TEXT = 1_000_000
"""From how many characters on a text is large."""


class Text(NamedTuple):
    """A text and the URI it was found at, which is another than asked for after a redirect."""

    text: str
    uri: str


Fetch = Callable[[str], Awaitable[Text]]
"""Brings the text at an http(s) URL; raises TreadleError."""


class Bundled(Protocol):
    """What a bundle offers by its name: an Arazzo document and an API description."""

    @property
    def document(self) -> Path:
        """The Arazzo document."""

    @property
    def description(self) -> Path:
        """The API description."""


class LoadedDocument:
    """An Arazzo document that has been read and built, ready for any of its workflows to be run.

    Attributes:
        document: the document as typed Objects.
        diagnostics: warnings about its structure.
        name: the file or URL as the user named it.
    """

    def __init__(self, document: model.Document, reading: Reading, uri: str, diagnostics: list[Diagnostic]) -> None:
        self.document = document
        self.diagnostics = diagnostics
        self.name = reading.name
        self.reading = reading
        self.base = urljoin(uri, document.self_uri) if document.self_uri else uri

    @property
    def workflow_ids(self) -> list[str]:
        """The workflows of the document, in their order."""
        return [workflow.workflow_id for workflow in self.document.workflows]

    def __repr__(self) -> str:
        return f"<LoadedDocument {self.name}: {', '.join(self.workflow_ids)}>"


class Library:
    """Brings documents: knows bundles by name, files by path, and URLs by `fetch`."""

    def __init__(self, bundles: Mapping[str, Bundled], fetch: Fetch) -> None:
        self._bundles = bundles
        self._fetch = fetch

    async def load(self, source: str) -> LoadedDocument:
        """Load an Arazzo document from a path, an http(s) URL, or the name of a bundle (a file of that name wins).

        Raises:
            DocumentInvalid: it is not there, cannot be read, or is no valid Arazzo document.
        """
        path = self._bundled(source, "document")
        try:
            uri = source_uri(str(path) if path else source)
            text, uri = await self._text(uri)
        except TreadleError as error:
            found = Diagnostic("not-found", Severity.ERROR, error.message, None, self._known(error.hint))
            raise DocumentInvalid(error.message, [found], hint=found.hint) from error
        reading = read(text, str(path) if path else source)
        document, diagnostics = build(reading)
        if document is None or any(found.severity is Severity.ERROR for found in diagnostics):
            raise DocumentInvalid(f"{reading.name} is not a valid Arazzo document", diagnostics)
        return LoadedDocument(document, reading, uri, diagnostics)

    def _known(self, hint: str | None) -> str | None:
        names = ", ".join(self._bundles)
        return f"{hint}; bundled documents: {names}" if hint else hint

    def _bundled(self, source: str, kind: str) -> Path | None:
        bundle = self._bundles.get(source)
        if bundle is None or Path(source).exists():
            return None
        path: Path = getattr(bundle, kind)
        return path

    async def compile(
        self,
        loaded: LoadedDocument,
        workflow_id: str,
        *,
        strict: bool = False,
        servers: Mapping[str, str] | None = None,
        sources: Mapping[str, str] | None = None,
    ) -> tuple[Program | None, list[Diagnostic]]:
        """Compile a workflow of a document, loading the descriptions it needs.

        Args:
            loaded: the document.
            workflow_id: one of its workflows.
            strict: make each dialect an error.
            servers: base URLs by the name of the source, `""` for all others.
            sources: what to load in place of a source's url, by the name of the source.

        Raises:
            RunRefused: there is no such workflow, or an override names no source.
        """
        if loaded.document.workflow(workflow_id) is None:
            known = ", ".join(loaded.workflow_ids)
            raise RunRefused(f"{loaded.name} has no workflow '{workflow_id}'", hint=f"it has {known}")
        self._check_names(loaded, {**(servers or {}), **(sources or {})})
        registry = Registry()
        found = {
            source.name: await self._source(loaded, source, (sources or {}).get(source.name), registry)
            for source in loaded.document.source_descriptions
        }
        for _ in range(MAX_ROUNDS):
            try:
                compiled = compile_workflow(
                    loaded.document, loaded.reading, found, workflow_id, strict=strict, servers=servers
                )
            except DocumentsMissing as missing:
                problem = await self._bring(missing, registry)
                if problem is not None:
                    return None, [*loaded.diagnostics, problem]
                continue
            return compiled.program, [*loaded.diagnostics, *compiled.diagnostics]
        raise RunRefused(f"the sources of {loaded.name} refer to more than {MAX_ROUNDS} documents")

    async def _bring(self, missing: DocumentsMissing, registry: Registry) -> Diagnostic | None:
        """Load documents that descriptions refer to into the registry, or say why that is not possible."""
        for uri in missing.uris:
            try:
                refuse_files_from_afar(missing.base, uri)
                registry.documents[uri] = read((await self._text(uri)).text, uri).value
            except DocumentInvalid as error:
                return error.diagnostics[0]
            except TreadleError as error:
                message = f"a description refers to {uri}, which cannot be used: {error.message}"
                return Diagnostic("source", Severity.ERROR, message, None, error.hint)
        return None

    def _check_names(self, loaded: LoadedDocument, overrides: Mapping[str, str]) -> None:
        known = [source.name for source in loaded.document.source_descriptions]
        for name in overrides:
            if name and name not in known:
                raise RunRefused(f"{loaded.name} has no source description '{name}'", hint=f"it has {', '.join(known)}")

    async def _source(
        self, loaded: LoadedDocument, source: model.SourceDescription, override: str | None, registry: Registry
    ) -> Source:
        if source.type in ("arazzo", "asyncapi"):
            return Source(None)
        path = self._bundled(override, "description") if override is not None else None
        try:
            if override is None:
                uri = source_uri(urldefrag(urljoin(loaded.base, source.url)).url)
                refuse_files_from_afar(loaded.base, uri)
            else:
                uri = source_uri(str(path) if path else override)
            text, uri = await self._text(uri)
            registry.documents[uri] = value = read_quickly(text, override or source.url).value
            return Source(Description(source.name, uri, value, registry))
        except DocumentInvalid as error:
            return Source(None, error.diagnostics[0])
        except TreadleError as error:
            span = loaded.reading.span((*source.at, "url"))
            hint = error.hint if isinstance(error, DescriptionInvalid) else self._hint(loaded, source.name)
            message = f"source '{source.name}' cannot be used: {error.message}"
            return Source(None, Diagnostic("source", Severity.ERROR, message, span, hint))

    def _hint(self, loaded: LoadedDocument, name: str) -> str:
        """Say how to name another source, and which bundle has the operations that the document asks for."""
        wanted = {step.operation_id for workflow in loaded.document.workflows for step in workflow.steps}
        for bundle, offer in self._bundles.items():
            described = read(offer.description.read_text("utf-8"), bundle).value
            known = Description(bundle, offer.description.as_uri(), described, Registry()).operations()
            if wanted - {None} and wanted - {None} <= known.keys():
                return f"say where it is: --source {name}=FILE-OR-URL; the bundled one fits: --source {name}={bundle}"
        return f"say where it is: --source {name}=FILE-OR-URL"

    async def _text(self, uri: str) -> Text:
        if uri.startswith(("http://", "https://")):
            return await self._fetch(uri)
        path = Path(unquote(urlsplit(uri).path))
        try:
            with path.open("rb") as file:  # noqa: ASYNC230 - a local file; nothing else waits meanwhile
                content = file.read(4 * MAX_TEXT + 1)
        except FileNotFoundError as error:
            raise RunRefused(
                f"there is no file {path}", hint="give a path, an http(s) URL, or a bundled name"
            ) from error
        except IsADirectoryError as error:
            raise RunRefused(f"{path} is a folder", hint="name a document in it") from error
        except OSError as error:
            raise RunRefused(f"{path} cannot be read: {error.strerror}", hint="look at its permissions") from error
        try:
            return Text(content.decode("utf-8-sig"), uri)
        except UnicodeDecodeError as error:
            raise RunRefused(f"{path} is not UTF-8 text (byte {error.start})", hint="save it as UTF-8") from error


def read_quickly(text: str, name: str) -> Reading:
    """Read a text; for a large one the garbage collector rests, which would cost more than the parser."""
    if len(text) < LARGE_TEXT or not gc.isenabled():
        return read(text, name)
    gc.disable()
    try:
        return read(text, name)
    finally:
        gc.enable()


def source_uri(source: str) -> str:
    """Give the URI of a source as users name it: an http(s) or file URL as it is, a path as a file URL.

    Raises:
        RunRefused: it is a URL of another kind, or of a file on another machine.
    """
    scheme, joint, rest = source.partition("://")
    if not joint or "/" in scheme:
        return Path(source).absolute().as_uri()
    if scheme.lower() in ("http", "https"):
        return f"{scheme.lower()}://{rest}"
    if scheme.lower() == "file" and rest.startswith(("/", "localhost/")):
        return f"file://{rest.removeprefix('localhost')}"
    raise RunRefused(f"documents are not loaded from {source}", hint="give a path, or an http, https or file URL")


def refuse_files_from_afar(base: str, uri: str) -> None:
    """Make sure that a document from the network leads to no file of this machine.

    Raises:
        RunRefused: it does.
    """
    if uri.startswith("file:") and not base.startswith("file:"):
        hint = "name it yourself with --source, if you mean it"
        raise RunRefused("a document from the network must not name files of this machine", hint=hint)
