"""URLs as they may be shown: without what logs somebody in. Sends nothing and knows no run."""

from urllib.parse import unquote_plus

from treadle.engine.secret_flows import opens
from treadle.engine.secrets import MASK


def shown_url(url: str) -> str:
    """Give a URL with a user or password in it masked, and the values of parameters that go by a key's name."""
    rest, mark, fragment = url.partition("#")
    rest, query_mark, query = rest.partition("?")
    pairs = "&".join(map(_shown_pair, query.split("&")))
    return f"{user_masked(rest)}{query_mark}{pairs}{mark}{fragment}"


def opens_by_query(url: str) -> bool:
    """Say whether the query of a URL holds a token, a key or a signature, by its name."""
    query = url.partition("#")[0].partition("?")[2]
    return any(opens(unquote_plus(pair.partition("=")[0])) for pair in query.split("&"))


def user_masked(url: str) -> str:
    """Give a URL with what stands before the host's `@` masked."""
    head, joint, rest = url.partition("//")
    authority, slash, path = rest.partition("/")
    if not joint or "@" not in authority:
        return url
    return f"{head}//{MASK}@{authority.rpartition('@')[2]}{slash}{path}"


def _shown_pair(pair: str) -> str:
    name, joint, value = pair.partition("=")
    return f"{name}{joint}{MASK}" if value and opens(unquote_plus(name)) else pair
