"""Streams that may be closed, full, or read by nobody any more."""

import io
import os
import sys
from collections.abc import Callable
from typing import Any, TextIO


def prepare_streams() -> None:
    """Make stdout and stderr take whatever is written to them."""
    for name in ("stdout", "stderr"):
        # Where a stream was closed before we began (2>&-), Python has None, and print() would write to the other one.
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
        getattr(sys, name).reconfigure(errors="backslashreplace")


def colour() -> bool:
    """Say whether stderr may be coloured."""
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and not os.environ.get("CI")


def tell(write: Callable[..., object], *arguments: Any) -> None:
    """Write to stderr; that it takes nothing any more (no reader, a closed terminal, a full disk) does not stop a run."""
    try:
        write(*arguments)
    except OSError:
        silence(sys.stderr)


def say(text: str) -> None:
    """Write a line to stderr."""
    print(text, file=sys.stderr, flush=True)


class Lenient(io.TextIOBase):
    """A stream that may cease to take anything, for a display that writes from a thread of its own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override] # read-only there too, but not said so
        """The encoding of the stream."""
        return self._stream.encoding

    def isatty(self) -> bool:
        """Say whether it is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Give its descriptor, by which the size of a terminal is asked for."""
        return self._stream.fileno()

    def write(self, text: str, /) -> int:
        """Write, if it is possible."""
        tell(self._stream.write, text)
        return len(text)

    def flush(self) -> None:
        """Write what is held back, if it is possible."""
        tell(self._stream.flush)


def silence(stream: TextIO) -> None:
    """Send what is still written to a stream nowhere: Python would complain once more when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
