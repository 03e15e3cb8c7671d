"""Where the journal is when nobody says so: in the folder that the system has for the state of programs."""

import os
import sys
from pathlib import Path


def state_file(named: str | None) -> Path:
    """Give the path of the journal: the one that is named, or `journal.sqlite` in the user's folder for state.

    (XDG Base Directory Specification; Apple's and Microsoft's own places.)
    """
    if named is not None:
        return Path(named)
    if sys.platform == "win32":
        folder = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        folder = Path.home() / "Library" / "Application Support"
    else:
        given = os.environ.get("XDG_STATE_HOME", "")  # "If an implementation encounters a relative path … ignore it"
        folder = Path(given) if given.startswith("/") else Path.home() / ".local" / "state"
    return folder / "treadle" / "journal.sqlite"
