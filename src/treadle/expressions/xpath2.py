"""XPath 2.0, 3.0 and 3.1 on elementpath: only the functions that are known to be closed, and all work counted.

elementpath has no bounds of its own: it makes a list of `1 to 1000000000`, runs patterns that go back for ever, and reads
files and the network in some functions. So every token of its language is wrapped here: it pays before it works, and for
what it gave.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from elementpath import ElementPathError, XPath2Parser, XPathContext, get_node_tree
from elementpath.collations import UNICODE_CODEPOINT_COLLATION
from elementpath.xpath30 import XPath30Parser
from elementpath.xpath31 import XPath31Parser
from elementpath.xpath_nodes import AttributeNode, DocumentNode, ElementNode, TextNode, XPathNode
from elementpath.xpath_tokens import XPathFunction, XPathToken

from treadle.errors import ExpressionInvalid
from treadle.expressions.budget import Budget, OutOfBudget
from treadle.expressions.xml import Document

_PARSERS: dict[str, type[XPath2Parser]] = {
    "xpath-20": XPath2Parser,
    "xpath-30": XPath30Parser,
    "xpath-31": XPath31Parser,
}
_WORDS = """
    abs adjust-date-to-timezone adjust-dateTime-to-timezone adjust-time-to-timezone avg boolean ceiling codepoint-equal
    codepoints-to-string compare concat contains count data dateTime day-from-date day-from-dateTime days-from-duration
    deep-equal distinct-values empty encode-for-uri ends-with error escape-html-uri exactly-one exists false floor
    hours-from-dateTime hours-from-duration hours-from-time id in-scope-prefixes index-of insert-before iri-to-uri lang last
    local-name local-name-from-QName lower-case matches max min minutes-from-dateTime minutes-from-duration
    minutes-from-time month-from-date month-from-dateTime months-from-duration name namespace-uri namespace-uri-for-prefix
    namespace-uri-from-QName node-name normalize-space normalize-unicode not number one-or-more position
    prefix-from-QName QName remove replace resolve-QName reverse root round round-half-to-even seconds-from-dateTime
    seconds-from-duration seconds-from-time starts-with string string-join string-length string-to-codepoints subsequence
    substring substring-after substring-before sum timezone-from-date timezone-from-dateTime timezone-from-time tokenize
    trace translate true unordered upper-case year-from-date year-from-dateTime years-from-duration zero-or-one
    acos asin atan atan2 cos exp exp10 log log10 pi pow sin sqrt tan filter fold-left fold-right for-each for-each-pair
    format-date format-dateTime format-integer format-number format-time function-arity function-name has-children head
    innermost outermost path tail
    append apply contains-token entry find flatten get join keys merge parse-json put size sort subarray
"""
_OPEN = frozenset(_WORDS.split())
"""The functions that look at nothing but their arguments and the document, and give the same each time."""
_ARGUMENTS: dict[str, int | tuple[int, int | None]] = {
    # The argument after these is a collation, for which elementpath would change the locale of the whole process.
    "compare": 2, "contains": 2, "contains-token": 2, "deep-equal": 2, "distinct-values": 1, "ends-with": 2, "index-of": 2,
    "max": 1, "min": 1, "sort": 1, "starts-with": 2, "substring-after": 2, "substring-before": 2,
}  # fmt: skip
_PATTERNS = frozenset({"matches", "replace", "tokenize"})
_MOST_DEPTH = 50
_MOST_DIGITS = 4096
"""How many bits an integer may have; to multiply larger ones takes its time."""
_UNCHECKED = (
    ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, RuntimeError, StopIteration, TypeError, ValueError,
    re.error,
)  # fmt: skip
"""What elementpath's functions raise where they do not check their arguments: found by trying any of any."""
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
"""The current moment, which no function may ask for."""
_UNKNOWN = "urn:treadle:unknown:"


class _Dynamic(ExpressionInvalid):
    """An error of evaluation, in a text that is an expression."""


class _AnyPrefix(dict[str, str]):
    """Namespaces before there is a document: every prefix has one."""

    def __missing__(self, prefix: str) -> str:
        return _UNKNOWN + prefix


def check(version: str, text: str) -> None:
    """See whether a text is an expression of a version; what its prefixes mean is known when there is a document.

    Raises:
        ExpressionInvalid: it is none, or it needs a function that is closed here, or a variable that it does not bind.
    """
    with suppress(_Dynamic, OutOfBudget):  # elementpath already evaluates what needs no document
        _refuse_free_variables(_parsed(version, text, Budget(), None))


def _refuse_free_variables(expression: Any) -> None:
    tokens = list(expression.iter())
    if any(token.symbol == "function" for token in tokens):
        return  # elementpath does not give the parameters of functions as tokens
    bound = {
        token[place][0].value
        for token in tokens
        if token.symbol in ("for", "let", "some", "every")
        for place in range(0, len(token) - 1, 2)
    }
    for token in tokens:
        if token.symbol == "$" and token[0].value not in bound:
            start, end = token[0].span
            hint = "there are no other variables here; embed a runtime expression in braces: {$inputs.name}"
            raise ExpressionInvalid(f"nothing binds the variable `${token[0].value}`", start, end, hint=hint)


def evaluate(version: str, text: str, document: Document, units: int) -> tuple[list[Any], Any]:
    """Evaluate an expression at the root of a document; give its items and the token, which knows how to judge them.

    Raises:
        ExpressionInvalid: it cannot be evaluated, or takes too long.
    """
    budget = Budget(units)
    token = _parsed(version, text, budget, document)
    context = _Context(root=_tree(document), current_dt=_NEVER)
    context.budget = budget
    context.whole = document.size
    return _guarded(lambda: list(token.select(context)), text), token


def _tree(document: Document) -> Any:
    if document.other_nodes is None:
        document.other_nodes = get_node_tree(document.tree)
    return document.other_nodes


def truth(token: Any, items: list[Any], text: str) -> bool:
    """Give the effective boolean value of a result (XPath 3.1, section 2.4.3 "Effective Boolean Value").

    Raises:
        ExpressionInvalid: it has none: several values, or one that is no string, number or boolean.
    """
    is_true: bool = _guarded(lambda: bool(token.boolean_value(items)), text)
    return is_true


def value_of(item: Any) -> Any:
    """Give an item as a JSON value; a node by its string-value.

    Raises:
        ExpressionInvalid: it has no such value.
    """
    if isinstance(item, XPathNode):
        return item.string_value
    if isinstance(item, XPathToken):
        raise ExpressionInvalid(f"the result is a {item.label}, which is no value for a workflow")
    if isinstance(item, bool):
        return item
    if isinstance(item, Decimal):
        return int(item) if item == item.to_integral_value() else float(item)
    if isinstance(item, int):
        return int(item)
    return float(item) if isinstance(item, float) else str(item)


def place_of(item: Any) -> tuple[Any, str] | None:
    """Give the place of a node for writing (see `xml.write`), or None where nothing can be written."""
    if isinstance(item, ElementNode):
        return item.value, "content"
    if isinstance(item, AttributeNode) and item.parent is not None:
        return item.parent.value, f"@{item.name}"
    if isinstance(item, TextNode) and isinstance(item.parent, ElementNode):
        before = item.parent.children.index(item) - 1
        return (item.parent.value, "text") if before < 0 else (item.parent.children[before].value, "tail")
    return None


def _guarded(work: Any, text: str) -> Any:
    """Do something with elementpath; whatever it raises becomes ExpressionInvalid."""
    try:
        return work()
    except ExpressionInvalid:
        raise
    except ElementPathError as error:
        start, end = error.token.span if error.token is not None else (0, len(text))
        kind = ExpressionInvalid if "[err:XPST" in str(error) or "[err:XQST" in str(error) else _Dynamic
        raise kind(_said(error), min(start, len(text)), min(max(end, start), len(text))) from error
    except RecursionError as error:
        raise ExpressionInvalid("the expression nests too deeply", 0, len(text)) from error
    except _UNCHECKED as error:
        raise ExpressionInvalid(f"it cannot be evaluated ({type(error).__name__})", 0, len(text)) from error


def _said(error: ElementPathError) -> str:
    """Give what elementpath says without its code and place."""
    said = str(error).partition("[err:")[2].partition("] ")[2] or str(error)
    return re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", said).rstrip(".")


def _parsed(version: str, text: str, budget: Budget, document: Document | None) -> Any:
    if _depth(text) > _MOST_DEPTH:
        raise ExpressionInvalid(f"the expression nests deeper than {_MOST_DEPTH}", 0, len(text))

    def parse() -> Any:
        default = document.default_namespace if document is not None else None
        prefixes = document.prefixes if document is not None else None
        parser = _parser(version)(
            namespaces=prefixes, default_namespace=default, default_collation=UNICODE_CODEPOINT_COLLATION
        )
        if document is None:
            parser.namespaces = _AnyPrefix(parser.namespaces)
        parser.budget = budget
        return parser.parse(text)

    try:
        return _guarded(parse, text)
    except ExpressionInvalid as error:
        closed = next((name for name in _closed(version) if re.search(rf"(?<![\w-]){name}\s*[(#]", text)), None)
        if closed is None or "unknown function" not in error.message:
            raise
        message = f"the function `{closed}` is not available"
        hint = (
            "functions that read files, the network, the clock or the environment are closed, and those without bounds"
        )
        raise ExpressionInvalid(message, text.index(closed), len(text), hint=hint) from error


def _depth(text: str) -> int:
    depth = deepest = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
    return deepest


@lru_cache
def _closed(version: str) -> tuple[str, ...]:
    table = _PARSERS[version].symbol_table
    return tuple(sorted(name for name, token in table.items() if _is_closed(name, token)))


def _is_closed(name: str, token: type[XPathToken]) -> bool:
    return issubclass(token, XPathFunction) and token.label == "function" and name not in _OPEN


@lru_cache
def _parser(version: str) -> Any:
    """Make a parser whose tokens pay for what they do."""
    base: Any = _PARSERS[version]
    table = {}
    for name, token in base.symbol_table.items():
        own = name.rpartition("}")[2]
        if not _is_closed(own, token):
            table[name] = _paying(token, own)

    class Parser(base):  # type: ignore[misc]
        symbol_table = table
        budget = Budget(0)

    return Parser


def _paying(token: type[XPathToken], name: str) -> type[XPathToken]:
    """Make a token class that spends; only the methods that the class has itself are wrapped."""
    methods: dict[str, Any] = {}
    if token.evaluate is not XPathToken.evaluate:
        methods["evaluate"] = _evaluate(token, name)
    if token.select is not XPathToken.select:
        methods["select"] = _select(token, name)
    if any("__call__" in base.__dict__ for base in token.__mro__):
        methods["__call__"] = _call(token)
    if name in _ARGUMENTS and issubclass(token, XPathFunction):
        methods["nargs"] = _ARGUMENTS[name]
    return type(token.__name__, (_Paying, token), methods)


class _Paying(XPathToken):
    """What all tokens pay for: the texts of nodes, and each pair of a comparison."""

    parser: Any

    def atomize_item(self, item: Any) -> Any:
        """Pay for the text of a node, then give its typed value."""
        _pay_for_text(self, item)
        return super().atomize_item(item)

    def string_value(self, obj: Any) -> str:
        """Pay for the text of a node, then give it."""
        _pay_for_text(self, obj)
        return super().string_value(obj)

    def iter_comparison_data(self, context: Any) -> Iterator[Any]:
        """Give the pairs of a general comparison, each one paid for."""
        for pair in super().iter_comparison_data(context):
            self.parser.budget.spend(10)
            yield pair


def _pay_for_text(token: Any, item: Any) -> None:
    if isinstance(item, ElementNode | DocumentNode):
        value: Any = item.value
        root = value if isinstance(item, ElementNode) else value.getroot()
        token.parser.budget.spend(10 if not len(root) else int(root.xpath("count(descendant::node())")) + 100)


def _charge(budget: Budget, value: Any) -> None:
    if isinstance(value, str):
        budget.spend(len(value) // 10)
    elif isinstance(value, int) and value.bit_length() > _MOST_DIGITS:
        raise OutOfBudget("an integer has too many digits")
    elif isinstance(value, list | XPathToken):
        budget.spend(5 * len(value))


def _call(token: type[XPathToken]) -> Any:
    def call(self: Any, *arguments: Any, **options: Any) -> Any:
        for argument in arguments:
            self.parser.budget.spend(20)
            _charge(self.parser.budget, argument)
        return token.__call__(self, *arguments, **options)

    return call


def _evaluate(token: type[XPathToken], name: str) -> Any:
    def evaluate(self: Any, context: Any = None) -> Any:
        budget = self.parser.budget
        budget.spend(20)
        if name in _BEFORE:
            _BEFORE[name](self, context, budget)
        result = token.evaluate(self, context)
        _charge(budget, result)
        return result

    return evaluate


def _select(token: type[XPathToken], name: str) -> Any:
    def select(self: Any, context: Any = None) -> Iterator[Any]:
        budget = self.parser.budget
        budget.spend(20)
        if name in _BEFORE:
            _BEFORE[name](self, context, budget)
        for number, item in enumerate(token.select(self, context)):
            # distinct-values compares each new value with all before.
            budget.spend(5 + (number // 4 if name == "distinct-values" else 0))
            _charge(budget, item)
            yield item

    return select


def _before_range(token: Any, context: Any, budget: Budget) -> None:
    start, stop = (token.get_argument(context, index, cls=int) for index in (0, 1))
    if start is not None and stop is not None:
        budget.spend(max(int(stop) - int(start), 0))


def _before_document(_token: Any, context: Any, budget: Budget) -> None:
    budget.spend(2 * getattr(context, "whole", 0))


def _before_pattern(token: Any, context: Any, budget: Budget) -> None:
    text, pattern = (token.get_argument(context, index, cls=str) for index in (0, 1))
    if isinstance(text, str) and isinstance(pattern, str):
        budget.spend(_pattern_steps(pattern, len(text)) // 40)


_BEFORE = {
    "to": _before_range,
    "deep-equal": _before_document,
    "path": _before_document,
    **dict.fromkeys(_PATTERNS, _before_pattern),
}
"""What some tokens pay before they work, because nothing can be seen of it afterwards."""
_PATTERN_PART = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]|\{[0-9]+(?:,[0-9]*)?\}|.", re.DOTALL)


def _pattern_steps(pattern: str, length: int) -> int:
    """Give how many steps Python's engine, which goes back, may take at worst to find a pattern in a text.

    Raises:
        OutOfBudget: they cannot be foretold, because something that is repeated repeats or chooses itself.
    """
    steps = length + 1
    groups: list[bool] = []  # for each group that is open, whether it repeats or chooses
    closed = False
    for part in _PATTERN_PART.findall(pattern):
        repeats = part in ("*", "+", "?") or (part[0] == "{" and len(part) > 1)
        if repeats and closed:
            raise OutOfBudget("a part of the pattern that is repeated repeats or chooses something itself")
        closed = False
        if part == "(":
            groups.append(False)
        elif part == ")" and groups:
            closed = groups.pop()
            if groups:
                groups[-1] = groups[-1] or closed
        elif part == "|" or repeats:
            groups[-1:] = [True] if groups else []
            steps *= 2 if part in ("|", "?") else length + 1
        elif part[0] == "\\" and part[1:].isdigit():
            steps *= length + 1
    return steps


class _Context(XPathContext):
    """The dynamic context; each axis pays for the nodes that it looks at, also for those that it does not give."""

    budget = Budget(0)
    whole = 0

    def _paid(self, nodes: Iterator[Any], before: int = 0) -> Iterator[Any]:
        self.budget.spend(before)
        for node in nodes:
            self.budget.spend(5)
            yield node

    def _children(self) -> int:
        return len(self.item.children) if isinstance(self.item, ElementNode | DocumentNode) else 0

    def iter_children_or_self(self) -> Iterator[Any]:
        """See XPathContext; so with all that follow."""
        return self._paid(super().iter_children_or_self())

    def iter_matching_nodes(self, name: str, default_namespace: str | None = None) -> Iterator[Any]:
        return self._paid(super().iter_matching_nodes(name, default_namespace), 5 * self._children())

    def iter_attributes(self) -> Iterator[Any]:
        return self._paid(super().iter_attributes())

    def iter_siblings(self, axis: str | None = None) -> Iterator[Any]:
        parent = self.item.parent if isinstance(self.item, XPathNode) else None
        return self._paid(super().iter_siblings(axis), 2 * len(parent.children) if parent is not None else 0)

    def iter_descendants(self, axis: str | None = None) -> Iterator[Any]:
        return self._paid(super().iter_descendants(axis))

    def iter_ancestors(self, axis: str | None = None) -> Iterator[Any]:
        return self._paid(super().iter_ancestors(axis))

    def iter_preceding(self) -> Iterator[Any]:
        return self._paid(super().iter_preceding(), 3 * self.whole)

    def iter_followings(self) -> Iterator[Any]:
        return self._paid(super().iter_followings(), 3 * self.whole)
