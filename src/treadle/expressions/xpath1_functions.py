"""The core function library of XPath 1.0 (section 4)."""

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from treadle.expressions.xml import XML_NAMESPACE, Node
from treadle.expressions.xpath1_values import (
    AXES,
    Focus,
    Run,
    Value,
    ancestors,
    boolean,
    number,
    read_number,
    string,
    text_of,
)

_Expression: TypeAlias = "Callable[[Focus], Any]"
_SPACE = re.compile(r"[ \t\r\n]+")
_MANY = 1_000


class Function(NamedTuple):
    """A function: how many arguments it takes, whether they are nodes, and what makes an expression of them."""

    least: int
    most: int
    bind: Callable[[list[_Expression]], _Expression]
    of_nodes: bool = False


def _of_strings(
    function: Callable[..., Value], least: int, most: int | None = None, *, context: bool = False
) -> Function:
    """A function of strings; with `context`, of the context node where no argument is given."""

    def bind(arguments: list[_Expression]) -> _Expression:
        def call(focus: Focus) -> Value:
            run = focus.run
            given = [string(argument(focus), run) for argument in arguments]
            if context and not given:
                given = [text_of(focus.node, run)]
            run.spend(3 + sum(map(len, given)) // 20)
            return function(*given)

        return call

    return Function(least, least if most is None else most, bind)


def _of_number(function: Callable[[float], float]) -> Function:
    def bind(arguments: list[_Expression]) -> _Expression:
        return lambda focus: function(number(arguments[0](focus), focus.run))

    return Function(1, 1, bind)


def _of_focus(function: Callable[[Focus], Value]) -> Function:
    return Function(0, 0, lambda _arguments: function)


def _of_name(function: Callable[[Node], str]) -> Function:
    """A function of the first node of a set, or of the context node."""

    def bind(arguments: list[_Expression]) -> _Expression:
        def call(focus: Focus) -> Value:
            nodes = arguments[0](focus) if arguments else [focus.node]
            return function(nodes[0]) if nodes else ""

        return call

    return Function(0, 1, bind, of_nodes=True)


def _of_value(function: Callable[[Value, Run], Value], least: int = 1) -> Function:
    def bind(arguments: list[_Expression]) -> _Expression:
        if not arguments:
            return lambda focus: function([focus.node], focus.run)
        return lambda focus: function(arguments[0](focus), focus.run)

    return Function(least, 1, bind)


def _of_nodes(function: Callable[[list[Node], Run], Value]) -> Function:
    return Function(1, 1, lambda arguments: lambda focus: function(arguments[0](focus), focus.run), of_nodes=True)


def _full_name(node: Node) -> str:
    return f"{node.prefix}:{node.local}" if node.prefix else node.local


def _by_id(arguments: list[_Expression]) -> _Expression:
    def call(focus: Focus) -> Value:
        run = focus.run
        value = arguments[0](focus)
        texts = [text_of(node, run) for node in value] if isinstance(value, list) else [string(value, run)]
        wanted = {token for text in texts for token in _SPACE.split(text) if token}
        elements = AXES["descendant"](run.document.nodes)
        run.spend(run.document.size)
        return [
            node
            for node in elements
            # Without a DTD, no attribute is an identifier but xml:id.
            if any(
                each.local == "id" and each.uri == XML_NAMESPACE and each.value in wanted for each in node.attributes
            )
        ]

    return call


def _lang(arguments: list[_Expression]) -> _Expression:
    def call(focus: Focus) -> Value:
        wanted = string(arguments[0](focus), focus.run).lower()
        for node in (focus.node, *ancestors(focus.node)):
            for attribute in node.attributes:
                if attribute.local == "lang" and attribute.uri == XML_NAMESPACE:
                    said = (attribute.value or "").lower()
                    return said == wanted or said.startswith(f"{wanted}-")
        return False

    return call


def _round(value: float) -> float:
    if not math.isfinite(value) or value.is_integer():
        return value
    return math.copysign(float(math.floor(value + 0.5)), value) if -0.5 <= value < 0 else float(math.floor(value + 0.5))


def _whole(function: Callable[[float], int]) -> Callable[[float], float]:
    return lambda value: math.copysign(float(function(value)), value) if math.isfinite(value) else value


def _substring(arguments: list[_Expression]) -> _Expression:
    def call(focus: Focus) -> Value:
        run = focus.run
        text = string(arguments[0](focus), run)
        run.spend(3 + len(text) // 20)
        first = _round(number(arguments[1](focus), run))
        end = math.inf if len(arguments) == 2 else first + _round(number(arguments[2](focus), run))
        if math.isnan(first) or math.isnan(end):
            return ""
        begin = max(first, 1)
        return text[int(min(begin, len(text) + 1)) - 1 : max(int(min(end, len(text) + 1)) - 1, 0)]

    return call


def _translate(text: str, old: str, new: str) -> str:
    table: dict[int, str | None] = {}
    for index, character in enumerate(old):
        table.setdefault(ord(character), new[index] if index < len(new) else None)
    return text.translate(table)


FUNCTIONS: dict[str, Function] = {
    "last": _of_focus(lambda focus: float(focus.size)),
    "position": _of_focus(lambda focus: float(focus.position)),
    "count": _of_nodes(lambda nodes, _run: float(len(nodes))),
    "id": Function(1, 1, _by_id),
    "local-name": _of_name(lambda node: node.local),
    "namespace-uri": _of_name(lambda node: node.uri),
    "name": _of_name(_full_name),
    "string": _of_value(string, 0),
    "concat": _of_strings(lambda *texts: "".join(texts), 2, _MANY),
    "starts-with": _of_strings(str.startswith, 2),
    "contains": _of_strings(lambda text, part: part in text, 2),
    "substring-before": _of_strings(lambda text, part: text.partition(part)[0] if part and part in text else "", 2),
    "substring-after": _of_strings(lambda text, part: text.partition(part)[2] if part else text, 2),
    "substring": Function(2, 3, _substring),
    "string-length": _of_strings(lambda text: float(len(text)), 0, 1, context=True),
    "normalize-space": _of_strings(lambda text: _SPACE.sub(" ", text).strip(" "), 0, 1, context=True),
    "translate": _of_strings(_translate, 3),
    "boolean": _of_value(lambda value, _run: boolean(value)),
    "not": _of_value(lambda value, _run: not boolean(value)),
    "true": _of_focus(lambda _focus: True),
    "false": _of_focus(lambda _focus: False),
    "lang": Function(1, 1, _lang),
    "number": _of_value(number, 0),
    "sum": _of_nodes(lambda nodes, run: math.fsum(read_number(text_of(node, run)) for node in nodes)),
    "floor": _of_number(_whole(math.floor)),
    "ceiling": _of_number(_whole(math.ceil)),
    "round": _of_number(_round),
}
"""The core function library of section 4."""
