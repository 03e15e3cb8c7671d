"""`$ref` over a registry of documents. Never fetches: what is not there is named, and the caller brings it."""

from typing import Any, NamedTuple
from urllib.parse import unquote, urldefrag, urljoin

from treadle import pointer
from treadle.errors import TreadleError

MAX_HOPS = 100
"""How many references may lead to another reference before it is a circle."""


class Resolved(NamedTuple):
    """A value and the URI of the document it stands in, against which its own references are read."""

    value: Any
    base: str


class DocumentsMissing(TreadleError):
    """A reference in the document at `base` leads into documents that the registry does not have; `uris` names them."""

    def __init__(self, uris: list[str], base: str) -> None:
        super().__init__(f"still missing: {', '.join(uris)}")
        self.uris = uris
        self.base = base


class ReferenceInvalid(TreadleError):
    """A reference leads nowhere, or in a circle."""


class Registry:
    """Documents by absolute URI without fragment."""

    def __init__(self, documents: dict[str, Any] | None = None) -> None:
        self.documents: dict[str, Any] = dict(documents or {})

    def resolve(self, value: Any, base: str) -> Resolved:
        """Follow `$ref` until a value stands there that is none.

        Raises:
            DocumentsMissing: a document on the way is not in the registry.
            ReferenceInvalid: a reference leads nowhere, or the chain is a circle.
        """
        for _ in range(MAX_HOPS):
            reference = value.get("$ref") if isinstance(value, dict) else None
            if not isinstance(reference, str):
                return Resolved(value, base)
            value, base = self.lookup(reference, base)
        raise ReferenceInvalid(f"references go in a circle at {base}")

    def lookup(self, reference: str, base: str) -> Resolved:
        """Give what one reference names; its fragment is a JSON Pointer, percent-encoded (RFC 6901 section 6)."""
        try:
            uri, fragment = urldefrag(urljoin(base, reference))
        except ValueError as error:
            raise ReferenceInvalid(f"`{reference}` in {base} is no URI: {error}") from error
        if uri not in self.documents:
            raise DocumentsMissing([uri], base)
        document = self.documents[uri]
        try:
            reached = pointer.follow(document, pointer.parse(unquote(fragment)))
        except ValueError as error:
            hint = "only JSON Pointer fragments are read in descriptions"
            raise ReferenceInvalid(f"`{reference}` in {base}: {error}", hint=hint) from error
        if reached.rest:
            raise ReferenceInvalid(f"`{reference}` in {base} leads nowhere: there is no `{reached.rest[0]}`")
        return Resolved(reached.value, uri)
