"""Where credentials come from: the command line, the environment, a profile of the config file, a keyring.

What is found is known by the name of its scheme; nothing is read before a workflow needs it. How credentials go into
requests is in `authorization`.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from treadle.drivers.config import CONFIG_FIELDS, FIELDS, Profile, readable_by_others
from treadle.drivers.origins import Reference, reference, value_of
from treadle.drivers.texts import is_text
from treadle.errors import RunRefused
from treadle.sources.needs import SecurityNeed
from treadle.sources.security import basic_pair

SECRET_FIELDS = frozenset({"", "token", "password", "client_secret", "refresh_token"})
"""Those that are never shown; the field without a name is the whole of a plain credential."""
PREFIX = "TREADLE_CREDENTIAL_"
FLOWS = ("refresh", "password", "clientCredentials", "deviceAuthorization", "authorizationCode")
"""The ways to a token, in the order in which they are tried, by the names of OpenAPI."""
_CHOICES = {"flow": FLOWS, "client_auth": ("basic", "body")}
"""Fields that have one of these values."""


Value = str | Reference


class Entry(Struct, frozen=True):
    """One field of a credential and where it was found."""

    value: Value
    origin: str

    def __repr__(self) -> str:
        return f"<Entry from {self.origin}>"


class Found(Struct):
    """What there is for one scheme: its fields by name, where each is from, and the hosts to which alone it may go."""

    fields: dict[str, str]
    origins: dict[str, str]
    hosts: tuple[str, ...] | None = None

    def __repr__(self) -> str:
        return f"<Found from {self.origin}>"

    @property
    def origin(self) -> str:
        """Where it is from, in words."""
        return ", ".join(dict.fromkeys(self.origins.values()))

    def may_go_to(self, url: str) -> bool:
        """Say whether it may be sent to the host of a URL."""
        if self.hosts is None:
            return True
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            return False
        names = (host, f"{host}:{port or (443 if parts.scheme == 'https' else 80)}")
        return any(
            wanted.lower() in names or (wanted.startswith("*.") and host.endswith(wanted[1:].lower()))
            for wanted in self.hosts
        )

    def secrets(self) -> list[str]:
        """Give what must not be shown of it, and what becomes of it in requests."""
        fields = self.fields
        found = [value for name, value in fields.items() if name in SECRET_FIELDS and value]
        for user, secret in (("username", "password"), ("client_id", "client_secret")):
            if fields.get(secret):
                found.append(basic_pair(fields.get(user, ""), fields[secret]))
        if fields.get("username") and not fields.get("password"):
            # Some servers take a key in place of the user, with an empty password.
            found += [fields["username"], basic_pair(fields["username"], "")]
        return found


class Credentials:
    """Everything that was given, looked up by the scheme that needs it.

    Args:
        given: by `SCHEME` or `SOURCE:SCHEME`, a text or fields; the command line's or the caller's.
        profile: a profile of the config file.
        label: how messages call what is `given`.

    Raises:
        RunRefused: something is no credential.
    """

    def __init__(self, given: Mapping[str, Any] | None, profile: Profile | None, label: str = "--credential") -> None:
        self._given = {name: _fields(name, value, label) for name, value in (given or {}).items()}
        self._label = label
        self._profile = profile
        self._profiled: dict[str, dict[str, Any]] = {}
        if profile is not None:
            for name, value in profile.credentials.items():
                self._profiled[name] = _fields(name, _references(value, Path(profile.path).parent), profile.name)
        self._found: dict[tuple[str, str], Found | None] = {}

    def find(self, need: SecurityNeed) -> Found | None:
        """Give what there is for a scheme, with the values that stand elsewhere.

        Raises:
            RunRefused: a value cannot be read where it is said to stand.
        """
        key = (need.source, need.scheme)
        if key not in self._found:
            self._found[key] = self._read(need)
        return self._found[key]

    def _read(self, need: SecurityNeed) -> Found | None:
        entries: dict[str, Entry] = {}
        hosts: tuple[str, ...] | None = None
        # From the weakest to the strongest: what is named for one source, on the command line, wins.
        for names in (need.scheme, f"{need.source}:{need.scheme}"):
            profiled = self._profiled.get(names, {})
            if "hosts" in profiled:
                hosts = tuple(profiled["hosts"])
            entries |= self._entries(profiled, f"profile {self._profile.name if self._profile else ''}")
        for names in (need.scheme, f"{need.source}_{need.scheme}"):
            entries |= _from_environment(names)
        for names in (need.scheme, f"{need.source}:{need.scheme}"):
            given = self._given.get(names, {})
            if "hosts" in given:
                hosts = tuple(given["hosts"])
            entries |= self._entries(given, self._label)
        if not entries:
            return None
        values = {name: _value(entry, need, name) for name, entry in entries.items()}
        for name, choices in _CHOICES.items():
            if name in values and values[name] not in choices:
                message = f"the field '{name}' of the credential for '{need.scheme}' is not one of {', '.join(choices)}"
                raise RunRefused(message, hint=f"it is from {entries[name].origin}")
        origins = {name: entry.origin for name, entry in entries.items()}
        return Found(_whole(values, need), origins, hosts)

    def _entries(self, fields: Mapping[str, Any], origin: str) -> dict[str, Entry]:
        return {name: Entry(value, _origin(value, origin)) for name, value in fields.items() if name != "hosts"}

    def secrets(self) -> list[str]:
        """Give what must not be shown of all that has been looked up."""
        return [secret for found in self._found.values() if found is not None for secret in found.secrets()]

    def unused(self, needs: Iterable[SecurityNeed]) -> list[str]:
        """Give the names among those given for which there is no scheme."""
        known = {name for need in needs for name in (need.scheme, f"{need.source}:{need.scheme}")}
        return [name for name in self._given if name not in known]

    def exposed(self) -> str | None:
        """Give the config file that other users can read and that holds a secret as it is, or None."""
        if self._profile is None or not readable_by_others(self._profile.path):
            return None
        literal = any(
            isinstance(value, str) and name in SECRET_FIELDS
            for fields in self._profiled.values()
            for name, value in fields.items()
        )
        with_password = "@" in str(self._profile.options.get("proxy", ""))
        return self._profile.path if literal or with_password else None


def variables(need: SecurityNeed) -> list[str]:
    """Give the environment variables that a scheme's credential is looked for in, without those of its fields."""
    return [PREFIX + upper(need.scheme), PREFIX + upper(f"{need.source}_{need.scheme}")]


def upper(name: str) -> str:
    """Give a name as it stands in the names of environment variables."""
    return re.sub(r"[^A-Za-z0-9]", "_", name).upper()


def _from_environment(name: str) -> dict[str, Entry]:
    found = {}
    for field in ("", *FIELDS):
        variable = PREFIX + upper(f"{name}_{field}" if field else name)
        if os.environ.get(variable):
            found[field] = Entry(os.environ[variable], f"variable {variable}")
    return found


def _fields(name: str, value: Any, label: str) -> dict[str, Any]:
    """Give a credential as fields; a plain one has one field without a name."""
    if isinstance(value, str | Reference):
        return {"": value}
    if not isinstance(value, Mapping):
        raise RunRefused(f"the credential '{name}' ({label}) is neither a text nor fields", hint=_example(name))
    for field, entry in value.items():
        if field not in ("", *CONFIG_FIELDS):
            raise RunRefused(f"the credential '{name}' has no field '{field}'", hint=f"there are {', '.join(FIELDS)}")
        if field == "hosts":
            if isinstance(entry, str) or not all(isinstance(host, str) for host in entry):
                raise RunRefused(f"the field 'hosts' of the credential '{name}' is a list of names")
        elif not isinstance(entry, str | Reference):
            raise RunRefused(f"the field '{field}' of the credential '{name}' is no text")
    return dict(value)


def _example(name: str) -> str:
    return f"for example {{'{name}': {{'client_id': '…', 'client_secret': '…'}}}}"


def _references(value: Any, folder: Path) -> Any:
    if isinstance(value, Mapping):
        return {name: entry if name == "hosts" else _references(entry, folder) for name, entry in value.items()}
    return reference(value, folder) if isinstance(value, str) else value


def _origin(value: Value, origin: str) -> str:
    return f"{origin} ({value})" if isinstance(value, Reference) else origin


def _value(entry: Entry, need: SecurityNeed, field: str) -> str:
    what = f"the credential for '{need.scheme}'" + (f", field {field}" if field else "")
    value = entry.value
    found = value if isinstance(value, str) else value_of(value, what)
    if not is_text(found):
        raise RunRefused(f"{what}, from {entry.origin}, has bytes that are no UTF-8 text", hint="give it as UTF-8")
    return found


def _whole(values: dict[str, str], need: SecurityNeed) -> dict[str, str]:
    """Give the fields that a plain credential stands for: a token or key, or USER:PASSWORD."""
    plain = values.pop("", None)
    if plain is None:
        return values
    if need.kind not in ("basic", "digest"):
        return {"token": plain, **values}
    user, joint, password = plain.partition(":")
    if not joint:
        message = f"the credential for '{need.scheme}' is not USER:PASSWORD, which {need.kind} authentication needs"
        raise RunRefused(message, hint="write USER: for an empty password")
    return {"username": user, "password": password, **values}


def lacking(need: SecurityNeed, found: Found | None, *, client_cert: bool) -> str | None:
    """Say what a scheme lacks for a request to carry its credential, in words, or give None."""
    have = found.fields if found is not None else {}
    match need.kind:
        case "mutualTLS":
            return None if client_cert else "--client-cert"
        case "apiKey" | "bearer":
            return None if have.get("token") else _ways(need, "")
        case "basic" | "digest":
            return None if have.get("username") or have.get("password") else _ways(need, "", "USER:PASSWORD")
        case "oauth2" | "openIdConnect":
            return None if have.get("token") or flow_of(need, have) is not None else _oauth_ways(need, have)
    what = "the description does not define it" if need.kind == "undefined" else f"Treadle does not know {need.kind}"
    return f"it as a parameter of the step, for {what}"


def _ways(need: SecurityNeed, field: str, form: str = "…") -> str:
    dotted, under = (f".{field}", f"_{field.upper()}") if field else ("", "")
    return f"--credential {need.scheme}{dotted}={form} or {variables(need)[0]}{under}"


def _oauth_ways(need: SecurityNeed, have: Mapping[str, str]) -> str:
    kinds = {described.kind for described in need.flows}
    wanted = ["client_id", "client_secret"] if "clientCredentials" in kinds else []
    if not wanted and "password" in kinds:
        wanted = ["username", "password"]
    if not wanted and (kinds & {"deviceAuthorization", "authorizationCode"} or need.kind == "openIdConnect"):
        wanted = ["client_id"]
    missing = [field for field in wanted if not have.get(field)]
    ways = [_ways(need, field) for field in missing]
    return ", ".join(ways) if ways else _ways(need, "token")


def flow_of(need: SecurityNeed, have: Mapping[str, str]) -> str | None:
    """Give the flow by which a token can be had with these fields, or None where something is missing."""
    described = {flow.kind for flow in need.flows}
    anywhere = bool(have.get("token_url")) or need.kind == "openIdConnect"
    token_urls = anywhere or any(flow.token_url for flow in need.flows)
    secret = bool(have.get("client_id") and have.get("client_secret"))
    possible = {
        "refresh": bool(have.get("refresh_token")) and token_urls,
        "password": bool(have.get("username") and have.get("password")) and ("password" in described or anywhere),
        "clientCredentials": secret and ("clientCredentials" in described or anywhere),
        "deviceAuthorization": bool(have.get("client_id"))
        and token_urls
        and ("deviceAuthorization" in described or bool(have.get("device_url")) or have.get("flow") == "deviceAuthorization"),
        "authorizationCode": bool(have.get("client_id"))
        and ("authorizationCode" in described or need.kind == "openIdConnect"),
    }  # fmt: skip
    wanted = have.get("flow")
    if wanted:
        return wanted if possible.get(wanted) else None
    return next((name for name, fits in possible.items() if fits), None)


def parse_credential(option: str, number: int) -> tuple[str, str, Value]:
    """Read one `--credential`: give the scheme, the field ("" for a plain one) and the value.

    Raises:
        RunRefused: it is not SCHEME=VALUE or SCHEME.FIELD=VALUE; its text is not shown.
    """
    name, joint, text = option.partition("=")
    if not joint or not name.strip() or not text:
        lack = "it has no '='" if not joint else "it has no name before '='" if not name.strip() else "it is empty"
        hint = "for example --credential petstore_auth=env:PETSTORE_TOKEN"
        raise RunRefused(f"--credential number {number} is not SCHEME=VALUE: {lack}", hint=hint)
    scheme, dot, field = name.rpartition(".")
    if dot and field in FIELDS:
        return scheme, field, reference(text)
    return name, "", reference(text)


def parsed(options: Iterable[str]) -> dict[str, dict[str, Value]]:
    """Read every `--credential`; raises like `parse_credential`."""
    found: dict[str, dict[str, Value]] = {}
    for number, option in _numbered(options):
        scheme, field, value = parse_credential(option, number)
        found.setdefault(scheme, {})[field] = value
    return found


def _numbered(options: Iterable[str]) -> Iterator[tuple[int, str]]:
    return ((number, option) for number, option in enumerate(options, 1) if option.strip())
