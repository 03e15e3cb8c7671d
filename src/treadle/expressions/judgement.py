"""Simple conditions judged: what holds, what cannot be told, and why.

A condition is compiled to functions once; a criterion of a poll is judged thousands of times.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from treadle.expressions.condition import (
    And,
    Comparison,
    Condition,
    JsonLiteral,
    Literal,
    Not,
    Operand,
    Or,
    as_number,
    operands,
)
from treadle.expressions.evaluate import Context, Missing, compiled, evaluate
from treadle.expressions.syntax import dump
from treadle.expressions.words import kind, shortened, to_text
from treadle.files import Binary, File

Judge: TypeAlias = Callable[[Context], "bool | None"]
_Value: TypeAlias = Callable[[Context], Any]
_NUMBERS = (int, float)
_UNTOLD = Missing("a part of the condition cannot be evaluated", unreadable=True)


def judge_of(condition: Condition) -> Judge:
    """Compile a condition: the result says whether it holds, or None where that cannot be told.

    It cannot be told where data in the condition is unreadable. What is merely Missing makes a comparison false, never an
    error. Unknown parts count as in three-valued logic: they do not matter to `||` beside something true, nor to `&&`
    beside something false.
    """
    match condition:
        case Comparison(operator, left, right):
            return _comparison(operator, _value_of(left), _value_of(right))
        case And(conditions):
            return _combined([judge_of(part) for part in conditions], decisive=False)
        case Or(conditions):
            return _combined([judge_of(part) for part in conditions], decisive=True)
        case Not(inner):
            return _negated(judge_of(inner))
    return _bare(_value_of(condition))


def judge(condition: Condition, context: Context) -> bool | None:
    """Say whether a condition holds; see `judge_of`."""
    return judge_of(condition)(context)


def _comparison(operator: str, left: _Value, right: _Value) -> Judge:
    compare = _COMPARE[operator]

    def judge(context: Context) -> bool | None:
        first, second = left(context), right(context)
        if (isinstance(first, Missing) and first.unreadable) or (isinstance(second, Missing) and second.unreadable):
            return None
        try:
            return compare(first, second)
        except RecursionError:  # bodies may nest deeper than they can be compared
            return None

    return judge


def _combined(judges: list[Judge], *, decisive: bool) -> Judge:
    def judge(context: Context) -> bool | None:
        untold = False
        for part in judges:
            judged = part(context)
            if judged is decisive:
                return decisive
            untold = untold or judged is None
        return None if untold else not decisive

    return judge


def _negated(inner: Judge) -> Judge:
    def judge(context: Context) -> bool | None:
        judged = inner(context)
        return None if judged is None else not judged

    return judge


def _bare(value_of: _Value) -> Judge:
    def judge(context: Context) -> bool | None:
        value = value_of(context)
        return None if isinstance(value, Missing) and value.unreadable else truthy(value)

    return judge


def truthy(value: Any) -> bool:
    """Bare operand: false for Missing, null, false, 0 and "", true otherwise."""
    return not (isinstance(value, Missing) or value is None or value is False or value in (0, ""))


def _value_of(condition: Condition) -> _Value:
    if isinstance(condition, Operand):
        return compiled(condition.expression)
    if isinstance(condition, Literal):
        value = condition.value
        return lambda _context: value
    if isinstance(condition, JsonLiteral):
        body = msgspec.json.decode(condition.text)
        return lambda _context: body
    inner = judge_of(condition)

    def judged_value(context: Context) -> Any:
        judged = inner(context)
        return _UNTOLD if judged is None else judged

    return judged_value


def missing_compared(condition: Condition, context: Context) -> str:
    """Say which value was not there to be compared, or "". A comparison with null asks just that, and does not count."""
    match condition:
        case Comparison(_, left, right) if Literal(None) not in (left, right):
            values = (evaluate(expression, context) for expression in operands(condition))
            return next((value.why for value in values if isinstance(value, Missing)), "")
        case And(conditions) | Or(conditions):
            return next(filter(None, (missing_compared(part, context) for part in conditions)), "")
        case Not(inner):
            return missing_compared(inner, context)
    return ""


def explain(condition: Condition, context: Context) -> str:
    """Say why a condition did not hold: the value of each expression in it, or what was missing."""
    found = []
    for expression in operands(condition):
        value = evaluate(expression, context)
        if isinstance(value, Missing):
            found.append(value.why)
        else:
            shown = kind(value) if isinstance(value, dict | list | File | Binary) else _quoted(value, context)
            found.append(f"`{dump(expression)}` is {shortened(shown)}")
    return "; ".join(dict.fromkeys(found))


def _quoted(value: Any, context: Context) -> str:
    return repr(context.mask(value)) if isinstance(value, str) else context.mask(to_text(value))


def _equal(left: Any, right: Any) -> bool:
    """Compare: case-insensitive strings, a numeric string as a number, null only with null, the rest deeply."""
    if left is right:
        return True  # most conditions compare a small number or a boolean
    if isinstance(left, str) and isinstance(right, str):
        return left.casefold() == right.casefold()
    left, right = _as_numbers(left, right)
    if isinstance(left, bool) or isinstance(right, bool) or left is None or right is None:
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_equal(value, right[name]) for name, value in left.items())
    return bool(left == right)


def _as_numbers(left: Any, right: Any) -> tuple[Any, Any]:
    if isinstance(left, str) and _is_number(right):
        number = as_number(left.strip())
        return (left if number is None else number), right
    if isinstance(right, str) and _is_number(left):
        number = as_number(right.strip())
        return left, (right if number is None else number)
    return left, right


def _is_number(value: Any) -> bool:
    return isinstance(value, _NUMBERS) and not isinstance(value, bool)


def _equals(left: Any, right: Any) -> bool:
    if isinstance(left, Missing) or isinstance(right, Missing):
        # Missing equals null and nothing else: two things that are not there are not the same thing.
        return left is None or right is None
    return _equal(left, right)


def _differs(left: Any, right: Any) -> bool:
    if isinstance(left, Missing) or isinstance(right, Missing):
        return False
    return not _equal(left, right)


def _ordered(test: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compare(left: Any, right: Any) -> bool:
        left, right = _as_numbers(left, right)
        if isinstance(left, str) and isinstance(right, str):
            first, second = as_number(left.strip()), as_number(right.strip())
            if first is not None and second is not None:
                return test(first, second)
            return test(left.casefold(), right.casefold())
        if _is_number(left) and _is_number(right):
            return test(left, right)
        return False

    return compare


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": _equals,
    "!=": _differs,
    "<": _ordered(lambda left, right: left < right),
    "<=": _ordered(lambda left, right: left <= right),
    ">": _ordered(lambda left, right: left > right),
    ">=": _ordered(lambda left, right: left >= right),
}
