"""What a step needs to know of an operation, whichever description format it comes from."""

from collections.abc import Iterable

from msgspec import Struct

from treadle.sources.needs import Alternatives

FORM = "application/x-www-form-urlencoded"


class ParameterSpec(Struct, frozen=True):
    """How a parameter goes into a request (OpenAPI 3.1 section 4.8.12); defaults are those of its location.

    `media_type` is set where the parameter has `content` in place of a schema; its value is then serialised as that. A
    parameter in `querystring` (OpenAPI 3.2) always has one; its value is the whole query.
    """

    name: str
    location: str
    required: bool = False
    style: str = "form"
    explode: bool = False
    allow_reserved: bool = False
    media_type: str | None = None


class BodySpec(Struct, frozen=True):
    """Which media types an operation takes as a body, the preferred one first, and whether it must have one."""

    media_types: tuple[str, ...]
    required: bool = False


class Operation(Struct, frozen=True):
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
