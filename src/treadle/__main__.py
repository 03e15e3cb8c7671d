"""`treadle` and `python -m treadle`."""

import gc
import sys

# Importing and compiling make many objects that stay: looking through them again and again is a tenth of a short run.
# A command that goes on for longer turns the collector on when it begins its work.
gc.disable()


def main() -> None:
    """Run the command line."""
    from treadle.surfaces.interrupt import NOTHING_SENT, end_at_signals  # noqa: PLC0415 - after the line above

    end_at_signals(NOTHING_SENT)  # before the imports, which are most of a short run
    from treadle.surfaces.cli import main as command_line  # noqa: PLC0415
    from treadle.surfaces.guard import called  # noqa: PLC0415

    sys.exit(called(command_line))


if __name__ == "__main__":
    main()
