"""`treadle` and `python -m treadle`."""

import gc
import sys

# Importing and compiling make many objects that stay: looking through them again and again is a tenth of a short run.
# A command that goes on for longer turns the collector on when it begins its work.
gc.disable()


def main() -> None:
    """Run the command line."""
    try:
        from treadle.surfaces.cli import main as command_line  # noqa: PLC0415 - after the line above

        command_line()
    except KeyboardInterrupt:  # before a command was there to say it better
        print("treadle: interrupted by SIGINT", file=sys.stderr)  # noqa: T201
        sys.exit(130)
    except OSError as error:  # such as help that cannot be written
        from treadle.surfaces.guard import silence  # noqa: PLC0415 - as above

        silence(sys.stdout)
        sys.exit(f"treadle: {error.strerror}")


if __name__ == "__main__":
    main()
