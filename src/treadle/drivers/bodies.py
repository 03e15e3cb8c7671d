"""Bodies as they are sent: files are read piece by piece, multipart bodies get their boundary."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self

from treadle.files import File
from treadle.sources.multipart import Multipart
from treadle.sources.request import HttpRequest

PIECE = 256 * 1024
"""How many bytes of a file are read at once."""
RECORDED_BOUNDARY = "recorded"
"""The boundary of multipart bodies in recordings, where nothing has to be kept apart by chance."""


Headers = tuple[tuple[str, str], ...]

NAMED_FILE = b"<file "
"""How what stands in recordings for the bytes of a file begins."""


class FileUnreadable(Exception):
    """A file that is to be sent cannot be read, or changed while it was sent."""


class _Opened(NamedTuple):
    path: str
    stream: BinaryIO
    size: int


class Outgoing:
    """A body that is more than bytes: its header fields and its content, in pieces.

    Use it as a context manager: its files are open meanwhile.

    Raises:
        FileUnreadable: a file cannot be read.
    """

    def __init__(self, request: HttpRequest) -> None:
        self.failure: FileUnreadable | None = None
        self._files = ExitStack()
        headers = request.headers
        body = request.body
        try:
            if isinstance(body, Multipart):
                boundary = secrets.token_hex(24)
                headers = tuple((name, _with_boundary(name, value, boundary)) for name, value in headers)
                self._pieces = list(self._of_parts(body, boundary))
            else:
                self._pieces = [self._opened(body) if isinstance(body, File) else body or b""]
        except OSError as error:
            self._files.close()
            raise FileUnreadable(f"the file {error.filename} cannot be read: {error.strerror}") from error
        size = sum(piece.size if isinstance(piece, _Opened) else len(piece) for piece in self._pieces)
        self.headers = (*headers, ("Content-Length", str(size)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._files.close()

    def _opened(self, file: File) -> _Opened:
        stream = self._files.enter_context(Path(file.path).open("rb"))  # noqa: SIM115 - closed with the others
        return _Opened(file.path, stream, os.fstat(stream.fileno()).st_size)

    def _of_parts(self, body: Multipart, boundary: str) -> Iterator[bytes | _Opened]:
        """Give a multipart body piece by piece (RFC 2046 section 5.1.1)."""
        for part in body.parts:
            headers, content = part
            inner = None
            if isinstance(content, Multipart):
                inner = secrets.token_hex(24)
                headers = tuple((name, _with_boundary(name, value, inner)) for name, value in headers)
            head = "".join(f"{name}: {value}\r\n" for name, value in headers)
            yield f"--{boundary}\r\n{head}\r\n".encode()
            if isinstance(content, Multipart) and inner is not None:
                yield from self._of_parts(content, inner)
            elif isinstance(content, File):
                yield self._opened(content)
            elif isinstance(content, bytes):
                yield content
            yield b"\r\n"
        yield f"--{boundary}--\r\n".encode()

    async def content(self) -> AsyncIterator[bytes]:
        """Give the content; a file whose size is not what it was ends it."""
        loop = asyncio.get_running_loop()
        for piece in self._pieces:
            if isinstance(piece, bytes):
                yield piece
                continue
            left = piece.size
            while left > 0:
                read = await loop.run_in_executor(None, piece.stream.read, min(PIECE, left))
                if not read:
                    self.failure = FileUnreadable(f"the file {piece.path} became shorter while it was sent")
                    raise self.failure
                left -= len(read)
                yield read


def described(request: HttpRequest) -> HttpRequest:
    """Give a request as a recording keeps it: boundaries are always the same, and a file is named in place of its bytes."""
    if request.body is None or isinstance(request.body, bytes):
        return request
    headers, body = _described(request.headers, request.body, RECORDED_BOUNDARY)
    return HttpRequest(request.method, request.url, headers, body)


def _described(headers: Headers, body: bytes | File | Multipart, boundary: str) -> tuple[Headers, bytes]:
    if isinstance(body, File):
        return headers, NAMED_FILE + f"{body.name}>".encode()
    if isinstance(body, bytes):
        return headers, body
    pieces = []
    for part in body.parts:
        own, content = _described(*part, f"inner-{boundary}")
        head = "".join(f"{name}: {value}\r\n" for name, value in own)
        pieces += [f"--{boundary}\r\n{head}\r\n".encode(), content, b"\r\n"]
    headers = tuple((name, _with_boundary(name, value, boundary)) for name, value in headers)
    return headers, b"".join([*pieces, f"--{boundary}--\r\n".encode()])


def _with_boundary(name: str, value: str, boundary: str) -> str:
    if name.lower() != "content-type":
        return value
    kind, *parameters = value.split(";")
    kept = [parameter for parameter in parameters if parameter.partition("=")[0].strip().lower() != "boundary"]
    return ";".join([kind, *kept]).rstrip("; ") + f"; boundary={boundary}"
