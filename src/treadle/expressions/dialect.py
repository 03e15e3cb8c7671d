"""The lenient readings of real documents: texts that stand for values, and operands of conditions.

`read_value`, `read_operand` and `read_quoted` are the ways in. What is read how: `whole` and `embedded`. Which dialects
there are: `document.dialects`.
"""

import re
from difflib import get_close_matches

from treadle.errors import ExpressionInvalid
from treadle.expressions.embedded import ROOT, read_embedded
from treadle.expressions.names import Finding, Names, declared_names
from treadle.expressions.syntax import ROOTS, Expression, Template, parse_prefix
from treadle.expressions.whole import read_steps, read_whole

__all__ = [
    "Finding", "Names", "declared_names", "read_embedded", "read_operand", "read_quoted", "read_steps", "read_value",
]  # fmt: skip

_LOOSE_ROOT = re.compile(r"\$body(?![A-Za-z0-9_-])")
_NEARLY_ROOT = re.compile(r"(?<![\w.{$\\])\$([A-Za-z][A-Za-z_-]*)(?=\.[A-Za-z_]|\Z)", re.ASCII)
_LIKE_AN_EXPRESSION = re.compile(r"\$([a-z][A-Za-z]*)(?:\.[A-Za-z_][A-Za-z0-9_-]*)+", re.ASCII)
_LOWER_ROOTS = {root.lower(): root for root in ROOTS}
_LONG_ROOTS = [root for root in _LOWER_ROOTS if len(root) > 4]
_OPERATOR = re.compile(r"\s*(\|\||&&|\?\?|[=!<>]=)")


def read_value(text: str, names: Names, findings: list[Finding]) -> Expression | Template | str:
    """Read a text that stands where a value may: an expression, a template, or a literal.

    Raises:
        ExpressionInvalid: it is meant as an expression and cannot be read as one.
    """
    if "$" not in text:
        return text
    if "{$" not in text and (ROOT.match(text) or _LOOSE_ROOT.match(text)):
        value = _whole_or_embedded(text, names, findings)
    else:
        value = read_embedded(text, names, findings)
    _near_misses(text, findings)
    return value


def read_operand(text: str, names: Names, findings: list[Finding] | None = None) -> Expression:
    """Read an operand of a condition: a runtime expression and, by the operators `.` and `[]`, the way into its value.

    Offsets of the node and of what is found are those in `text`.

    Raises:
        ExpressionInvalid: it is no expression.
    """
    return read_whole(text, names, [] if findings is None else findings, None)


def read_quoted(text: str, names: Names, findings: list[Finding]) -> Expression | Template | None:
    """Read a string of a condition that is an expression, or has some in braces; None where it is just a string.

    Offsets are those in `text`, the string without its quotes.

    Raises:
        ExpressionInvalid: a brace with `$` opens, but no expression and closing brace follow.
    """
    bare = ROOT.match(text)
    if "{$" not in text and (bare is None or text[bare.end() : bare.end() + 1] != "."):
        return None
    inner: list[Finding] = []
    try:
        node = read_embedded(text, names, inner) if "{$" in text else read_operand(text, names, inner)
    except ExpressionInvalid:
        if bare is not None:
            return None
        raise
    findings += inner
    return None if isinstance(node, str) else node


def _whole_or_embedded(text: str, names: Names, findings: list[Finding]) -> Expression | Template | str:
    try:
        return read_whole(text, names, findings, findings)
    except ExpressionInvalid:
        end = _end(text)
        operator = _OPERATOR.match(text, end)
        if operator is not None:
            message = f"a value has no operators, and `{operator[1]}` is one"
            hint = "operators belong in conditions; let an action go the other way, or give the value as an input"
            raise ExpressionInvalid(message, operator.start(1), operator.end(1), hint=hint) from None
        if text[end : end + 1] in set(" /-:,;&?=@$"):
            return read_embedded(text, names, findings)
        raise


def _end(text: str) -> int:
    """Give the end of the expression that a text starts with, or the text's own where there is none."""
    try:
        return parse_prefix(text, 0).end
    except ExpressionInvalid:
        return len(text)


def _near_misses(text: str, findings: list[Finding]) -> None:
    """Find `$input.a`, `$statuscode`, `$datetime.now`: plain text to the grammar, and never meant to be."""
    before = len(findings)
    for match in _NEARLY_ROOT.finditer(text):
        meant = _meant_root(match[1], text[match.end() :])
        if meant is not None:
            message = f"`${match[1]}` starts no expression, so it is plain text"
            findings.append(Finding("unknown-root", message, *match.span(), f"did you mean `${meant}`?"))
    like = _LIKE_AN_EXPRESSION.fullmatch(text)
    if len(findings) == before and like is not None and like[1] not in (*ROOTS, "body"):
        message = f"`${like[1]}` starts no expression, so it is plain text"
        hint = f"after `$` comes one of {', '.join(ROOTS)}; give other values as inputs"
        findings.append(Finding("unknown-root", message, 0, len(text), hint))


def _meant_root(written: str, after: str) -> str | None:
    if written in ROOTS or written.isupper():  # `$URL` is a variable of a shell
        return None
    if written == "workflow" and after.startswith(".inputs."):
        return "inputs"
    plain = re.sub("[_-]", "", written).lower()
    close = [plain] if plain in _LOWER_ROOTS else get_close_matches(plain, _LONG_ROOTS, 1, 0.8)
    return _LOWER_ROOTS[close[0]] if close else None
