"""Loads Arazzo documents and their source descriptions from files, URLs and bundles, until nothing is missing."""

import gc
import re
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote, urldefrag, urljoin, urlsplit
from weakref import WeakValueDictionary

from treadle.diagnostics import Diagnostic, Severity
from treadle.document import model
from treadle.document.build import build
from treadle.document.reader import MAX_TEXT, Reading, read
from treadle.engine.compile import compile_workflow
from treadle.engine.linked import LinkedDocument, Source
from treadle.engine.program import Program
from treadle.errors import DocumentInvalid, RunRefused, TreadleError
from treadle.sources.openapi import Description, DescriptionInvalid
from treadle.sources.references import DocumentsMissing, Registry

MAX_ROUNDS = 100
"""How often loading may find further documents that are referred to."""

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")

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
        uri: where it was found.
        base: its canonical URI: `$self`, resolved against `uri`, or else that (section "Establishing the Base URI").
    """

    def __init__(self, document: model.Document, reading: Reading, uri: str, diagnostics: list[Diagnostic]) -> None:
        self.document = document
        self.diagnostics = diagnostics
        self.name = reading.name
        self.reading = reading
        self.uri = uri
        self.base = urljoin(uri, document.self_uri) if document.self_uri else uri

    @property
    def workflow_ids(self) -> list[str]:
        """The workflows of the document, in their order."""
        return [workflow.workflow_id for workflow in self.document.workflows]

    def __repr__(self) -> str:
        return f"<LoadedDocument {self.name}: {', '.join(self.workflow_ids)}>"


class Linkage:
    """A document with its sources at hand, ready for its workflows to be compiled."""

    __slots__ = ("linked", "loaded", "offline", "registry", "servers", "strict")

    def __init__(self, loaded: LoadedDocument, *, strict: bool, servers: Mapping[str, str], offline: bool) -> None:
        self.loaded = loaded
        self.strict = strict
        self.servers = servers
        self.offline = offline
        self.registry = Registry()
        self.linked = LinkedDocument(loaded.document, loaded.reading, loaded.base, loaded.diagnostics)


class Library:
    """Brings documents: knows bundles by name, files by path, and URLs by `fetch`.

    An Arazzo document is found by its `$self` too, once it has been loaded for whichever reason (section
    "Identity-Based Referencing").
    """

    def __init__(self, bundles: Mapping[str, Bundled], fetch: Fetch, *, no_files: str | None = None) -> None:
        self._bundles = bundles
        self._no_files = no_files
        self._fetch = fetch
        self._identified: WeakValueDictionary[str, LoadedDocument] = WeakValueDictionary()

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
        return self._built(read(text, str(path) if path else source), uri)

    def _built(self, reading: Reading, uri: str) -> LoadedDocument:
        document, diagnostics = build(reading)
        if document is None or any(found.severity is Severity.ERROR for found in diagnostics):
            raise DocumentInvalid(f"{reading.name} is not a valid Arazzo document", diagnostics)
        loaded = LoadedDocument(document, reading, uri, diagnostics)
        if document.self_uri is not None:
            self._identified[loaded.base] = loaded
        return loaded

    def _known(self, hint: str | None) -> str | None:
        names = ", ".join(self._bundles)
        return f"{hint}; bundled documents: {names}" if hint else hint

    def _bundled(self, source: str, kind: str) -> Path | None:
        bundle = self._bundles.get(source)
        if bundle is None or Path(source).exists():
            return None
        path: Path = getattr(bundle, kind)
        return path

    async def link(
        self,
        loaded: LoadedDocument,
        *,
        strict: bool = False,
        servers: Mapping[str, str] | None = None,
        sources: Mapping[str, str] | None = None,
        offline: bool = False,
    ) -> Linkage:
        """Bring the sources of a document, and of the Arazzo documents among them.

        Args:
            loaded: the document.
            strict: make each dialect an error.
            servers: base URLs by the name of the source, `""` for all others.
            sources: what to load in place of a source's url, by the name of the source.
            offline: fetch nothing; what is not at hand is not checked.

        Raises:
            RunRefused: an override names no source.
        """
        linkage = Linkage(loaded, strict=strict, servers=servers or {}, offline=offline)
        documents = await self._linked(linkage, sources or {})
        self._check_names(documents, {**(servers or {}), **(sources or {})})
        return linkage

    async def _linked(self, linkage: Linkage, overrides: Mapping[str, str]) -> list[LoadedDocument]:
        """Fill in the sources of every document that can be reached, and give these documents."""
        loaded = linkage.loaded
        known = {loaded.uri: linkage.linked, loaded.base: linkage.linked}
        documents = {loaded: linkage.linked}
        todo = deque(_listed(loaded))
        # What an absolute url names may be a document that is yet to be brought from elsewhere: it is resolved "by
        # identity (matching the `$self` value) rather than by location alone", so when all others are there.
        by_identity: deque[_Listed] = deque()
        while todo or by_identity:
            document, source, waits = todo.popleft() if todo else by_identity.popleft()
            if waits and source.name not in overrides:
                by_identity.append(_Listed(document, source, waits=False))
                continue
            brought = await self._source(document, source, overrides.get(source.name), linkage)
            if isinstance(brought, LoadedDocument):
                if brought.base not in known:
                    other = LinkedDocument(brought.document, brought.reading, brought.base, brought.diagnostics)
                    known[brought.base] = documents[brought] = other
                    todo += _listed(brought)
                brought = Source("arazzo", document=known[brought.base])
            documents[document].sources[source.name] = brought
            if len(documents) > MAX_ROUNDS:
                raise RunRefused(f"{loaded.name} leads to more than {MAX_ROUNDS} Arazzo documents")
        for document, linked in documents.items():
            linked.sources = {entry.name: linked.sources[entry.name] for entry in document.document.source_descriptions}
        return list(documents)

    async def compile(self, linkage: Linkage, workflow_id: str) -> tuple[Program | None, list[Diagnostic]]:
        """Compile a workflow of a linked document, loading what its descriptions refer to.

        Raises:
            RunRefused: there is no such workflow.
        """
        loaded = linkage.loaded
        if loaded.document.workflow(workflow_id) is None:
            known = ", ".join(loaded.workflow_ids)
            raise RunRefused(f"{loaded.name} has no workflow '{workflow_id}'", hint=f"it has {known}")
        for _ in range(MAX_ROUNDS):
            try:
                compiled = compile_workflow(linkage.linked, workflow_id, strict=linkage.strict, servers=linkage.servers)
            except DocumentsMissing as missing:
                problem = await self._bring(missing, linkage)
                if problem is not None:
                    return None, [*loaded.diagnostics, problem]
                continue
            refuse_sockets_from_afar(linkage, compiled.program)
            return compiled.program, compiled.diagnostics
        raise RunRefused(f"the sources of {loaded.name} refer to more than {MAX_ROUNDS} documents")

    async def _bring(self, missing: DocumentsMissing, linkage: Linkage) -> Diagnostic | None:
        """Load documents that descriptions refer to into the registry, or say why that is not possible."""
        for uri in missing.uris:
            try:
                refuse_files_from_afar(missing.base, uri)
                self._refuse_files(uri)
                if linkage.offline and not uri.startswith("file:"):
                    _leave_out(linkage.linked, missing.base)
                    return None
                linkage.registry.documents[uri] = read((await self._text(uri)).text, uri).value
            except DocumentInvalid as error:
                return error.diagnostics[0]
            except TreadleError as error:
                message = f"a description refers to {uri}, which cannot be used: {error.message}"
                return Diagnostic("source", Severity.ERROR, message, None, error.hint)
        return None

    def _check_names(self, documents: list[LoadedDocument], overrides: Mapping[str, str]) -> None:
        known = [source.name for loaded in documents for source in loaded.document.source_descriptions]
        for name in overrides:
            if name and name not in known:
                hint = f"it has {', '.join(dict.fromkeys(known))}"
                raise RunRefused(f"{documents[0].name} has no source description '{name}'", hint=hint)

    async def _source(
        self, loaded: LoadedDocument, source: model.SourceDescription, override: str | None, linkage: Linkage
    ) -> Source | LoadedDocument:
        """Bring what a Source Description names: a description, or an Arazzo document that is yet to be linked."""
        kind = source.type or "openapi"
        if kind == "asyncapi":
            return Source(kind)
        try:
            uri = self._uri(loaded, source, override)
            if override is None and uri in self._identified and kind == "arazzo":
                return self._identified[uri]
            if linkage.offline and not uri.startswith("file:"):
                return _out_of_reach(loaded, source, "its URL is not fetched")
            text, uri = await self._text(uri)
            reading = read_quickly(text, override or source.url)
            if kind == "arazzo" or (source.type is None and _is_arazzo(reading.value)):
                return self._built(reading, uri)
            if source.type is None and isinstance(reading.value, dict) and "asyncapi" in reading.value:
                return Source("asyncapi")
            linkage.registry.documents[uri] = reading.value
            return Source(kind, Description(source.name, uri, reading.value, linkage.registry))
        except DocumentInvalid as error:
            return Source(kind, problem=error.diagnostics[0])
        except TreadleError as error:
            if linkage.offline and not isinstance(error, DescriptionInvalid):
                return _out_of_reach(loaded, source, error.message)
            span = loaded.reading.span((*source.at, "url"))
            hint = error.hint if isinstance(error, DescriptionInvalid) else self._hint(loaded, source.name)
            message = f"source '{source.name}' cannot be used: {error.message}"
            return Source(kind, problem=Diagnostic("source", Severity.ERROR, message, span, hint))

    def _uri(self, loaded: LoadedDocument, source: model.SourceDescription, override: str | None) -> str:
        if override is not None:
            path = self._bundled(override, "document" if source.type == "arazzo" else "description")
            if path is not None:
                return path.absolute().as_uri()
            uri = source_uri(override)
            self._refuse_files(uri)
            return uri
        uri = urldefrag(urljoin(loaded.base, source.url)).url
        if uri not in self._identified:
            uri = source_uri(uri)
            refuse_files_from_afar(loaded.uri, uri)
            self._refuse_files(uri)
        return uri

    def _refuse_files(self, uri: str) -> None:
        if self._no_files is None or not uri.startswith("file:"):
            return
        bundled = (path for bundle in self._bundles.values() for path in (bundle.document, bundle.description))
        if uri not in {path.absolute().as_uri() for path in bundled}:
            raise RunRefused(f"{self._no_files} allows no files", hint="name it by an http(s) URL, or a bundled name")

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


class _Listed(NamedTuple):
    """A Source Description and the document that lists it; `waits` says that all others are brought first."""

    document: LoadedDocument
    source: model.SourceDescription
    waits: bool


def _listed(loaded: LoadedDocument) -> Iterator[_Listed]:
    for source in loaded.document.source_descriptions:
        yield _Listed(loaded, source, waits=source.type == "arazzo" and bool(_ABSOLUTE.match(source.url)))


def _is_arazzo(value: Any) -> bool:
    return isinstance(value, dict) and "arazzo" in value


def _out_of_reach(loaded: LoadedDocument, source: model.SourceDescription, why: str) -> Source:
    span = loaded.reading.span((*source.at, "url"))
    message = f"source '{source.name}' is out of reach, so nothing that needs it is checked: {why}"
    problem = Diagnostic("offline", Severity.WARNING, message, span, f"give it with --source {source.name}=FILE")
    return Source(source.type or "openapi", problem=problem, out_of_reach=True)


def _leave_out(linked: LinkedDocument, uri: str) -> None:
    """Put descriptions out of reach that refer to what is not fetched; all of them where it is not known which one."""
    for document in (linked, *(other for _, other in linked.linked())):
        for name, source in document.sources.items():
            if source.description is not None and uri in (
                source.description.uri,
                *source.description.registry.documents,
            ):
                document.sources[name] = Source(source.kind, out_of_reach=True)


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


def refuse_sockets_from_afar(linkage: Linkage, program: Program | None) -> None:
    """Make sure that what was loaded from the network leads to no Unix socket of this machine.

    Descriptions refer to each other, so one from the network is reason enough to ask who named the socket.

    Raises:
        RunRefused: it may do so.
    """
    loaded = (linkage.loaded.uri, *linkage.registry.documents)
    if program is None or all(uri.startswith("file:") for uri in loaded):
        return
    for call in program.calls():
        source = call.operation.source
        named = linkage.servers.get(source) or linkage.servers.get("")
        if call.server.startswith("http+unix:") and call.server != named:
            hint = f"name it yourself, if you mean it: --server {source}={call.server}"
            raise RunRefused(f"source '{source}' names a Unix socket, which nothing from the network may", hint=hint)


def refuse_files_from_afar(base: str, uri: str) -> None:
    """Make sure that a document from the network leads to no file of this machine.

    Raises:
        RunRefused: it does.
    """
    if uri.startswith("file:") and not base.startswith("file:"):
        hint = "name it yourself with --source, if you mean it"
        raise RunRefused("a document from the network must not name files of this machine", hint=hint)
