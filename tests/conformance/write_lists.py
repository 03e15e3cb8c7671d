"""Write pending.txt and uncovered.txt anew, as after a merge: `python tests/conformance/write_lists.py`."""

from pathlib import Path
from tempfile import TemporaryDirectory

from suite_under_test import CASES, CLAIMS, HERE, matrix, modes_of, problems_of

TITLES = {
    "pending.txt": "# Cases that Treadle does not pass yet, one id a line. This list only shrinks, to nothing.",
    "uncovered.txt": "# What claims.yaml asks for and no case shows yet: claim and polarity. This list only shrinks, to nothing.",
}


def passes(case, *, strict):
    with TemporaryDirectory() as folder:
        return not problems_of(case, Path(folder), strict=strict)


def main():
    pending = [case.id for case in CASES if not all(passes(case, strict=strict) for strict in modes_of(case))]
    for name, lines in (("pending.txt", pending), ("uncovered.txt", matrix.uncovered(CLAIMS, CASES))):
        (HERE / name).write_text("\n".join([TITLES[name], *lines]) + "\n", "utf-8")


if __name__ == "__main__":
    main()
