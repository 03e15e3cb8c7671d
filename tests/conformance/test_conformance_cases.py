"""Every case of the suite, run through Treadle's Python interface."""

import pytest
from suite_under_test import CASES, modes_of, problems_of, shrinking

PENDING = shrinking("pending.txt")


def _parameters():
    late = [pytest.mark.xfail(reason="not there yet", strict=True)]
    return [
        pytest.param(
            case,
            strict,
            id=f"{case.section}-{case.id}{'' if strict else '-default'}",
            marks=late if case.id in PENDING else [],
        )
        for case in CASES
        for strict in modes_of(case)
    ]


@pytest.mark.parametrize(("case", "strict"), _parameters())
def test_case(case, strict, tmp_path):
    problems = problems_of(case, tmp_path, strict=strict)
    assert not problems, "\n".join(problems)


def test_pending_cases_exist():
    assert not PENDING.difference(case.id for case in CASES), "pending.txt names cases that are not there"
