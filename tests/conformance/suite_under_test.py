"""Where the suite is, how Treadle is run by it, and the two lists that only shrink."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import treadle

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))

from conformance import matrix, suite  # noqa: E402
from conformance.command import write  # noqa: E402
from conformance.judge import Observed, judge  # noqa: E402
from conformance.script import scripted  # noqa: E402

CLAIMS = matrix.load_claims()
CASES = suite.load()
OPTIONS = {"transport_retries": 0, "poll_interval": 0.0, "timeout": 20.0}
"""Treadle repeats safe requests and paces loops by itself; the suite counts requests, so both are off."""
COMMAND = (
    f"{sys.executable} -m treadle run {{document}} {{workflow}} --inputs {{inputs}} "
    "--strict --transport-retries 0 --poll-interval 0 --quiet"
)


def shrinking(name: str) -> set[str]:
    """Give the lines of a list of what does not hold yet."""
    lines = (HERE / name).read_text("utf-8").splitlines()
    return {line.strip() for line in lines if line.strip() and not line.startswith("#")}


def modes_of(case: suite.Case) -> list[bool]:
    """Say with which `strict` a case is run: what is wrong may be a dialect by default, what is right is always right."""
    return [True, False] if case.polarity == "positive" else [True]


def problems_of(case: suite.Case, folder: Path, *, strict: bool, run: Callable[..., Any] = treadle.run) -> list[str]:
    """Run a case through `treadle.run`, or what is given in its place, and judge it."""
    with scripted(case.script) as server:
        places = {"server": server.url, "folder": str(folder)}
        server.documents = write(case, folder, places)
        outputs = None
        said = ""
        try:
            outcome = run(folder / case.document, case.workflow_id, case.inputs, strict=strict, **OPTIONS)
        except treadle.TreadleError as error:
            code, said = 2, str(error)
        else:
            code = 0 if outcome.status == "succeeded" else 1
            outputs = outcome.outputs if code == 0 else None
            said = "" if outcome.error is None else outcome.error.message
        found = judge(case, Observed(list(server.seen), code, outputs), places)
    return [*found, f"treadle said: {said}"] if found and said else found
