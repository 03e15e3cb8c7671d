"""The folder of `--save-bodies`: binary outputs go into files of it, named after their content."""

import hashlib
import mimetypes
from pathlib import Path

from treadle.errors import RunRefused
from treadle.files import Binary
from treadle.sources.media import media_type
from treadle.surfaces.streams import say, tell


class BodyFolder:
    """Puts binary data into files of a folder, each once; without a folder it keeps nothing."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._kept: dict[Binary, str | None] = {}

    def keep(self, body: Binary) -> str | None:
        """Put a body into a file and give its path; where that fails, say so and give None."""
        if self._folder is None:
            return None
        if body not in self._kept:
            self._kept[body] = self._written(self._folder, body)
        return self._kept[body]

    def _written(self, folder: Path, body: Binary) -> str | None:
        extension = mimetypes.guess_extension(media_type(body.media_type)) or ".bin"
        path = folder / f"{hashlib.sha256(body.content).hexdigest()[:16]}{extension}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body.content)
        except OSError as error:
            tell(say, f"treadle: a binary output could not be written to {path}: {error.strerror}")
            return None
        return str(path)


def body_folder(name: str | None, report: Path | None) -> BodyFolder:
    """Give the folder that is named, made before anything is sent, or else one beside the report.

    Raises:
        RunRefused: it cannot be made.
    """
    if name is None:
        beside = report is not None and (report.is_file() or not report.exists())
        return BodyFolder(report.with_name(f"{report.name}.bodies") if beside and report is not None else None)
    try:
        Path(name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        hint = "name a folder that can be written to"
        raise RunRefused(f"--save-bodies {name} cannot be made: {error.strerror}", hint=hint) from error
    return BodyFolder(Path(name))
