"""Add journals of what the engine writes now: `python tests/journals/add.py NAME TABLE CASE [withdrawn]`. Old ones are never changed.

A file is one run: its first line is what it started from (program, inputs, limits), all others are its records. With
`withdrawn` each announcement is taken back once, and made anew a minute later.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "engine")]

from scripted import NOON, answer, limits, program  # noqa: E402

from loader import cases  # noqa: E402
from treadle.engine.effects import SendHttp, Slept  # noqa: E402
from treadle.engine.interpreter import Run  # noqa: E402
from treadle.engine.journal import write  # noqa: E402

EVERY = 5
"""After how many effects there is a checkpoint."""


def records_of(case, *, withdrawn=False):
    """Play a case, with checkpoints on the way."""
    run, now, lines, count = (
        Run(program(case), case.get("inputs", {}), limits(case), run_id="kept"),
        NOON,
        iter(case["script"]),
        0,
    )
    records = run.begin(now)
    while pending := run.pending():
        (effect,) = pending
        count += 1
        if count % EVERY == 0 and (checkpoint := run.checkpoint(now)) is not None:
            records.append(checkpoint)
        if withdrawn and (taken_back := run.withdraw(now)):
            now += 60
            records += [*taken_back, *run.announce(now)]
        if isinstance(effect, SendHttp):
            line = next(lines)
            now += line.get("took", 0)
            records += run.deliver(effect.id, answer(line), now)
        else:
            now += effect.seconds
            records += run.deliver(effect.id, Slept(), now)
    return records


def main(name, table, wanted, how=""):
    case = next(case.values[0] for case in cases(table) if case.values[0]["id"] == wanted)
    start = {"program": program(case), "inputs": case.get("inputs", {}), "limits": limits(case)}
    path = HERE / f"{name}.jsonl"
    if path.exists():
        sys.exit(f"{path} is there, and stays as it is")
    path.write_bytes(
        b"".join(
            line + b"\n"
            for line in (msgspec.json.encode(start), *map(write, records_of(case, withdrawn=how == "withdrawn")))
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
