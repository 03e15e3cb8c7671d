"""Request Body, Media Type and Encoding Objects of OpenAPI 3.x, and the types of parameters, as values of `operation`.

Schemas are looked into only as far as they say how something is written: their types, and whether they mean bytes.
"""

from typing import Any

from treadle.sources.jsontypes import types_of
from treadle.sources.media import media_type
from treadle.sources.operation import FORM, STYLES, BodySpec, Encoding, MediaSpec, ParameterSpec
from treadle.sources.references import Registry, style_invalid

MAX_DEPTH = 10
"""How deep multipart bodies may stand in each other."""
IGNORED_HEADERS = frozenset({"accept", "content-type", "authorization"})
"""Header parameters of these names: "the parameter definition SHALL be ignored" (section "Parameter Object")."""
_OCTETS = "application/octet-stream"


def read_body(value: Any, registry: Registry, base: str) -> BodySpec | None:
    """Read a Request Body Object; None where there is none.

    Raises:
        DocumentsMissing: it refers to documents that are not loaded.
        ReferenceInvalid: a reference leads nowhere.
    """
    body, base = registry.resolve(value, base)
    if not isinstance(body, dict):
        return None
    content = _mapping(body.get("content"))
    media = {
        media_type(str(name)): _media(entry, registry, base, 0)
        for name, entry in content.items()
        if _has_fields(str(name))
    }
    types = sorted(map(str, content), key=lambda name: "json" not in name)
    return BodySpec(tuple(types), bool(body.get("required", False)), media)


def value_types(spec: ParameterSpec, value: Any, registry: Registry, base: str) -> dict[str, Any]:
    """Give what the schema of a Parameter Object says of its value, as fields of a ParameterSpec; raises like `read_body`."""
    if spec.media_type is not None or not isinstance(value, dict):
        return {}
    schema, base = registry.resolve(value.get("schema"), base)
    if not isinstance(schema, dict):
        return {}
    types = types_of(schema)
    items = types_of(registry.resolve(schema["items"], base).value) if "array" in types and "items" in schema else ()
    return {"types": types, "items": items, "has_default": "default" in schema}


def _has_fields(name: str) -> bool:
    kind = media_type(name)
    return kind == FORM or kind.startswith("multipart/")


def _media(value: Any, registry: Registry, base: str, depth: int) -> MediaSpec:
    """Read what a Media Type Object, or an Encoding Object of a part that is multipart itself, says of its parts."""
    value, base = registry.resolve(value, base)
    if not isinstance(value, dict) or depth > MAX_DEPTH:
        return MediaSpec()
    schema, schema_base = registry.resolve(value.get("schema"), base)
    schema = _mapping(schema)
    written = _mapping(value.get("encoding"))
    encodings: dict[str, Encoding] = {}
    properties, places = _properties(schema, registry, schema_base)
    for name in dict.fromkeys((*map(str, properties), *map(str, written))):
        inner = properties.get(name), places.get(name, schema_base)
        encodings[name] = _encoding(written.get(name), base, inner, registry, depth)
    prefix_schemas, items = _sequence(schema.get("prefixItems")), schema.get("items", value.get("itemSchema"))
    prefix = [
        _encoding(entry, base, (_at(prefix_schemas, at, items), schema_base), registry, depth)
        for at, entry in enumerate(_sequence(value.get("prefixEncoding")))
    ]
    item = _encoding(value.get("itemEncoding"), base, (items, schema_base), registry, depth)
    return MediaSpec(
        {name: entry for name, entry in encodings.items() if entry != Encoding()},
        tuple(prefix),
        None if item == Encoding() else item,
    )


def _properties(
    schema: dict[Any, Any], registry: Registry, base: str, depth: int = 0
) -> tuple[dict[str, Any], dict[str, str]]:
    """Give the properties of a schema, those of its `allOf` too, and the URI of the document each stands in."""
    found = {str(name): entry for name, entry in _mapping(schema.get("properties")).items()}
    places = dict.fromkeys(found, base)
    for part in _sequence(schema.get("allOf")) if depth < MAX_DEPTH else ():
        resolved, place = registry.resolve(part, base)
        more, where = _properties(_mapping(resolved), registry, place, depth + 1)
        found, places = {**more, **found}, {**where, **places}
    return found, places


def _encoding(value: Any, base: str, described: tuple[Any, str], registry: Registry, depth: int) -> Encoding:
    value, base = registry.resolve(value, base)
    value = _mapping(value)
    schema, place = registry.resolve(*described)
    if isinstance(schema, dict) and "array" in types_of(schema) and "items" in schema:
        schema, place = registry.resolve(schema["items"], place)
    given = value.get("contentType")
    own, binary = _content_type(schema)
    content_type = given if isinstance(given, str) else own
    # "The absence of all three of those fields is the equivalent of using `content`" (section "Encoding Object").
    by_style = any(name in value for name in ("style", "explode", "allowReserved"))
    style = str(value.get("style", "form")) if by_style else None
    if (
        style is not None and style not in STYLES["query"]
    ):  # "The behavior follows the same values as `query` parameters"
        raise style_invalid("an Encoding Object", style, STYLES["query"], value, base)
    inner = None
    if content_type is not None and content_type.startswith("multipart/"):
        inner = _media({"schema": described[0], **value}, registry, base, depth + 1)
    return Encoding(
        content_type=content_type,
        style=style,
        explode=bool(value.get("explode", style == "form")),
        allow_reserved=bool(value.get("allowReserved", False)),
        binary=binary,
        headers=_headers(value.get("headers"), registry, base),
        inner=inner,
    )


def _content_type(schema: Any) -> tuple[str | None, bool]:
    """Give the media type that a schema says a part has, if it does, and whether it is bytes: those may say their own."""
    schema = _mapping(schema)
    media = schema.get("contentMediaType")
    if "contentEncoding" in schema:
        return _OCTETS, False  # the value is its text (section "Encoding Object", defaults of `contentType`)
    if isinstance(media, str):
        return media, True
    return None, schema.get("format") == "binary"


def _headers(value: Any, registry: Registry, base: str) -> tuple[tuple[str, str], ...]:
    """Give the header fields of a part whose value the description itself fixes: a default, a constant, an only choice."""
    found = []
    for name, entry in _mapping(value).items():
        header, place = registry.resolve(entry, base)
        schema = _mapping(registry.resolve(_mapping(header).get("schema"), place).value)
        choices = _sequence(schema.get("enum"))
        fixed = schema.get("const", schema.get("default", choices[0] if len(choices) == 1 else None))
        if isinstance(fixed, str | int | float) and str(name).lower() != "content-type":
            found.append((str(name), str(fixed).lower() if isinstance(fixed, bool) else str(fixed)))
    return tuple(found)


def _at(values: list[Any], index: int, otherwise: Any) -> Any:
    return values[index] if index < len(values) else otherwise


def _mapping(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}


def _sequence(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
