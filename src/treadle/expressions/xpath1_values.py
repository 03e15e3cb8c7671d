"""The values of XPath 1.0: conversions, operators, predicates and axes (sections 2 and 3, and 4 as to conversions)."""

import math
import re
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from treadle.errors import ExpressionInvalid
from treadle.expressions.budget import Budget
from treadle.expressions.xml import XML_NAMESPACE, Document, Node

Value: TypeAlias = "bool | float | str | list[Node]"
_Expression: TypeAlias = "Callable[[Focus], Any]"
_Nodes: TypeAlias = "Callable[[Focus], list[Node]]"
_NUMBER = re.compile(r"[ \t\r\n]*(-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))[ \t\r\n]*")
NODE_TYPES = frozenset({"comment", "text", "processing-instruction", "node"})
REVERSE = frozenset({"ancestor", "ancestor-or-self", "preceding", "preceding-sibling", "parent"})


class Run(Budget):
    """One evaluation: its document and what it may still spend."""

    __slots__ = ("document",)

    def __init__(self, document: Document, units: int) -> None:
        super().__init__(units)
        self.document = document

    def namespace(self, prefix: str) -> str:
        """Give the namespace of a prefix.

        Raises:
            ExpressionInvalid: it is declared nowhere in the document.
        """
        uri = self.document.prefixes.get(prefix)
        if uri is None:
            raise ExpressionInvalid(f"the prefix `{prefix}` is declared nowhere in the document")
        return uri


class Focus(NamedTuple):
    """The context of section 1: a node, its position among others, and how many they are."""

    node: Node
    position: int
    size: int
    run: Run


def what(value: Value) -> str:
    """Say what a value is, for messages."""
    return {bool: "a boolean", float: "a number", str: "a string"}.get(type(value), "a set of nodes")


# Conversions (sections 4.2 to 4.4)


def text_of(node: Node, run: Run) -> str:
    """Give the string-value of a node (section 5)."""
    texts = []
    for text in node.texts():
        run.spend(4 + len(text) // 100)
        texts.append(text)
    return "".join(texts)


def boolean(value: Value) -> bool:
    """Convert to a boolean: a number that is neither zero nor NaN, a string or a set of nodes that is not empty."""
    if isinstance(value, float):
        return value != 0 and not math.isnan(value)
    return bool(value)


def string(value: Value, run: Run) -> str:
    """Convert to a string; of nodes the first one's string-value, a number without exponent."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return text_of(value[0], run) if value else ""
    if math.isfinite(value):
        return str(int(value)) if value.is_integer() else format(Decimal(repr(value)), "f")
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def number(value: Value, run: Run) -> float:
    """Convert to a number; a string that is none gives NaN."""
    if isinstance(value, float):
        return value
    if isinstance(value, bool):
        return 1.0 if value else 0.0
    return read_number(string(value, run))


def read_number(text: str) -> float:
    """Read a number (section 3.7), or NaN."""
    match = _NUMBER.fullmatch(text)
    return float(match[1]) if match else math.nan


# Operators (sections 3.3 to 3.5)


def either(left: _Expression, right: _Expression) -> _Expression:
    """`or`."""
    return lambda focus: boolean(left(focus)) or boolean(right(focus))


def both(left: _Expression, right: _Expression) -> _Expression:
    """`and`."""
    return lambda focus: boolean(left(focus)) and boolean(right(focus))


def negated(inner: _Expression, *, negative: bool) -> _Expression:
    """Unary `-`, or two of them, which still make a number of what they stand before."""
    return lambda focus: -number(inner(focus), focus.run) if negative else number(inner(focus), focus.run)


def arithmetic(operator: str, left: _Expression, right: _Expression) -> _Expression:
    """`+`, `-`, `*`, `div` and `mod` on numbers of IEEE 754."""
    apply = _ARITHMETIC[operator]
    return lambda focus: apply(number(left(focus), focus.run), number(right(focus), focus.run))


def _divide(left: float, right: float) -> float:
    if right != 0:
        return left / right
    if left == 0 or math.isnan(left) or math.isnan(right):
        return math.nan
    return math.copysign(math.inf, left) * math.copysign(1, right)


def _remainder(left: float, right: float) -> float:
    if math.isinf(left) or right == 0 or math.isnan(left) or math.isnan(right):
        return math.nan
    return math.fmod(left, right)


_ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "div": _divide,
    "mod": _remainder,
}


def comparison(operator: str, left: _Expression, right: _Expression) -> _Expression:
    """`=`, `!=`, `<`, `<=`, `>` and `>=` (section 3.4): of nodes, one that fits is enough."""
    compare = _equality if operator in ("=", "!=") else _relation
    return lambda focus: compare(operator, left(focus), right(focus), focus.run)


def _equality(operator: str, left: Value, right: Value, run: Run) -> bool:
    equal = operator == "="
    if isinstance(left, list) and isinstance(right, list):
        first, second = ({text_of(node, run) for node in nodes} for nodes in (left, right))
        if equal:
            return not first.isdisjoint(second)
        return bool(first and second) and (len(first) > 1 or len(second) > 1 or first != second)
    if isinstance(left, bool) or isinstance(right, bool):
        return (boolean(left) == boolean(right)) is equal
    if isinstance(right, list):
        left, right = right, left
    if isinstance(left, list):
        if isinstance(right, float):
            return any((read_number(text_of(node, run)) == right) is equal for node in left)
        return any((text_of(node, run) == right) is equal for node in left)
    if isinstance(left, float) or isinstance(right, float):
        return (number(left, run) == number(right, run)) is equal
    return (left == right) is equal


def _relation(operator: str, left: Value, right: Value, run: Run) -> bool:
    # A boolean makes a boolean of nodes that it is compared with.
    if isinstance(left, bool) and isinstance(right, list):
        right = boolean(right)
    elif isinstance(right, bool) and isinstance(left, list):
        left = boolean(left)
    first, second = _numbers(left, run), _numbers(right, run)
    if not first or not second:
        return False
    if operator in (">", ">="):
        first, second = second, first
    # Some number is less than some other exactly when the least is less than the greatest.
    return min(first) < max(second) if len(operator) == 1 else min(first) <= max(second)


def _numbers(value: Value, run: Run) -> list[float]:
    found = [read_number(text_of(node, run)) for node in value] if isinstance(value, list) else [number(value, run)]
    return [each for each in found if not math.isnan(each)]


# Paths (sections 2 and 3.3)


def from_root(focus: Focus) -> list[Node]:
    """`/`."""
    return [focus.run.document.nodes]


def union(left: _Nodes, right: _Nodes) -> _Expression:
    """`|`."""
    return lambda focus: _in_order([*left(focus), *right(focus)])


def _in_order(nodes: list[Node]) -> list[Node]:
    return sorted({id(node): node for node in nodes}.values(), key=lambda node: node.order)


def all_from(start: _Nodes) -> _Nodes:
    """`//`: the nodes and their descendants."""
    return step(start, "descendant-or-self", lambda _node, _run: True, [])


def step(
    start: _Nodes, axis: str, test: Callable[[Node, Run], bool], predicates: list[_Expression]
) -> Callable[[Focus], list[Node]]:
    """Take a step from each node: along an axis, by a node test, through predicates in the order of the axis."""
    walk = AXES[axis]

    def nodes(focus: Focus) -> list[Node]:
        run = focus.run
        started = start(focus)
        found: list[Node] = []
        for node in started:
            fitting = []
            for candidate in walk(node):
                run.spend(2)
                if test(candidate, run):
                    fitting.append(candidate)
            for predicate in predicates:
                fitting = _kept(fitting, predicate, run)
            found += fitting
        if len(started) == 1:
            return found[::-1] if axis in REVERSE else found
        return _in_order(found)

    return nodes


def filtered(start: _Nodes, predicate: _Expression) -> _Nodes:
    """Filter nodes by a predicate, in document order."""
    return lambda focus: _kept(start(focus), predicate, focus.run)


def _kept(nodes: list[Node], predicate: _Expression, run: Run) -> list[Node]:
    size = len(nodes)
    run.spend(10 * size)
    kept = []
    for position, node in enumerate(nodes, 1):
        value = predicate(Focus(node, position, size, run))
        # A number is the position that is wanted (section 2.4).
        if value == position if type(value) is float else boolean(value):
            kept.append(node)
    return kept


def ancestors(node: Node) -> Iterator[Node]:
    """Give the nodes around a node, the nearest first."""
    parent = node.parent
    while parent is not None:
        yield parent
        parent = parent.parent


def _descendants(node: Node) -> Iterator[Node]:
    waiting = node.children[::-1]
    while waiting:
        child = waiting.pop()
        yield child
        if child.children:
            waiting += reversed(child.children)


def _siblings(node: Node, *, after: bool) -> Iterator[Node]:
    if node.parent is None or node.kind in ("attribute", "namespace"):
        return
    siblings = node.parent.children if after else reversed(node.parent.children)
    passed = False
    for sibling in siblings:
        if passed:
            yield sibling
        passed = passed or sibling is node


def _following(node: Node) -> Iterator[Node]:
    if node.kind in ("attribute", "namespace") and node.parent is not None:
        yield from _descendants(node.parent)
        node = node.parent
    for place in (node, *ancestors(node)):
        for sibling in _siblings(place, after=True):
            yield sibling
            yield from _descendants(sibling)


def _preceding(node: Node) -> Iterator[Node]:
    if node.kind in ("attribute", "namespace") and node.parent is not None:
        node = node.parent
    for place in (node, *ancestors(node)):
        for sibling in _siblings(place, after=False):
            yield from reversed((sibling, *_descendants(sibling)))


def _namespaces(node: Node) -> Iterator[Node]:
    if node.kind != "element":
        return
    in_scope = {"xml": XML_NAMESPACE, **{prefix or "": uri for prefix, uri in node.element.nsmap.items()}}
    for number_of, (prefix, uri) in enumerate(in_scope.items()):
        namespace = Node("namespace", node, node.order, ("", prefix, ""), uri)
        namespace.order += number_of  # an element leaves room for them
        yield namespace


AXES: dict[str, Callable[[Node], Iterable[Node]]] = {
    "ancestor": ancestors,
    "ancestor-or-self": lambda node: (node, *ancestors(node)),
    "attribute": lambda node: node.attributes,
    "child": lambda node: node.children,
    "descendant": _descendants,
    "descendant-or-self": lambda node: (node, *_descendants(node)),
    "following": _following,
    "following-sibling": partial(_siblings, after=True),
    "namespace": _namespaces,
    "parent": lambda node: () if node.parent is None else (node.parent,),
    "preceding": _preceding,
    "preceding-sibling": partial(_siblings, after=False),
    "self": lambda node: (node,),
}
"""The axes of section 2.2, each in its own order."""
