"""What a step needs to know of an operation, whichever description format it comes from."""

from collections.abc import Iterable

from msgspec import Struct

from treadle.sources.needs import Alternatives

FORM = "application/x-www-form-urlencoded"


class ParameterSpec(Struct, frozen=True, gc=False, cache_hash=True):
    """How a parameter goes into a request (OpenAPI 3.1 section 4.8.12); defaults are those of its location.

    `media_type` is set where the parameter has `content` in place of a schema; its value is then serialised as that. A
    parameter in `querystring` (OpenAPI 3.2) always has one; its value is the whole query. The style `tabDelimited` is the
    `tsv` of Swagger 2.0, whose collection formats stand in paths and headers too.

    Attributes:
        types: the JSON types that its schema allows, "null" among them; empty where it does not say.
        items: those of the items, where it is an array.
        has_default: whether the server takes a value of its own where none is sent.
    """

    name: str
    location: str
    required: bool = False
    style: str = "form"
    explode: bool = False
    allow_reserved: bool = False
    media_type: str | None = None
    types: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    has_default: bool = False


class Encoding(Struct, frozen=True, gc=False):
    """How one field of a form, or one part of a multipart body, is written (section "Encoding Object").

    Attributes:
        content_type: its media type, or several and ranges of them, parted by commas; None for that of the value.
        style: where it is given, the value is written as a query parameter of that style, and has no media type.
        binary: the schema says that it is a file or other bytes.
        headers: further header fields of the part, as far as the description fixes their values.
        inner: how the parts inside are written, where it is a multipart body of its own.
    """

    content_type: str | None = None
    style: str | None = None
    explode: bool = False
    allow_reserved: bool = False
    binary: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    inner: "MediaSpec | None" = None


class MediaSpec(Struct, frozen=True, gc=False):
    """How a form or a multipart body is put together.

    Attributes:
        encodings: by the name of the property; those that say nothing are not in it.
        prefix: by position, for a body that is an array.
        item: for all further items of such a one.
    """

    encodings: dict[str, Encoding] = {}
    prefix: tuple[Encoding, ...] = ()
    item: Encoding | None = None


class BodySpec(Struct, frozen=True, gc=False):
    """Which media types an operation takes as a body, the preferred one first, and whether it must have one.

    Attributes:
        media: for forms and multipart bodies, by media type without parameters: how they are put together.
    """

    media_types: tuple[str, ...]
    required: bool = False
    media: dict[str, MediaSpec] = {}


class Operation(Struct, frozen=True, gc=False):
    """An HTTP operation of a description.

    Attributes:
        source: the name of the Source Description it belongs to.
        method: the HTTP method in capitals.
        path: the path template, with its leading slash.
        server: the URL of the first server with its variables filled in; relative where the description is a file.
        operation_id: its operationId, if it has one.
        security: what it requires, as alternatives.
    """

    source: str
    method: str
    path: str
    server: str
    operation_id: str | None = None
    parameters: tuple[ParameterSpec, ...] = ()
    body: BodySpec | None = None
    security: Alternatives = ()

    def parameter(self, name: str, location: str) -> ParameterSpec | None:
        """Give the declared parameter; header names are case-insensitive, all others are not.

        There is one parameter in `querystring` at most, and its name is not sent: any name means that one.
        """
        if location == "querystring":
            return next((p for p in self.parameters if p.location == location), None)
        if location == "header":
            name = name.lower()
            return next((p for p in self.parameters if p.location == "header" and p.name.lower() == name), None)
        return next((p for p in self.parameters if p.location == location and p.name == name), None)


DEFAULT_STYLES = {"path": "simple", "query": "form", "header": "simple", "cookie": "form"}
STYLES = {
    "path": frozenset({"simple", "label", "matrix"}),
    "query": frozenset({"form", "spaceDelimited", "pipeDelimited", "deepObject"}),
    "header": frozenset({"simple"}),
    "cookie": frozenset({"form", "cookie"}),
}
"""The styles each location allows (OpenAPI 3.2 section 4.12.2.3; `cookie` came with 3.2)."""


def undeclared(name: str, location: str) -> ParameterSpec:
    """Give the spec of a parameter that the operation does not declare: the defaults of its location."""
    if location == "querystring":
        return ParameterSpec(name, location, media_type=FORM)
    style = DEFAULT_STYLES[location]
    return ParameterSpec(name, location, location == "path", style, style == "form")


def query_conflict(specs: Iterable[ParameterSpec]) -> str | None:
    """Say what is wrong with parameters that all go into the query of one request, or give None.

    "The `querystring` location cannot coexist with `query` parameters in the same operation" (section "Parameter
    Object"), and there is one query only.
    """
    found = list(specs)
    whole = [spec.name for spec in found if spec.location == "querystring"]
    single = [spec.name for spec in found if spec.location == "query"]
    if len(whole) > 1:
        return f"'{whole[0]}' and '{whole[1]}' are both the whole query"
    if whole and single:
        return f"'{whole[0]}' is the whole query, so there is no place in it for '{single[0]}'"
    return None
