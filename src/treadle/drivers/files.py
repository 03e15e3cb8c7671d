"""Files of this machine: those that inputs name, looked at before anything is sent, and their content as it goes out."""

import base64
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from treadle.drivers.policy_file import refuse_file
from treadle.engine.inputs import Text
from treadle.errors import RunRefused
from treadle.files import File, GivenFile

_ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "base64": base64.b64encode,
    "base64url": base64.urlsafe_b64encode,
    "base32": base64.b32encode,
    "base16": base64.b16encode,
}
"""What `contentEncoding` may name (RFC 4648; JSON Schema 2020-12 section 8.3)."""
_AS_IT_IS = frozenset({"identity", "7bit", "8bit", "binary"})


def named_again(value: Any) -> Any:
    """Give an input so that it names its files wherever it is read again: each by its whole path."""
    if isinstance(value, File):
        return {"file": f"@{os.path.abspath(value.path)}"}  # noqa: PTH100 - links stay what they are
    if isinstance(value, dict):
        return {name: named_again(entry) for name, entry in value.items()}
    return [named_again(entry) for entry in value] if isinstance(value, list) else value


class LocalFiles:
    """Files by path, as inputs name them."""

    def named(self, value: Any) -> str | None:
        """Give the path where a value names a file."""
        if isinstance(value, GivenFile):
            return value.path
        if isinstance(value, Path):
            return str(value)
        if isinstance(value, dict) and value.keys() == {"file"}:
            named = value["file"]
            return named[1:] if isinstance(named, str) and named.startswith("@") else None
        return None

    def marked(self, place: str, path: str, encoding: str | None) -> File | str:
        """Give the file, or its content as text where the schema says in which encoding.

        Raises:
            RunRefused: it is not there or cannot be read, the encoding is unknown, or a policy allows no files.
        """
        refuse_file(f"input '{place}' is not read from {path}")
        try:
            mode = os.stat(path).st_mode  # noqa: PTH116 - a str as it was given, for messages too
            if not stat.S_ISREG(mode):
                what = "a folder" if stat.S_ISDIR(mode) else "no regular file"
                raise RunRefused(f"input '{place}': {path} is {what}", hint="name a regular file")
            with Path(path).open("rb") as file:
                if encoding is not None and encoding not in _AS_IT_IS:
                    return self._encoded(place, encoding, file.read())
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise RunRefused(f"input '{place}': {path} cannot be read: {why}", hint="check the path") from error
        import mimetypes  # noqa: PLC0415 - few runs have files

        return File(path, Path(path).name, mimetypes.guess_type(path)[0])

    def _encoded(self, place: str, encoding: str, content: bytes) -> str:
        encode = _ENCODINGS.get(encoding)
        if encode is None:
            message = f"input '{place}': its schema says contentEncoding: {encoding}, which is not known"
            raise RunRefused(message, hint=f"there are {', '.join(_ENCODINGS)}")
        return encode(content).decode()

    def text(self, place: str, path: str) -> Text:
        """Give the text of a file, without its last line end, to be converted as the schema asks.

        Raises:
            RunRefused: it cannot be read, is no text, or a policy allows no files.
        """
        refuse_file(f"input '{place}' is not read from {path}")
        hint = f"write -i {place}:='\"@…\"' for a text that starts with '@'"
        try:
            text = Path(path).read_text("utf-8-sig")
        except OSError as error:
            raise RunRefused(f"input '{place}': {path} cannot be read: {error.strerror}", hint=hint) from error
        except UnicodeDecodeError as error:
            hint = f"save it as UTF-8; to send it as a file, mark the input `{place}` with `format: binary`"
            raise RunRefused(f"input '{place}': {path} is not UTF-8 text", hint=hint) from error
        return Text(text.removesuffix("\n").removesuffix("\r"))
