"""Who asks: the API key in an Authorization header, and what it opens. No web framework in here."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable

from treadle.vendors.dataiku.simulator.description import ApiKey, Privilege
from treadle.vendors.dataiku.simulator.errors import NotAllowedError, NotAuthenticatedError


class Keyring:
    """The keys of a simulated DSS."""

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        self._keys = {key.key: key for key in keys}

    def authenticate(self, authorization: str | None) -> ApiKey:
        """Find the key that a request carries."""
        if authorization is None:
            raise NotAuthenticatedError("No API key was given")
        key = self.find(key_in(authorization))
        if key is None:
            raise NotAuthenticatedError("Unknown API Key")
        return key

    def find(self, key: str | None) -> ApiKey | None:
        """Find a key by its text, if there is one."""
        return self._keys.get(key or "")


def opens(key: ApiKey, project: str) -> bool:
    """Tell whether a key opens a project, whether or not there is such a project."""
    return key.projects is None or project in key.projects


def check_access(key: ApiKey, project: str, privilege: Privilege) -> None:
    """Refuse a project that the key does not open, and what it may not do there."""
    if not opens(key, project):
        raise NotAllowedError(f"API key {key.id} may not access project {project}")
    if privilege not in key.privileges:
        raise NotAllowedError(f"API key {key.id} does not have the privilege {privilege} on project {project}")


def key_in(authorization: str) -> str | None:
    """Take the key out of Bearer, of Basic as the user with no password, or of Basic as the password with no user."""
    scheme, _, credentials = authorization.strip().partition(" ")
    credentials = credentials.strip()
    if scheme.lower() == "bearer":
        return credentials
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(credentials, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    if not colon or (user and password):
        return None
    return user or password
