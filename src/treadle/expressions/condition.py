"""Simple conditions (Criterion Object, section "Literals" to "Simple Conditions"): parse and compare.

Precedence, tightest first: `!`, comparison, `&&`, `||`. The same grammar reads the comparisons that people write with
type jsonpath, where an operand may start at `$`, the context.
"""

import re
from typing import NoReturn, TypeAlias

from msgspec import Struct

from treadle import pointer
from treadle.errors import ExpressionInvalid
from treadle.expressions.dialect import Finding, Names, read_operand, read_quoted, read_steps
from treadle.expressions.syntax import ContextValue, Expression, Navigation, Template, dump

_STOP = frozenset(" \t\r\n()<>,")
COMPARISONS = ("==", "!=", "<=", ">=", "<", ">")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)((?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)")
_WORDS = {"true": True, "false": False, "null": None}
_NO_OPERATORS = {
    "and": "write `&&`",
    "or": "write `||`",
    "contains": "a criterion of type regex looks for a text in its context",
    "matches": "a criterion of type regex does that",
    "in": "compare with each value, joined by `||`",
    "not": "write `!`",
}
"""What people write for an operator, and what to do instead."""


class Literal(Struct, frozen=True, gc=False, tag=True):
    """A boolean, null, number or string."""

    value: bool | int | float | str | None


class JsonLiteral(Struct, frozen=True, gc=False, tag=True):
    """An object or array by its JSON text, where a body stands as a condition. No grammar has it."""

    text: str


class Operand(Struct, frozen=True, gc=False, tag=True):
    """A runtime expression in a condition, or a string with expressions in it."""

    expression: Expression | Template


class Comparison(Struct, frozen=True, gc=False, tag=True):
    """`left operator right`."""

    operator: str
    left: "Condition"
    right: "Condition"


class Not(Struct, frozen=True, gc=False, tag=True):
    """`! condition`."""

    condition: "Condition"


class And(Struct, frozen=True, gc=False, tag=True):
    """Conditions joined by `&&`; all must hold."""

    conditions: tuple["Condition", ...]


class Or(Struct, frozen=True, gc=False, tag=True):
    """Conditions joined by `||`; one must hold."""

    conditions: tuple["Condition", ...]


Condition: TypeAlias = Literal | JsonLiteral | Operand | Comparison | Not | And | Or

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
                if self.text.startswith("=", self.at) or self.text.startswith("<>", begin):
                    written = self.text[begin : self.at + 1]
                    self.at = begin
                    correct = "!=" if written == "<>" else f"{operator[0]}="
                    self.fail(f"{written!r} is no operator of Arazzo", f"write `{correct}`")
                return Comparison(operator, left, self.unary(depth, compared=True))
        if self.text.startswith("=", self.at):
            regex = self.text.startswith("=~", self.at)
            self.fail(
                f"'{'=~' if regex else '='}' is no operator of Arazzo",
                _NO_OPERATORS["matches"] if regex else "write `==`",
            )
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
            hint = _NO_OPERATORS.get(word.lower(), "strings stand in 'quotes'")
            self.fail(f"{word or character!r} is no literal and no runtime expression", hint)
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
