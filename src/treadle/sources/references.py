"""`$ref` over a registry of documents. Never fetches: what is not there is named, and the caller brings it."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Self
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from treadle import pointer
from treadle.diagnostics import Diagnostic, Span
from treadle.errors import TreadleError
from treadle.sources.resources import anchors, has_identifiers, identifier, own_identity, resources

MAX_HOPS = 100
"""How many references may lead to another reference before it is a circle."""
CORRECT = "correct the description, or load another one in its place (--source)"


Places = Callable[[tuple[str, ...]], Span]
"""Gives the place in a text of what stands at a path of keys."""


class Base(str):
    """The URI that references are read against, with the document they stand in.

    A text like any other to whoever only hands it on.

    Attributes:
        document: the document that has this base URI, in whole or in a part.
        root: the value that the URI alone names: the document, or the schema with that `$id`.
    """

    __slots__ = ("document", "root")

    document: "Document"
    root: Any

    def __new__(cls, uri: str, document: "Document", root: Any) -> Self:
        """Make the base of a document or of a part of it."""
        made = super().__new__(cls, uri)
        made.document = document
        made.root = root
        return made


class Document:
    """A document of a registry.

    Attributes:
        uri: where it was found.
        value: what it holds.
        base: what its references are read against: its `$self` (OpenAPI 3.2) or `$id` (a schema of its own), else `uri`.
        span: gives the place in its text of what stands at a path of keys; None where there is no text.
    """

    __slots__ = ("_anchors", "_resources", "base", "identified", "span", "uri", "value")

    def __init__(self, uri: str, value: Any, span: "Places | None" = None) -> None:
        self.uri = uri
        self.value = value
        self.span = span
        self.identified = has_identifiers(value)
        self.base = Base(_joined(uri, own_identity(value)), self, value)
        self._resources: dict[str, Base] | None = None
        self._anchors: dict[int, dict[str, Any]] = {}

    @property
    def credible(self) -> bool:
        """Say whether others may know the document by the identity it gives itself.

        What comes from the network speaks for its own origin only, or it could take the place of any other document.
        """
        return self.uri.startswith("file:") or _origin(self.base) == _origin(self.uri)

    def resource(self, uri: str) -> Base | None:
        """Give the part of the document that has this URI by an `$id`."""
        if not self.identified:
            return None
        if self._resources is None:
            found = resources(self.value, self.base)
            self._resources = {name: Base(name, self, value) for name, value in found.items()}
        return self._resources.get(uri)

    def anchor(self, root: Any, name: str) -> Any:
        """Give the schema below `root` with that `$anchor` or `$dynamicAnchor`, or None."""
        if not self.identified:
            return None
        if id(root) not in self._anchors:
            self._anchors[id(root)] = anchors(root)
        return self._anchors[id(root)].get(name)


class Resolved(NamedTuple):
    """A value and the base URI that its own references are read against."""

    value: Any
    base: str


class DocumentsMissing(TreadleError):
    """References lead into documents that the registry does not have.

    Attributes:
        missing: where the document was found that refers to it, by the URI of what is missing.
    """

    def __init__(self, missing: dict[str, str]) -> None:
        super().__init__(f"still missing: {', '.join(missing)}")
        self.missing = missing

    @property
    def uris(self) -> list[str]:
        """The URIs of what is missing."""
        return list(self.missing)


class ReferenceInvalid(TreadleError):
    """A reference leads nowhere, or in a circle."""

    def __init__(self, reference: str, base: str, what: str, hint: str = CORRECT) -> None:
        super().__init__(f"`{reference}` in {base} {what}", hint=hint)
        self._said = reference, base, what

    def placed(self) -> TreadleError:
        """Give the error with the file, line and column of the reference in place of the URI, where there is a text.

        It walks through the document, so only what is said is placed: many an error is never looked at.
        """
        reference, base, what = self._said
        place = place_in(base, lambda found: found.get("$ref") == reference)
        return TreadleError(f"`{reference}` in {place} {what}", hint=self.hint)


class DescriptionInvalid(TreadleError):
    """A description cannot be used, or lacks what is asked of it."""


class DocumentUnavailable(ReferenceInvalid):
    """A reference leads into a document that cannot be had; `problem` says why."""

    def __init__(self, reference: str, base: str, problem: Diagnostic) -> None:
        super().__init__(reference, base, f"leads into a document that cannot be had: {problem.message}")
        self.problem = problem


class Registry:
    """Documents by absolute URI without fragment.

    Attributes:
        problems: why a document cannot be had, by its URI.
    """

    def __init__(self, documents: dict[str, Any] | None = None) -> None:
        self.documents: dict[str, Document] = {}
        self.problems: dict[str, Diagnostic] = {}
        for uri, value in (documents or {}).items():
            self.add(uri, value)

    def add(self, uri: str, value: Any, found_at: str | None = None, span: Places | None = None) -> Document:
        """Add a document that was asked for by `uri`, and found there or where a redirect led."""
        document = self.documents[uri] = Document(found_at or uri, value, span)
        self.documents.setdefault(document.uri, document)
        if document.credible:
            self.documents.setdefault(str(document.base), document)
        return document

    def resolve(self, value: Any, base: str) -> Resolved:
        """Follow `$ref` until a value stands there that is none.

        Raises:
            DocumentsMissing: a document on the way is not in the registry.
            ReferenceInvalid: a reference leads nowhere, or the chain is a circle.
        """
        return self.chain(value, base)[-1]

    def chain(self, value: Any, base: str) -> list[Resolved]:
        """Give a value and each one that its `$ref` leads to, one after the other; raises like `resolve`."""
        found = [Resolved(value, base)]
        for _ in range(MAX_HOPS):
            value, base = found[-1]
            reference = value.get("$ref") if isinstance(value, dict) else None
            if not isinstance(reference, str):
                return found
            found.append(self.lookup(reference, _within(value, base)))
        raise ReferenceInvalid(value["$ref"], base, f"goes in a circle, or on through more than {MAX_HOPS} references")

    def lookup(self, reference: str, base: str) -> Resolved:
        """Give what one reference names.

        Its fragment is a JSON Pointer, percent-encoded (RFC 6901 section 6), or an anchor (JSON Schema 2020-12, 8.2.2).
        """
        try:
            uri, fragment = urldefrag(urljoin(base, reference))
        except ValueError as error:
            raise ReferenceInvalid(reference, base, f"is no URI: {error}") from error
        target = self._target(uri, base)
        fragment = unquote(fragment)
        if fragment and not fragment.startswith("/"):
            return self._anchored(reference, fragment, target, base)
        try:
            tokens = pointer.parse(fragment)
        except ValueError as error:
            raise ReferenceInvalid(reference, base, f"is no reference: {error}") from error
        reached = pointer.follow(target.root, tokens)
        if reached.rest:
            raise ReferenceInvalid(reference, base, f"leads nowhere: there is no `{reached.rest[0]}`")
        return Resolved(reached.value, _below(target, tokens))

    def _target(self, uri: str, base: str) -> Base:
        """Give what a URI without fragment names, for a reference that stands at `base`."""
        home = base.document if isinstance(base, Base) else self.documents.get(base)
        if isinstance(base, Base) and uri == base:
            return base
        if home is not None and uri == home.base:
            return home.base
        if uri in self.documents:
            return self.documents[uri].base
        embedded = home.resource(uri) if home is not None else None
        if embedded is not None:
            return embedded
        if uri in self.problems:
            raise DocumentUnavailable(uri, base, self.problems[uri])
        raise DocumentsMissing({uri: home.uri if home is not None else base})

    def _anchored(self, reference: str, name: str, target: Base, base: str) -> Resolved:
        found = target.document.anchor(target.root, name)
        if found is None:
            hint = "a fragment is a JSON Pointer such as `#/components/schemas/Pet`"
            hint += ", or an `$anchor` that is there" if target.document.identified else ""
            raise ReferenceInvalid(reference, base, f"leads nowhere: there is no anchor '{name}'", hint)
        return Resolved(found, target)


def place_in(base: str, wanted: Callable[[dict[str, Any]], bool]) -> str:
    """Give where the first object that is wanted stands in the document of a base, as file, line and column.

    Where there is no text, or no such object, it is the base itself.
    """
    document = getattr(base, "document", None)
    if document is None or document.span is None:
        return base
    found = next((at for at, value in _walk(document.value) if wanted(value)), None)
    return base if found is None else str(document.span(found))


def style_invalid(
    what: str, style: str, allowed: Iterable[str], found: dict[str, Any], base: str
) -> DescriptionInvalid:
    """Give the error that the style of a Parameter or Encoding Object is none of those that it may have."""
    message = f"{what} in {place_in(base, lambda each: each is found)} has style '{style}'; there are {', '.join(sorted(allowed))}"
    return DescriptionInvalid(message, hint=CORRECT)


def _walk(root: Any) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Give each object of a document with its path, in the order of the text; one that stands twice is given once."""
    todo: list[tuple[tuple[str, ...], Any]] = [((), root)]
    seen = set()
    while todo:
        at, value = todo.pop()
        if not isinstance(value, dict | list) or id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, dict):
            yield at, value
        entries = value.items() if isinstance(value, dict) else enumerate(value)
        todo += reversed([((*at, str(key)), entry) for key, entry in entries])


def _below(target: Base, tokens: tuple[str, ...]) -> Base:
    """Give the base of what a pointer leads to: that of the nearest `$id` on the way (JSON Schema 2020-12, 8.2)."""
    if not target.document.identified:
        return target
    value, base = target.root, target
    for token in tokens:
        value = pointer.follow(value, (token,)).value
        if isinstance(value, dict) and "$id" in value:
            base = _within(value, base)
    return base


def _within(value: dict[str, Any], base: str) -> Any:
    """Give the base of what stands in a value: that of its own `$id` where it has one."""
    written = identifier(value)
    if written is None or not isinstance(base, Base) or base.root is value or not base.document.identified:
        return base
    return Base(_joined(base, written), base.document, value)


def _joined(base: str, reference: str | None) -> str:
    """Resolve a URI that names a document or a part of one; where it is none, that is as if it were not there."""
    try:
        return urldefrag(urljoin(base, reference or "")).url
    except ValueError:
        return str(base)


def _origin(uri: str) -> tuple[str, str]:
    parts = urlsplit(uri)
    return parts.scheme, parts.netloc.rpartition("@")[2].lower()
