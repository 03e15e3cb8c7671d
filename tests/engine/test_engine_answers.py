"""Bodies of answers as values."""

from __future__ import annotations

import pytest

from loader import cases
from treadle.engine.answers import read_answer
from treadle.expressions.evaluate import Missing
from treadle.files import Binary


@pytest.mark.parametrize("case", cases("engine/answers.yaml"))
def test_the_value_of_a_body(case):
    body = bytes.fromhex(case["hex"]) if "hex" in case else case["text"].encode(case.get("encoding", "utf-8"))
    found = read_answer(body, case["type"], 200)
    if "binary" in case:
        assert found.value == Binary(body, case["binary"])
    elif "missing" in case:
        assert isinstance(found.value, Missing)
        assert found.value.why == case["missing"]
    else:
        assert found.value == case["value"]
    assert (found.warning is None) == ("warning" not in case)
    assert case.get("warning", "") in (found.warning or "")
