"""Secrets that somebody types in: asked for on a terminal, without an echo."""

import getpass
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from treadle.diagnostics import printable
from treadle.drivers.texts import is_text
from treadle.engine.inputs import Text
from treadle.errors import RunRefused
from treadle.surfaces.interrupt import SIGNALS


def asked(name: str, of: str) -> Text:
    """Ask for a secret input; `of` says what it is one of.

    Raises:
        RunRefused: nothing was typed in.
    """
    with _echo_back():
        try:
            value = getpass.getpass(f"{printable(name)} of {printable(of)} (secret, not shown): ")
        except EOFError:
            value = ""
    if not value or not is_text(value):
        what = "nothing was typed in" if not value else "what was typed in is no UTF-8 text"
        raise RunRefused(f"input '{name}': {what}", hint=f"or give it as -i {name}=env:VARIABLE")
    return Text(value)


@contextmanager
def _echo_back() -> Iterator[None]:
    """Have a signal that ends the process leave the terminal as it was."""
    try:
        import termios  # noqa: PLC0415 - not on every system
    except ImportError:
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    ends = {number: signal.getsignal(number) for number in SIGNALS}

    def end(number: int, frame: Any) -> None:
        termios.tcsetattr(sys.stdin, termios.TCSANOW, before)
        handler = ends[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    for number in SIGNALS:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in ends.items():
            signal.signal(number, handler)
