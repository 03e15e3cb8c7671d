"""Puts credentials into requests just before they are sent, and answers a 401 once: a challenge, a token renewed.

Which credentials there are is in `credentials`, tokens are in `tokens`, how each scheme is written in
`sources.security`.
"""

import secrets as randomness
from typing import NamedTuple

from msgspec import Struct, structs

from treadle.drivers.credentials import Credentials, Found, lacking
from treadle.drivers.http import Send
from treadle.drivers.oauth import TokenRefused, Wanted
from treadle.drivers.redirects import origin
from treadle.drivers.run import Clock
from treadle.drivers.tokens import Tokens
from treadle.engine.effects import HttpFailed, HttpResponse, SendHttp
from treadle.engine.secret_flows import answered
from treadle.engine.secrets import Secrets
from treadle.errors import RunRefused
from treadle.sources.digest import challenge
from treadle.sources.needs import Alternatives, Challenge, Credential, SecurityNeed
from treadle.sources.request import HttpRequest, RequestInvalid
from treadle.sources.security import apply

MOST_ANSWERS = 3
"""How often one request is sent again because of a 401: a renewed token, a challenge, and one that had grown stale."""
_OBTAINED = ("oauth2", "openIdConnect")
_REFUSED = (TokenRefused, RequestInvalid, RunRefused)
"""Why a request cannot have its credential: there is no token, it fits no header, the keyring is closed."""


class Lack(NamedTuple):
    """A scheme that has no credential, and how to give one, in words."""

    scheme: str
    way: str


class Choice(Struct):
    """The alternative that is taken, with what there is for each of its schemes; or what all of them lack.

    Attributes:
        taken: None where there is no alternative that all is at hand for.
        lacks: by alternative.
    """

    taken: list[tuple[SecurityNeed, Found | None]] | None
    lacks: list[list[Lack]]

    def schemes(self) -> str:
        """Name the schemes that have no credential."""
        return " or ".join(" and ".join(f"'{lack.scheme}'" for lack in lacks) for lacks in self.lacks)

    def ways(self) -> str:
        """Say how to give what is lacking."""
        return "; or ".join(" and ".join(lack.way for lack in lacks) for lacks in self.lacks)


class Answered(Struct):
    """A Digest challenge under way: how often it was answered (the nonce count of RFC 7616)."""

    challenge: Challenge
    count: int = 0


class Authorizer:
    """Credentials, tokens and challenges, shared by the runs of a Runner."""

    def __init__(self, credentials: Credentials, tokens: Tokens, clock: Clock, *, client_cert: bool) -> None:
        self.credentials = credentials
        self.tokens = tokens
        self.clock = clock
        self._client_cert = client_cert
        self.challenges: dict[tuple[str, str, str], Answered] = {}

    def choose(self, alternatives: Alternatives, url: str) -> Choice:
        """Take the first alternative whose every scheme has a credential that may go to the host of a URL.

        One that asks for nothing is taken when no other can be.

        Raises:
            RunRefused: a credential is said to stand where it cannot be read.
        """
        lacks: list[list[Lack]] = []
        for needs in alternatives:
            found = [(need, self.credentials.find(need)) for need in needs]
            missing = [lack for need, have in found if (lack := self._lack(need, have, url)) is not None]
            if needs and not missing:
                return Choice(found, [])
            if needs:
                lacks.append(missing)
        return Choice([] if () in alternatives else None, lacks)

    def _lack(self, need: SecurityNeed, found: Found | None, url: str) -> Lack | None:
        if found is not None and not found.may_go_to(url):
            return Lack(need.scheme, f"{origin(url)} among the hosts that '{need.scheme}' may go to")
        way = lacking(need, found, client_cert=self._client_cert)
        return None if way is None else Lack(need.scheme, way)

    def exchange(self, effect: SendHttp, send: Send, secrets: Secrets) -> Send:
        """Give what sends the requests of an effect: with its credentials to the origin they are for, else without."""
        try:
            origin(effect.request.url)
        except ValueError:
            return send  # no URL at all, which is said when it is to be sent
        choice = self.choose(effect.security, effect.request.url) if effect.security else Choice([], [])
        return Authorized(self, effect, choice, send, secrets).exchange


class Authorized:
    """Sends the requests of one effect with its credentials."""

    def __init__(self, authorizer: Authorizer, effect: SendHttp, choice: Choice, send: Send, secrets: Secrets) -> None:
        self._authorizer = authorizer
        self._choice = choice
        self._send = send
        self._secrets = secrets
        self._origin = origin(effect.request.url)
        self._api = effect.request.url
        self._needs = list(choice.taken or [])
        self._given: list[tuple[SecurityNeed, Found | None]] = [
            (credential.need, _found(credential)) for credential in effect.credentials
        ]
        self._tokens: dict[str, str] = {}
        self._renewed: set[str] = set()
        self._answered: dict[str, Challenge] = {}
        self._led_away = False

    async def exchange(self, request: HttpRequest, timeout: float) -> HttpResponse | HttpFailed:
        """Send a request; after a redirect to another origin it goes without credentials.

        So it does when that one sends it back: another server is not to choose what is asked for with them.
        A 401 says that the request had no effect, so what is not idempotent is sent again as well.
        """
        if request.url == self._api:
            self._led_away = False  # the first request, or a repeat of it
        elif origin(request.url) != self._origin:
            self._led_away = True
        if self._led_away:
            return await self._send(request, timeout)
        clock = self._authorizer.clock
        ends = clock.now() + timeout
        for _ in range(MOST_ANSWERS):
            result = await self._once(request, timeout, ends)
            if isinstance(result, HttpFailed) or result.status not in (401, 403):
                return result
            self._secrets.learn(answered(result))  # the run sees no answer but the last one
            note = self._note(result.status)
            if result.status == 403:
                return structs.replace(result, note=note)
            try:
                if not await self._can_answer(result, timeout):
                    return structs.replace(result, note=note)
            except _REFUSED as error:
                note = self._secrets.text(f"a new token was asked for, but {error.message}")
                return structs.replace(result, note=note)
        return await self._once(request, timeout, ends)

    async def _once(self, request: HttpRequest, timeout: float, ends: float) -> HttpResponse | HttpFailed:
        try:
            ready = await self._ready(request, timeout)
        except _REFUSED as error:
            return HttpFailed("credential", f"it was not sent: {self._secrets.text(error.message)}", error.hint)
        left = ends - self._authorizer.clock.now()
        # What is longer than that was a person who signed in, which is not the server's time.
        return await self._send(ready, left if left > 0 else timeout)

    async def _ready(self, request: HttpRequest, timeout: float) -> HttpRequest:
        for need, found in (*self._needs, *self._given):
            if found is None:
                continue  # mutualTLS: the connection has it
            self._secrets.add(found.secrets())
            fields = found.fields
            if need.kind in _OBTAINED and found.origin != _DOCUMENT:
                token = self._tokens.get(need.scheme)
                if token is None:
                    token = await self._authorizer.tokens.token(self._wanted(need, found, timeout)) or ""
                    self._tokens[need.scheme] = token
                request = apply(request, Credential(need, token))
            elif need.kind == "digest":
                request = apply(request, self._digest(need, fields))
            else:
                request = apply(
                    request,
                    Credential(need, fields.get("token", ""), fields.get("username", ""), fields.get("password", "")),
                )
        return request

    def _wanted(self, need: SecurityNeed, found: Found, timeout: float) -> Wanted:
        return Wanted(need, found, self._secrets, self._api, timeout, self._send)

    # 401

    async def _can_answer(self, response: HttpResponse, timeout: float) -> bool:
        """Say whether there is something new to say to a 401, and get it ready."""
        new = False
        for need, found in (*self._needs, *self._given):
            if found is None:
                continue
            if need.kind in _OBTAINED and found.origin != _DOCUMENT:
                new |= await self._renew(need, found, timeout)
            elif need.kind == "digest":
                new |= self._challenged(need, found, response)
        return new

    async def _renew(self, need: SecurityNeed, found: Found, timeout: float) -> bool:
        refused = self._tokens[need.scheme]
        wanted = self._wanted(need, found, timeout)
        if need.scheme in self._renewed:
            self._authorizer.tokens.give_up(wanted, refused)
            return False
        self._renewed.add(need.scheme)
        token = await self._authorizer.tokens.token(wanted, refused=refused)
        if token is None or token == refused:
            return False
        self._tokens[need.scheme] = token
        return True

    def _key(self, need: SecurityNeed, username: str) -> tuple[str, str, str]:
        return (self._origin, need.scheme, username)

    def _challenged(self, need: SecurityNeed, found: Found, response: HttpResponse) -> bool:
        asked = challenge(value for name, value in response.headers if name.lower() == "www-authenticate")
        before = self._answered.get(need.scheme)
        # An answer that was refused is refused again, unless only its nonce was too old.
        if asked is None or (before is not None and not asked.stale):
            return False
        key = self._key(need, found.fields.get("username", ""))
        self._authorizer.challenges[key] = Answered(asked)
        return True

    def _digest(self, need: SecurityNeed, fields: dict[str, str]) -> Credential:
        username, password = fields.get("username", ""), fields.get("password", "")
        known = self._authorizer.challenges.get(self._key(need, username))
        if known is None:
            return Credential(need, "", username, password)
        known.count += 1
        if known.count == 1:
            self._answered[need.scheme] = known.challenge
        cnonce = randomness.token_hex(16)
        return Credential(need, "", username, password, known.challenge, cnonce, known.count)

    def _note(self, status: int) -> str | None:
        if self._choice.lacks:
            return f"no credential was given for {self._choice.schemes()}: give {self._choice.ways()}"
        if status == 403:
            return None
        refused = [f"'{need.scheme}' from {found.origin}" for need, found in self._needs if found is not None]
        return f"the server does not accept the credential for {' and '.join(refused)}" if refused else None


_DOCUMENT = "the document"


def _found(credential: Credential) -> Found:
    """Give what a document gives for a scheme as what is found elsewhere."""
    named = {"token": credential.token, "username": credential.username, "password": credential.password}
    fields = {name: value for name, value in named.items() if value}
    return Found(fields, dict.fromkeys(named, _DOCUMENT))
