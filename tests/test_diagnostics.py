"""Diagnostics as people see them: one line, or a frame of the text they speak of."""

from __future__ import annotations

from textwrap import dedent

import pytest

from treadle.diagnostics import WIDTH, Diagnostic, Severity, Span, code_frame, errors, printable

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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 漢 \N{NO-BREAK SPACE}", "plain é 漢 \N{NO-BREAK SPACE}"),
        ("\x1b[2J", r"\x1b[2J"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\x7f\x9b\u202e\u2028\U000e0001\udc80", r"\x7f\x9b\u202e\u2028\U000e0001\udc80"),
    ],
)
def test_only_what_prints_is_shown(text, shown):
    assert printable(text) == shown


def test_nothing_of_a_diagnostic_is_obeyed_by_a_terminal():
    found = Diagnostic("some-rule", Severity.ERROR, "it\nis", Span("f\x1b.yaml", 1, 5, 1, 7), "do\x1bthis")
    assert str(found) == "f\\x1b.yaml:1:5: error[some-rule]: it\\nis\n  hint: do\\x1bthis"
    assert code_frame(found, "a\x1b\tb\x07c\x1bd") == (
        "error[some-rule]: it\\nis\n --> f\\x1b.yaml:1:5\n  |\n"
        "1 | a\\x1b\tb\\x07c\\x1bd\n  |      \t ^^^^^\n  = hint: do\\x1bthis"
    )


LONG = "".join(chr(ord("a") + number % 26) for number in range(1000))


@pytest.mark.parametrize(
    ("start", "end", "left", "right"),
    [
        (1, 5, False, True),
        (500, 510, True, True),
        (990, 1001, True, False),
        (1001, 1001, True, False),
        (1, 121, False, True),
    ],
)
def test_a_long_line_is_cut_around_the_mark(start, end, left, right):
    line, marker = code_frame(diagnostic(Span("f.yaml", 1, start, 1, end)), LONG).splitlines()[-2:]
    line, marker = line.removeprefix("1 | "), marker.removeprefix("  | ")
    assert len(line) <= WIDTH
    assert (line.startswith("…"), line.endswith("…")) == (left, right)
    marked = line[marker.index("^") : len(marker)]
    assert LONG[start - 1 : end - 1].startswith(marked.rstrip("…"))


def test_a_line_that_fits_is_whole():
    assert LONG[:WIDTH] in code_frame(diagnostic(Span("f.yaml", 1, 4, 1, 8)), LONG[:WIDTH])
