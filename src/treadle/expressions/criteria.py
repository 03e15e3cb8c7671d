"""Criteria: each type compiles its text when the document is loaded, and tests a context when a step has ended.

A criterion that cannot be evaluated fails, and says so (section "Evaluation Errors").
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple, TypeGuard

import msgspec
from msgspec import Struct

from treadle.document.model import EXPRESSION_VERSIONS
from treadle.errors import ExpressionInvalid
from treadle.expressions import comparisons, jsonpath, judgement, patterns, xpath
from treadle.expressions import condition as conditions
from treadle.expressions.condition import Condition
from treadle.expressions.dialect import Finding, Names, read_embedded
from treadle.expressions.evaluate import Context, Missing, evaluate, unreadable_body
from treadle.expressions.fillers import check_filled
from treadle.expressions.syntax import Expression, MessagePart, Navigation, Template, parse_template
from treadle.expressions.words import kind, shortened, to_text
from treadle.files import Binary


class Test(Struct, frozen=True, cache_hash=True):
    """A compiled criterion.

    Attributes:
        text: the condition as written, for reports.
        type: simple, regex, jsonpath or xpath.
        condition: the parsed condition; for the other types the pattern or query, which may hold expressions.
        context: the expression whose value it is applied to, absent for simple conditions.
        lenient: whether a query may be read as a dialect where the strict reading selects nothing.
        version: the version of the type's language, "" where it has none.
    """

    text: str
    type: str
    condition: Condition | Template | Expression | str
    context: Expression | None = None
    lenient: bool = False
    version: str = ""


class Verdict(NamedTuple):
    """What a test found: whether it passed, why not, whether it could be evaluated at all, and a dialect it needed."""

    passed: bool
    why: str = ""
    evaluated: bool = True
    dialect: Finding | None = None


_MOST_SHOWN = 300
"""How much is shown of a condition that may be as long as what was filled in: masked first, since a part is not found."""

Compile = Callable[[str, str, Expression | None, Names, list[Finding]], Test]


def compile_criterion(
    kind: str, version: str, text: str, context: Expression | None, names: Names, findings: list[Finding]
) -> Test:
    """Compile a criterion of a type; `version` "" means the type's default.

    Raises:
        ExpressionInvalid: the text is none of that type and version.
    """
    return CRITERIA[kind](version or EXPRESSION_VERSIONS.get(kind, ("",))[0], text, context, names, findings)


def _compile_simple(
    _version: str, text: str, context: Expression | None, names: Names, findings: list[Finding]
) -> Test:
    """A simple condition; a `context` that stands beside it is not used.

    Real documents also write the body that is expected (`{"id": 1}`) where a condition belongs.
    """
    body = _expected_body(text, context)
    if body is not None:
        place = context or MessagePart("response", "body")
        first = next(iter(body), None) if isinstance(body, dict) else 0
        correct = "compare its parts one by one"
        if not isinstance(body, str) and body and first is not None and not isinstance(place, Navigation):
            correct += f", as in `{comparisons.located(place, (first,))} == …`"
        message = "this is a body, not a condition"
        findings.append(Finding("body-as-condition", message, 0, len(text), correct))
        expected = conditions.Comparison("==", conditions.Operand(place), conditions.JsonLiteral(text))
        return Test(text, "simple", expected)
    return Test(text, "simple", conditions.parse(text, names, findings), context)


def _expected_body(text: str, context: Expression | None) -> dict[str, Any] | list[Any] | str | None:
    if text.lstrip()[:1] not in ("{", "[", '"') or "$" in text:
        return None
    try:
        body = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None
    return body if isinstance(body, dict | list) or context is not None else None


def _compile_regex(_version: str, text: str, context: Expression | None, names: Names, findings: list[Finding]) -> Test:
    """A regular expression of ECMA-262 flavour; expressions in braces are filled in at run time."""
    pattern = read_embedded(text, names, findings, dotted=True)
    check_filled(pattern, text, patterns.ecma)
    return Test(text, "regex", pattern, context)


def _compile_jsonpath(
    version: str, text: str, context: Expression | None, names: Names, findings: list[Finding]
) -> Test:
    """A JSONPath query, or the comparison that people write in its place."""
    if comparisons.is_comparison(text):
        condition = conditions.parse(text, names, [], rooted=True)
        correct = comparisons.correct_comparison(condition, context)
        message = "this is a comparison, not a JSONPath query"
        findings.append(Finding("jsonpath-comparison", message, 0, len(text), correct))
        return Test(text, "jsonpath", condition, context, version=version)
    pattern = read_embedded(text, names, findings, dotted=True)
    check_filled(pattern, text, lambda filled: jsonpath.compiled(filled, version))
    return Test(text, "jsonpath", pattern, context, lenient=True, version=version)


def _compile_xpath(
    version: str, text: str, context: Expression | None, _names: Names, _findings: list[Finding]
) -> Test:
    """An XPath expression; prefixes get their meaning from the XML text it is applied to."""
    pattern = parse_template(text)
    check_filled(pattern, text, lambda filled: xpath.check(version, filled))
    return Test(text, "xpath", pattern, context, version=version)


CRITERIA: dict[str, Compile] = {
    "simple": _compile_simple,
    "regex": _compile_regex,
    "jsonpath": _compile_jsonpath,
    "xpath": _compile_xpath,
}
"""The criterion types."""


def criterion_expressions(test: Test) -> list[Expression]:
    """Give the expressions in a criterion's condition; its context is not among them."""
    match test.condition:
        case str():
            return []
        case Template(parts):
            return [part for part in parts if not isinstance(part, str)]
        case (
            conditions.Literal()
            | conditions.JsonLiteral()
            | conditions.Operand()
            | conditions.Comparison()
            | conditions.Not()
        ):
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
            return judgement.missing_compared(test.condition, context)
    return ""


PASSED = Verdict(passed=True)
_NOT_PASSED = Verdict(passed=False)


def check(test: Test, context: Context, *, explained: bool = True) -> Verdict:
    """Say whether a criterion is satisfied in a context.

    Without `explained`, a condition that is just false says nothing of why; of one that could not be evaluated it is
    always said.
    """
    return _check_of(test)(context, explained)


_Check = Callable[[Context, bool], Verdict]


@lru_cache(4096)
def _check_of(test: Test) -> _Check:
    """Compile a test to a function. The Test itself stays data, and knows its hash."""
    if test.type == "simple":
        return _check_of_condition(test.condition)
    apply = _APPLY[test.type]
    compared = None
    if isinstance(test.condition, Condition):  # the comparison that stands in place of a JSONPath query
        compared = _check_of_condition(test.condition)

    def check(context: Context, explained: bool) -> Verdict:  # noqa: FBT001 - called here only
        value = Missing("no context") if test.context is None else evaluate(test.context, context)
        unfit = _unfit(test, value, context)
        if unfit is not None:
            return unfit
        if compared is not None:
            context.value = value
            return compared(context, explained)
        text = evaluate(test.condition, context)  # type: ignore[arg-type]  # conditions were handled above
        if isinstance(text, Missing):
            return Verdict(passed=False, why=f"the condition is incomplete: {text.why}", evaluated=False)
        try:
            return apply(test, to_text(text), value, context, explained)
        except ExpressionInvalid as error:
            if test.type == "xpath" and not isinstance(test.condition, str):
                # The library quotes parts of the text, and of a secret that was filled in a part is not found again.
                why = f"{shortened(context.mask(to_text(text)), _MOST_SHOWN)!r} cannot be evaluated as {test.version or xpath.DEFAULT}"
                return Verdict(passed=False, why=why, evaluated=False)
            return Verdict(passed=False, why=shortened(context.mask(error.message), _MOST_SHOWN), evaluated=False)

    return check


def _unfit(test: Test, value: Any, context: Context) -> Verdict | None:
    """Give the verdict on a context that no text can be applied to, or None."""
    if isinstance(value, Missing):
        return Verdict(passed=False, why=f"the context is missing: {value.why}", evaluated=not value.unreadable)
    if value is None:
        return Verdict(passed=False, why="the context is null")
    if test.type == "jsonpath":
        if isinstance(value, str | Binary) and _is_body(test.context):
            return Verdict(passed=False, why=unreadable_body(test.context, context).why, evaluated=False)
        if not isinstance(value, dict | list):
            why = f"the context is {kind(value)}, not a JSON object or array"
            return Verdict(passed=False, why=why, evaluated=False)
    return None


def _check_of_condition(condition: Any) -> _Check:
    judge = judgement.judge_of(condition)

    def check(context: Context, explained: bool) -> Verdict:  # noqa: FBT001
        judged = judge(context)
        if judged:
            return PASSED
        if judged is not None and not explained:
            return _NOT_PASSED
        return Verdict(passed=False, why=judgement.explain(condition, context), evaluated=judged is not None)

    return check


def _apply_regex(_test: Test, pattern: str, value: Any, context: Context, explained: bool) -> Verdict:  # noqa: FBT001
    text = to_text(value)
    if patterns.ecma(pattern)(text):
        return PASSED
    why = f"no match in {shortened(context.mask(text))!r}" if explained else ""
    return Verdict(passed=False, why=why)


def _apply_jsonpath(test: Test, text: str, value: Any, context: Context, explained: bool) -> Verdict:  # noqa: FBT001
    query = jsonpath.compiled(text, test.version or jsonpath.RFC9535)
    if query.selects(value):
        return PASSED
    # The specification's own example, `$[?count(@.pets) > 0]` on an object body, selects nothing under RFC 9535.
    if test.lenient and isinstance(value, dict) and text.replace(" ", "").startswith("$[?") and query.selects([value]):
        message = "a filter selects among the children of the context; it was applied to the context itself"
        correct = "wrap the context in an array, or write a simple condition"
        return Verdict(passed=True, dialect=Finding("jsonpath-filter-on-object", message, 0, len(text), correct))
    why = f"the query selects nothing: {query.why_nothing(value)}" if explained else ""
    return Verdict(passed=False, why=context.mask(why))


def _apply_xpath(test: Test, text: str, value: Any, context: Context, explained: bool) -> Verdict:  # noqa: FBT001
    result = xpath.holds(test.version or xpath.DEFAULT, text, value)
    if result.holds:
        return PASSED
    if not explained:
        return Verdict(passed=False)
    nothing = result.size == 0
    why = xpath.why_nothing(test.version or xpath.DEFAULT, text, value) if nothing else "the expression is not true"
    return Verdict(passed=False, why=context.mask(why))


_APPLY: dict[str, Callable[[Test, str, Any, Context, bool], Verdict]] = {
    "regex": _apply_regex,
    "jsonpath": _apply_jsonpath,
    "xpath": _apply_xpath,
}


def _is_body(node: Expression | None) -> TypeGuard[MessagePart]:
    return isinstance(node, MessagePart) and node.part in ("body", "payload") and not node.pointer
