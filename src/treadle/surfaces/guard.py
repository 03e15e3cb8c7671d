"""What keeps a command from ending in a traceback: bugs, refusals, interruptions, streams that take nothing."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from treadle.surfaces.interrupt import SIGNALS
from treadle.surfaces.streams import colour, say, silence, tell
from treadle.version import __version__

EXIT_FAILED = 1
EXIT_INVALID = 2


class Refusal(click.ClickException):
    """A refusal of ours while the command line is still being read."""

    exit_code = EXIT_INVALID

    def __init__(self, error: Any) -> None:
        super().__init__(error.message)
        self._error = error

    def show(self, file: Any = None) -> None:  # noqa: ARG002 - click's signature; it goes to stderr
        """Write it as any other."""
        _say(self._error)


def guarded(work: Callable[[], int]) -> int:
    """Do the work and give its exit code; whatever it raises becomes a message and an exit code."""
    from treadle.errors import JournalFailed, TreadleError  # noqa: PLC0415 - help and version do without it

    try:
        return work()
    except JournalFailed as error:
        tell(_say, error)
        return EXIT_FAILED  # something may have been sent
    except TreadleError as error:
        tell(_say, error)
        return EXIT_INVALID
    except KeyboardInterrupt:
        tell(say, "treadle: interrupted by SIGINT")
        return SIGNALS[signal.SIGINT]
    except BrokenPipeError:
        silence(sys.stdout)
        silence(sys.stderr)
    except OSError as error:
        silence(sys.stdout)  # most likely it is what could not be written
        where = f" ({error.filename})" if error.filename else ""
        tell(say, f"treadle: writing or reading failed: {error.strerror or error}{where}")
    except Exception as error:
        if os.environ.get("TREADLE_DEBUG"):
            raise
        tell(_say_bug, error)
    return EXIT_FAILED


def called(command: click.Command) -> int:
    """Call the command line and give its exit code, also where help or a refusal of its own cannot be written."""
    try:
        return int(command.main(standalone_mode=False) or 0)
    except click.ClickException as refusal:
        tell(refusal.show)
        return refusal.exit_code
    except click.Abort:  # a KeyboardInterrupt, as click hands it on
        tell(say, "treadle: interrupted by SIGINT")
        return SIGNALS[signal.SIGINT]
    except OSError as error:
        silence(sys.stdout)
        tell(say, f"treadle: {error.strerror}")
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
