"""Where a redirect may lead, and what goes along: nothing secret to another origin, nothing from https to http."""

from urllib.parse import quote, unquote_plus, urljoin, urlsplit, urlunsplit

from treadle.drivers.sockets import SCHEME
from treadle.drivers.urls import shown_url
from treadle.engine.secret_flows import credential
from treadle.engine.secrets import Secrets
from treadle.errors import TreadleError
from treadle.sources.request import HttpRequest

_PLAIN_HEADERS = frozenset({"accept", "accept-language", "content-type", "user-agent"})
"""What another origin may see of a request's header fields: those that say nothing of whoever asks."""


class RedirectRefused(TreadleError):
    """A redirect is not followed; the message goes on after "the answer redirects"."""


def origin(url: str) -> str:
    """Give scheme, host and port of a URL (RFC 6454), or scheme and path of a Unix socket.

    Raises:
        ValueError: its host or port is none.
    """
    parts = urlsplit(url)
    if parts.scheme == "http+unix":
        return f"{SCHEME}{parts.netloc}"
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.scheme}://{parts.hostname}:{port}"


def redirected(request: HttpRequest, location: str, secrets: Secrets) -> HttpRequest:
    """Give the request that follows a redirect.

    To another origin goes no header but the plain ones, and no parameter of the query that carried a credential, also
    where the server has copied it into the new URL.

    Raises:
        RedirectRefused: it leads to no http URL, gives up TLS, names a user, or would carry a secret elsewhere.
    """
    shown = shown_url(location)
    try:
        url = _resolved(request.url, location)
        new, old = origin(url), origin(request.url)
    except ValueError as error:
        raise RedirectRefused(f"to {shown}, which is no http URL") from error
    if not url.startswith(("http://", "https://")) and new != old:
        raise RedirectRefused(f"to {shown}, which is no http URL")
    if "@" in urlsplit(url).netloc:
        hint = "a server must not say who is to log in elsewhere; see whether it is the right one"
        raise RedirectRefused(f"to {shown}, a URL with a user or password in it", hint=hint)
    if old.startswith("https:") and not new.startswith("https:"):
        hint = "name the server that has the resource with --server, if it may be asked without TLS"
        raise RedirectRefused(f"from https to {shown}, where everybody on the way could read along", hint=hint)
    if new == old:
        return HttpRequest(request.method, url, request.headers, request.body)
    url = _without_credentials(url, request.url, secrets)
    if secrets.text(url) != url:
        hint = "name that server with --server, if it is meant to have it"
        raise RedirectRefused(f"to another server, {new}, with a secret of this run in the URL", hint=hint)
    headers = tuple(
        (name, value)
        for name, value in request.headers
        if name.lower() in _PLAIN_HEADERS and secrets.text(value) == value
    )
    return HttpRequest(request.method, url, headers, request.body)


def _resolved(base: str, location: str) -> str:
    """Resolve where an answer redirects to; what names no host stays at the server of a Unix socket."""
    # Servers also write what a URL has no place for, as browsers let them.
    reference = quote(location, safe="%:/?#[]@!$&'()*+,;=~")
    if not base.startswith(SCHEME):
        return urljoin(base, reference)
    plain = f"http://{base.removeprefix(SCHEME)}"
    url = urljoin(plain, reference)
    stays = urlsplit(url)[:2] == urlsplit(plain)[:2]
    return f"{SCHEME}{url.removeprefix('http://')}" if stays else url


def _without_credentials(url: str, before: str, secrets: Secrets) -> str:
    """Leave out of a query what carries a credential: a secret value, or a parameter of a secret name that was sent."""
    parts = urlsplit(url)
    if not parts.query:
        return url
    sent = set(urlsplit(before).query.split("&"))
    kept = [pair for pair in parts.query.split("&") if not _carries(pair, sent, secrets)]
    return urlunsplit(parts._replace(query="&".join(kept)))


def _carries(pair: str, sent: set[str], secrets: Secrets) -> bool:
    name = unquote_plus(pair.partition("=")[0])
    # Secret values are looked for decoded too: a short one counts where it is the whole value only.
    value = unquote_plus(pair.partition("=")[2])
    known = secrets.text(pair) != pair or (value and secrets.text(value) != value)
    return bool(known) or (pair in sent and credential(name, "query"))
