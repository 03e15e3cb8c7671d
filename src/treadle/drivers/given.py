"""Options as callers in Python give them: by name, with those of a profile."""

from collections.abc import Mapping
from typing import Any

import msgspec

from treadle.drivers.settings import Options
from treadle.drivers.typed import from_fields
from treadle.errors import RunRefused


def options_of(given: Mapping[str, Any]) -> Options:
    """Give the options that keywords name; a profile's stand where none is given.

    Raises:
        RunRefused: one makes no sense, or the profile cannot be read.
        TypeError: there is no option of a name.
    """
    known = Options.__struct_fields__
    for name in given:
        if name not in known:
            raise TypeError(f"there is no option '{name}'; there are {', '.join(known)}")
    if given.get("profile") is not None:
        from treadle.drivers.config import read_profile  # noqa: PLC0415 - most runs have no config file

        profile = read_profile(given["profile"], known)
        given = {**(profile.options if profile else {}), **given}
    try:
        return from_fields(given, Options)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `$.")
        name = place.rstrip("`") or "options"
        raise RunRefused(f"option '{name}': {message[0].lower()}{message[1:]}") from error
