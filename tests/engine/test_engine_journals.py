"""Journals that earlier versions wrote are replayed for ever: `tests/journals/` only grows (`add.py` there)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from treadle.engine import journal
from treadle.engine.interpreter import Run
from treadle.engine.journal import read
from treadle.engine.program import Program
from treadle.engine.state import Limits

JOURNALS = sorted((Path(__file__).parents[1] / "journals").glob("*.jsonl"))
FROM_OUTSIDE = journal.RunBegan | journal.Delivered | journal.Resolved | journal.Withdrawn | journal.Stopped


class Start(msgspec.Struct):
    program: Program
    inputs: dict[str, Any]
    limits: Limits


def _kept(path):
    first, *lines = path.read_bytes().splitlines()
    return msgspec.json.decode(first, type=Start), [read(line) for line in lines]


@pytest.mark.parametrize("path", JOURNALS, ids=lambda path: path.stem)
def test_an_old_journal_is_replayed(path):
    start, records = _kept(path)
    began = records[0]
    assert isinstance(began, journal.RunBegan)
    assert began.version <= journal.VERSION
    for end in range(1, len(records) + 1):
        run = Run(start.program, start.inputs, start.limits, records[:end])
        assert run.run_id == "kept"
        following = next((record for record in records[end:] if isinstance(record, FROM_OUTSIDE)), None)
        if isinstance(following, journal.Delivered):
            assert [effect.id for effect in run.pending()] == [following.effect_id]
    ended = records[-1]
    assert isinstance(ended, journal.RunEnded)
    assert (run.outcome.status, run.outcome.outputs, run.outcome.error) == (ended.status, ended.outputs, ended.error)


def test_there_are_journals_of_each_version():
    assert {path.stem.partition("-")[0] for path in JOURNALS} == {str(n) for n in range(1, journal.VERSION + 1)}
    kinds = {type(record) for path in JOURNALS for record in _kept(path)[1]}
    assert kinds >= {
        journal.RunBegan, journal.StepBegan, journal.StepEnded, journal.Waiting, journal.Delivered, journal.Transferred,
        journal.Checkpoint, journal.Looked, journal.RunEnded, journal.Withdrawn,
    }  # fmt: skip
