"""XPath 1.0 (W3C Recommendation of 1999): expressions compiled to functions, applied within a budget.

libxml2 evaluates the same language, but nothing can stop it: `count(//*[count(//*) > 0])` on 200 kB takes eight seconds,
with one level more hours. Here every node and every character that is looked at is counted.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple, NoReturn, TypeAlias

from treadle.errors import ExpressionInvalid
from treadle.expressions import xpath1_values as values
from treadle.expressions.xml import Document, Node
from treadle.expressions.xpath1_functions import FUNCTIONS
from treadle.expressions.xpath1_values import AXES, NODE_TYPES, Focus, Run, Value, boolean

__all__ = ["boolean", "check", "compiled", "evaluate"]

MAX_DEPTH = 50
"""How deep parentheses, predicates and arguments may nest."""

Expression: TypeAlias = Callable[[Focus], Value]
_Nodes: TypeAlias = Callable[[Focus], list[Node]]
_Test: TypeAlias = Callable[[Node, Run], bool]

_NAME = r"[^\W\d][\w.\-\u00b7]*"
_TOKEN = re.compile(
    rf"""
      (?P<number> [0-9]+ (?: \.[0-9]* )? | \.[0-9]+ )
    | (?P<literal> "[^"]*" | '[^']*' )
    | (?P<symbol> \.\. | :: | // | != | <= | >= | [()\[\].@,/|+=<>*$-] )
    | (?P<name> {_NAME} (?: :(?!:) (?: {_NAME} | \* ) )? )
    """,
    re.VERBOSE,
)
_OPERATORS = frozenset({"and", "or", "mod", "div", "*"})
_NO_OPERATOR_AFTER = frozenset(
    {"@", "::", "(", "[", ",", "//", "/", "|", "+", "-", "=", "!=", "<", "<=", ">", ">=", "$"}
)


class _Token(NamedTuple):
    kind: str  # number, literal, symbol, operator, name, end
    text: str
    at: int


@lru_cache(512)
def compiled(text: str) -> Expression:
    """Compile an expression.

    Raises:
        ExpressionInvalid: it is none; the offset says where it stops to be one.
    """
    parser = _Parser(text)
    expression = parser.either(0)
    if parser.token.kind != "end":
        parser.fail(f"{parser.token.text!r} cannot stand here")
    return expression


def check(text: str) -> None:
    """See whether a text is an expression; see `compiled`."""
    compiled(text)


def evaluate(text: str, document: Document, budget: int) -> Value:
    """Give the value of an expression at the root of a document: a boolean, number, string, or nodes in order.

    Raises:
        ExpressionInvalid: it is no expression, names a prefix that is declared nowhere, or takes too long.
    """
    expression = compiled(text)
    try:
        return expression(Focus(document.nodes, 1, 1, Run(document, budget)))
    except RecursionError as error:
        raise ExpressionInvalid("the expression is too long", 0, len(text)) from error


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    while True:
        while at < len(text) and text[at] in " \t\r\n":
            at += 1
        if at == len(text):
            found.append(_Token("end", "the end", at))
            return found
        match = _TOKEN.match(text, at)
        if match is None:
            what = "a string opens here that is not closed" if text[at] in "\"'" else f"{text[at]!r} cannot stand here"
            raise ExpressionInvalid(what, at, len(text))
        kind = match.lastgroup or ""
        # Section 3.7: after an operand, `*` multiplies and a name is an operator.
        operand = found and not (
            found[-1].kind == "operator" or (found[-1].kind == "symbol" and found[-1].text in _NO_OPERATOR_AFTER)
        )
        if operand and match[0] in _OPERATORS:
            kind = "operator"
        found.append(_Token(kind, match[0], at))
        at = match.end()


class _Parser:
    """Reads an expression by the grammar of section 3; each method gives a function."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _tokens(text)
        self.number = 0

    @property
    def token(self) -> _Token:
        return self.tokens[self.number]

    @property
    def next(self) -> _Token:
        return self.tokens[min(self.number + 1, len(self.tokens) - 1)]

    def fail(self, message: str, hint: str | None = None) -> NoReturn:
        if self.token.kind == "end":
            message = "the expression ends where an operand is expected" if self.text.strip() else "the text is empty"
        raise ExpressionInvalid(message, self.token.at, len(self.text), hint=hint)

    def take(self, *texts: str, kind: str = "symbol") -> str:
        """Pass a token of a kind that has one of these texts; give its text, or "" where another one stands."""
        token = self.token
        if token.kind != kind or token.text not in texts:
            return ""
        self.number += 1
        return token.text

    def expect(self, text: str) -> None:
        if not self.take(text):
            self.fail(f"{text!r} is expected before {self.token.text!r}")

    def either(self, depth: int) -> Expression:
        if depth > MAX_DEPTH:
            self.fail(f"the expression nests deeper than {MAX_DEPTH}")
        left = self.both(depth)
        while self.take("or", kind="operator"):
            left = values.either(left, self.both(depth))
        return left

    def both(self, depth: int) -> Expression:
        left = self.equality(depth)
        while self.take("and", kind="operator"):
            left = values.both(left, self.equality(depth))
        return left

    def equality(self, depth: int) -> Expression:
        left = self.relation(depth)
        while operator := self.take("=", "!="):
            left = values.comparison(operator, left, self.relation(depth))
        return left

    def relation(self, depth: int) -> Expression:
        left = self.sum(depth)
        while operator := self.take("<", "<=", ">", ">="):
            left = values.comparison(operator, left, self.sum(depth))
        return left

    def sum(self, depth: int) -> Expression:
        left = self.product(depth)
        while operator := self.take("+", "-"):
            left = values.arithmetic(operator, left, self.product(depth))
        return left

    def product(self, depth: int) -> Expression:
        left = self.negation(depth)
        while operator := self.take("*", "div", "mod", kind="operator"):
            left = values.arithmetic(operator, left, self.negation(depth))
        return left

    def negation(self, depth: int) -> Expression:
        negative = False
        signed = False
        while self.take("-"):
            signed, negative = True, not negative
        inner = self.union(depth)
        return values.negated(inner, negative=negative) if signed else inner

    def union(self, depth: int) -> Expression:
        left = self.path(depth)
        while self.take("|"):
            left = values.union(self.nodes(left), self.nodes(self.path(depth)))
        return left

    def nodes(self, expression: Expression) -> _Nodes:
        """Require nodes of an expression, where the grammar cannot tell what it will give."""

        def nodes(focus: Focus) -> list[Node]:
            found = expression(focus)
            if not isinstance(found, list):
                raise ExpressionInvalid(f"nodes are needed, but there is {values.what(found)}", 0, len(self.text))
            return found

        return nodes

    def path(self, depth: int) -> Expression:
        if self.take("//"):
            return self.steps(values.all_from(values.from_root), depth)
        if self.take("/"):
            return self.steps(values.from_root, depth) if self.starts_step() else values.from_root
        if not self.starts_primary():
            return self.steps(lambda focus: [focus.node], depth)
        start = self.primary(depth)
        while self.take("["):
            start = values.filtered(self.nodes(start), self.predicate(depth))
        if self.take("//"):
            return self.steps(values.all_from(self.nodes(start)), depth)
        return self.steps(self.nodes(start), depth) if self.take("/") else start

    def starts_step(self) -> bool:
        return self.token.kind == "name" or (self.token.kind == "symbol" and self.token.text in (".", "..", "@", "*"))

    def starts_primary(self) -> bool:
        kind, text, _ = self.token
        is_call = self.next.text == "(" and self.next.kind == "symbol" and text not in NODE_TYPES
        return (
            kind in ("number", "literal") or (kind == "symbol" and text in ("(", "$")) or (kind == "name" and is_call)
        )

    def primary(self, depth: int) -> Expression:
        kind, text, _ = self.token
        if text == "$" and kind == "symbol":
            self.fail("there are no variables here", "embed a runtime expression in braces: {$inputs.name}")
        if kind == "name":
            return self.call(depth)
        self.number += 1
        if kind == "symbol":
            inner = self.either(depth + 1)
            self.expect(")")
            return inner
        constant: Value = float(text) if kind == "number" else text[1:-1]
        return lambda _focus: constant

    def call(self, depth: int) -> Expression:
        name = self.token.text
        function = FUNCTIONS.get(name)
        if function is None:
            self.fail(f"XPath 1.0 has no function `{name}`", "later versions may: xpath-20, xpath-30, xpath-31")
        begin = self.token
        self.number += 2
        arguments: list[Expression] = []
        while not self.take(")"):
            if arguments:
                self.expect(",")
            arguments.append(self.either(depth + 1))
        if not function.least <= len(arguments) <= function.most:
            message = f"`{name}` does not take {len(arguments)} argument{'' if len(arguments) == 1 else 's'}"
            raise ExpressionInvalid(message, begin.at, len(self.text))
        if function.of_nodes:
            arguments = [self.nodes(argument) for argument in arguments]
        return function.bind(arguments)

    def steps(self, start: _Nodes, depth: int) -> _Nodes:
        nodes = self.step(start, depth)
        while operator := self.take("/", "//"):
            nodes = self.step(values.all_from(nodes) if operator == "//" else nodes, depth)
        return nodes

    def step(self, start: _Nodes, depth: int) -> _Nodes:
        if self.take("."):
            return start
        if self.take(".."):
            return values.step(start, "parent", _any_node, [])
        axis = "attribute" if self.take("@") else "child"
        if axis == "child" and self.token.kind == "name" and self.next.text == "::":
            axis = self.token.text
            if axis not in AXES:
                self.fail(f"there is no axis `{axis}`")
            self.number += 2
        test = self.node_test({"attribute": "attribute", "namespace": "namespace"}.get(axis, "element"))
        predicates = []
        while self.take("["):
            predicates.append(self.predicate(depth))
        return values.step(start, axis, test, predicates)

    def predicate(self, depth: int) -> Expression:
        inner = self.either(depth + 1)
        self.expect("]")
        return inner

    def node_test(self, principal: str) -> _Test:
        kind, text, _ = self.token
        if self.take("*"):
            return lambda node, _run: node.kind == principal
        if kind != "name":
            self.fail(f"{text!r} cannot stand here; the name of a node is expected")
        self.number += 1
        if text in NODE_TYPES and self.take("("):
            target = None
            if text == "processing-instruction" and self.token.kind == "literal":
                target = self.token.text[1:-1]
                self.number += 1
            self.expect(")")
            return _type_test(text, target)
        prefix, colon, local = text.rpartition(":")
        return _name_test(principal, prefix if colon else None, local)


def _any_node(_node: Node, _run: Run) -> bool:
    return True


def _type_test(kind: str, target: str | None) -> _Test:
    if kind == "node":
        return _any_node
    if target is not None:
        return lambda node, _run: node.kind == kind and node.local == target
    return lambda node, _run: node.kind == kind


def _name_test(principal: str, prefix: str | None, local: str) -> _Test:
    if prefix is None:
        return lambda node, _run: node.local == local and node.kind == principal and not node.uri
    if local == "*":
        return lambda node, run: node.kind == principal and node.uri == run.namespace(prefix)
    return lambda node, run: node.kind == principal and node.uri == run.namespace(prefix) and node.local == local
