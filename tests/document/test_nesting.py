"""How deep JSON texts nest: what is told from the text is what a look at each value finds."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from treadle.document.nesting import DEEPEST, nests_too_deeply

MARKS = st.text(alphabet='[]{}"\\,:\n é', max_size=4)
VALUES = st.recursive(
    st.none() | st.integers() | MARKS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(MARKS, inner, max_size=3),
    max_leaves=12,
)


def depth(value):
    if not isinstance(value, list | dict):
        return 0
    return 1 + max(map(depth, value.values() if isinstance(value, dict) else value), default=0)


@given(VALUES, st.integers(-6, 2), st.booleans())
def test_told_from_the_text_as_from_the_value(value, more, ascii_only):
    around = DEEPEST + more
    text = "[0," * around + json.dumps(value, ensure_ascii=ascii_only) + ',"[{"]' * around
    assert nests_too_deeply(text.encode()) is (around + depth(value) > DEEPEST)


@given(VALUES)
def test_much_beside_each_other_is_not_deep(value):
    assert not nests_too_deeply(json.dumps([value] * 300).encode())
