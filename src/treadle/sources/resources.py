"""Parts of a document that have names of their own: `$id`, `$anchor`, `$dynamicAnchor` and `$self`.

JSON Schema 2020-12 section 8.2, which OpenAPI has from 3.1 on, and `$self` of OpenAPI 3.2. Earlier descriptions have none.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urldefrag, urljoin

_DATA = frozenset({"example", "examples", "default", "enum", "const", "dataValue", "value"})
"""Fields that hold data, in which a member `$id` names nothing."""
_NAMED = frozenset(
    {"properties", "patternProperties", "dependentSchemas", "$defs", "definitions", "schemas", "pathItems", "paths"}
    | {"parameters", "requestBodies", "responses", "headers", "callbacks", "webhooks", "content", "variables"}
)
"""Fields whose members have names that the author chose; `default` there is a name like any other."""


def has_identifiers(value: Any) -> bool:
    """Say whether `$id` and anchors mean something in a document: not before OpenAPI 3.1."""
    if not isinstance(value, dict) or "swagger" in value:
        return False
    return not str(value.get("openapi", "")).startswith("3.0")


def own_identity(value: Any) -> str | None:
    """Give what a document says of its own URI: `$self` of OpenAPI 3.2, or the `$id` of a schema."""
    if not isinstance(value, dict):
        return None
    if "openapi" not in value:
        return None if "swagger" in value else identifier(value)
    written = value.get("$self")
    later = not str(value["openapi"]).startswith(("3.0", "3.1"))
    return written if later and isinstance(written, str) else None


def identifier(value: dict[str, Any]) -> str | None:
    """Give the `$id` of a schema; one that is only a fragment is the anchor of an older draft."""
    written = value.get("$id")
    return written if isinstance(written, str) and not written.startswith("#") else None


def resources(value: Any, base: str) -> dict[str, Any]:
    """Give the schemas of a document that have an `$id`, by their absolute URI; of two the first one counts."""
    found: dict[str, Any] = {}
    todo = [(value, str(base))]
    while todo:
        current, around = todo.pop()
        written = identifier(current) if isinstance(current, dict) and current is not value else None
        if written is not None:
            try:
                around = urldefrag(urljoin(around, written)).url
            except ValueError:
                continue  # it is no URI, so nothing can name what it holds
            found.setdefault(around, current)
        todo += [(part, around) for part in _parts(current)]
    return found


def anchors(root: Any) -> dict[str, Any]:
    """Give the schemas with an anchor in a resource by its name, without those of other resources inside of it."""
    found: dict[str, Any] = {}
    todo = [root]
    while todo:
        current = todo.pop()
        if isinstance(current, dict):
            if current is not root and identifier(current) is not None:
                continue
            for name in (current.get("$anchor"), current.get("$dynamicAnchor")):
                if isinstance(name, str):
                    found.setdefault(name, current)
        todo += _parts(current)
    return found


def _parts(value: dict[str, Any] | list[Any]) -> Iterator[Any]:
    """Give the objects and arrays that an object or array holds, but no data."""
    if isinstance(value, list):
        yield from (part for part in value if isinstance(part, dict | list))
    else:
        for name, part in value.items():
            if name in _NAMED and isinstance(part, dict):
                yield from (named for named in part.values() if isinstance(named, dict | list))
            elif name not in _DATA and isinstance(part, dict | list):
                yield part
