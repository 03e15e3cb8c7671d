"""The config file: profiles of option values and credentials, in TOML. Says where what is wrong stands."""

import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from treadle.errors import RunRefused

VARIABLE = "TREADLE_CONFIG"
_TOP = ("default", "profiles")
_FILES = ("ca_cert", "client_cert", "client_key")
_NOT_IN_PROFILES = ("client_key_password", "credentials", "profile")
FIELDS = (
    "token", "username", "password", "client_id", "client_secret", "refresh_token", "scope", "flow", "token_url",
    "device_url", "redirect_uri", "client_auth",
)  # fmt: skip
"""What a credential can have."""
CONFIG_FIELDS = (*FIELDS, "hosts")
MAX_LINES = 5_000
"""How many lines of a config file are searched for the place of a mistake."""


class Profile(Struct, frozen=True):
    """One profile: values of options by their Python names, credentials as they stand there, and the file."""

    name: str
    path: str
    options: dict[str, Any] = {}
    credentials: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"<Profile {self.name} of {self.path}>"


def config_path() -> Path:
    """Give the place of the config file: what TREADLE_CONFIG says, or the folder for such files on this system."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    import platformdirs  # noqa: PLC0415 - not needed where the variable says it

    return Path(platformdirs.user_config_dir("treadle", appauthor=False)) / "config.toml"


def read_profile(name: str | None, options: Iterable[str]) -> Profile | None:
    """Read a profile, without a name the default one; None where nobody asks for one and there is none.

    Args:
        name: the profile, or None.
        options: the names of options that a profile can hold.

    Raises:
        RunRefused: the file cannot be read, holds what it must not, or has no such profile.
    """
    path = config_path()
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError as error:
        if name is None and not os.environ.get(VARIABLE):
            return None
        what = f"there is no config file {path}"
        hint = f"write one, with a table [profiles.{name or 'NAME'}]"
        raise RunRefused(what, hint=hint) from error
    except OSError as error:
        raise RunRefused(f"the config file {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RunRefused(f"the config file {path} is not UTF-8 text", hint="save it as UTF-8") from error
    import tomllib  # noqa: PLC0415 - most people have no config file

    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RunRefused(f"the config file {path} is no TOML: {error}", hint="see docs/credentials.md") from error
    profiles = _checked(value, path, text, tuple(options))
    chosen = name or value.get("default") or ("default" if "default" in profiles else None)
    if chosen is None:
        return None
    if chosen not in profiles:
        raise RunRefused(f"{path} has no profile '{chosen}'", hint=f"it has {', '.join(profiles) or 'none'}")
    return _profile(chosen, profiles[chosen], path)


def _checked(value: dict[str, Any], path: Path, text: str, options: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Refuse what no profile can hold, and give the profiles."""
    known = sorted(_dashed(name) for name in options if name not in _NOT_IN_PROFILES)
    _refuse_unknown(value, _TOP, (), path, text)
    profiles = value.get("profiles", {})
    if not isinstance(value.get("default", ""), str):
        raise _wrong("'default' is the name of a profile", ("default",), path, text)
    if not isinstance(profiles, dict):
        raise _wrong("'profiles' is a table of profiles", ("profiles",), path, text)
    for name, profile in profiles.items():
        at = ("profiles", name)
        if not isinstance(profile, dict):
            raise _wrong(f"the profile '{name}' is no table", at, path, text)
        _refuse_unknown(profile, [*known, *map(_underscored, known), "credentials"], at, path, text)
        _check_credentials(profile.get("credentials", {}), (*at, "credentials"), path, text)
    return profiles


def _check_credentials(value: Any, at: tuple[str, ...], path: Path, text: str) -> None:
    if not isinstance(value, dict):
        raise _wrong("'credentials' is a table: SCHEME = …", at, path, text)
    for scheme, given in value.items():
        here = (*at, scheme)
        if isinstance(given, str):
            continue
        if not isinstance(given, dict):
            raise _wrong(f"the credential '{scheme}' is neither a text nor a table", here, path, text)
        _refuse_unknown(given, CONFIG_FIELDS, here, path, text)
        for field, entry in given.items():
            fits = _is_texts(entry) if field == "hosts" else isinstance(entry, str)
            if not fits:
                wanted = "a list of texts" if field == "hosts" else "a text"
                raise _wrong(f"'{field}' is {wanted}", (*here, field), path, text)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, str) for entry in value)


def _refuse_unknown(value: Mapping[str, Any], known: Iterable[str], at: tuple[str, ...], path: Path, text: str) -> None:
    names = list(known)
    for name in value:
        if name not in names:
            from difflib import get_close_matches  # noqa: PLC0415 - only for a message

            near = get_close_matches(name, names, 1)
            hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(names[:12])}"
            raise _wrong(f"there is no '{name}' here", (*at, name), path, text, hint)


def _wrong(
    message: str, at: tuple[str, ...], path: Path, text: str, hint: str = "see docs/credentials.md"
) -> RunRefused:
    line = _line(at, text)
    place = f"{path}:{line}" if line else str(path)
    return RunRefused(f"{place}: {'.'.join(at)}: {message}", hint=hint)


def _line(at: tuple[str, ...], text: str) -> int | None:
    """Give the line on which an entry ends: the first one with which the text up to there is TOML that has it."""
    import tomllib  # noqa: PLC0415 - see above

    lines = text.splitlines()[:MAX_LINES]
    last = at[-1]
    for number, line in enumerate(lines, 1):
        if last not in line:
            continue
        try:
            value: Any = tomllib.loads("\n".join(lines[:number]))
        except tomllib.TOMLDecodeError:
            continue
        for name in at:
            value = value.get(name) if isinstance(value, dict) else None
        if value is not None:
            return number
    return None


def _profile(name: str, value: dict[str, Any], path: Path) -> Profile:
    options = {_underscored(key): entry for key, entry in value.items() if key != "credentials"}
    for key in _FILES:
        if isinstance(options.get(key), str):
            options[key] = str(path.parent / options[key])  # as seen from the config file, not from wherever one is
    return Profile(name, str(path), options, value.get("credentials", {}))


def readable_by_others(path: str) -> bool:
    """Say whether other users of this machine can read a file, where that can be told."""
    if os.name != "posix":
        return False
    try:
        return bool(Path(path).stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))
    except OSError:
        return False


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _underscored(name: str) -> str:
    return name.replace("-", "_")
