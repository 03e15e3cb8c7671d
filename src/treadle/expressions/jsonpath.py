"""JSONPath (RFC 9535): queries read by jsonpath_rfc9535 and walked here, within a budget and with every place known.

The library's own walk has no bound: not on the nodes it visits, nor on the time of a pattern in `match()`.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from treadle.errors import ExpressionInvalid
from treadle.expressions import goessner
from treadle.expressions.budget import MAX_LENGTH, Budget, OutOfBudget
from treadle.expressions.patterns import iregexp
from treadle.expressions.words import absent, kind

if TYPE_CHECKING:
    from jsonpath_rfc9535 import JSONPathEnvironment
    from jsonpath_rfc9535.filter_expressions import Expression
    from jsonpath_rfc9535.segments import JSONPathSegment
    from jsonpath_rfc9535.selectors import JSONPathSelector

RFC9535 = "rfc9535"
GOESSNER = "draft-goessner-dispatch-jsonpath-00"

Where: TypeAlias = "tuple[Where, str | int] | None"
"""A place: that of the container and the name or index in it; None for the whole value."""
Node: TypeAlias = tuple[Any, Where]


class _Run(Budget):
    """One application of a query."""

    __slots__ = ("descended", "patterns", "root")

    def __init__(self, root: Any) -> None:
        super().__init__()
        self.root = root
        self.descended = False
        self.patterns: set[str] = set()  # that were compiled for it


_PLAIN = re.compile(r"""([^\[*?]+)|\[\s*(?:'([^'\\]*)'|(-?\d+))\s*\]""")
"""A segment of one name or index."""
_PATTERN_COST = 10_000
"""What it costs to compile a pattern, in units of the budget: data may bring one of its own for each node."""
_Select: TypeAlias = Callable[[Node, _Run], Iterable[Node]]
_Segment: TypeAlias = Callable[[Iterable[Node], _Run], Iterable[Node]]
_Value: TypeAlias = Callable[[Any, _Run], Any]
_NOTHING: Any = object()
"""What a query that selects nothing is in a comparison (RFC 9535 section 2.3.5.2.2)."""


class Query(NamedTuple):
    """A compiled query: its text as it is walked, and a function and the offset in that text for each segment."""

    text: str
    segments: tuple[_Segment, ...]
    starts: tuple[int, ...]

    def nodes(self, value: Any) -> list[Node]:
        """Give what the query selects: values with their places, in the order of RFC 9535.

        Raises:
            ExpressionInvalid: it takes too long on this value, or nests too deeply.
        """
        found: list[Node] = self._bounded(value, list)
        return found

    def selects(self, value: Any) -> bool:
        """Say whether the query selects anything; see `nodes`."""
        found: bool = self._bounded(value, lambda nodes: next(iter(nodes), None) is not None)
        return found

    def _bounded(self, value: Any, take: Callable[[Iterable[Node]], Any]) -> Any:
        try:
            return take(_walk(self.segments, value, _Run(value)))
        except OutOfBudget as error:
            raise ExpressionInvalid(
                f"{self.text!r} could not be applied: {error.message}", 0, len(self.text)
            ) from error
        except RecursionError as error:
            message = f"{self.text!r} could not be applied: it nests too deeply"
            raise ExpressionInvalid(message, 0, len(self.text)) from error

    def why_nothing(self, value: Any) -> str:
        """Say which part of a query that selects nothing was not there, and what was there instead."""
        empty = (number for number in range(len(self.starts)) if not self._first(number + 1).nodes(value))
        number = next(empty)
        before = self._first(number).nodes(value)
        start, end = (*self.starts, len(self.text))[number : number + 2]
        place, rest = self.text[:start].rstrip(". "), self.text[start:end].strip(". ")
        if len(before) > 1:
            return f"`{place}` selects {len(before)} values, and `{rest}` fits nothing in them"
        found = before[0][0]
        plain = _PLAIN.fullmatch(rest)
        if plain or not found or not isinstance(found, dict | list):
            return absent(place, found, (plain[1] or plain[2] or plain[3]) if plain else rest)
        return f"`{place}` is {kind(found)}, and `{rest}` fits nothing in it"

    def _first(self, number: int) -> "Query":
        return self._replace(segments=self.segments[:number])


@lru_cache(512)
def compiled(text: str, version: str = RFC9535) -> Query:
    """Compile a query.

    Raises:
        ExpressionInvalid: it is no query of that version.
    """
    from jsonpath_rfc9535 import JSONPathError  # noqa: PLC0415 - imported when a document has a query

    if len(text) > MAX_LENGTH:
        raise ExpressionInvalid(f"a query of {len(text):,} characters is too long; {MAX_LENGTH:,} may be read")
    script = goessner.rewritten(text) if version == GOESSNER else None
    written = text if script is None else script.text
    try:
        query = _environment().compile(written)
        compiler = _Compiler(script)
        segments = tuple(compiler.segment(segment) for segment in query.segments)
    except (JSONPathError, RecursionError, ValueError, OverflowError) as error:  # the last three of hostile texts
        token = getattr(error, "token", None)
        start = min(max(token.index, 0), len(text)) if token is not None and written == text else 0
        # The library quotes parts of the text, which may hold a secret that was filled in: that is for whoever wrote it.
        said = str(error.args[0]).splitlines()[0] if error.args else "it nests too deeply"
        hint = f"{said}; queries are those of {'RFC 9535' if script is None else f'{GOESSNER}'}"
        raise ExpressionInvalid(f"{text!r} is no JSONPath query", start, len(text), hint=hint) from error
    starts = tuple(segment.token.index for segment in query.segments)
    return Query(written, segments, starts)


@lru_cache(1)
def _environment() -> "JSONPathEnvironment":
    from jsonpath_rfc9535 import JSONPathEnvironment  # noqa: PLC0415

    return JSONPathEnvironment()


def _walk(segments: Iterable[_Segment], value: Any, run: _Run) -> Iterable[Node]:
    nodes: Iterable[Node] = ((value, None),)
    for segment in segments:
        nodes = segment(nodes, run)
    return nodes


def _children(selectors: tuple[_Select, ...]) -> _Segment:
    def segment(nodes: Iterable[Node], run: _Run) -> Iterator[Node]:
        for node in nodes:
            for select in selectors:
                yield from select(node, run)

    return segment


def _descendants(selectors: tuple[_Select, ...]) -> _Segment:
    def segment(nodes: Iterable[Node], run: _Run) -> Iterator[Node]:
        for node in nodes:
            for visited in _all(node, run):
                for select in selectors:
                    yield from select(visited, run)

    return segment


def _all(node: Node, run: _Run) -> Iterator[Node]:
    """Visit a node and its descendants, parents first, in the order of the document; scalars select nothing.

    Going through the whole value once is free: whoever read it has done the same.
    """
    free = node[1] is None and not run.descended
    run.descended |= free
    waiting = [node]
    while waiting:
        visited = waiting.pop()
        yield visited
        value, where = visited
        if not isinstance(value, dict | list):
            continue
        if not free:
            run.spend(2 * len(value) + 2)
        waiting += reversed([(entry, (where, key)) for key, entry in _members(value) if isinstance(entry, dict | list)])


def _name(name: str) -> _Select:
    def select(node: Node, run: _Run) -> Iterable[Node]:
        run.spend(2)
        value, where = node
        return ((value[name], (where, name)),) if isinstance(value, dict) and name in value else ()

    return select


def _index(index: int) -> _Select:
    def select(node: Node, run: _Run) -> Iterable[Node]:
        run.spend(2)
        value, where = node
        if not isinstance(value, list) or not -len(value) <= index < len(value):
            return ()
        return ((value[index], (where, index % len(value))),)

    return select


def _slice(bounds: slice) -> _Select:
    def select(node: Node, run: _Run) -> Iterable[Node]:
        value, where = node
        if not isinstance(value, list) or bounds.step == 0:
            return ()
        chosen = range(*bounds.indices(len(value)))
        run.spend(3 * len(chosen) + 3)
        return [(value[index], (where, index)) for index in chosen]

    return select


def _members(value: Any) -> Iterable[tuple[str | int, Any]]:
    if isinstance(value, dict):
        return value.items()
    return enumerate(value) if isinstance(value, list) else ()


def _wildcard(node: Node, run: _Run) -> Iterator[Node]:
    value, where = node
    if isinstance(value, dict | list):
        run.spend(3 * len(value) + 3)
        for key, entry in _members(value):
            yield entry, (where, key)


def _filter(test: Callable[[Any, _Run], bool], cost: int) -> _Select:
    def select(node: Node, run: _Run) -> Iterator[Node]:
        value, where = node
        for key, entry in _members(value):
            run.spend(cost)
            if test(entry, run):
                yield entry, (where, key)

    return select


class _Compiler:
    """Makes functions of the library's tree. A script is a filter of the draft, with the comparisons of JavaScript."""

    def __init__(self, script: goessner.Script | None) -> None:
        self.script = script
        self.cost = 0

    def segment(self, segment: "JSONPathSegment") -> _Segment:
        from jsonpath_rfc9535.segments import JSONPathRecursiveDescentSegment  # noqa: PLC0415

        selectors = tuple(self.selector(selector) for selector in segment.selectors)
        return (_descendants if isinstance(segment, JSONPathRecursiveDescentSegment) else _children)(selectors)

    def selector(self, selector: "JSONPathSelector") -> _Select:
        from jsonpath_rfc9535 import selectors as kinds  # noqa: PLC0415

        match selector:
            case kinds.NameSelector():
                return _name(selector.name)
            case kinds.IndexSelector():
                return _index(selector.index)
            case kinds.SliceSelector():
                return _slice(selector.slice)
            case kinds.FilterSelector():
                outside, self.cost = self.cost, 3
                test = self.test(selector.expression.expression)
                cost, self.cost = self.cost, outside
                return _filter(test, cost)
        return _wildcard

    def test(self, expression: "Expression") -> Callable[[Any, _Run], bool]:
        from jsonpath_rfc9535 import filter_expressions as kinds  # noqa: PLC0415

        self.cost += 1
        match expression:
            case kinds.LogicalExpression():
                left, right = self.test(expression.left), self.test(expression.right)
                if expression.operator == "&&":
                    return lambda current, run: left(current, run) and right(current, run)
                return lambda current, run: left(current, run) or right(current, run)
            case kinds.PrefixExpression():
                inner = self.test(expression.right)
                return lambda current, run: not inner(current, run)
            case kinds.ComparisonExpression():
                return self.comparison(expression.operator, expression)
            case kinds.FunctionExtension(name="match" | "search"):
                return self.pattern(expression.name, expression.args[0], expression.args[1])
        nodes = self.query(expression)
        if self.script is not None and expression.query.singular_query():  # type: ignore[attr-defined]
            value = self.value(expression)
            return lambda current, run: goessner.truthy(value(current, run), _NOTHING)
        return lambda current, run: next(iter(nodes(current, run)), None) is not None

    def comparison(self, operator: str, expression: Any) -> Callable[[Any, _Run], bool]:
        left, right = self.value(expression.left), self.value(expression.right)
        if self.script is not None and expression.token.index not in self.script.strict:
            return lambda current, run: goessner.compare(operator, left(current, run), right(current, run), _NOTHING)
        compare = _COMPARE[operator]
        return lambda current, run: compare(left(current, run), right(current, run), run)

    def pattern(self, name: str, text: "Expression", pattern: "Expression") -> Callable[[Any, _Run], bool]:
        subject, wanted = self.value(text), self.value(pattern)
        whole = name == "match"

        def test(current: Any, run: _Run) -> bool:
            given, written = subject(current, run), wanted(current, run)
            if not isinstance(given, str) or not isinstance(written, str):
                return False
            if written not in run.patterns:
                run.spend(_PATTERN_COST)
                run.patterns.add(written)
            compiled = iregexp(written, whole=whole)
            if compiled is None:
                return False
            run.spend(compiled.cost(given))
            return compiled.fits(given)

        return test

    def value(self, expression: Any) -> _Value:
        """Compile what may be compared or handed to a function: a literal, a singular query, or a function's value."""
        from jsonpath_rfc9535 import filter_expressions as kinds  # noqa: PLC0415

        self.cost += 1
        match expression:
            case kinds.IntegerLiteral():
                # The library reads it as a float, which holds no identifier of 64 bits.
                number = _exact(expression.token.value, expression.value)
                return lambda _current, _run: number
            case kinds.FilterExpressionLiteral():
                literal = expression.value
                return lambda _current, _run: literal
            case kinds.FunctionExtension():
                return self.function(expression.name, expression.args[0])
        return self.singular(expression)

    def function(self, name: str, argument: Any) -> _Value:
        if name == "length":
            value = self.value(argument)
            return lambda current, run: _length(value(current, run))
        nodes = self.query(argument)
        if name == "count":
            return lambda current, run: sum(1 for _ in nodes(current, run))

        def only(current: Any, run: _Run) -> Any:
            found = list(nodes(current, run))
            return found[0][0] if len(found) == 1 else _NOTHING

        return only

    def length(self, steps: list[tuple[type, Any]], *, from_root: bool) -> _Value:
        """Compile `@.items.length` of a script: JavaScript's arrays and strings have that property."""
        whole = _value_at(steps, from_root=from_root)

        def value(current: Any, run: _Run) -> Any:
            found = whole(current, run)
            return (
                len(found)
                if isinstance(found, list | str)
                else _value_at([(dict, "length")], from_root=False)(found, run)
            )

        return value

    def singular(self, expression: Any) -> _Value:
        """Compile a query of names and indexes, which selects one value at most."""
        from jsonpath_rfc9535.filter_expressions import RootFilterQuery  # noqa: PLC0415

        steps = [_step(segment.selectors[0]) for segment in expression.query.segments]
        self.cost += len(steps)
        from_root = isinstance(expression, RootFilterQuery)
        if self.script is not None and steps and steps[-1] == (dict, "length"):
            return self.length(steps[:-1], from_root=from_root)

        return _value_at(steps, from_root=from_root)

    def query(self, expression: Any) -> Callable[[Any, _Run], Iterable[Node]]:
        from jsonpath_rfc9535.filter_expressions import RootFilterQuery  # noqa: PLC0415

        segments = tuple(self.segment(segment) for segment in expression.query.segments)
        if isinstance(expression, RootFilterQuery):
            return lambda _current, run: _walk(segments, run.root, run)
        return lambda current, run: _walk(segments, current, run)


def _step(selector: Any) -> tuple[type, Any]:
    name = getattr(selector, "name", None)
    return (list, selector.index) if name is None else (dict, name)


def _value_at(steps: list[tuple[type, Any]], *, from_root: bool) -> _Value:
    def value(current: Any, run: _Run) -> Any:
        reached: Any = run.root if from_root else current
        for container, key in steps:
            if not isinstance(reached, container):
                return _NOTHING
            try:
                reached = reached[key]  # type: ignore[index]  # a dict or a list
            except LookupError:
                return _NOTHING
        return reached

    return value


def _exact(text: str, value: int) -> int:
    digits = text.removeprefix("-")
    return int(text) if digits.isdecimal() and len(digits) < 400 else value


def _length(value: Any) -> Any:
    return len(value) if isinstance(value, str | list | dict) else _NOTHING


def _equal(left: Any, right: Any, run: _Run) -> bool:
    if left is right:
        return True
    if isinstance(left, list) and isinstance(right, list):
        run.spend(2 * len(left) + 2)
        return len(left) == len(right) and all(_equal(*pair, run) for pair in zip(left, right, strict=True))
    if isinstance(left, dict) and isinstance(right, dict):
        run.spend(2 * len(left) + 2)
        return left.keys() == right.keys() and all(_equal(value, right[name], run) for name, value in left.items())
    # 1 is 1.0 and no boolean.
    return isinstance(left, bool) is isinstance(right, bool) and bool(left == right)


def _less(left: Any, right: Any) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return left < right
    if isinstance(left, bool) or isinstance(right, bool):
        return False
    return isinstance(left, int | float) and isinstance(right, int | float) and left < right


_COMPARE: dict[str, Callable[[Any, Any, _Run], bool]] = {
    "==": _equal,
    "!=": lambda left, right, run: not _equal(left, right, run),
    "<": lambda left, right, _run: _less(left, right),
    ">": lambda left, right, _run: _less(right, left),
    "<=": lambda left, right, run: _less(left, right) or _equal(left, right, run),
    ">=": lambda left, right, run: _less(right, left) or _equal(left, right, run),
}
