"""`treadle` and `python -m treadle`."""

from treadle.surfaces.cli import main

if __name__ == "__main__":
    main()
