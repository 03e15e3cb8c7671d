"""Server Objects to the URL that requests go to, with the values that the user gives for their variables.

A variable that has no value stays in the URL as it stands there, in braces: whoever needs that server says so.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit, urlunsplit

from treadle.errors import RunRefused, TreadleError

_VARIABLE = re.compile(r"\{([^{}]+)\}")


class ServerInvalid(TreadleError):
    """A server cannot be used as it is described, or with the values that are given for it."""


def server_url(servers: Any, uri: str, given: Mapping[str, str], source: str) -> str:
    """Give the URL of the first server.

    A relative one is read against `uri`, where the document was found that it stands in; `$self` does not matter there
    ("For API URLs, the `$self` field ... is ignored and the retrieval URI is used instead", OpenAPI 3.2, appendix F).

    Raises:
        ServerInvalid: a given value is not among those that the variable may have, or the result is no URL.
    """
    first = next((server for server in _objects(servers)), {"url": "/"})
    url = _text(first.get("url")) or "/"
    variables = first.get("variables")
    declared = variables if isinstance(variables, dict) else {}

    def value(found: re.Match[str]) -> str:
        known = _value(found[1], declared.get(found[1]), given.get(found[1]), source)
        return found[0] if known is None else known

    url = _VARIABLE.sub(value, url)
    if "{" in url or not uri.startswith(("http://", "https://")):
        return url
    try:
        return urljoin(without_user(uri), url)
    except ValueError as error:
        raise ServerInvalid(f"the server's URL {url!r} is none", hint="say which: --server URL") from error


def unset(url: str) -> list[str]:
    """Give the variables that a server's URL has no values for."""
    return _VARIABLE.findall(url)


def no_value(source: str, url: str) -> ServerInvalid:
    """Give the error that a server is needed whose URL has variables without a value."""
    names = unset(url)
    shown = " and ".join(f"'{name}'" for name in names)
    has = "has no value" if len(names) == 1 else "have no values"
    hint = f"give it: {' '.join(f'--server-var {name}=VALUE' for name in names)}, or the whole: --server {source}=URL"
    return ServerInvalid(f"the server of source '{source}' is '{url}', in which {shown} {has}", hint=hint)


def _value(name: str, variable: Any, given: str | None, source: str) -> str | None:
    """Give the value of a variable, or None where there is none."""
    described = variable if isinstance(variable, dict) else {}
    if given is None:
        return _text(described["default"]) if described.get("default") is not None else None
    # "An enumeration of string values to be used if the substitution options are from a limited set."
    allowed = [_text(one) for one in described["enum"]] if isinstance(described.get("enum"), list) else None
    if allowed is not None and given not in allowed:
        message = f"server variable '{name}' of source '{source}' cannot be '{given}'"
        raise ServerInvalid(message, hint=f"it is one of {', '.join(allowed)}")
    return given


def variable_names(servers: Any) -> Iterator[str]:
    """Give the variables of servers, those without a description too."""
    for server in _objects(servers):
        yield from unset(_text(server.get("url")))


def for_source(given: Mapping[str, str], source: str) -> dict[str, str]:
    """Give the values of variables for a source: those given as `SOURCE.NAME` before those given as `NAME`."""
    own = f"{source}."
    return {**given, **{name.removeprefix(own): value for name, value in given.items() if name.startswith(own)}}


def check_variables(given: Iterable[str], known: Mapping[str, Iterable[str]]) -> None:
    """Make sure that each variable for which a value is given is there; `known` are those of each source.

    Raises:
        RunRefused: one is not, so its value would have no effect.
    """
    names = {f"{source}.{name}" for source, found in known.items() for name in found}
    plain = dict.fromkeys(name for found in known.values() for name in found)
    for name in given:
        if name not in names and name not in plain:
            hint = f"there are {', '.join(plain)}" if plain else "no server has variables"
            raise RunRefused(f"no server of these sources has a variable '{name}'", hint=hint)


def without_user(url: str) -> str:
    """Give a URL without the user and password in it: they were for the document, not for the API."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    return (entry for entry in value if isinstance(entry, dict)) if isinstance(value, list) else iter(())


def _text(value: Any) -> str:
    """Give a value that should be a text; YAML reads `8443` and `true` without quotes as others."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else ""
