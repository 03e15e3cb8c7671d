"""Swagger 2.0: each part of a description in the form that OpenAPI 3 gives it, so that one reader does for all."""

from typing import Any
from urllib.parse import urlsplit

from treadle.sources.operation import DEFAULT_STYLES, FORM, STYLES
from treadle.sources.places import Place, found_at, mapping, sequence
from treadle.sources.references import Resolved

MULTIPART = "multipart/form-data"
DELIMITED = {"ssv": "spaceDelimited", "tsv": "tabDelimited", "pipes": "pipeDelimited"}
"""What a collectionFormat is called as a style; `csv` is the default style of each place, `multi` that style exploded."""
SWAGGER_STYLES = {
    location: STYLES[location] | frozenset(DELIMITED.values()) for location in ("path", "query", "header")
}
"""A collectionFormat can stand in each place (section "Parameter Object")."""

_FLOWS = {"implicit": "implicit", "password": "password", "application": "clientCredentials"}
_FLOWS["accessCode"] = "authorizationCode"
_FLOW_FIELDS = ("authorizationUrl", "tokenUrl", "scopes")
_OUTSIDE_SCHEMA = frozenset({"name", "in", "description", "required", "collectionFormat", "allowEmptyValue", "$ref"})


def servers(place: Place) -> Resolved:
    """Give the server: "If the host is not included, the host serving the documentation is to be used"."""
    root, base = place.root
    uri = urlsplit(found_at(base))
    schemes = place.operation.value.get("schemes") or root.get("schemes")
    known = [scheme for scheme in sequence(schemes) if isinstance(scheme, str)]
    served = uri.scheme if uri.scheme in ("http", "https") else None
    host, path = root.get("host"), root.get("basePath")
    netloc = host if isinstance(host, str) and host else uri.netloc.rpartition("@")[2] if served else ""
    path = "/" + path.lstrip("/") if isinstance(path, str) else "/"
    if not netloc:
        return Resolved([{"url": path}], base)
    # Of a description in a file it is not known how its API is served; with TLS nothing is given away.
    usable = [one for one in ("https", "http") if one in known] or known or [served or "https"]
    return Resolved([{"url": f"{usable[0]}://{netloc}{path}"}], base)


def parameter(value: dict[str, Any]) -> dict[str, Any] | None:
    """Give a Parameter Object of OpenAPI 3, or None where it is a part of the body."""
    location = value.get("in")
    if location in ("body", "formData") or not isinstance(location, str):
        return None
    return {
        "name": value.get("name"),
        "in": location,
        "required": value.get("required", False),
        **_style(value, DEFAULT_STYLES.get(location, "form")),
        "schema": _schema(value),
    }


def request_body(place: Place) -> Resolved:
    """Give a Request Body Object of OpenAPI 3: a `body` parameter, or the form that `formData` parameters make up."""
    whole = [entry for entry in place.parameters if entry.value.get("in") == "body"]
    fields = [entry for entry in place.parameters if entry.value.get("in") == "formData"]
    consumes = place.operation.value.get("consumes", place.root.value.get("consumes"))
    types = [one for one in sequence(consumes) if isinstance(one, str)]
    if whole:
        value, base = whole[-1]
        content = {name: {"schema": value.get("schema", {})} for name in types or ["application/json"]}
        return Resolved({"content": content, "required": bool(value.get("required", False))}, base)
    if fields:
        return Resolved(_form([entry.value for entry in fields], types), fields[0].base)
    return Resolved(None, place.operation.base)


def _form(fields: list[dict[str, Any]], types: list[str]) -> dict[str, Any]:
    named = {str(field.get("name")): field for field in fields}
    forms = [one for one in types if one.partition(";")[0].strip().lower() in (FORM, MULTIPART)]
    if any(field.get("type") == "file" for field in fields):
        # "If type is "file", the consumes MUST be either "multipart/form-data", "application/x-www-form-urlencoded""
        forms = [one for one in forms if one != FORM] or [MULTIPART]
    required = [name for name, field in named.items() if field.get("required") is True]
    described = {
        "schema": {
            "type": "object",
            "properties": {name: _schema(field) for name, field in named.items()},
            "required": required,
        },
        "encoding": {name: _style(field, "form") for name, field in named.items() if field.get("type") == "array"},
    }
    return {"content": dict.fromkeys(forms or [FORM], described), "required": bool(required)}


def _style(value: dict[str, Any], default: str) -> dict[str, Any]:
    written = value.get("collectionFormat")
    style = DELIMITED.get(written, default) if isinstance(written, str) else default
    return {"style": style, "explode": written == "multi"}


def _schema(value: dict[str, Any]) -> dict[str, Any]:
    """Give the Schema Object that the fields of a parameter make up; a file is a text of bytes in OpenAPI 3.0."""
    if value.get("type") == "file":
        return {"type": "string", "format": "binary"}
    return {name: entry for name, entry in value.items() if name not in _OUTSIDE_SCHEMA}


def security_schemes(root: dict[str, Any]) -> dict[str, Any]:
    """Give the Security Scheme Objects of OpenAPI 3 that the security definitions stand for."""
    return {
        str(name): _security_scheme(scheme)
        for name, scheme in mapping(root.get("securityDefinitions")).items()
        if isinstance(scheme, dict)
    }


def _security_scheme(scheme: dict[str, Any]) -> dict[str, Any]:
    kept = {name: entry for name, entry in scheme.items() if name not in ("flow", *_FLOW_FIELDS)}
    flow = scheme.get("flow")
    if scheme.get("type") == "basic":
        return {**kept, "type": "http", "scheme": "basic"}
    if scheme.get("type") == "oauth2":
        name = _FLOWS.get(flow) if isinstance(flow, str) else None
        flows = {name: {field: scheme[field] for field in _FLOW_FIELDS if field in scheme}} if name else {}
        return {**kept, "flows": flows}
    return dict(scheme)
