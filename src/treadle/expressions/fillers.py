"""Texts with embedded expressions, checked before it is known what is filled in."""

from collections.abc import Callable
from typing import Any

from treadle.errors import ExpressionInvalid
from treadle.expressions.syntax import Expression, Template

_LIKELY = ("0", "x", "$", "==", "=", "")
"""What values look like: a number or part of a text, a name, a query, an operator, nothing."""


def check_filled(parsed: Expression | Template | str, text: str, check: Callable[[str], Any]) -> None:
    """Check a text; where expressions are embedded in it, see whether something could be filled in that makes it valid.

    Raises:
        ExpressionInvalid: the text is invalid, or would be with any of the values that are likely.
    """
    if isinstance(parsed, str):
        check(text)
        return
    parts = parsed.parts if isinstance(parsed, Template) else (parsed,)
    refusals = []
    for filler in _LIKELY:
        try:
            check("".join(part if isinstance(part, str) else filler for part in parts))
        except ExpressionInvalid as error:
            if type(error) is not ExpressionInvalid:
                raise  # nothing that is filled in would help
            refusals.append(error)
        else:
            return
    first = refusals[0]
    raise ExpressionInvalid(f"{text!r} is invalid, whatever is filled in", 0, len(text), hint=first.hint) from first
