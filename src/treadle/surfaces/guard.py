"""What keeps a command from ending in a traceback: refusals, interruptions, and streams that nobody reads any more."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from treadle.version import __version__

EXIT_FAILED = 1
EXIT_INVALID = 2
SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143}
"""The signals that stop a command, and the exit codes they lead to."""


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


def guarded(work: Callable[[], int]) -> int:
    """Do the work and give its exit code; whatever it raises becomes a message and an exit code."""
    from treadle.errors import TreadleError  # noqa: PLC0415 - help and version do without it

    try:
        return work()
    except TreadleError as error:
        tell(_say, error)
        return EXIT_INVALID
    except KeyboardInterrupt:
        print("treadle: interrupted by SIGINT", file=sys.stderr)
        return SIGNALS[signal.SIGINT]
    except BrokenPipeError:
        silence(sys.stdout)
        silence(sys.stderr)
    except OSError as error:
        silence(sys.stdout)  # most likely it is what could not be written
        where = f" ({error.filename})" if error.filename else ""
        print(f"treadle: writing or reading failed: {error.strerror or error}{where}", file=sys.stderr)
    except Exception as error:
        if os.environ.get("TREADLE_DEBUG"):
            raise
        _say_bug(error)
    return EXIT_FAILED


def _say(error: Any) -> None:
    from treadle.surfaces.report import write_error  # noqa: PLC0415

    write_error(error, sys.stderr, colour=colour())


def _say_bug(error: Exception) -> None:
    """Say where Treadle is wrong, without the message of the exception, which may hold a secret."""
    import traceback  # noqa: PLC0415

    from treadle.surfaces.report import write_problem  # noqa: PLC0415

    at = traceback.extract_tb(error.__traceback__)[-1]
    message = f"this is a bug in Treadle {__version__}: {type(error).__name__} at {Path(at.filename).name}:{at.lineno}"
    write_problem(message, "please report it; TREADLE_DEBUG=1 shows how it came about", sys.stderr)


def tell(write: Callable[..., None], *arguments: Any) -> None:
    """Write to stderr; that nobody reads it any more does not stop a run."""
    try:
        write(*arguments)
    except BrokenPipeError:
        silence(sys.stderr)


def silence(stream: TextIO) -> None:
    """Send what is still written to a stream nowhere: Python would complain once more when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
