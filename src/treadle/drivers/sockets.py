"""Servers on Unix sockets: `http+unix://%2Fpath%2Fto.sock/base` names the socket where other URLs have their host."""

from urllib.parse import unquote

SCHEME = "http+unix://"
NAMED = "localhost"
"""The host that such a server is told it has: it has no name of its own."""


def socket_and_url(url: str) -> tuple[str, str]:
    """Give the path of the socket that a URL names, and the URL to send over it.

    Raises:
        ValueError: it names no absolute path.
    """
    authority, slash, rest = url.removeprefix(SCHEME).partition("/")
    path = unquote(authority)
    if not path.startswith("/") or not path.isprintable() or "%" not in authority:
        raise ValueError("it names no socket by its whole path, as in http+unix://%2Frun%2Fapi.sock/base")
    return path, f"http://{NAMED}{slash}{rest}"
