"""Where a description says that keys go: the places of its security schemes of type apiKey. Applies no scheme."""

from collections.abc import Mapping
from typing import Any

_SCHEMES = "#/components/securitySchemes/"


def key_places(schemes: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    """Give the places of keys among Security Scheme Objects (OpenAPI 3.1 section 4.8.27) by name, see `key_place`."""
    found = set()
    for entry in schemes.values():
        scheme = entry
        reference = scheme.get("$ref") if isinstance(scheme, dict) else None
        if isinstance(reference, str) and reference.startswith(_SCHEMES):
            scheme = schemes.get(reference.removeprefix(_SCHEMES))
        if isinstance(scheme, dict) and scheme.get("type") == "apiKey":
            found.add(key_place(str(scheme.get("name")), str(scheme.get("in"))))
    return frozenset(found)


def key_place(name: str, location: str) -> tuple[str, str]:
    """Give the place of a parameter, the same for all ways in which a header's name can be written."""
    return (name.lower() if location == "header" else name, location)
