"""Criteria: each type compiles its text when the document is loaded, and tests a context when a step has ended.

A criterion that cannot be evaluated fails, and says so (section "Evaluation Errors").
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple, TypeGuard

import msgspec
from msgspec import Struct

from treadle import pointer
from treadle.errors import ExpressionInvalid
from treadle.expressions import condition as conditions
from treadle.expressions.condition import Condition
from treadle.expressions.dialect import Finding, Names, read_embedded
from treadle.expressions.evaluate import Context, Missing, evaluate, kind, to_text, unreadable_body
from treadle.expressions.selectors import query
from treadle.expressions.syntax import (
    ContextValue,
    Expression,
    MessagePart,
    Navigation,
    Template,
    dump,
    dump_steps,
)

BACKTRACK_LIMIT = 1_000_000
"""How many steps a regular expression may go back before it is given up."""


class Test(Struct, frozen=True):
    """A compiled criterion.

    Attributes:
        text: the condition as written, for reports.
        type: simple, regex or jsonpath.
        condition: the parsed condition; for regex and jsonpath the pattern or query, which may hold expressions.
        context: the expression whose value it is applied to, absent for simple conditions.
        lenient: whether a query may be read as a dialect where the strict reading selects nothing.
    """

    text: str
    type: str
    condition: Condition | Template | Expression | str
    context: Expression | None = None
    lenient: bool = False


class Verdict(NamedTuple):
    """What a test found: whether it passed, why not, whether it could be evaluated at all, and a dialect it needed."""

    passed: bool
    why: str = ""
    evaluated: bool = True
    dialect: Finding | None = None


def compile_simple(text: str, context: Expression | None, names: Names, findings: list[Finding]) -> Test:
    """Compile a simple condition; a `context` that stands beside it is not used.

    Real documents also write the body that is expected (`{"id": 1}`) where a condition belongs.

    Raises:
        ExpressionInvalid: it cannot be read.
    """
    body = _expected_body(text, context)
    if body is not None:
        place = context or MessagePart("response", "body")
        first = next(iter(body), None) if isinstance(body, dict) else 0
        correct = "compare its parts one by one"
        if not isinstance(body, str) and body and not isinstance(place, Navigation):
            correct += f", as in `{_located(place, (first,))} == …`"  # type: ignore[arg-type]  # of a body with parts
        message = "this is a body, not a condition"
        findings.append(Finding("body-as-condition", message, 0, len(text), correct))
        return Test(text, "simple", conditions.Comparison("==", conditions.Operand(place), conditions.Literal(body)))
    return Test(text, "simple", conditions.parse(text, names, findings), context)


def compile_regex(text: str, context: Expression | None, names: Names, findings: list[Finding]) -> Test:
    """Compile a regular expression of ECMA-262 flavour; expressions in braces are filled in at run time.

    Raises:
        ExpressionInvalid: it is no regular expression.
    """
    pattern = read_embedded(text, names, findings, dotted=True)
    if isinstance(pattern, str):
        _matcher(pattern)
    return Test(text, "regex", pattern, context)


def compile_jsonpath(text: str, context: Expression | None, names: Names, findings: list[Finding]) -> Test:
    """Compile a JSONPath query of RFC 9535, or the comparison that people write in its place.

    Raises:
        ExpressionInvalid: it is neither.
    """
    if _compares(text):
        condition = conditions.parse(text, names, [], rooted=True)
        correct = correct_comparison(condition, context)
        message = "this is a comparison, not a JSONPath query"
        findings.append(Finding("jsonpath-comparison", message, 0, len(text), correct))
        return Test(text, "jsonpath", condition, context)
    pattern = read_embedded(text, names, findings, dotted=True)
    if not isinstance(pattern, str):
        return Test(text, "jsonpath", pattern, context, lenient=True)
    query(text)
    return Test(text, "jsonpath", text, context, lenient=True)


def _expected_body(text: str, context: Expression | None) -> dict[str, Any] | list[Any] | str | None:
    if text.lstrip()[:1] not in ("{", "[", '"') or "$" in text:
        return None
    try:
        body = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None
    return body if isinstance(body, dict | list) or context is not None else None


CRITERIA: dict[str, Callable[[str, Expression | None, Names, list[Finding]], Test]] = {
    "simple": compile_simple,
    "regex": compile_regex,
    "jsonpath": compile_jsonpath,
}
"""The criterion types this version evaluates."""


def criterion_expressions(test: Test) -> list[Expression]:
    """Give the expressions in a criterion's condition; its context is not among them."""
    match test.condition:
        case str():
            return []
        case Template(parts):
            return [part for part in parts if not isinstance(part, str)]
        case conditions.Literal() | conditions.Operand() | conditions.Comparison() | conditions.Not():
            return conditions.operands(test.condition)
        case conditions.And() | conditions.Or():
            return conditions.operands(test.condition)
    return [test.condition]


def missing_compared(test: Test, context: Context) -> str:
    """Say which value a criterion compared that was not there, or ""."""
    match test.condition:
        case conditions.Comparison() | conditions.Not() | conditions.And() | conditions.Or():
            if test.context is not None:
                context.value = evaluate(test.context, context)
            return conditions.missing_compared(test.condition, context)
    return ""


PASSED = Verdict(passed=True)


def check(test: Test, context: Context, *, explained: bool = True) -> Verdict:
    """Say whether a criterion is satisfied in a context.

    Without `explained`, a condition that is just false says nothing of why; of one that could not be evaluated it is
    always said.
    """
    if test.type == "simple":
        return _check_condition(test.condition, context, explained=explained)
    value = Missing("no context") if test.context is None else evaluate(test.context, context)
    if isinstance(value, Missing):
        return Verdict(passed=False, why=f"the context is missing: {value.why}", evaluated=not value.unreadable)
    if value is None:
        return Verdict(passed=False, why="the context is null")
    if test.type == "jsonpath" and isinstance(value, str) and _is_body(test.context):
        return Verdict(passed=False, why=unreadable_body(test.context, context).why, evaluated=False)
    if test.type == "jsonpath" and not isinstance(test.condition, str | Template):
        if not isinstance(value, dict | list):
            return _not_json(value)
        context.value = value
        return _check_condition(test.condition, context, explained=explained)
    pattern = evaluate(test.condition, context)  # type: ignore[arg-type]  # conditions were handled above
    if isinstance(pattern, Missing):
        return Verdict(passed=False, why=f"the condition is incomplete: {pattern.why}", evaluated=False)
    try:
        if test.type == "regex":
            return _check_regex(to_text(pattern), value, context)
        return _check_jsonpath(to_text(pattern), value, lenient=test.lenient)
    except ExpressionInvalid as error:
        return Verdict(passed=False, why=error.message, evaluated=False)


def _check_condition(condition: Any, context: Context, *, explained: bool) -> Verdict:
    judged = conditions.judge(condition, context)
    if judged:
        return PASSED
    why = conditions.explain(condition, context) if explained or judged is None else ""
    return Verdict(passed=False, why=why, evaluated=judged is not None)


def _check_regex(pattern: str, value: Any, context: Context) -> Verdict:
    text = to_text(value)
    if _matcher(pattern)(text):
        return Verdict(passed=True)
    return Verdict(passed=False, why=f"no match in {conditions.shortened(context.mask(text))!r}")


def _check_jsonpath(text: str, value: Any, *, lenient: bool) -> Verdict:
    if not isinstance(value, dict | list):
        return _not_json(value)
    if query(text)(value):
        return Verdict(passed=True)
    # The specification's own example, `$[?count(@.pets) > 0]` on an object body, selects nothing under RFC 9535.
    if lenient and isinstance(value, dict) and text.replace(" ", "").startswith("$[?") and query(text)([value]):
        message = "a filter selects among the children of the context; it was applied to the context itself"
        correct = "wrap the context in an array, or write a simple condition"
        return Verdict(passed=True, dialect=Finding("jsonpath-filter-on-object", message, 0, len(text), correct))
    return Verdict(passed=False, why="the query selects nothing")


def _is_body(node: Expression | None) -> TypeGuard[MessagePart]:
    return isinstance(node, MessagePart) and node.part in ("body", "payload") and not node.pointer


def _not_json(value: Any) -> Verdict:
    return Verdict(passed=False, why=f"the context is {kind(value)}, not a JSON object or array", evaluated=False)


def _compares(text: str) -> bool:
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
            return _located(base, steps)
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


def _located(base: Expression | None, steps: tuple[str | int, ...]) -> str:
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


_OPERATOR = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[\[\]<>!]|==|&&|\|\|""", re.DOTALL)


@lru_cache(512)
def _matcher(pattern: str) -> Callable[[str], bool]:
    import jsonschema_rs  # noqa: PLC0415 - imported when a document has a regular expression

    try:
        # "pattern" of JSON Schema is ECMA-262 and searches, which is what a criterion asks for.
        validator = jsonschema_rs.Draft202012Validator(
            {"pattern": pattern}, pattern_options=jsonschema_rs.FancyRegexOptions(backtrack_limit=BACKTRACK_LIMIT)
        )
    except jsonschema_rs.ValidationError as error:
        message = f"{pattern!r} is no regular expression"
        raise ExpressionInvalid(message, 0, len(pattern), hint="the flavour is ECMA-262, as in JavaScript") from error

    def matches(text: str) -> bool:
        if validator.is_valid(text):
            return True
        exceeded = jsonschema_rs.ValidationErrorKind.BacktrackLimitExceeded
        if any(isinstance(error.kind, exceeded) for error in validator.iter_errors(text)):
            raise ExpressionInvalid(f"{pattern!r} takes too long on this text", 0, len(pattern))
        return False

    return matches
