"""The comparison that people write where a JSONPath query belongs: how it is told apart, and its correct form."""

import re

from treadle import pointer
from treadle.expressions import condition as conditions
from treadle.expressions.condition import Condition
from treadle.expressions.syntax import ContextValue, Expression, Navigation, Template, dump, dump_steps
from treadle.expressions.words import to_text

_OPERATOR = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[\[\]<>!]|==|&&|\|\|""", re.DOTALL)


def is_comparison(text: str) -> bool:
    """Say whether an operator stands outside brackets and quotes, where a JSONPath query has none."""
    depth = 0
    for match in _OPERATOR.finditer(text):
        found = match[0]
        if found == "[":
            depth += 1
        elif found == "]":
            depth -= 1
        elif depth == 0 and found[0] not in "'\"":
            return True
    return False


def correct_comparison(condition: Condition, base: Expression | None) -> str:
    """Give the advice that turns a comparison from `$` into a simple condition."""
    written = _written(condition, base)
    return f"write `condition: {written}` without `type` and `context`"


def _written(condition: Condition, base: Expression | None) -> str:
    match condition:
        case conditions.Literal(value):
            quoted = value.replace("'", "''") if isinstance(value, str) else ""
            return f"'{quoted}'" if isinstance(value, str) else to_text(value)
        case conditions.Operand(Navigation(ContextValue(), steps)):
            return located(base, steps)
        case conditions.JsonLiteral(text):
            return text
        case conditions.Operand(expression):
            if not isinstance(expression, Template):
                return dump(expression)
            parts = (it.replace("'", "''") if isinstance(it, str) else f"{{{dump(it)}}}" for it in expression.parts)
            return f"'{''.join(parts)}'"
        case conditions.Comparison(operator, left, right):
            compound = (conditions.Comparison, conditions.And, conditions.Or)
            return f"{_grouped(left, base, compound)} {operator} {_grouped(right, base, compound)}"
        case conditions.Not(inner):
            return f"!({_written(inner, base)})"
        case conditions.And(parts):
            return " && ".join(_grouped(part, base, (conditions.Or,)) for part in parts)
        case _:
            return " || ".join(_written(part, base) for part in condition.conditions)


def located(base: Expression | None, steps: tuple[str | int, ...]) -> str:
    """Write a place in the context: by JSON Pointer, or by `.` and `[]` where a pointer cannot say it."""
    inner, steps = (base.base, (*base.steps, *steps)) if isinstance(base, Navigation) else (base, steps)
    whole, _, fragment = ("" if inner is None else dump(inner)).partition("#")
    steps = (*pointer.parse(fragment), *steps)
    if "length" in steps or any(isinstance(step, int) and step < 0 for step in steps):
        return whole + dump_steps(steps)
    return f"{whole}#{pointer.dump(steps)}" if steps else whole


def _grouped(condition: Condition, base: Expression | None, loose: tuple[type[Condition], ...]) -> str:
    """Write a part, in parentheses where it is of a kind that binds less tightly than what is around it."""
    written = _written(condition, base)
    return f"({written})" if isinstance(condition, loose) else written
