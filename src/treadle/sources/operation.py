"""What a step needs to know of an operation, whichever description format it comes from."""

from msgspec import Struct


class ParameterSpec(Struct, frozen=True):
    """How a parameter goes into a request (OpenAPI 3.1 section 4.8.12); defaults are those of its location.

    `media_type` is set where the parameter has `content` in place of a schema; its value is then serialised as that.
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
    """

    source: str
    method: str
    path: str
    server: str
    operation_id: str | None = None
    parameters: tuple[ParameterSpec, ...] = ()
    body: BodySpec | None = None

    def parameter(self, name: str, location: str) -> ParameterSpec | None:
        """Give the declared parameter; header names are case-insensitive, all others are not."""
        if location == "header":
            name = name.lower()
            return next((p for p in self.parameters if p.location == "header" and p.name.lower() == name), None)
        return next((p for p in self.parameters if p.location == location and p.name == name), None)


DEFAULT_STYLES = {"path": "simple", "query": "form", "header": "simple", "cookie": "form"}
STYLES = {
    "path": frozenset({"simple", "label", "matrix"}),
    "query": frozenset({"form", "spaceDelimited", "pipeDelimited", "deepObject"}),
    "header": frozenset({"simple"}),
    "cookie": frozenset({"form"}),
}
"""The styles each location allows (OpenAPI 3.1 section 4.8.12.2)."""


def undeclared(name: str, location: str) -> ParameterSpec:
    """Give the spec of a parameter that the operation does not declare: the defaults of its location."""
    style = DEFAULT_STYLES[location]
    return ParameterSpec(name, location, location == "path", style, style == "form")
