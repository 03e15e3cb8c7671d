"""Security Schemes and Requirements of descriptions to SecurityNeeds, and credentials into requests. Pure.

Where credentials come from, tokens and challenges are the driver's: `drivers.credentials`, `drivers.authorization`.
"""

import base64
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from msgspec import structs

from treadle.sources.needs import Alternatives, Credential, Flow, SecurityNeed
from treadle.sources.parameters import OF_THE_BODY, TOKEN
from treadle.sources.references import DocumentsMissing, ReferenceInvalid, Registry
from treadle.sources.request import HttpRequest, RequestInvalid

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NOT_LATIN_1 = re.compile(r"[^\x00-\xff]")


# Reading


def read_security(
    operation: Mapping[Any, Any], root: Any, schemes: Any, registry: Registry, uri: str, source: str
) -> Alternatives:
    """Read what an operation requires: its own `security`, or else the description's.

    Args:
        operation: the Operation Object.
        root: the `security` of the description.
        schemes: its Security Schemes in the form of OpenAPI 3, by name.
        registry: resolves references among the schemes.
        uri: the URI of the description.
        source: the name of the Source Description.

    Raises:
        DocumentsMissing: a scheme stands in a document that is not loaded.
    """
    # "To remove a top-level security declaration, an empty array can be used" (Operation Object).
    written = operation.get("security", root)
    if not isinstance(written, list):
        return ()
    return tuple(
        tuple(
            read_scheme(str(name), schemes, registry, uri, source, _texts(scopes))
            for name, scopes in requirement.items()
        )
        for requirement in written
        if isinstance(requirement, dict)
    )


def read_scheme(
    name: str, schemes: Any, registry: Registry, uri: str, source: str, scopes: tuple[str, ...] = ()
) -> SecurityNeed:
    """Read a Security Scheme by its name, or since OpenAPI 3.2 by its URI; one that is not there is of kind `undefined`.

    Raises:
        DocumentsMissing: it stands in a document that is not loaded.
    """
    value: Any = schemes.get(name) if isinstance(schemes, dict) else None
    try:
        if value is None and re.search(r"[/#]", name):
            value = registry.lookup(name, uri).value
        value = registry.resolve(value, uri).value
    except DocumentsMissing:
        raise
    except ReferenceInvalid:
        value = None
    return scheme_of(value, name, source, scopes)


def scheme_of(value: Any, name: str, source: str, scopes: tuple[str, ...] = ()) -> SecurityNeed:
    """Read a Security Scheme Object; one that no rule of OpenAPI describes is of kind `undefined`."""
    scheme = value if isinstance(value, dict) else {}
    need = SecurityNeed(source, name, "undefined", scopes=scopes)
    match scheme.get("type"):
        case "apiKey" if _is_place(scheme.get("name"), scheme.get("in")):
            return structs.replace(need, kind="apiKey", name=scheme["name"], location=scheme["in"])
        case "http" if isinstance(scheme.get("scheme"), str):
            kind = scheme["scheme"].lower()  # "case-insensitive, as defined in [RFC7235]"
            return structs.replace(need, kind=kind if kind in SCHEMES else f"http {kind}")
        case "oauth2":
            return structs.replace(need, kind="oauth2", flows=_flows(scheme.get("flows")))
        case "openIdConnect":
            return structs.replace(need, kind="openIdConnect", discovery_url=_text(scheme.get("openIdConnectUrl")))
        case "mutualTLS":
            return structs.replace(need, kind="mutualTLS")
    return need


def _is_place(name: Any, location: Any) -> bool:
    """Say whether a key can go there: a name of a header field or cookie is a token, and says nothing of the body."""
    if not isinstance(name, str) or location not in ("header", "query", "cookie"):
        return False
    return location == "query" or bool(TOKEN.fullmatch(name) and name.lower() not in OF_THE_BODY)


def _flows(value: Any) -> tuple[Flow, ...]:
    flows = value if isinstance(value, dict) else {}
    return tuple(
        Flow(
            str(kind),
            _text(flow.get("tokenUrl")),
            _text(flow.get("authorizationUrl")),
            _text(flow.get("deviceAuthorizationUrl")),
            _text(flow.get("refreshUrl")),
        )
        for kind, flow in flows.items()
        if isinstance(flow, dict)
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(entry for entry in value if isinstance(entry, str)) if isinstance(value, list) else ()


def at_server(alternatives: Alternatives, server: str) -> Alternatives:
    """Give the needs with every URL absolute: relative ones are "resolved using the URLs defined in the Server Object"."""
    return tuple(tuple(_at_server(need, server) for need in needs) for needs in alternatives)


def _at_server(need: SecurityNeed, server: str) -> SecurityNeed:
    if need.kind not in ("oauth2", "openIdConnect"):
        return need
    flows = []
    for flow in need.flows:
        urls = (flow.token_url, flow.authorization_url, flow.device_url, flow.refresh_url)
        flows.append(Flow(flow.kind, *(_joined(server, url) for url in urls)))
    return structs.replace(need, flows=tuple(flows), discovery_url=_joined(server, need.discovery_url))


def _joined(server: str, url: str | None) -> str | None:
    try:
        return None if url is None else urljoin(server, url)
    except ValueError:
        return None  # no URL at all: as if it were not there


# What a step has set itself


def unmet(alternatives: Alternatives, request: HttpRequest, given: Collection[Credential] = ()) -> Alternatives:
    """Give what is left of the alternatives when the step has set what it has set; nothing where one is met.

    What a document gives for itself wins over anybody's credentials. An alternative that asks for nothing stays: a
    credential that is at hand goes out all the same.
    """
    fields = {name.lower() for name, _ in request.headers}
    for credential in given:
        if credential.need.location == "header":
            fields.add(credential.need.name.lower())
    places = {(credential.need.location, credential.need.name) for credential in given}
    left = []
    for needs in alternatives:
        rest = [need for need in needs if not _is_set(need, fields, places, request)]
        if needs and not rest:
            return ()
        left.append(tuple(rest))
    return tuple(left) if any(left) else ()


def _is_set(need: SecurityNeed, fields: set[str], places: set[tuple[str, str]], request: HttpRequest) -> bool:
    """Say whether a request has something where the scheme's credential would go."""
    if need.location == "header":
        return need.name.lower() in fields and need.kind != "mutualTLS"
    if (need.location, need.name) in places:
        return True
    if need.location == "query":
        wanted = (need.name, quote(need.name, safe="-._~"))
        return any(part.partition("=")[0] in wanted for part in urlsplit(request.url).query.split("&"))
    cookies = [value for field, value in request.headers if field.lower() == "cookie"]
    return any(part.partition("=")[0].strip() == need.name for value in cookies for part in value.split(";"))


# Applying


def apply(request: HttpRequest, credential: Credential) -> HttpRequest:
    """Give the request with a credential in its place.

    Raises:
        RequestInvalid: the credential cannot be sent; its value is not shown.
    """
    return SCHEMES[credential.need.kind](request, credential)


def _api_key(request: HttpRequest, credential: Credential) -> HttpRequest:
    need, key = credential.need, credential.token
    match need.location:
        case "query":
            joint = "&" if "?" in request.url else "?"
            pair = f"{quote(need.name, safe='-._~')}={quote(key, safe='-._~')}"
            if pair in urlsplit(request.url).query.split("&"):
                return request  # a server redirects with the query that it was sent
            return structs.replace(request, url=f"{request.url}{joint}{pair}")
        case "cookie":
            given = [value for field, value in request.headers if field.lower() == "cookie"]
            others = [part.strip() for value in given for part in value.split(";")]
            kept = [part for part in others if part and part.partition("=")[0] != need.name]
            text = _sendable("; ".join([*kept, f"{need.name}={quote(key, safe=_IN_COOKIES)}"]), need)
            rest = tuple(field for field in request.headers if field[0].lower() != "cookie")
            return structs.replace(request, headers=(*rest, ("Cookie", text)))
    return _with_header(request, need.name, key, need)


_IN_COOKIES = "!#$&'()*+-./:<=>?@[]^_`{|}~"
"""What a cookie's value can hold as it is (RFC 6265 section 4.1.1)."""


def _basic(request: HttpRequest, credential: Credential) -> HttpRequest:
    if ":" in credential.username:
        # "a user-id containing a colon character is invalid" (RFC 7617 section 2)
        message = f"the user name for '{credential.need.scheme}' has a colon, which basic authentication cannot send"
        raise RequestInvalid(message)
    pair = basic_pair(credential.username, credential.password)
    return _with_header(request, "Authorization", f"Basic {pair}", credential.need)


def basic_pair(username: str, password: str) -> str:
    """Give user and password as basic authentication sends them (RFC 7617), in UTF-8."""
    return base64.b64encode(f"{username}:{password}".encode()).decode()


def _bearer(request: HttpRequest, credential: Credential) -> HttpRequest:
    return _with_header(request, "Authorization", f"Bearer {credential.token}", credential.need)


def _digest(request: HttpRequest, credential: Credential) -> HttpRequest:
    if credential.challenge is None:
        return request  # there is nothing to answer yet
    from treadle.sources import digest  # noqa: PLC0415 - few servers ask for it

    text = digest.answer(request.method, request.url, credential, credential.challenge)
    return _with_header(request, "Authorization", text, credential.need)


def _nothing(request: HttpRequest, credential: Credential) -> HttpRequest:  # noqa: ARG001 - one signature for all schemes
    return request


def _with_header(request: HttpRequest, name: str, value: str, need: SecurityNeed) -> HttpRequest:
    others = tuple(field for field in request.headers if field[0].lower() != name.lower())
    return structs.replace(request, headers=(*others, (name, _sendable(value, need))))


def _sendable(value: str, need: SecurityNeed) -> str:
    if _CONTROL.search(value) or _NOT_LATIN_1.search(value):
        message = f"the credential for '{need.scheme}' has a line break or another character that no header can hold"
        raise RequestInvalid(message, hint="look for a line end at its end")
    return value


SCHEMES: dict[str, Callable[[HttpRequest, Credential], HttpRequest]] = {
    "apiKey": _api_key,
    "basic": _basic,
    "bearer": _bearer,
    "digest": _digest,
    "oauth2": _bearer,
    "openIdConnect": _bearer,
    "mutualTLS": _nothing,  # the connection carries it
}
"""How each kind of scheme puts its credential into a request."""
