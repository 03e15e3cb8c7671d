"""The system's keyring, through the library `keyring`: values that users keep there, and tokens if they ask for it."""

import importlib
from typing import Any

import msgspec

from treadle.errors import RunRefused

SERVICE = "treadle"
"""Under which service tokens are kept."""


def library() -> Any:
    """Give the library.

    Raises:
        RunRefused: it is not installed.
    """
    try:
        return importlib.import_module("keyring")
    except ImportError as error:
        hint = 'pip install "treadle[keyring]"'
        raise RunRefused("the system's keyring needs the library keyring, which is not installed", hint=hint) from error


def from_keyring(service: str, user: str, what: str) -> str:
    """Give a value that a user has put into the keyring.

    Raises:
        RunRefused: it is not there, or there is no keyring.
    """
    found = _asked(lambda keyring: keyring.get_password(service, user))
    if not found:
        hint = f"put it there first: keyring set {service} {user}"
        raise RunRefused(f"{what}: the keyring has nothing for {service}/{user}", hint=hint)
    return str(found)


def kept_tokens(name: str) -> dict[str, Any]:
    """Give the tokens that were kept under a name, as JSON; what is none is as good as nothing."""
    found = _asked(lambda keyring: keyring.get_password(SERVICE, name))
    try:
        value = msgspec.json.decode(found or "{}")
    except msgspec.DecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def keep_tokens(name: str, tokens: dict[str, Any]) -> None:
    """Keep tokens under a name; raises like `from_keyring`."""
    _asked(lambda keyring: keyring.set_password(SERVICE, name, msgspec.json.encode(tokens).decode()))


def _asked(ask: Any) -> Any:
    keyring = library()
    errors = importlib.import_module("keyring.errors")
    try:
        return ask(keyring)
    except errors.KeyringError as error:
        said = next(iter(str(error).splitlines()), type(error).__name__)
        hint = "is there a keyring on this system, and is it unlocked?"
        raise RunRefused(f"the system's keyring cannot be used: {said}", hint=hint) from error
