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


@pytest.mark.parametrize("levels", [257, 900, 100_000])
@pytest.mark.parametrize("charset", ["utf-8", "utf-16"])
def test_what_nests_too_deeply_is_kept_as_text(levels, charset):
    text = "[" * levels + "]" * levels
    found = read_answer(text.encode(charset), f"application/json; charset={charset}", 200)
    assert found.value == text
    assert "kept as text" in (found.warning or "")
    assert read_answer(b"[" * 256 + b"]" * 256, "", 200).warning is None
