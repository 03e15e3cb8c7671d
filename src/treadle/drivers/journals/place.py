"""Where the journal is when nobody says so: in the folder that the system has for the state of programs."""

from pathlib import Path


def state_file(named: str | None) -> Path:
    """Give the path of the journal: the one that is named, or `journal.sqlite` in the user's folder for state."""
    if named is not None:
        return Path(named)
    from platformdirs import user_state_path  # noqa: PLC0415 - not where a path is named

    return user_state_path("treadle", appauthor=False) / "journal.sqlite"
