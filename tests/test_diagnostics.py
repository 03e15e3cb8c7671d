"""Diagnostics as people see them: one line, or a frame of the text they speak of."""

from __future__ import annotations

from textwrap import dedent

import pytest

from treadle.diagnostics import Diagnostic, Severity, Span, code_frame, errors

TEXT = "first: 1\nsecond: two words\n\tthird: 3\n"


def diagnostic(span=None, hint=None, severity=Severity.ERROR) -> Diagnostic:
    return Diagnostic("some-rule", severity, "it is wrong", span, hint)


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (diagnostic(), "error[some-rule]: it is wrong"),
        (diagnostic(Span("f.yaml", 2, 9)), "f.yaml:2:9: error[some-rule]: it is wrong"),
        (diagnostic(hint="do this"), "error[some-rule]: it is wrong\n  hint: do this"),
        (diagnostic(severity=Severity.WARNING), "warning[some-rule]: it is wrong"),
    ],
)
def test_in_words(found, line):
    assert str(found) == line


def test_a_span_starts_at_the_start():
    assert str(Span("f.yaml")) == "f.yaml:1:1"


def test_errors_are_what_stops_the_work():
    found = [diagnostic(), diagnostic(severity=Severity.WARNING)]
    assert errors(found) == found[:1]


def frame(text: str) -> str:
    return dedent(text).strip("\n")


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        pytest.param(
            diagnostic(Span("f.yaml", 2, 9, 2, 12), "say 2"),
            """
            error[some-rule]: it is wrong
             --> f.yaml:2:9
              |
            2 | second: two words
              |         ^^^
              = hint: say 2
            """,
            id="part-of-a-line",
        ),
        pytest.param(
            diagnostic(Span("f.yaml", 2, 9, 3, 4)),
            """
            error[some-rule]: it is wrong
             --> f.yaml:2:9
              |
            2 | second: two words
              |         ^^^^^^^^^
            """,
            id="several-lines-mark-the-first",
        ),
        pytest.param(
            diagnostic(Span("f.yaml", 1, 1, 1, 1)),
            """
            error[some-rule]: it is wrong
             --> f.yaml:1:1
              |
            1 | first: 1
              | ^
            """,
            id="empty-span-marks-one-character",
        ),
        pytest.param(
            diagnostic(Span("f.yaml", 1, 9, 1, 40)),
            """
            error[some-rule]: it is wrong
             --> f.yaml:1:9
              |
            1 | first: 1
              |         ^
            """,
            id="marker-ends-with-the-line",
        ),
        pytest.param(
            diagnostic(Span("f.yaml", 3, 2, 3, 7)),
            "error[some-rule]: it is wrong\n --> f.yaml:3:2\n  |\n3 | \tthird: 3\n  | \t^^^^^",
            id="tab-keeps-its-width",
        ),
        pytest.param(
            diagnostic(Span("f.yaml", 9, 1), "look above"),
            """
            error[some-rule]: it is wrong
             --> f.yaml:9:1
              = hint: look above
            """,
            id="line-that-is-not-there",
        ),
        pytest.param(diagnostic(hint="do this"), "error[some-rule]: it is wrong\n  hint: do this", id="no-place"),
    ],
)
def test_frames(found, shown):
    assert code_frame(found, TEXT) == (frame(shown) if shown.startswith("\n") else shown)


def test_without_the_text_there_are_only_words():
    assert code_frame(diagnostic(Span("f.yaml", 2, 9)), None) == "error[some-rule]: it is wrong\n --> f.yaml:2:9"


def test_the_gutter_is_as_wide_as_the_number():
    text = "\n" * 99 + "a: b\n"
    assert code_frame(diagnostic(Span("f.yaml", 100, 4, 100, 5), "x"), text) == (
        "error[some-rule]: it is wrong\n   --> f.yaml:100:4\n    |\n100 | a: b\n    |    ^\n    = hint: x"
    )
