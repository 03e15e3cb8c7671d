"""Every record: a run that dies after each record it writes, and is resumed each time, sends and gives what it would have.

Each record is written alone, so a run is also resumed from the middle of each turn. What was announced was not sent: the
death comes before that, so a retry is what it takes.
"""

from __future__ import annotations

import asyncio

import pytest
from suite_under_test import CASES, problems_of

import treadle
from treadle.drivers.journals.sqlite import SqliteJournal
from treadle.engine.journal import CookiesKept, Learnt, Resolved, StepBegan

RUN = [case for case in CASES if case.expect.result != "refused"]


MOST_LIVES = 5_000


class Died(BaseException):
    """The process is gone, as far as the run can tell."""


def _first(records):
    """Give the first record, with what the driver tells before it."""
    at = next(at for at, record in enumerate(records) if not isinstance(record, CookiesKept | Learnt))
    return records[: at + 1]


class Dying(SqliteJournal):
    """Writes one record, and that was it."""

    lives = 0
    record = None

    async def start(self, start, records):
        await super().start(start, _first(records))
        self.last = start.run_id
        self.record = _first(records)[-1]
        raise Died

    async def append(self, run_id, records):
        if isinstance(records[0], Resolved):  # or it would die each time before the request is sent
            await super().append(run_id, records)
            return
        await super().append(run_id, _first(records))
        self.lives += 1
        self.record = _first(records)[-1]
        raise Died


async def _in_many_lives(journal, document, workflow_id, inputs, options):
    async with treadle.Runner(journal=journal, **options) as runner:
        try:
            return await runner.run(document, workflow_id, inputs)
        except Died:
            pass
        for _ in range(MOST_LIVES):
            announced = isinstance(journal.record, StepBegan)
            try:
                return await runner.resume(journal.last, inputs, in_doubt="retry" if announced else None)
            except Died:
                continue
        pytest.fail("the run does not end")


@pytest.mark.parametrize("case", RUN, ids=lambda case: case.id)
def test_a_run_that_dies_after_each_record(case, tmp_path):
    lives = []

    def run(document, workflow_id, inputs, **options):
        async def lived():
            journal = Dying(tmp_path / "journal.sqlite")
            try:
                return await _in_many_lives(journal, document, workflow_id, inputs, options)
            finally:
                lives.extend([journal.lives] if journal.lives else [])
                await journal.close()

        return asyncio.run(lived())

    assert problems_of(case, tmp_path, strict=case.polarity == "negative", run=run) == []
    assert not lives or lives[0] > 1
