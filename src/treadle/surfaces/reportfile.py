"""The file of `--report`: where it may be, and how it is written."""

import json
import stat
from pathlib import Path
from typing import Any

from treadle.errors import RunRefused
from treadle.surfaces.streams import say, tell

_OPEN_STREAMS = ("/dev", "/dev/fd", "/proc/self/fd")
"""Where /dev/stderr and the shell's >(command) stand: pipes, but ones that are open already."""


def report_file(name: str | None, option: str = "--report") -> Path | None:
    """Make sure before anything is sent that the report can be written; leave no empty one for a run that is refused.

    Raises:
        RunRefused: it cannot be written there.
    """
    if name is None:
        return None
    if name == "-":
        hint = "for the report on stdout, use --json"
        raise RunRefused(f"{option} writes a file, and - is none", hint=hint)
    path = Path(name)
    try:
        known = _exists(path, option)
        with path.open("a"):
            pass
        if not known:
            path.unlink()
    except OSError as error:
        hint = "name a file in a folder that is there and can be written to"
        raise RunRefused(f"{option} {name} cannot be written: {error.strerror}", hint=hint) from error
    return path


def _exists(path: Path, option: str) -> bool:
    """Say whether there is a file already, and refuse what would keep us waiting for a reader."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    waits = not (stat.S_ISREG(mode) or stat.S_ISCHR(mode) or stat.S_ISDIR(mode))
    if waits and str(path.absolute().parent) not in _OPEN_STREAMS:
        what = "a named pipe" if stat.S_ISFIFO(mode) else "no regular file"
        raise RunRefused(f"{option} {path} cannot be written: it is {what}", hint="name a regular file")
    return True


def write_report(path: Path, report: dict[str, Any] | list[dict[str, Any]]) -> None:
    """Write the report; where that fails after all, put it on stderr rather than lose it."""
    text = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        tell(say, f"treadle: the report could not be written to {path}: {error.strerror}; it follows\n{text}")
