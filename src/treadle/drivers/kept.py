"""What is kept with a run of the options that may hold a secret, and the options of a run that goes on.

Of credentials it is kept where each value comes from; what was given as it is, a token or the password of a proxy, has to be
given again.
"""

import os
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from treadle.drivers.journals.protocol import GIVEN
from treadle.drivers.origins import Reference
from treadle.drivers.proxies import shown
from treadle.drivers.settings import Options
from treadle.drivers.typed import from_fields
from treadle.drivers.urls import shown_url
from treadle.errors import RunRefused

_NOT_KEPT = frozenset({
    "server", "source", "server_var", "strict", "no_cache", "client_key_password", "record", "replay",
})  # fmt: skip
"""Options that a program already shows, the one that is a secret, and those of which there is nothing to resume."""
_FILES = ("ca_cert", "client_cert", "client_key")
_WITHHELD = "***@"
"""What is in the place of the user and the password of a proxy that is kept."""


def to_keep(options: Options) -> dict[str, Any]:
    """Give what a journal keeps of the options: what is not as by default nor in the program; files by their whole paths."""
    fields = zip(Options.__struct_fields__, Options.__struct_defaults__, strict=True)
    kept = {
        name: getattr(options, name)
        for name, default in fields
        if name not in _NOT_KEPT and getattr(options, name) != default
    }
    for name in _FILES:
        if name in kept:
            kept[name] = os.path.abspath(kept[name])  # noqa: PTH100 - links stay what they are
    if "proxy" in kept:
        kept["proxy"] = shown(kept["proxy"])
    if "credentials" in kept:
        kept["credentials"] = {scheme: _fields(value) for scheme, value in kept["credentials"].items()}
    return kept


def _fields(value: Any) -> dict[str, Any]:
    """Give the fields of a credential: a text as it is, `{kind: name}` for what stands elsewhere, None for a secret."""
    fields = value if isinstance(value, Mapping) else {"": value}
    return {name: list(entry) if name == "hosts" else _field(name, entry, fields) for name, entry in fields.items()}


def _field(name: str, value: Any, fields: Mapping[str, Any]) -> Any:
    if isinstance(value, Reference):
        place = os.path.abspath(value.name) if value.kind == "file" else value.name  # noqa: PTH100 - see above
        return {value.kind: place}
    from treadle.drivers.credentials import SECRET_FIELDS  # noqa: PLC0415 - most runs have none

    # A user without a password may be a key, as with some servers.
    secret = name in SECRET_FIELDS or (name == "username" and not fields.get("password"))
    if value == "":
        return value  # as the password of an API key that goes as a user name
    return None if secret or not isinstance(value, str) or shown_url(value) != value else value


def options_again(kept: Mapping[str, Any], given: Mapping[str, Any]) -> Options:
    """Give the options of a run that goes on: those it began with, and in their place those that are given now.

    Raises:
        RunRefused: what was not kept is not given again, or an option makes no sense.
    """
    options = from_fields({name: value for name, value in kept.items() if name != "credentials"}, Options)
    changed = dict(given)
    profile = changed.get("profile", options.profile)
    credentials = _given_again(kept.get("credentials", {}), changed.pop("credentials", None) or {})
    if "proxy" not in changed and _WITHHELD in (options.proxy or ""):
        changed["proxy"] = _proxy_of(profile, str(options.proxy))
    return replace(options, credentials=credentials or None, **changed)


def _proxy_of(profile: str | None, kept: str) -> str:
    """Give the proxy of a profile where it is the one that was kept."""
    if profile is not None:
        from treadle.drivers.config import read_profile  # noqa: PLC0415 - see above

        found = read_profile(profile, Options.__struct_fields__)
        proxy = None if found is None else found.options.get("proxy")
        if isinstance(proxy, str) and shown(proxy) == kept:
            return proxy
    message = f"the proxy that the run began with, {kept}, has a user or a password, which was not stored"
    example = kept.replace(_WITHHELD, "USER:PASSWORD@")
    raise RunRefused(message, hint=f"give it again: --proxy {example}, or in TREADLE_PROXY")


def _given_again(kept: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Put credentials together: what is given now wins, field by field; a plain one stands for all fields."""
    found: dict[str, dict[str, Any]] = {
        scheme: dict(fields) if isinstance(fields, Mapping) else {"": fields} for scheme, fields in given.items()
    }
    missing: list[str] = []
    for scheme, fields in kept.items():
        anew = found.setdefault(scheme, {})
        replaced = set(fields) - {"hosts"} if "" in anew else {""} if anew.keys() - {"hosts"} else set()
        for name, value in fields.items():
            if name in anew or name in replaced:
                continue
            if value is None and not os.environ.get(_variable(scheme, name)):
                missing.append(f"{scheme}.{name}" if name else scheme)
            elif value is not None:
                anew[name] = _read(value)
    if missing:
        which = (
            "a credential that is secret was"
            if len(missing) == 1
            else f"{len(missing)} credentials that are secret were"
        )
        message = f"{which} given as a text when the run began, so it was not stored: {', '.join(missing)}"
        again = " ".join(f"--credential {name}=env:VARIABLE" for name in missing)
        raise RunRefused(message, hint=f"give it again: {again}")
    return {scheme: fields for scheme, fields in found.items() if fields}


def _variable(scheme: str, name: str) -> str:
    from treadle.drivers.credentials import PREFIX, upper  # noqa: PLC0415 - see above

    return PREFIX + upper(f"{scheme}_{name}" if name else scheme)


def _read(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, name),) = value.items()
    return Reference(kind, name)


def told(kept: Mapping[str, Any]) -> dict[str, str]:
    """Say where each secret value of the credentials that are kept comes from, by SCHEME or SCHEME.FIELD."""
    found = {}
    for scheme, fields in kept.items():
        for name, value in fields.items():
            if value is None or isinstance(value, dict):
                found[f"{scheme}.{name}" if name else scheme] = GIVEN if value is None else str(_read(value))
    return found
