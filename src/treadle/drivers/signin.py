"""Signing in by hand: device code (RFC 8628), and authorisation code with PKCE in a browser (RFC 6749, 7636, 8252)."""

import asyncio
import base64
import hashlib
import hmac
import secrets as randomness
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from treadle.diagnostics import printable
from treadle.drivers.oauth import Held, Provider, TokenRefused, Wanted, is_loopback, scope_field, scope_of

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
PATIENCE = 300.0
"""How many seconds a browser has for coming back."""
LONGEST = 1800.0
"""How many seconds a device code is waited for where the server sets no end."""
INTERVAL = 5.0
"""Seconds between polls where the server does not say; "slow_down" adds as many (RFC 8628 sections 3.2 and 3.5)."""
MOST_POLLS = 1_000
MOST_HEADERS = 100
_PAGE = "<!doctype html><title>Treadle</title><p>{}</p>"


async def by_device(provider: Provider, wanted: Wanted) -> Held:
    """Show a code that a person enters elsewhere, and ask for the token until that is done.

    Raises:
        TokenRefused: it was denied, or took too long.
    """
    endpoints = await provider.endpoints(wanted)
    if endpoints.device is None:
        hint = f"say where: --credential {wanted.need.scheme}.device_url=https://…"
        raise TokenRefused("the description names no device authorization endpoint", hint=hint)
    form = {"client_id": wanted.found.fields["client_id"], **scope_field(wanted)}
    answer = await provider.posted(endpoints.device, form, wanted, endpoints.client_auth)
    code, user_code = answer.get("device_code"), answer.get("user_code")
    where = answer.get("verification_uri") or answer.get(
        "verification_url"
    )  # the second is an early draft's, still used
    if not all(isinstance(text, str) and text for text in (code, user_code, where)):
        raise TokenRefused(f"{endpoints.device} gives no device_code, user_code and verification_uri")
    said = f"to sign in for '{wanted.need.scheme}', open {where} and enter the code {user_code}"
    provider.prompt(printable(wanted.secrets.text(said)))  # of the server's own words nothing is sure
    complete = answer.get("verification_uri_complete")
    if isinstance(complete, str):
        provider.prompt(printable(wanted.secrets.text(f"or open {complete}")))
    interval = _number(answer.get("interval"), INTERVAL)
    ends = provider.clock.now() + _number(answer.get("expires_in"), LONGEST)
    for _ in range(MOST_POLLS):
        await provider.clock.sleep(interval)
        if provider.clock.now() >= ends:
            break
        try:
            return await provider.granted({"grant_type": DEVICE_GRANT, "device_code": str(code)}, wanted)
        except TokenRefused as error:
            if error.code == "slow_down":
                interval += INTERVAL
            elif error.code != "authorization_pending":
                raise
    raise TokenRefused(f"nobody entered the code {user_code} in time", hint="run it again for a new code")


def _number(value: Any, default: float) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else default


async def by_browser(provider: Provider, wanted: Wanted) -> Held:
    """Show a URL to be opened in a browser, and wait on this machine for its coming back with a code.

    Raises:
        TokenRefused: there is no terminal, it was denied, its state is another's, or it took too long.
    """
    if not provider.interactive:
        message = f"signing in for '{wanted.need.scheme}' needs a person at a terminal, and there is none"
        hint = "give a token or a refresh_token, or a flow that needs nobody (client_id and client_secret)"
        raise TokenRefused(message, hint=hint)
    endpoints = await provider.endpoints(wanted)
    if endpoints.authorization is None:
        raise TokenRefused("the description names no authorization endpoint", hint="give a token")
    verifier = randomness.token_urlsafe(48)
    state = randomness.token_urlsafe(24)
    wanted.secrets.add([verifier])
    redirect = wanted.found.fields.get("redirect_uri", "http://127.0.0.1/callback")
    waiting = _Waiting(redirect, state, endpoints.issuer)
    server = await waiting.server()
    try:
        back = waiting.address(server.sockets[0].getsockname()[1])
        query = {
            "response_type": "code",
            "client_id": wanted.found.fields["client_id"],
            "redirect_uri": back,
            "state": state,
            "code_challenge": _challenge(verifier),
            "code_challenge_method": "S256",
        }
        scope = scope_of(wanted) or ("openid" if wanted.need.kind == "openIdConnect" else "")
        query |= {"scope": scope} if scope else {}
        joint = "&" if "?" in endpoints.authorization else "?"
        url = f"{endpoints.authorization}{joint}{urlencode(query)}"
        provider.prompt(
            printable(f"to sign in for '{wanted.need.scheme}', open this in a browser on this machine: {url}")
        )
        try:
            async with asyncio.timeout(PATIENCE):
                code = await waiting.code
        except TimeoutError as error:
            raise TokenRefused(f"nobody signed in within {PATIENCE:.0f} s", hint="run it again") from error
    finally:
        server.close()
        waiting.close()
    wanted.secrets.add([code])
    form = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier, "redirect_uri": back}
    return await provider.granted(form, wanted)


def _challenge(verifier: str) -> str:
    """Give the code challenge of method S256 (RFC 7636 section 4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


class _Waiting:
    """Waits on the loopback interface for the browser to come back (RFC 8252 section 7.3)."""

    def __init__(self, redirect: str, state: str, issuer: str | None) -> None:
        self._parts = urlsplit(redirect)
        self._state = state
        self._issuer = issuer
        self._writers: set[asyncio.StreamWriter] = set()
        self.code: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        if self._parts.scheme != "http" or not is_loopback(self._parts.hostname or ""):
            raise TokenRefused(
                f"redirect_uri {redirect} is none of this machine", hint="such as http://127.0.0.1:8400/callback"
            )

    async def server(self) -> asyncio.Server:
        """Listen, on the port of the redirect URI if it has one, else on a free one."""
        try:
            return await asyncio.start_server(self._connected, self._parts.hostname, self._parts.port or 0)
        except OSError as error:
            raise TokenRefused(f"cannot listen on {self._parts.netloc}: {error.strerror}") from error

    def address(self, port: int) -> str:
        """Give the URL that the browser comes back to."""
        host = f"[{self._parts.hostname}]" if ":" in (self._parts.hostname or "") else self._parts.hostname
        return f"http://{host}:{port}{self._parts.path}"

    def close(self) -> None:
        """Close what browsers keep open."""
        for writer in self._writers:
            writer.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            line = (await reader.readline()).decode("latin-1").split(" ")
            for _ in range(MOST_HEADERS):
                if not (await reader.readline()).strip():
                    break
            status, said, settle = self._answered(line[1] if len(line) == 3 and line[0] == "GET" else "")
            page = _PAGE.format(said).encode()
            head = f"HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {len(page)}\r\n"
            writer.write(f"{head}Connection: close\r\n\r\n".encode() + page)
            await writer.drain()
            settle()
        except (OSError, ValueError):
            pass  # whoever it was has gone, or does not speak HTTP; the browser is still to come
        finally:
            self._writers.discard(writer)
            writer.close()

    def _answered(self, target: str) -> tuple[str, str, Callable[[], None]]:
        """Look at what came back; only what has our state is from where we sent the browser.

        Gives a status, what the browser shows, and what is to be done when it has been shown.
        """
        parts = urlsplit(target)
        given = {name: values[0] for name, values in parse_qs(parts.query).items()}
        ours = hmac.compare_digest(given.get("state", "").encode(), self._state.encode())
        if parts.path != self._parts.path or not ours or self.code.done():
            return "404 Not Found", "This is not what Treadle is waiting for.", lambda: None
        if self._issuer is not None and given.get("iss", self._issuer) != self._issuer:  # RFC 9207 section 2.4
            refused = TokenRefused("the browser came back from another issuer")
        elif "code" in given:
            return "200 OK", "You are signed in; this window can be closed.", lambda: self._settle(given["code"])
        else:
            said = " ".join(filter(None, (given.get("error", "no code came back"), given.get("error_description"))))
            refused = TokenRefused(f"signing in was refused: {printable(said)[:200]}")
        return "200 OK", "Treadle was not let in; see its messages.", lambda: self._settle(refused)

    def _settle(self, outcome: str | TokenRefused) -> None:
        if self.code.done():
            return
        if isinstance(outcome, str):
            self.code.set_result(outcome)
        else:
            self.code.set_exception(outcome)
