"""Access tokens: obtained when first needed, kept for a Runner, renewed in time and once after a 401.

One request at a time for a token, whoever waits for it. Nothing is written to disk, but for what goes to the keyring
when the user says so. How endpoints are asked is in `oauth`.
"""

import asyncio

import msgspec

from treadle.drivers import signin
from treadle.drivers.credentials import flow_of
from treadle.drivers.oauth import Held, Provider, TokenRefused, Wanted, scope_field, scope_of
from treadle.drivers.redirects import origin


class Tokens:
    """The tokens of a Runner; with `keep` they are kept in the keyring."""

    def __init__(self, provider: Provider, *, keep: bool) -> None:
        self._provider = provider
        self._keep = keep
        self._held: dict[tuple[str, ...], Held] = {}
        self._locks: dict[tuple[str, ...], asyncio.Lock] = {}
        self._given_up: dict[tuple[str, ...], str] = {}

    async def token(self, wanted: Wanted, *, refused: str | None = None) -> str | None:
        """Give an access token; in place of the one that was `refused` a new one, or None where there is none to be had.

        Raises:
            TokenRefused: there is none.
        """
        key = _key(wanted)
        async with self._locks.setdefault(key, asyncio.Lock()):
            held = self._held.get(key) or _given(wanted) or await self._kept(key, wanted)
            fresh = held is not None and (held.renew_at is None or self._provider.clock.now() < held.renew_at)
            if held is not None and fresh and held.token != refused:
                self._held[key] = held
                wanted.secrets.obtain([held.token])
                return held.token
            if refused is not None and self._given_up.get(key) == refused:
                return None
            if refused is not None and flow_of(wanted.need, wanted.found.fields) is None:
                return None  # the token was given as it is, and nothing renews it
            held = await self._renewed(held, wanted)
            self._held[key] = held
            await self._keep_for_later(key, held)
            return held.token

    def give_up(self, wanted: Wanted, token: str) -> None:
        """Note that a token was refused right after it was obtained: a further one would be refused as well."""
        self._given_up[_key(wanted)] = token

    async def _renewed(self, held: Held | None, wanted: Wanted) -> Held:
        if held is not None and held.refresh_token:
            try:
                return await self._refreshed(held.refresh_token, wanted)
            except TokenRefused as error:
                # "The refresh token has expired" and such: then from the beginning, where there is a way.
                alone = not flow_of(wanted.need, {**wanted.found.fields, "refresh_token": "", "flow": ""})
                if error.code not in ("invalid_grant", "invalid_request") or alone:
                    raise
        flow = flow_of(wanted.need, wanted.found.fields)
        fields = wanted.found.fields
        match flow:
            case "refresh":
                return await self._refreshed(fields["refresh_token"], wanted)
            case "clientCredentials":
                return await self._provider.granted({"grant_type": "client_credentials", **scope_field(wanted)}, wanted)
            case "password":
                form = {"grant_type": "password", "username": fields["username"], "password": fields["password"]}
                return await self._provider.granted({**form, **scope_field(wanted)}, wanted)
        if flow == "deviceAuthorization":
            return await signin.by_device(self._provider, wanted)
        return await signin.by_browser(self._provider, wanted)

    async def _refreshed(self, refresh_token: str, wanted: Wanted) -> Held:
        held = await self._provider.granted({"grant_type": "refresh_token", "refresh_token": refresh_token}, wanted)
        held.refresh_token = held.refresh_token or refresh_token
        return held

    # The keyring

    async def _kept(self, key: tuple[str, ...], wanted: Wanted) -> Held | None:
        if not self._keep:
            return None
        from treadle.drivers.keyrings import kept_tokens  # noqa: PLC0415 - behind an extra

        kept = await asyncio.to_thread(kept_tokens, " ".join(key))
        token, renew_at, refresh = kept.get("token"), kept.get("renew_at"), kept.get("refresh_token")
        if not isinstance(token, str) or not token:
            return None
        held = Held(token, renew_at if isinstance(renew_at, int | float) else None)
        held.refresh_token = refresh if isinstance(refresh, str) else None
        wanted.secrets.obtain([value for value in (held.token, held.refresh_token) if value])
        return held

    async def _keep_for_later(self, key: tuple[str, ...], held: Held) -> None:
        if self._keep:
            from treadle.drivers.keyrings import keep_tokens  # noqa: PLC0415 - behind an extra

            await asyncio.to_thread(keep_tokens, " ".join(key), msgspec.to_builtins(held))


def _given(wanted: Wanted) -> Held | None:
    """Give the token that the credential itself has."""
    fields = wanted.found.fields
    return Held(fields["token"], None, fields.get("refresh_token")) if fields.get("token") else None


def _key(wanted: Wanted) -> tuple[str, ...]:
    """Give what a token is for: which API, who asks whom for it, by which flow, for which scopes."""
    need, fields = wanted.need, wanted.found.fields
    url = fields.get("token_url") or need.discovery_url or next((f.token_url for f in need.flows if f.token_url), "")
    # A kept refresh token must not go where another description with the same token endpoint says.
    refresh = next((f.refresh_url for f in need.flows if f.refresh_url), None)
    who = fields.get("client_id", ""), fields.get("username", "")
    return (
        need.scheme,
        origin(wanted.api),
        url or "",
        *who,
        flow_of(need, fields) or "",
        scope_of(wanted),
        *filter(None, [refresh]),
    )
