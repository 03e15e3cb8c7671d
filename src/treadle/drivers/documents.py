"""Loads Arazzo documents and their source descriptions from files, URLs and bundles, until nothing is missing."""

import asyncio
import re
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar
from urllib.parse import urldefrag, urljoin
from weakref import WeakValueDictionary

from treadle.diagnostics import Diagnostic, Severity
from treadle.document import model
from treadle.document.build import build
from treadle.document.reader import Reading, read
from treadle.drivers.fetch import FetchFailed
from treadle.drivers.texts import Text, TextInvalid, read_file, read_quickly, refuse_files_from_afar, source_uri
from treadle.drivers.urls import shown_url
from treadle.engine.compile import check_workflows, compile_workflow
from treadle.engine.linked import LinkedDocument, Source, SourcesMissing
from treadle.engine.program import Program
from treadle.errors import DocumentInvalid, RunRefused, TreadleError
from treadle.sources.openapi import Description
from treadle.sources.references import DescriptionInvalid, DocumentsMissing, Registry
from treadle.sources.servers import check_variables, for_source

MAX_ROUNDS = 100
"""How often loading may find further documents that are referred to."""
MAX_REFERRED = 2000
"""How many documents the descriptions of a document may refer to."""
MAX_AT_ONCE = 8
"""How many documents are fetched at once."""

_T = TypeVar("_T")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")

_PARTS_REFUSED = frozenset({
    "expression-version", "missing-field", "negative", "reference", "unknown-value", "uri", "wrong-type",
})  # fmt: skip
"""What is said of a part that the document is then looked at without."""
_CONSEQUENCES = frozenset({
    "missing-body", "missing-parameter", "reference", "unknown-input", "unknown-operation", "unknown-output",
    "unknown-parameter", "unknown-step", "unknown-workflow",
})  # fmt: skip
"""What may then be said only because that part is not there to be referred to."""
_NOT_ASKED_FOR = frozenset({"offline", "source"})
"""What is said of sources, before it is known where they are."""

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

    __slots__ = ("documents", "linked", "loaded", "offline", "overrides", "registry", "servers", "strict", "variables")

    def __init__(
        self,
        loaded: LoadedDocument,
        *,
        strict: bool,
        servers: Mapping[str, str],
        overrides: Mapping[str, str],
        variables: Mapping[str, str],
        offline: bool,
    ) -> None:
        self.loaded = loaded
        self.strict = strict
        self.servers = servers
        self.variables = variables
        self.offline = offline
        self.registry = Registry()
        self.linked = LinkedDocument(loaded.document, loaded.reading, loaded.base, loaded.diagnostics)
        self.documents: dict[LinkedDocument, LoadedDocument] = {}
        self.overrides = overrides


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
            hint = error.hint if isinstance(error, TextInvalid) else self._known(error.hint)
            found = Diagnostic("not-found", Severity.ERROR, error.message, None, hint)
            raise DocumentInvalid(error.message, [found], hint=found.hint) from error
        reading = read(text, str(path) if path else shown_url(source))
        try:
            return self._built(reading, uri)
        except DocumentInvalid as error:
            raise DocumentInvalid(str(error), await self._and_more(reading, uri, error.diagnostics)) from None

    async def _and_more(self, reading: Reading, uri: str, known: list[Diagnostic]) -> list[Diagnostic]:
        """Add what else is wrong with a document whose structure is: all that can be found without what is missing.

        Sources are only read where they are files beside it, since nobody has asked yet for anything to be fetched.
        """
        document, diagnostics = build(reading)
        if document is None:
            return known
        found = dict.fromkeys(known)
        holes = not _PARTS_REFUSED.isdisjoint(each.rule for each in known)
        left_out = _NOT_ASKED_FOR | _CONSEQUENCES if holes else _NOT_ASKED_FOR
        loaded = LoadedDocument(document, reading, uri, diagnostics)
        with suppress(TreadleError):  # of a document that is refused anyway
            linkage = await self.link(loaded, offline=True)
            for workflow_id in loaded.workflow_ids:
                _, more = await self.compile(linkage, workflow_id)
                found |= dict.fromkeys(each for each in more if each.rule not in left_out)
        return list(found)

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
        variables: Mapping[str, str] | None = None,
        offline: bool = False,
    ) -> Linkage:
        """Bring the sources of a document, and of the Arazzo documents among them.

        Args:
            loaded: the document.
            strict: make each dialect an error.
            servers: base URLs by the name of the source, `""` for all others.
            sources: what to load in place of a source's url, by the name of the source.
            variables: values of server variables, by `NAME` or `SOURCE.NAME`.
            offline: fetch nothing; what is not at hand is not checked.

        Raises:
            RunRefused: an override names no source, or a variable is none of any server.
        """
        given = variables or {}
        linkage = Linkage(
            loaded, strict=strict, servers=servers or {}, overrides=sources or {}, variables=given, offline=offline
        )
        documents = await self._linked(linkage)
        self._check_names(documents, {**(servers or {}), **(sources or {})})
        _check_variables(given, linkage)
        return linkage

    async def _linked(self, linkage: Linkage) -> list[LoadedDocument]:
        """Fill in the sources of every document that can be reached, and give these documents."""
        overrides = linkage.overrides
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
            if _can_wait(document, source, linkage):
                documents[document].sources[source.name] = Source("openapi", pending=True)
                continue
            brought = await self._source(document, source, linkage)
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
            linkage.documents[linked] = document
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
        compiled = await self._complete(linkage, partial(compile_workflow, linkage.linked, workflow_id))
        refuse_sockets_from_afar(linkage, compiled.program)
        return compiled.program, compiled.diagnostics

    async def check(self, linkage: Linkage) -> list[Diagnostic]:
        """Compile every workflow of a linked document, and give every diagnostic."""
        return await self._complete(linkage, partial(check_workflows, linkage.linked))

    async def _complete(self, linkage: Linkage, compiling: Callable[..., _T]) -> _T:
        """Compile, bring what is missing, and compile again until nothing is.

        Raises:
            RunRefused: the descriptions refer to too much.
        """
        name = linkage.loaded.name
        for _ in range(MAX_ROUNDS):
            try:
                return compiling(strict=linkage.strict, servers=linkage.servers)
            except SourcesMissing as wanted:
                await self._bring_sources(wanted, linkage)
            except DocumentsMissing as missing:
                await self._bring(missing, linkage)
                if len(linkage.registry.documents) > MAX_REFERRED:
                    message = f"the sources of {name} refer to more than {MAX_REFERRED} documents"
                    raise RunRefused(message) from None
        raise RunRefused(f"the sources of {name} lead from document to document, more than {MAX_ROUNDS} times")

    async def _bring_sources(self, wanted: SourcesMissing, linkage: Linkage) -> None:
        """Load descriptions of a document that have waited until an operation is looked for in them."""
        loaded = linkage.documents[wanted.linked]
        listed = [source for source in loaded.document.source_descriptions if source.name in wanted.names]
        found = await asyncio.gather(*(self._source(loaded, source, linkage) for source in listed))
        for source, brought in zip(listed, found, strict=True):
            if isinstance(brought, Source):
                wanted.linked.sources[source.name] = brought

    async def _bring(self, missing: DocumentsMissing, linkage: Linkage) -> None:
        """Load documents that descriptions refer to into the registry, or note there why that is not possible."""
        places = asyncio.Semaphore(MAX_AT_ONCE)

        async def bring(uri: str, base: str) -> None:
            async with places:
                await self._bring_one(uri, base, linkage)

        await asyncio.gather(*(bring(uri, base) for uri, base in missing.missing.items()))

    async def _bring_one(self, uri: str, base: str, linkage: Linkage) -> None:
        registry = linkage.registry
        try:
            refuse_files_from_afar(base, uri)
            self._refuse_files(uri)
            if linkage.offline and not uri.startswith("file:"):
                _leave_out(linkage, base)
                return
            text, found_at = await self._text(uri)
            reading = read_quickly(text, shown_url(uri))
            registry.add(uri, reading.value, found_at, reading.span)
        except DocumentInvalid as error:
            registry.problems[uri] = error.diagnostics[0]
        except TreadleError as error:
            message = f"a description refers to {shown_url(uri)}, which cannot be used: {error.message}"
            registry.problems[uri] = Diagnostic("source", Severity.ERROR, message, None, error.hint)

    def _check_names(self, documents: list[LoadedDocument], overrides: Mapping[str, str]) -> None:
        known = [source.name for loaded in documents for source in loaded.document.source_descriptions]
        for name in overrides:
            if name and name not in known:
                hint = f"it has {', '.join(dict.fromkeys(known))}"
                raise RunRefused(f"{documents[0].name} has no source description '{name}'", hint=hint)

    async def _source(
        self, loaded: LoadedDocument, source: model.SourceDescription, linkage: Linkage
    ) -> Source | LoadedDocument:
        """Bring what a Source Description names: a description, or an Arazzo document that is yet to be linked."""
        override = linkage.overrides.get(source.name)
        kind = source.type or "openapi"
        if kind == "asyncapi":
            return Source(kind)
        try:
            uri = self._uri(loaded, source, override)
            if override is None and uri in self._identified and kind == "arazzo":
                return self._identified[uri]
            if linkage.offline and not uri.startswith("file:"):
                return _out_of_reach(loaded, source, "its URL is not fetched")
            asked = uri
            text, uri = await self._text(uri)
            reading = read_quickly(text, shown_url(override or source.url))
            if kind == "arazzo" or (source.type is None and _is_arazzo(reading.value)):
                return self._built(reading, uri)
            if source.type is None and isinstance(reading.value, dict) and "asyncapi" in reading.value:
                return Source("asyncapi")
            linkage.registry.add(asked, reading.value, uri, reading.span)
            variables = for_source(linkage.variables, source.name)
            return Source(kind, Description(source.name, uri, reading.value, linkage.registry, variables))
        except DocumentInvalid as error:
            return Source(kind, problem=error.diagnostics[0])
        except TreadleError as error:
            if linkage.offline and not isinstance(error, DescriptionInvalid):
                return _out_of_reach(loaded, source, error.message)
            return Source(kind, problem=self._unusable(loaded, source, error))

    def _unusable(self, loaded: LoadedDocument, source: model.SourceDescription, error: TreadleError) -> Diagnostic:
        """Say why a source cannot be used, and what to do."""
        span = loaded.reading.span((*source.at, "url"))
        message, hint = f"source '{source.name}' cannot be used: {error.message}", error.hint
        if isinstance(error, DescriptionInvalid):
            message = error.message
        elif not isinstance(error, TextInvalid):
            elsewhere = self._hint(loaded, source.name)
            hint = f"{hint}; or {elsewhere}" if isinstance(error, FetchFailed) and hint else elsewhere
        return Diagnostic("source", Severity.ERROR, message, span, hint)

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
        return Text(read_file(uri), uri)


class _Listed(NamedTuple):
    """A Source Description and the document that lists it; `waits` says that all others are brought first."""

    document: LoadedDocument
    source: model.SourceDescription
    waits: bool


def _listed(loaded: LoadedDocument) -> Iterator[_Listed]:
    for source in loaded.document.source_descriptions:
        yield _Listed(loaded, source, waits=source.type == "arazzo" and bool(_ABSOLUTE.match(source.url)))


def _can_wait(loaded: LoadedDocument, source: model.SourceDescription, linkage: Linkage) -> bool:
    """Say whether a source is brought only when an operation is looked for in it: others may be all that is needed.

    The only description of a document is needed in any case; a server variable may be one of any description.
    """
    descriptions = [entry for entry in loaded.document.source_descriptions if entry.type != "arazzo"]
    return source.type == "openapi" and len(descriptions) > 1 and not linkage.offline and not linkage.variables


def _is_arazzo(value: Any) -> bool:
    return isinstance(value, dict) and "arazzo" in value


def _out_of_reach(loaded: LoadedDocument, source: model.SourceDescription, why: str) -> Source:
    span = loaded.reading.span((*source.at, "url"))
    message = f"source '{source.name}' is out of reach, so nothing that needs it is checked: {why}"
    problem = Diagnostic("offline", Severity.WARNING, message, span, f"give it with --source {source.name}=FILE")
    return Source(source.type or "openapi", problem=problem, out_of_reach=True)


def _check_variables(given: Mapping[str, str], linkage: Linkage) -> None:
    """Make sure that each server variable is there; where a source could not be loaded, that it may have it."""
    if not given:
        return
    known: dict[str, set[str]] = {}
    for document in linkage.documents:
        for name, source in document.sources.items():
            if source.problem is not None or source.out_of_reach:
                return
            if source.description is not None:
                known.setdefault(name, set()).update(source.description.server_variables())
    check_variables(given, {name: sorted(found) for name, found in known.items()})


def _leave_out(linkage: Linkage, uri: str) -> None:
    """Put descriptions out of reach that refer to what is not fetched; all of them where it is not known which one."""
    for document in linkage.documents:
        for name, source in document.sources.items():
            if source.description is not None and uri in (
                source.description.uri,
                *source.description.registry.documents,
            ):
                document.sources[name] = Source(source.kind, out_of_reach=True)


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
