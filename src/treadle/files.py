"""Values that JSON has no form for: a file that a person named as an input, and an answer that is no text.

They are no dicts and no texts, so nothing that a document or a server writes can be taken for one of them.
"""

from collections.abc import Callable
from typing import Any


class File:
    """A file that whoever runs a workflow gave as an input; it is read when it is sent, never before.

    Attributes:
        path: where it is.
        name: its name without folders, as a multipart body says it.
        media_type: what it is by its name, or None where that tells nothing.
    """

    __slots__ = ("media_type", "name", "path")

    def __init__(self, path: str, name: str, media_type: str | None = None) -> None:
        self.path = path
        self.name = name
        self.media_type = media_type

    def __repr__(self) -> str:
        return f"<File {self.path}>"


class Binary:
    """The body of an answer that is no text: its bytes, and the media type that the server gave it."""

    __slots__ = ("content", "media_type")

    def __init__(self, content: bytes, media_type: str) -> None:
        self.content = content
        self.media_type = media_type

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Binary):
            return NotImplemented
        return (self.content, self.media_type) == (other.content, other.media_type)

    def __hash__(self) -> int:
        return hash((self.content, self.media_type))

    def __repr__(self) -> str:
        return f"<Binary {self.media_type}, {len(self.content):,} bytes>"


class GivenFile:
    """A file that an input names (`-i NAME=@FILE`); whether its text or the file itself is meant, the schema says."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path


def in_words(value: object) -> str | None:
    """Say what a value is where it is one of these, for messages."""
    if isinstance(value, File):
        return "a file"
    return "binary data" if isinstance(value, Binary) else None


def json_form(value: Any, keep: Callable[[Binary], str | None] | None = None) -> Any:
    """Give a value as it stands in JSON: a file as its path, binary data by size and type, all else as it is.

    `keep` is given binary data and says in which file it was put.
    """
    if isinstance(value, File):
        return {"file": f"@{value.path}"}
    if isinstance(value, Binary):
        where = None if keep is None else keep(value)
        return {"file": where, "bytes": len(value.content), "mediaType": value.media_type}
    if isinstance(value, dict):
        return {name: json_form(entry, keep) for name, entry in value.items()}
    return [json_form(entry, keep) for entry in value] if isinstance(value, list | tuple) else value
