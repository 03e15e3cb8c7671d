"""OpenAPI 3.0, 3.1 and 3.2 descriptions: finding an operation and reading just that one into an Operation.

A version is a value, a record of functions. Structure that no workflow touches is not looked at.
"""

from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Any, NamedTuple
from urllib.parse import urljoin

from treadle import pointer
from treadle.errors import TreadleError
from treadle.sources.needs import Alternatives
from treadle.sources.operation import DEFAULT_STYLES, FORM, STYLES, BodySpec, Operation, ParameterSpec
from treadle.sources.references import Registry

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace", "query")
"""The methods that have a field of their own in a Path Item; `query` came with OpenAPI 3.2."""


class Located(NamedTuple):
    """An operation as it stands in a description; a method without a field of its own is written as it is sent."""

    path: str
    method: str
    operation_id: str | None

    @property
    def tokens(self) -> tuple[str, ...]:
        """Give the place of the operation, as the tokens of a JSON Pointer."""
        own = (self.method,) if self.method in METHODS else ("additionalOperations", self.method)
        return ("paths", self.path, *own)


class Version(NamedTuple):
    """How one version of OpenAPI is read."""

    name: str
    locate: Callable[["Description"], Iterator[Located]]
    read: Callable[["Description", str, str], Operation]


class DescriptionInvalid(TreadleError):
    """A description cannot be used, or lacks what is asked of it."""


class Description:
    """A loaded description: its Source Description's name, its URI, its value, and the documents it refers to."""

    def __init__(self, name: str, uri: str, value: Any, registry: Registry) -> None:
        self.name = name
        self.uri = uri
        self.value = value
        self.registry = registry
        self.version = _version(name, value)
        self._operation_ids: dict[str, list[Located]] | None = None

    def operations(self) -> dict[str, list[Located]]:
        """Give all operations by their operationId; those without one are not in it."""
        if self._operation_ids is None:
            found: dict[str, list[Located]] = {}
            for located in self.version.locate(self):
                if located.operation_id is not None:
                    found.setdefault(located.operation_id, []).append(located)
            self._operation_ids = found
        return self._operation_ids

    def operation(self, operation_id: str) -> Operation:
        """Read the operation of that id.

        Raises:
            DescriptionInvalid: there is none, or more than one.
            DocumentsMissing: it refers to documents that are not loaded.
        """
        located = self.operations().get(operation_id, [])
        if len(located) == 1:
            return self.version.read(self, located[0].path, located[0].method)
        if located:
            places = ", ".join(f"{entry.method.upper()} {entry.path}" for entry in located)
            raise DescriptionInvalid(f"operationId '{operation_id}' is not unique in source '{self.name}': {places}")
        raise DescriptionInvalid(
            f"source '{self.name}' has no operation '{operation_id}'", hint=self.suggest(operation_id)
        )

    def security_schemes(self) -> dict[str, Any]:
        """Give its Security Scheme Objects (or Reference Objects for them) by name."""
        return _mapping(_mapping(self.value.get("components")).get("securitySchemes"))

    def suggest(self, operation_id: str) -> str | None:
        """Name the operationId that was probably meant."""
        known = self.operations()
        same = [name for name in known if name.lower() == operation_id.lower()]
        near = same or get_close_matches(operation_id, known, 1, 0.5)
        if near:
            return f"did you mean '{near[0]}'?"
        return f"it has {', '.join(sorted(known)[:8])}" if known else "its operations have no operationId"

    def at_path(self, path: str) -> list[Located]:
        """Give the operations of a path, as it stands in the description."""
        return [located for located in self.version.locate(self) if located.path == path]

    def at_pointer(self, fragment: str) -> Operation:
        """Read the operation that a pointer such as `/paths/~1x/get` names.

        Raises:
            DescriptionInvalid: the pointer names no operation.
        """
        try:
            tokens = pointer.parse(fragment)
        except ValueError as error:
            raise DescriptionInvalid(str(error)) from error
        additional = len(tokens) == 4 and tokens[2] == "additionalOperations"
        if tokens[:1] != ("paths",) or not (additional or (len(tokens) == 3 and tokens[2] in METHODS)):
            hint = "write `#/paths/~1the~1path/get`; in a path each '/' is written '~1'"
            raise DescriptionInvalid(f"`#{fragment}` does not name an operation", hint=hint)
        path, method = tokens[1], tokens[-1]
        item = _mapping(self.value.get("paths")).get(path)
        if not isinstance(item, dict) or ("$ref" not in item and _operation(item, method) is None):
            near = get_close_matches(path, [str(known) for known in _mapping(self.value.get("paths"))], 1)
            hint = f"did you mean '{near[0]}'?" if near else ""
            message = f"source '{self.name}' has no {method.upper()} {path}"
            raise DescriptionInvalid(message, hint=hint or None)
        return self.version.read(self, path, method)


def _version(name: str, value: Any) -> Version:
    written = value.get("openapi") if isinstance(value, dict) else None
    if isinstance(written, str):
        for prefix, version in VERSIONS.items():
            if written == prefix or written.startswith(f"{prefix}."):
                return version
    if isinstance(value, dict) and "swagger" in value:
        found, hint = f"Swagger {value['swagger']}", "convert it to OpenAPI 3.0 or 3.1"
    elif isinstance(value, dict) and "arazzo" in value:
        found, hint = "an Arazzo document", "say `type: arazzo` if workflows of it are meant"
    elif isinstance(value, dict) and "asyncapi" in value:
        found, hint = "an AsyncAPI description", "steps over brokers are not run by this version"
    else:
        found, hint = f"openapi: {written!r}", f"this version reads OpenAPI {', '.join(VERSIONS)}"
    raise DescriptionInvalid(f"source '{name}' is not a description this version reads: {found}", hint=hint)


def _mapping(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}


def _locate(description: Description) -> Iterator[Located]:
    for path, item in _mapping(description.value.get("paths")).items():
        if not isinstance(item, dict):
            continue
        if "$ref" in item:
            item = _mapping(description.registry.resolve(item, description.uri).value)  # noqa: PLW2901 - the item it stands for
        for method in (*METHODS, *_mapping(item.get("additionalOperations"))):
            operation = _operation(item, method)
            if operation is not None:
                yield Located(str(path), method, _operation_id(operation))


def _operation(item: dict[Any, Any], method: str) -> dict[Any, Any] | None:
    holder = item if method in METHODS else _mapping(item.get("additionalOperations"))
    operation = holder.get(method)
    return operation if isinstance(operation, dict) else None


def _read(description: Description, path: str, method: str) -> Operation:
    registry = description.registry
    item, base = registry.resolve(_mapping(description.value.get("paths"))[path], description.uri)
    item = _mapping(item)
    operation = _operation(item, method)
    if operation is None:
        raise DescriptionInvalid(f"source '{description.name}' has no {method.upper()} {path}")
    parameters: dict[tuple[str, str], ParameterSpec] = {}
    # "If a parameter is already defined at the Path Item, the new definition will override it" (OpenAPI 4.8.10).
    for entry in (*_sequence(item.get("parameters")), *_sequence(operation.get("parameters"))):
        spec = _parameter(registry.resolve(entry, base).value)
        if spec is not None:
            parameters[spec.name, spec.location] = spec
    servers = operation.get("servers") or item.get("servers") or description.value.get("servers")
    return Operation(
        source=description.name,
        method=method.upper() if method in METHODS else method,
        path=path,
        server=_server(servers, description.uri),
        operation_id=_operation_id(operation),
        parameters=tuple(parameters.values()),
        body=_body(operation.get("requestBody"), registry, base),
        security=_security(description, operation),
    )


def _operation_id(operation: dict[Any, Any]) -> str | None:
    written = operation.get("operationId")
    return written if isinstance(written, str) else None


def _sequence(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _parameter(value: Any) -> ParameterSpec | None:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return None
    location = value.get("in")
    content = next(iter(_mapping(value.get("content"))), None)
    if location == "querystring":
        required = bool(value.get("required", False))
        return ParameterSpec(value["name"], location, required, media_type=FORM if content is None else str(content))
    if not isinstance(location, str) or location not in DEFAULT_STYLES:
        return None
    style = value.get("style", DEFAULT_STYLES[location])
    if not isinstance(style, str) or style not in STYLES[location]:
        allowed = ", ".join(sorted(STYLES[location]))
        message = f"parameter '{value['name']}' in {location} has style {style!r}; there are {allowed}"
        raise DescriptionInvalid(message)
    return ParameterSpec(
        name=value["name"],
        location=location,
        required=bool(value.get("required", location == "path")),
        style=style,
        explode=bool(value.get("explode", style in ("form", "cookie"))),
        allow_reserved=bool(value.get("allowReserved", False)),
        media_type=content,
    )


def _body(value: Any, registry: Registry, base: str) -> BodySpec | None:
    body = registry.resolve(value, base).value
    if not isinstance(body, dict):
        return None
    types = [str(name) for name in _mapping(body.get("content"))]
    types.sort(key=lambda name: "json" not in name)
    return BodySpec(tuple(types), bool(body.get("required", False)))


def _security(description: Description, operation: dict[Any, Any]) -> Alternatives:
    root = description.value.get("security")
    if "security" not in operation and not root:
        return ()
    from treadle.sources.security import read_security  # noqa: PLC0415 - many descriptions have no security

    return read_security(
        operation, root, description.security_schemes(), description.registry, description.uri, description.name
    )


def _server(servers: Any, base: str) -> str:
    first = next((server for server in _sequence(servers) if isinstance(server, dict)), {"url": "/"})
    url = str(first.get("url", "/"))
    for name, variable in _mapping(first.get("variables")).items():
        url = url.replace("{" + str(name) + "}", str(_mapping(variable).get("default", "")))
    try:
        return urljoin(base, url) if base.startswith(("http://", "https://")) else url
    except ValueError as error:
        raise DescriptionInvalid(f"the server's URL {url!r} is none", hint="say which: --server URL") from error


OPENAPI_3_0 = Version("3.0", _locate, _read)
OPENAPI_3_1 = Version("3.1", _locate, _read)
OPENAPI_3_2 = Version("3.2", _locate, _read)
VERSIONS = {"3.0": OPENAPI_3_0, "3.1": OPENAPI_3_1, "3.2": OPENAPI_3_2}
