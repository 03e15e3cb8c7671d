"""OAuth 2 and OpenID Connect endpoints: where they are, how they are asked, what they answer. Keeps no token.

When a token is asked for, and how long it is good, is in `tokens`; signing in by hand is in `signin`.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from msgspec import Struct

from treadle.diagnostics import printable
from treadle.document.nesting import nests_too_deeply
from treadle.drivers.credentials import Found, flow_of
from treadle.drivers.http import Send
from treadle.drivers.policy import literal
from treadle.drivers.run import Clock
from treadle.drivers.settings import host_of
from treadle.drivers.sockets import SCHEME
from treadle.drivers.urls import shown_url
from treadle.engine.effects import HttpFailed, HttpResponse
from treadle.engine.secrets import Secrets
from treadle.errors import TreadleError
from treadle.sources.needs import SecurityNeed
from treadle.sources.operation import FORM
from treadle.sources.request import HttpRequest
from treadle.sources.security import basic_pair

EARLY = 30.0
"""How many seconds before its end a token is renewed, or a tenth of its life where that is less."""
LONGEST_SAID = 200
"""How much of what a server says is shown (characters)."""
WELL_KNOWN = "/.well-known/openid-configuration"
_BY_TOKEN_URL = ("refresh", "password", "clientCredentials")
"""Flows that need nothing but a token endpoint."""
_HINTS = {
    "invalid_client": "check client_id and client_secret; some servers take them in the body only: client_auth=body",
    "unauthorized_client": "the server does not let this client use this flow; say another with flow=…",
    "invalid_grant": "the password, refresh token or code is wrong, used or too old",
    "invalid_scope": "say which scopes with scope=…",
    "unsupported_grant_type": "say another flow with flow=…",
}


class TokenRefused(TreadleError):
    """There is no access token to be had; the request that needed it was not sent.

    `code` is the error of RFC 6749 section 5.2, where the server gave one.
    """

    def __init__(self, message: str, *, hint: str | None = None, code: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class Endpoints(NamedTuple):
    """Where a provider takes requests, and what it is called."""

    token: str | None
    authorization: str | None = None
    device: str | None = None
    refresh: str | None = None
    issuer: str | None = None
    client_auth: str = "basic"


class Held(Struct):
    """A token, until when it is good (seconds since the epoch), and what renews it."""

    token: str
    renew_at: float | None = None
    refresh_token: str | None = None

    def __repr__(self) -> str:
        return f"<Held until {self.renew_at}>"


class Wanted(NamedTuple):
    """A token that is wanted: for which need, with what, for which run's secrets, and how requests for it are sent.

    `api` is the URL that it is for, `seconds` what one request may take.
    """

    need: SecurityNeed
    found: Found
    secrets: Secrets
    api: str
    seconds: float
    send: Send


class Provider:
    """Asks for tokens.

    Args:
        clock: tells the time and waits.
        prompt: shows a line to the person at the terminal.
        interactive: there is such a person.
    """

    def __init__(self, clock: Clock, prompt: Callable[[str], None], *, interactive: bool) -> None:
        self.clock = clock
        self.prompt = prompt
        self.interactive = interactive
        self._discovered: dict[str, Endpoints] = {}

    async def granted(self, form: Mapping[str, str], wanted: Wanted) -> Held:
        """Ask the token endpoint (RFC 6749 section 3.2).

        Raises:
            TokenRefused: it gives no token.
        """
        endpoints = await self.endpoints(wanted)
        url = endpoints.token
        if form["grant_type"] == "refresh_token" and endpoints.refresh and not wanted.found.fields.get("token_url"):
            url = endpoints.refresh
        if url is None:
            hint = f"say where: --credential {wanted.need.scheme}.token_url=https://…"
            raise TokenRefused("the description names no token endpoint", hint=hint)
        answer = await self.posted(url, form, wanted, endpoints.client_auth)
        return self._held_from(answer, url, wanted)

    async def posted(
        self, url: str, form: Mapping[str, str], wanted: Wanted, client_auth: str | None = None
    ) -> dict[str, Any]:
        """Send a form with the client's identification, and give the JSON object of the answer.

        Raises:
            TokenRefused: there is none, or it says why not.
        """
        _check_url(url, wanted)
        fields = wanted.found.fields
        headers = [("Content-Type", FORM), ("Accept", "application/json")]
        body = dict(form)
        client_id, client_secret = fields.get("client_id"), fields.get("client_secret")
        if client_id and client_secret and (fields.get("client_auth") or client_auth) == "basic":
            # Both are encoded as in a form first (RFC 6749 section 2.3.1).
            pair = basic_pair(quote(client_id, safe=""), quote(client_secret, safe=""))
            wanted.secrets.add([pair])
            headers.append(("Authorization", f"Basic {pair}"))
        elif client_id:
            body["client_id"] = client_id
            if client_secret:
                body["client_secret"] = client_secret
        request = HttpRequest("POST", url, tuple(headers), urlencode(body).encode())
        return _object(await wanted.send(request, wanted.seconds), url, wanted.secrets)

    def _held_from(self, answer: dict[str, Any], url: str, wanted: Wanted) -> Held:
        token, kind = answer.get("access_token"), answer.get("token_type", "bearer")
        new = [answer.get(name) for name in ("access_token", "refresh_token", "id_token")]
        wanted.secrets.obtain([value for value in new if isinstance(value, str) and value])
        if not isinstance(token, str) or not token:
            raise TokenRefused(
                f"the token endpoint {shown_url(url)} answered without an access_token", hint="is it the right URL?"
            )
        if not isinstance(kind, str) or kind.lower() != "bearer":
            raise TokenRefused(
                f"the token endpoint {shown_url(url)} gives a token of type {_said(kind)}, which Treadle cannot send"
            )
        seconds = _seconds(answer.get("expires_in"))
        refresh = answer.get("refresh_token")
        now = self.clock.now()
        renew_at = None if seconds is None else now + seconds - min(EARLY, seconds / 10)
        return Held(token, renew_at, refresh if isinstance(refresh, str) and refresh else None)

    async def endpoints(self, wanted: Wanted) -> Endpoints:
        """Give where the provider takes requests: as the credential says, else the description, or its discovery.

        Raises:
            TokenRefused: discovery does not work.
        """
        need, fields = wanted.need, wanted.found.fields
        described = {flow.kind: flow for flow in need.flows}
        flow = described.get(flow_of(need, fields) or "") or next((f for f in need.flows if f.token_url), None)
        found = Endpoints(None)
        if flow is not None:
            found = Endpoints(flow.token_url, flow.authorization_url, flow.device_url, flow.refresh_url)
        elif need.discovery_url is not None and not (
            fields.get("token_url") and flow_of(need, fields) in _BY_TOKEN_URL
        ):
            found = await self._discovery(need.discovery_url, wanted)
        named = {"token": fields.get("token_url"), "device": fields.get("device_url")}
        return found._replace(**{name: url for name, url in named.items() if url})

    async def _discovery(self, url: str, wanted: Wanted) -> Endpoints:
        """Read a provider's metadata (OpenID Connect Discovery 1.0 section 4)."""
        if url in self._discovered:
            return self._discovered[url]
        _check_url(url, wanted, secret=False)
        request = HttpRequest("GET", url, (("Accept", "application/json"),))
        value = _object(await wanted.send(request, wanted.seconds), url, wanted.secrets, "OpenID discovery")
        issuer = value.get("issuer")
        # "The issuer value returned MUST be identical to the Issuer URL that was used as the prefix" (section 4.3)
        expected = url.removesuffix(WELL_KNOWN)
        if not isinstance(issuer, str) or issuer.rstrip("/") != expected.rstrip("/"):
            message = f"OpenID discovery at {shown_url(url)} speaks for another issuer: {_said(issuer)}"
            raise TokenRefused(message, hint=f"its issuer must be {expected}; its tokens are not asked for")
        methods = value.get("token_endpoint_auth_methods_supported")
        body_only = (
            isinstance(methods, list) and "client_secret_basic" not in methods and "client_secret_post" in methods
        )
        named = ("token_endpoint", "authorization_endpoint", "device_authorization_endpoint")
        token, authorization, device = (entry if isinstance(entry := value.get(name), str) else None for name in named)
        auth = "body" if body_only else "basic"
        self._discovered[url] = Endpoints(token, authorization, device, None, issuer, auth)
        return self._discovered[url]


def scope_of(wanted: Wanted) -> str:
    """Give the scopes that are asked for: what the credential says, else what the operation requires."""
    return wanted.found.fields.get("scope") or " ".join(wanted.need.scopes)


def scope_field(wanted: Wanted) -> dict[str, str]:
    """Give the scopes as a field of a form; none where none are asked for."""
    scope = scope_of(wanted)
    return {"scope": scope} if scope else {}


def _check_url(url: str, wanted: Wanted, *, secret: bool = True) -> None:
    """Refuse an endpoint that a credential must not go to.

    "The authorization server MUST require the use of TLS" (RFC 6749 section 3.2); where the API itself is served without
    it, or the endpoint is on this machine, nothing is gained by it.
    """
    host = host_of(url)
    if not host or url.startswith(SCHEME):
        raise TokenRefused(
            f"{shown_url(url)} is no http(s) URL", hint="say where tokens are given: token_url=https://…"
        )
    if "@" in urlsplit(url).netloc:
        hint = "give client_id and client_secret as they are: --credential SCHEME.client_id=…"
        raise TokenRefused(f"{shown_url(url)} has a user or password in it, and is not asked", hint=hint)
    if url.startswith("http:") and not is_loopback(host) and not wanted.api.startswith("http:"):
        message = f"{shown_url(url)} is not https, and no credential is sent there"
        raise TokenRefused(message, hint="say another: token_url=https://…")
    if secret and not wanted.found.may_go_to(url):
        hosts = ", ".join(wanted.found.hosts or ())
        message = f"the credential for '{wanted.need.scheme}' may go to {hosts or 'no host'} only, not to {host}"
        raise TokenRefused(message, hint="add the token endpoint's host to `hosts` if it is meant")


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine by its name or address."""
    address = literal(host)
    return host == "localhost" if address is None else address.is_loopback


def _object(
    answer: HttpResponse | HttpFailed, url: str, secrets: Secrets, what: str = "the token endpoint"
) -> dict[str, Any]:
    shown = shown_url(url)
    if isinstance(answer, HttpFailed):
        hint = "is it up, and is its URL right (token_url)?" if answer.kind in ("connection", "dns") else answer.hint
        raise TokenRefused(f"{what} {shown} gives no answer: {answer.message}", hint=hint)
    try:
        value = None if nests_too_deeply(answer.body) else msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        value = None
    if isinstance(value, dict):
        tokens = ("access_token", "refresh_token", "id_token", "device_code")
        secrets.obtain([entry for name in tokens if isinstance(entry := value.get(name), str) and entry])
    if isinstance(value, dict) and isinstance(value.get("error"), str):
        code = value["error"]
        more = value.get("error_description")
        said = f"{_said(code)} ({_said(more)})" if isinstance(more, str) and more else _said(code)
        raise TokenRefused(f"{what} {shown} refuses: {secrets.text(said)}", hint=_HINTS.get(code), code=code)
    if not 200 <= answer.status < 300:
        raise TokenRefused(
            f"{what} {shown} answered {answer.status}", hint="is it the right URL, and is the server up?"
        )
    if not isinstance(value, dict):
        kind = next((text for name, text in answer.headers if name.lower() == "content-type"), "no content type")
        raise TokenRefused(f"{what} {shown} answered with no JSON object ({_said(kind)})", hint="is it the right URL?")
    return value


def _said(value: Any) -> str:
    """Show what a server said: one line, no more than is needed."""
    text = printable(value if isinstance(value, str) else repr(value))
    return text if len(text) <= LONGEST_SAID else f"{text[:LONGEST_SAID]}…"


def _seconds(value: Any) -> float | None:
    """Read `expires_in`; some servers write it as a text."""
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return None
    return seconds if 0 <= seconds < 10**10 else None
