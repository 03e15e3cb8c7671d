"""Nothing that Treadle writes holds a secret, whichever way it has taken through a workflow."""

import dataclasses

import pytest
from suite_under_test import CASES
from tainted import found_in, run_tainted

from treadle.engine.secrets import Secrets

SOME = CASES[::40]


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_no_mark_is_written(case, tmp_path):
    written = run_tainted(case, tmp_path, "-v")
    assert found_in(written) == []
    assert not written.requests or "journal.sqlite" in written.texts
    texts = [value for value in case.inputs.values() if isinstance(value, str)]
    # A mark may not be what a schema asks for, and then nothing is sent; else it must have been on its way.
    assert written.requests or texts or case.polarity == "negative" or not case.expect.requests


@pytest.mark.parametrize("case", SOME, ids=[case.id for case in SOME])
@pytest.mark.parametrize("options", [("--json",), ("--dry-run",), ("--dry-run", "--json"), ("--strict",)], ids="-".join)
def test_nor_in_other_ways_of_running(case, options, tmp_path):
    assert found_in(run_tainted(case, tmp_path, *options)) == []


@pytest.mark.parametrize(
    ("method", "instead", "found"),
    [
        ("text", lambda _self, text: text, {"input", "key"}),
        ("value", lambda _self, value: value, {"input", "key", "token", "cookie"}),
        ("learn", lambda _self, _texts: None, {"token", "cookie"}),
    ],
)
def test_the_search_finds_what_is_not_masked(method, instead, found, tmp_path, monkeypatch):
    """The same search on a Treadle that does a part of its work no more finds the marks: it is able to fail."""
    monkeypatch.setattr(Secrets, method, instead)
    case = next(case for case in CASES if case.id == "parts-of-the-response" and not case.inputs)
    case = dataclasses.replace(case, inputs={"who": "somebody"})
    lines = found_in(run_tainted(case, tmp_path, "-v", "--json"))
    assert {line.partition(" ")[0] for line in lines} >= found, lines
