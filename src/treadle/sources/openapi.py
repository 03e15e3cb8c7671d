"""Swagger 2.0 and OpenAPI 3.0, 3.1, 3.2: finding an operation and reading just that one into an Operation.

A version is a value, a record of functions. Structure that no workflow touches is not looked at.
"""

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

from msgspec import structs

from treadle import pointer
from treadle.sources import swagger
from treadle.sources.content import IGNORED_HEADERS, read_body, value_types
from treadle.sources.needs import Alternatives
from treadle.sources.operation import DEFAULT_STYLES, FORM, STYLES, Operation, ParameterSpec
from treadle.sources.places import PathItem, Place, found_at, mapping, path_item, sequence
from treadle.sources.references import (
    DescriptionInvalid,
    DocumentsMissing,
    ReferenceInvalid,
    Registry,
    Resolved,
    style_invalid,
)
from treadle.sources.servers import server_url, variable_names

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace", "query")
"""The methods that have a field of their own in a Path Item; `query` came with OpenAPI 3.2, `trace` with 3.0."""


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
    """How one version is read: what stands where in it, and its parts in the form of OpenAPI 3.

    Attributes:
        methods: the methods that have a field of their own.
        styles: the styles that a parameter may have, by its location.
        servers: the Server Objects that apply to an operation, and the base of the document they stand in.
        parameter: a Parameter Object as one of OpenAPI 3, or None where it is none there.
        request_body: the Request Body Object.
        security_schemes: the Security Scheme Objects of a description, by their names.
    """

    name: str
    methods: tuple[str, ...]
    styles: Mapping[str, frozenset[str]]
    servers: Callable[[Place], Resolved]
    parameter: Callable[[dict[str, Any]], dict[str, Any] | None]
    request_body: Callable[[Place], Resolved]
    security_schemes: Callable[[dict[str, Any]], dict[str, Any]]


class Description:
    """A loaded description: its Source Description's name, where it was found, its value, and what it refers to.

    Attributes:
        variables: the values that the user gives for server variables, by their names.
        broken: why Path Items could not be looked at, as far as they were looked for.
    """

    def __init__(
        self, name: str, uri: str, value: Any, registry: Registry, variables: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.uri = uri
        self.value = value
        self.registry = registry
        self.version = _version(name, value)
        self.variables = variables or {}
        self.broken: list[ReferenceInvalid] = []
        if uri not in registry.documents:
            registry.add(uri, value)
        self.root = Resolved(value, registry.documents[uri].base)
        self._known: dict[str, list[Located]] = {}
        self._unseen: dict[str, Any] | None = None

    # Finding operations

    def operations(self) -> dict[str, list[Located]]:
        """Give all operations by their operationId; those without one are not in it.

        Raises:
            DocumentsMissing: Path Items stand in documents that are not loaded.
        """
        missing = self._search()
        if missing:
            raise DocumentsMissing(missing)
        return self._known

    def has(self, operation_id: str) -> bool:
        """Say whether there is an operation of that id; what is at hand is searched first.

        Raises:
            DocumentsMissing: it is not in what is at hand, but may be in documents that are not loaded.
        """
        missing = self._search()
        if missing and operation_id not in self._known:
            raise DocumentsMissing(missing)
        return operation_id in self._known

    def _search(self) -> dict[str, str]:
        """Look at the Path Items that can be looked at by now, and give what is missing for the others."""
        if self._unseen is None:
            self._unseen = self._paths().value
        waiting: dict[str, Any] = {}
        missing: dict[str, str] = {}
        for path, value in self._unseen.items():
            try:
                for located in self._located(path, path_item(value, self._paths().base, self.registry)):
                    if located.operation_id is not None:
                        self._known.setdefault(located.operation_id, []).append(located)
            except DocumentsMissing as error:
                waiting[path] = value
                missing |= error.missing
            except ReferenceInvalid as error:
                self.broken.append(error)
        self._unseen = waiting
        return missing

    def _paths(self) -> Resolved:
        written = self.value.get("paths")
        if isinstance(written, dict) and "$ref" not in written:
            return Resolved(written, self.root.base)
        found = self.registry.resolve(written, self.root.base)
        return Resolved(mapping(found.value), found.base)

    def _item(self, path: str) -> PathItem:
        paths = self._paths()
        return path_item(paths.value.get(path), paths.base, self.registry)

    def _located(self, path: str, item: PathItem) -> list[Located]:
        """Give the operations of a Path Item; raises like `Registry.resolve`, and then has found none."""
        found = []
        additional = item.field("additionalOperations") if self.version is OPENAPI_3_2 else None
        for method in (*self.version.methods, *(mapping(additional.value) if additional is not None else ())):
            operation = self._operation(item, method)
            if operation is not None:
                found.append(Located(path, method, _operation_id(operation.value)))
        return found

    def _operation(self, item: PathItem, method: str) -> Resolved | None:
        """Give an Operation Object; that one is put elsewhere by a `$ref` is not foreseen, but common."""
        found = item.field(method if method in METHODS else "additionalOperations")
        if found is None:
            return None
        if method not in METHODS:
            found = Resolved(mapping(found.value).get(method), found.base)
        if isinstance(found.value, dict) and "$ref" in found.value:
            found = self.registry.resolve(found.value, found.base)
        return found if isinstance(found.value, dict) else None

    def at_path(self, path: str) -> list[Located]:
        """Give the operations of a path, as it stands in the description."""
        return self._located(path, self._item(path))

    def operation(self, operation_id: str) -> Operation:
        """Read the operation of that id.

        Raises:
            DescriptionInvalid: there is none, or more than one.
            DocumentsMissing: it refers to documents that are not loaded.
            ReferenceInvalid: a reference leads nowhere.
        """
        located = self._known.get(operation_id, []) if self.has(operation_id) else []
        if len(located) == 1:
            return self._read(located[0].path, located[0].method)
        if located:
            places = ", ".join(f"{entry.method.upper()} {entry.path}" for entry in located)
            raise DescriptionInvalid(f"operationId '{operation_id}' is not unique in source '{self.name}': {places}")
        if self.broken:
            raise self.broken[0]
        message = f"source '{self.name}' has no operation '{operation_id}'"
        elsewhere = self._called_by_others(operation_id)
        if elsewhere is not None:
            raise DescriptionInvalid(message, hint=f"it is a webhook, '{elsewhere}': the API calls it, not we")
        raise DescriptionInvalid(message, hint=self.suggest(operation_id))

    def _called_by_others(self, operation_id: str) -> str | None:
        """Give the webhook that has an operationId."""
        for name, item in mapping(self.value.get("webhooks")).items():
            if any(_operation_id(mapping(mapping(item).get(method))) == operation_id for method in METHODS):
                return str(name)
        return None

    def suggest(self, operation_id: str) -> str | None:
        """Name the operationId that was probably meant."""
        known = self._known
        same = [name for name in known if name.lower() == operation_id.lower()]
        near = same or get_close_matches(operation_id, known, 1, 0.5)
        if near:
            return f"did you mean '{near[0]}'?"
        return f"it has {', '.join(sorted(known)[:8])}" if known else "its operations have no operationId"

    def at_pointer(self, fragment: str) -> Operation:
        """Read the operation that a pointer such as `/paths/~1x/get` names.

        Raises:
            DescriptionInvalid: the pointer names no operation.
        """
        try:
            tokens = pointer.parse(fragment)
        except ValueError as error:
            raise DescriptionInvalid(str(error)) from error
        if tokens[:2] == ("components", "pathItems") and len(tokens) > 3:
            tokens = ("paths", self._path_of(tokens[2], fragment), *tokens[3:])
        additional = len(tokens) == 4 and tokens[2] == "additionalOperations" and self.version is OPENAPI_3_2
        if tokens[:1] != ("paths",) or not (additional or (len(tokens) == 3 and tokens[2] in self.version.methods)):
            hint = "write `#/paths/~1the~1path/get`; in a path each '/' is written '~1'"
            raise DescriptionInvalid(f"`#{fragment}` does not name an operation", hint=hint)
        path, method = tokens[1], tokens[-1]
        known = self._paths().value
        if path not in known:
            near = get_close_matches(path, known, 1)
            message = f"source '{self.name}' has no {method.upper()} {path}"
            raise DescriptionInvalid(message, hint=f"did you mean '{near[0]}'?" if near else None)
        return self._read(path, method)

    def _path_of(self, name: str, fragment: str) -> str:
        """Give the one path that a Path Item of the components stands under."""
        wanted = mapping(mapping(self.value.get("components")).get("pathItems")).get(name)
        paths = self._paths()
        using = [
            str(path)
            for path, value in paths.value.items()
            if isinstance(value, dict) and isinstance(value.get("$ref"), str) and wanted is not None
            if any(layer.value is wanted for layer in self._layers(value, paths.base))
        ]
        if len(using) == 1:
            return using[0]
        message = f"`#{fragment}` does not say which path is meant: " + (", ".join(using) or "none refers to it")
        raise DescriptionInvalid(message, hint="write `#/paths/~1the~1path/get`")

    def _layers(self, value: Any, base: str) -> tuple[Resolved, ...]:
        try:
            return path_item(value, base, self.registry).layers
        except (DocumentsMissing, ReferenceInvalid):
            return ()  # it leads out of the description, or nowhere

    # Reading one

    def _read(self, path: str, method: str) -> Operation:
        item = self._item(path)
        operation = self._operation(item, method)
        if operation is None:
            raise DescriptionInvalid(f"source '{self.name}' has no {method.upper()} {path}")
        place = self._place(item, operation)
        version = self.version
        servers, body = version.servers(place), version.request_body(place)
        read = (self._parameter(*entry) for entry in place.parameters)
        return Operation(
            source=self.name,
            method=method.upper() if method in METHODS else method,
            path=path,
            server=server_url(servers.value, found_at(servers.base), self.variables, self.name),
            operation_id=_operation_id(operation.value),
            parameters=tuple(spec for spec in read if spec is not None),
            body=read_body(body.value, self.registry, body.base),
            security=self._security(operation.value),
        )

    def _security(self, operation: dict[str, Any]) -> Alternatives:
        root = self.root.value.get("security")
        if "security" not in operation and not root:
            return ()
        from treadle.sources.security import read_security  # noqa: PLC0415 - many descriptions have no security

        return read_security(operation, root, self.security_schemes(), self.registry, self.root.base, self.name)

    def _place(self, item: PathItem, operation: Resolved) -> Place:
        """Follow the references of an operation, all of them before saying what is missing."""
        missing: dict[str, str] = {}
        found: dict[tuple[str, str], Resolved] = {}
        # "If a parameter is already defined at the Path Item, the new definition will override it" (OpenAPI 4.8.10).
        for holder in (item.field("parameters"), Resolved(operation.value.get("parameters"), operation.base)):
            for entry in sequence(holder.value) if holder is not None else ():
                try:
                    resolved = self.registry.resolve(entry, holder.base if holder is not None else "")
                except DocumentsMissing as error:
                    missing |= error.missing
                    continue
                if isinstance(resolved.value, dict):
                    found[str(resolved.value.get("name")), str(resolved.value.get("in"))] = resolved
        try:
            self.registry.resolve(operation.value.get("requestBody"), operation.base)
        except DocumentsMissing as error:
            missing |= error.missing
        if missing:
            raise DocumentsMissing(missing)
        return Place(self.root, item, operation, tuple(found.values()))

    def _parameter(self, value: dict[str, Any], base: str) -> ParameterSpec | None:
        described = self.version.parameter(value)
        spec = None if described is None else _parameter(described, self.version.styles)
        if spec is None:
            return None
        if spec.style not in self.version.styles.get(spec.location, (spec.style,)):
            what = f"{spec.location} parameter '{spec.name}'"
            raise style_invalid(what, spec.style, self.version.styles[spec.location], value, base)
        said = value_types(spec, described, self.registry, base)
        if spec.location != "query" and self.version in (OPENAPI_3_0, OPENAPI_3_1):
            said["allow_reserved"] = False  # "only applies to parameters with an `in` value of `query`"
        return structs.replace(spec, **said)

    # What is asked of the whole

    def security_schemes(self) -> dict[str, Any]:
        """Give the Security Scheme Objects (or Reference Objects for them) by name, in the form of OpenAPI 3."""
        return self.version.security_schemes(self.value)

    def server_variables(self) -> Iterator[str]:
        """Give the names of all variables in the URLs of servers, at every level that is at hand."""
        yield from variable_names(self.value.get("servers"))
        for path in self._paths().value:
            for value, base in self._layers(self._paths().value[path], self._paths().base):
                item = PathItem((Resolved(value, base),))
                yield from variable_names(value.get("servers"))
                for located in self._located_here(path, item):
                    operation = self._operation(item, located.method)
                    yield from variable_names(operation.value.get("servers") if operation is not None else None)

    def _located_here(self, path: str, item: PathItem) -> list[Located]:
        try:
            return self._located(path, item)
        except (DocumentsMissing, ReferenceInvalid):
            return []


def _version(name: str, value: Any) -> Version:
    if not isinstance(value, dict):
        kinds = {list: "an array", str: "a text", type(None): "empty"}
        found, hint = kinds.get(type(value), f"a value ({value})"), "a description is an object with `openapi: 3.x.y`"
        raise DescriptionInvalid(f"source '{name}' is no description: it is {found}", hint=hint)
    for field in ("openapi", "swagger"):
        written = value.get(field)
        # A number is a text without its quotes.
        text = str(written) if isinstance(written, str | float) else ""
        for prefix, version in VERSIONS.items():
            own = field == "swagger" if version is SWAGGER_2_0 else field == "openapi"
            if own and (text == prefix or text.startswith(f"{prefix}.")):
                return version
    if "openapi" in value:
        found, hint = f"openapi: {value['openapi']!r}", f"this version reads OpenAPI {', '.join([*VERSIONS][1:])}"
    elif "swagger" in value or "swaggerVersion" in value:
        written = value.get("swagger", value.get("swaggerVersion"))
        found, hint = f"Swagger {written}", "convert it to Swagger 2.0 or OpenAPI 3"
    elif "arazzo" in value:
        found, hint = "an Arazzo document", "say `type: arazzo` if workflows of it are meant"
    elif "asyncapi" in value:
        found, hint = "an AsyncAPI description", "steps over brokers are not run by this version"
    else:
        named = ", ".join(list(value)[:4])
        found = f"it has no field 'openapi' or 'swagger'{f', but {named}' if named else ''}"
        hint = 'a description begins with `openapi: 3.x.y` or `swagger: "2.0"`'
    raise DescriptionInvalid(f"source '{name}' is not a description this version reads: {found}", hint=hint)


def _operation_id(operation: dict[str, Any]) -> str | None:
    written = operation.get("operationId")
    return written if isinstance(written, str) else None


def _parameter(value: dict[str, Any], styles: Mapping[str, frozenset[str]]) -> ParameterSpec | None:
    if not isinstance(value.get("name"), str):
        return None
    location = value.get("in")
    content = next(iter(mapping(value.get("content"))), None)
    if location == "querystring":
        required = bool(value.get("required", False))
        return ParameterSpec(value["name"], location, required, media_type=FORM if content is None else str(content))
    if not isinstance(location, str) or location not in styles:
        return None
    if location == "header" and value["name"].lower() in IGNORED_HEADERS:
        return None
    style = value.get("style", DEFAULT_STYLES[location])
    return ParameterSpec(
        name=value["name"],
        location=location,
        required=bool(value.get("required", location == "path")),
        style=str(style),
        explode=bool(value.get("explode", style in ("form", "cookie"))),
        allow_reserved=bool(value.get("allowReserved", False)),
        media_type=content,
    )


# OpenAPI 3


def _servers(place: Place) -> Resolved:
    """Give the servers of the operation, or else of its path, or else of the description."""
    own = Resolved(place.operation.value.get("servers"), place.operation.base)
    for found in (own, place.item.field("servers")):
        if found is not None and sequence(found.value):
            return found
    return Resolved(place.root.value.get("servers"), place.root.base)


def _request_body(place: Place) -> Resolved:
    return Resolved(place.operation.value.get("requestBody"), place.operation.base)


def _security_schemes(root: dict[str, Any]) -> dict[str, Any]:
    return mapping(mapping(root.get("components")).get("securitySchemes"))


def _as_it_is(value: dict[str, Any]) -> dict[str, Any]:
    return value


SWAGGER_2_0 = Version(
    "2.0",
    METHODS[:7],
    swagger.SWAGGER_STYLES,
    swagger.servers,
    swagger.parameter,
    swagger.request_body,
    swagger.security_schemes,
)
OPENAPI_3_0 = Version("3.0", METHODS[:8], STYLES, _servers, _as_it_is, _request_body, _security_schemes)
OPENAPI_3_1 = OPENAPI_3_0._replace(name="3.1")
OPENAPI_3_2 = OPENAPI_3_0._replace(name="3.2", methods=METHODS)
VERSIONS = {"2.0": SWAGGER_2_0, "3.0": OPENAPI_3_0, "3.1": OPENAPI_3_1, "3.2": OPENAPI_3_2}
