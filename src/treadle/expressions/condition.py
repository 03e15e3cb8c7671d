"""Simple conditions (Criterion Object, section "Literals" to "Simple Conditions"): parse and compare.

Precedence, tightest first: `!`, comparison, `&&`, `||`. The same grammar reads the comparisons that people write with
type jsonpath, where an operand may start at `$`, the context.
"""

import re
from collections.abc import Callable
from typing import Any, NoReturn, TypeAlias

from msgspec import Struct

from treadle import pointer
from treadle.errors import ExpressionInvalid
from treadle.expressions.dialect import Finding, Names, read_operand, read_quoted, read_steps
from treadle.expressions.evaluate import Context, Missing, evaluate, kind, to_text
from treadle.expressions.syntax import ContextValue, Expression, Navigation, Template, dump

_STOP = frozenset(" \t\r\n()<>,")
_NUMBERS = (int, float)
COMPARISONS = ("==", "!=", "<=", ">=", "<", ">")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)((?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)")
_WORDS = {"true": True, "false": False, "null": None}
_NO_OPERATORS = {
    "and": "write `&&`",
    "or": "write `||`",
    "contains": "a criterion of type regex looks for a text in its context",
    "matches": "a criterion of type regex does that",
}
"""What people write for an operator, and what to do instead."""


class Literal(Struct, frozen=True, tag=True):
    """A boolean, null, number or string; an object or array only where a body stands as a condition."""

    value: Any


class Operand(Struct, frozen=True, tag=True):
    """A runtime expression in a condition, or a string with expressions in it."""

    expression: Expression | Template


class Comparison(Struct, frozen=True, tag=True):
    """`left operator right`."""

    operator: str
    left: "Condition"
    right: "Condition"


class Not(Struct, frozen=True, tag=True):
    """`! condition`."""

    condition: "Condition"


class And(Struct, frozen=True, tag=True):
    """Conditions joined by `&&`; all must hold."""

    conditions: tuple["Condition", ...]


class Or(Struct, frozen=True, tag=True):
    """Conditions joined by `||`; one must hold."""

    conditions: tuple["Condition", ...]


Condition: TypeAlias = Literal | Operand | Comparison | Not | And | Or

MAX_DEPTH = 50
"""How deep parentheses and negations may nest."""


def parse(text: str, names: Names, findings: list[Finding], *, rooted: bool = False) -> Condition:
    """Read a condition; with `rooted`, an operand may be a path from `$`, the context.

    Raises:
        ExpressionInvalid: it is no condition; the offsets say where it stops to be one.
    """
    parser = _Parser(text, names, findings, rooted=rooted)
    parser.space()
    if parser.at == len(text):
        parser.fail("a condition is expected, the text is empty")
    condition = parser.either(0)
    if parser.at != len(text):
        word = text[parser.at :].split(maxsplit=1)[0]
        parser.fail(f"{word!r} cannot stand here", _NO_OPERATORS.get(word.lower()))
    return condition


class _Parser:
    def __init__(self, text: str, names: Names, findings: list[Finding], *, rooted: bool) -> None:
        self.text = text
        self.names = names
        self.findings = findings
        self.rooted = rooted
        self.at = 0

    def fail(self, message: str, hint: str | None = None) -> NoReturn:
        raise ExpressionInvalid(message, self.at, len(self.text), hint=hint)

    def space(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def take(self, symbol: str) -> bool:
        if not self.text.startswith(symbol, self.at):
            return False
        self.at += len(symbol)
        self.space()
        return True

    def either(self, depth: int) -> Condition:
        conditions = [self.both(depth)]
        while self.take("||"):
            conditions.append(self.both(depth))
        return conditions[0] if len(conditions) == 1 else Or(tuple(conditions))

    def both(self, depth: int) -> Condition:
        conditions = [self.comparison(depth)]
        while self.take("&&"):
            conditions.append(self.comparison(depth))
        return conditions[0] if len(conditions) == 1 else And(tuple(conditions))

    def comparison(self, depth: int) -> Condition:
        left = self.unary(depth)
        for operator in COMPARISONS:
            begin = self.at
            if self.take(operator):
                if self.text.startswith("=", self.at):
                    written = self.text[begin : self.at + 1]
                    self.at = begin
                    self.fail(f"{written!r} is no operator of Arazzo", f"write `{operator[0]}=`")
                return Comparison(operator, left, self.unary(depth, compared=True))
        if self.text.startswith("=", self.at):
            self.fail("'=' is no operator of Arazzo", "write `==`")
        return left

    def unary(self, depth: int, *, compared: bool = False) -> Condition:
        if depth > MAX_DEPTH:
            self.fail(f"the condition nests deeper than {MAX_DEPTH}")
        if not self.text.startswith("!=", self.at) and self.take("!"):
            return Not(self.unary(depth + 1))
        if self.take("("):
            inner = self.either(depth + 1)
            if not self.take(")"):
                self.fail("')' is expected here")
            return inner
        return self.primary(compared=compared)

    def primary(self, *, compared: bool) -> Condition:
        if self.at >= len(self.text):
            self.fail("the condition ends where an operand is expected")
        character = self.text[self.at]
        if character == "'":
            return self.single_quoted()
        if character == '"':
            return self.double_quoted()
        if character == "$" or (character == "#" and self.rooted):
            return self.operand()
        if self.text.startswith("{$", self.at):
            return self.braced()
        begin = self.at
        word = self.word()
        self.at = begin + len(word)
        self.space()
        if word in _WORDS:
            return Literal(_WORDS[word])
        number = as_number(word)
        if number is not None:
            return Literal(number)
        self.at = begin
        if not compared:
            self.fail(f"{word or character!r} is no literal and no runtime expression", "strings stand in 'quotes'")
        return self.unquoted()

    def word(self) -> str:
        end = self.at
        while end < len(self.text) and self.text[end] not in _STOP and not self.text.startswith(("&&", "||"), end):
            if self.text.startswith(("==", "!="), end):
                break
            end += 1
        return self.text[self.at : end]

    def braced(self) -> Literal | Operand:
        """`{$statusCode} == 200`: braces are for expressions in text."""
        end = self.text.find("}", self.at) + 1
        if not end:
            self.fail("'{' opens an embedded expression that no '}' closes")
        begin = self.at
        self.at = end
        self.space()
        return self.expression_or_string(self.text[begin:end], begin, begin)

    def expression_or_string(self, value: str, begin: int, offset: int) -> Literal | Operand:
        """Read a string that may be an expression; it stands from `begin` on, its own text from `offset` on."""
        found: list[Finding] = []
        try:
            node = read_quoted(value, self.names, found)
        except ExpressionInvalid as error:
            raise ExpressionInvalid(error.message, offset + error.start, self.at, hint=error.hint) from None
        if node is None:
            return Literal(value)
        correct = "give the text as an input or an output, and name that here"
        if not isinstance(node, Template):
            correct = f"write `{dump(node)}`"
        message = "an expression in a condition stands without quotes and braces"
        self.findings.append(Finding("expression-in-quotes", message, begin, self.at, correct))
        return Operand(node)

    def single_quoted(self) -> Literal | Operand:
        begin = self.at
        written = []
        at = self.at + 1
        while True:
            end = self.text.find("'", at)
            if end < 0:
                self.fail("a string opens here that is not closed", "close it with '; inside, write '' for a quote")
            written.append(self.text[at:end])
            if not self.text.startswith("''", end):
                break
            written.append("'")
            at = end + 2
        self.at = end + 1
        self.space()
        self.refuse_whole(begin)
        return self.expression_or_string("".join(written), begin, begin + 1)

    def refuse_whole(self, begin: int) -> None:
        """Refuse a condition that is one string: it would always hold, and is a condition in quotes too many."""
        if self.at == len(self.text) and not self.text[:begin].strip():
            self.at = begin
            self.fail("the whole condition is one string", "take the quotes away")

    def double_quoted(self) -> Literal | Operand:
        end = self.text.find('"', self.at + 1)
        if end < 0:
            self.fail("a string opens here that is not closed", "a string stands in 'single quotes'")
        begin = self.at
        value = self.text[begin + 1 : end]
        self.at = end + 1
        self.space()
        self.refuse_whole(begin)
        operand = self.expression_or_string(value, begin, begin + 1)
        if isinstance(operand, Literal):
            correct = "'" + value.replace("'", "''") + "'"
            message = "a string in a condition stands in single quotes"
            self.findings.append(Finding("double-quoted-string", message, begin, end + 1, f"write `{correct}`"))
        return operand

    def unquoted(self) -> Literal:
        end = self.at
        while end < len(self.text) and self.text[end] not in "()" and not self.text.startswith(("&&", "||"), end):
            end += 1
        value = self.text[self.at : end].strip()
        if not value:
            self.fail("an operand is expected here")
        correct = "'" + value.replace("'", "''") + "'"
        message = "a string in a condition stands in single quotes"
        self.findings.append(Finding("unquoted-string", message, self.at, self.at + len(value), f"write `{correct}`"))
        self.at = end
        return Literal(value)

    def operand(self) -> Operand:
        begin = self.at
        end = self._operand_end(begin)
        text = self.text[begin:end]
        self.at = end
        self.space()
        steps = self.from_context(text) if self.rooted else None
        if steps is not None:
            return Operand(Navigation(ContextValue(begin, begin + 1), steps, begin, end))
        found: list[Finding] = []
        try:
            operand = read_operand(text, self.names, found)
        except ExpressionInvalid as error:
            raise ExpressionInvalid(error.message, begin + error.start, end, hint=error.hint) from None
        self.findings += [f._replace(start=begin + f.start, end=begin + f.end) for f in found]
        return Operand(operand)

    def from_context(self, text: str) -> tuple[str | int, ...] | None:
        """Read `$.a[0]` and `#/a/0`, ways from the context."""
        if text.startswith("$"):
            return read_steps(text[1:])
        try:
            return pointer.parse(text[1:])
        except ValueError as error:
            raise ExpressionInvalid(str(error), self.at - len(text), self.at) from None

    def _operand_end(self, at: int) -> int:
        depth = 0
        quote = ""
        while at < len(self.text):
            character = self.text[at]
            if quote:
                quote = "" if character == quote else quote
            elif character in "'\"" and depth:
                quote = character
            elif character == "[":
                depth += 1
            elif character == "]":
                depth -= 1
            elif depth <= 0 and (character in _STOP or self.text.startswith(("==", "!=", "&&", "||"), at)):
                break
            at += 1
        return at


def as_number(text: str) -> int | float | None:
    """Read a JSON number, or give None."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    # Beyond 400 digits a number is infinite to every comparison; Python refuses to read one of thousands.
    return int(text) if not match[1] and len(text) < 400 else float(text)


def judge(condition: Condition, context: Context) -> bool | None:
    """Say whether a condition holds, or None where that cannot be told because data in it is unreadable.

    What is merely Missing makes a comparison false, never an error. Unknown parts count as in three-valued logic: they
    do not matter to `||` beside something true, nor to `&&` beside something false.
    """
    match condition:
        case Comparison(operator, left, right):
            first, second = _value(left, context), _value(right, context)
            return None if _unknown(first) or _unknown(second) else _compare(operator, first, second)
        case And(conditions):
            return _combined([judge(part, context) for part in conditions], decisive=False)
        case Or(conditions):
            return _combined([judge(part, context) for part in conditions], decisive=True)
        case Not(inner):
            judged = judge(inner, context)
            return None if judged is None else not judged
    value = _value(condition, context)
    return None if _unknown(value) else truthy(value)


def _compare(operator: str, left: Any, right: Any) -> bool | None:
    try:
        return _COMPARE[operator](left, right)
    except RecursionError:  # bodies may nest deeper than they can be compared
        return None


def _unknown(value: Any) -> bool:
    return isinstance(value, Missing) and value.unreadable


def _combined(judged: list[bool | None], *, decisive: bool) -> bool | None:
    if decisive in judged:
        return decisive
    return None if None in judged else not decisive


def truthy(value: Any) -> bool:
    """Bare operand: false for Missing, null, false, 0 and "", true otherwise."""
    return not (isinstance(value, Missing) or value is None or value is False or value in (0, ""))


def _value(condition: Condition, context: Context) -> Any:
    if type(condition) is Operand:
        return evaluate(condition.expression, context)
    if type(condition) is Literal:
        return condition.value
    judged = judge(condition, context)
    return Missing("a part of the condition cannot be evaluated", unreadable=True) if judged is None else judged


def operands(condition: Condition) -> list[Expression]:
    """Give the expressions of a condition, in their order."""
    match condition:
        case Operand(expression):
            parts = expression.parts if isinstance(expression, Template) else (expression,)
            return [part for part in parts if not isinstance(part, str)]
        case Comparison(_, left, right):
            return [*operands(left), *operands(right)]
        case Not(inner):
            return operands(inner)
        case And(conditions) | Or(conditions):
            return [expression for part in conditions for expression in operands(part)]
    return []


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
            shown = kind(value) if isinstance(value, dict | list) else _quoted(value, context)
            found.append(f"`{dump(expression)}` is {shortened(shown)}")
    return "; ".join(dict.fromkeys(found))


def _quoted(value: Any, context: Context) -> str:
    return repr(context.mask(value)) if isinstance(value, str) else context.mask(to_text(value))


def shortened(text: str, most: int = 120) -> str:
    """Cut a text for a message; secrets in it must have been masked before."""
    return text if len(text) <= most else text[: most - 1] + "…"


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
