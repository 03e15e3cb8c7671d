"""Who drives runs: an owner is a lock file that its process holds for as long as it lives, however it ends.

No heartbeats: the system lets go of the lock at the moment the process dies, and anybody can try it.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: int) -> bool:
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(file: int) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class Owner:
    """One lock file in a folder, held until `close`; one is enough for any number of runs.

    Raises:
        OSError: the folder cannot be written to.
    """

    __slots__ = ("_file", "_path", "name")

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            self.name = os.urandom(8).hex()
            self._path = folder / self.name
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            # Between the two calls somebody may have found the file without its lock, and taken it away.
            if _try_lock(self._file) and self._path.exists():
                return
            os.close(self._file)

    def close(self) -> None:
        """Let go: whatever this owner still drives has no driver any more."""
        if self._file >= 0:
            with suppress(OSError):
                self._path.unlink()
            os.close(self._file)
            self._file = -1


def lives(folder: Path, name: str) -> bool:
    """Say whether an owner lives; the file of a dead one is taken away."""
    path = folder / name
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        if not _try_lock(file):
            return True
        with suppress(OSError):
            path.unlink()
        return False
    finally:
        os.close(file)
