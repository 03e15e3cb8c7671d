"""What a signal does to a command: an end at once with one message, or where a loop runs, a request to stop.

Imported before anything else, so that no signal meets Python's own handling: it imports next to nothing.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143}
"""The signals that stop a command, and the exit codes they lead to."""
NOTHING_SENT = "; nothing was sent"
_SHOW_CURSOR = b"\x1b[?25h"


def end_at_signals(remark: str = "") -> None:
    """From now on a signal ends the process with a message.

    Not by an exception: one raised in the middle of an import may be swallowed there, or leave coroutines behind.
    """

    def end(number: int, _frame: object) -> NoReturn:
        said = f"treadle: interrupted by {signal.Signals(number).name}{remark}\n".encode()
        # Past the stream, in whose write we may be; a live display may have hidden the cursor.
        if sys.stderr is not None:
            with suppress(OSError, ValueError):
                shown = sys.stderr.isatty() and remark != NOTHING_SENT and os.environ.get("TERM") != "dumb"
                os.write(sys.stderr.fileno(), (_SHOW_CURSOR if shown else b"") + said)
        os._exit(SIGNALS[signal.Signals(number)])

    for number in SIGNALS:
        signal.signal(number, end)


@contextmanager
def handed_to(loop: "AbstractEventLoop", stop: Callable[[signal.Signals], None], remark: str = "") -> Iterator[None]:
    """Have the loop call `stop` at the first signal; a second one, or one after the block, ends the process at once.

    What the process says then ends with the remark.
    """

    def leave() -> None:
        # The loop gives a signal back to Python's own handling; none may come before it is ours again.
        with _held(), suppress(NotImplementedError):
            for number in SIGNALS:
                loop.remove_signal_handler(number)
            end_at_signals(remark)

    def first(number: signal.Signals) -> None:
        leave()
        stop(number)

    with suppress(NotImplementedError):  # Windows has no such handlers
        for number in SIGNALS:
            loop.add_signal_handler(number, first, number)
    try:
        yield
    finally:
        leave()


@contextmanager
def _held() -> Iterator[None]:
    """Let signals wait for the length of the block, where the system can do that."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
