"""XPath in all its versions: one way in for criteria, Selector Objects and replacements.

An expression is applied to the root node of an XML text. Prefixes are those the text declares, wherever it does; names
without prefix are in the default namespace of its root element, but in none for XPath 1.0, which knows no default.
"""

import math
import re
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, NamedTuple

from treadle.errors import ExpressionInvalid
from treadle.expressions import xml
from treadle.expressions.budget import MAX_LENGTH, UNITS
from treadle.expressions.words import kind, shortened, to_text

XPATH_10 = "xpath-10"
DEFAULT = "xpath-31"
_UNITS_FOR_A_NODE = 30
"""What an expression may spend for each node, beyond what all may: to go through a document a few times is no abuse."""
_UNITS_FOR_A_NODE_LATER = 100
"""The same for later versions, whose engine takes longer for each."""
_NAME = re.compile(r"(?<![\w:@$'\"-])([^\W\d][\w.-]*)(?![\w:(.-])")


class ExtraMissing(ExpressionInvalid):
    """A document needs libraries that are not installed."""


class Result(NamedTuple):
    """What an expression gave.

    Attributes:
        values: JSON values, of nodes their text; none where the result was only judged.
        holds: whether it is true, if it was judged.
        size: how many items there are.
        places: gives the place of each item for `xml.write`, or None.
    """

    values: list[Any]
    holds: bool
    size: int
    places: Callable[[], list[tuple[Any, str] | None]]


def check(version: str, text: str) -> None:
    """See whether a text is an expression of a version.

    Raises:
        ExtraMissing: the libraries for XPath are not installed.
        ExpressionInvalid: it is no expression; the offsets say where it stops to be one.
    """
    if any(find_spec(library) is None for library in ("lxml", "elementpath")):
        message = "this document needs XPath, and the libraries for it are not installed"
        raise ExtraMissing(message, 0, len(text), hint='pip install "treadle[xpath]"')
    if len(text) > MAX_LENGTH:
        raise ExpressionInvalid(f"an expression of {len(text):,} characters is too long; {MAX_LENGTH:,} may be read")
    try:
        if version == XPATH_10:
            from treadle.expressions import xpath1  # noqa: PLC0415 - imported when a document needs XPath

            xpath1.check(text)
        else:
            from treadle.expressions import xpath2  # noqa: PLC0415

            xpath2.check(version, text)
    except ExpressionInvalid as error:
        # The text may hold what was filled in: the details are for whoever wrote it.
        hint = error.message if error.hint is None else f"{error.message}; {error.hint}"
        raise ExpressionInvalid(f"{text!r} is no expression of {version}", error.start, error.end, hint=hint) from error


def holds(version: str, text: str, value: Any) -> Result:
    """Apply an expression to an XML text and say whether its effective boolean value is true.

    Raises:
        ExpressionInvalid: the value is no XML text, or the expression cannot be evaluated on it, or has no such value.
    """
    return _apply(version, text, xml.read(value), judged=True)


def _apply(version: str, text: str, document: xml.Document, *, judged: bool = False) -> Result:
    if version == XPATH_10:
        return _apply_first(text, document)
    from treadle.expressions import xpath2  # noqa: PLC0415

    items, token = xpath2.evaluate(version, text, document, UNITS + _UNITS_FOR_A_NODE_LATER * document.size)
    is_true = judged and xpath2.truth(token, items, text)
    values = [] if judged else [xpath2.value_of(item) for item in items]
    return Result(values, is_true, len(items), lambda: [xpath2.place_of(item) for item in items])


def _apply_first(text: str, document: xml.Document) -> Result:
    from treadle.expressions import xpath1  # noqa: PLC0415

    value = xpath1.evaluate(text, document, UNITS + _UNITS_FOR_A_NODE * document.size)
    is_true = xpath1.boolean(value)
    if isinstance(value, list):
        nodes = value
        return Result(["".join(n.texts()) for n in nodes], is_true, len(nodes), lambda: [n.place() for n in nodes])
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return Result([value], is_true, 1, lambda: [None])


def read(version: str, text: str, value: Any) -> list[Any]:
    """Give the values that an expression selects; of nodes their text.

    Raises:
        ExpressionInvalid: see `holds`; or a value is none of JSON.
    """
    return [_finite(each) for each in _apply(version, text, xml.read(value)).values]


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise ExpressionInvalid(f"the result is {'NaN' if math.isnan(value) else 'infinite'}, which no JSON value is")
    return value


def write(version: str, text: str, value: Any, new: Any) -> str:
    """Give the XML text with `new` as the text of every element, attribute and text node that is selected.

    Raises:
        LookupError: nothing is selected, or `new` cannot stand there.
        ExpressionInvalid: see `holds`.
    """
    if isinstance(new, dict | list):
        raise LookupError("an object or array cannot be written into XML; give a text, a number or a boolean")  # noqa: TRY004
    if not isinstance(value, str):
        raise LookupError(f"the payload is {kind(value)}, and XPath needs an XML text")  # noqa: TRY004
    document = xml.Document(value)  # one of its own, since it is written into
    result = _apply(version, text, document)
    if not result.size:
        raise LookupError(why_nothing(version, text, value))
    places = [place for place in result.places() if place is not None]
    if len(places) < result.size:
        raise LookupError(f"`{shortened(text)}` selects something that is no element, attribute or text")
    return xml.write(value, places, document.tree, "" if new is None else to_text(new))


def why_nothing(version: str, text: str, value: Any) -> str:
    """Say that an expression selects nothing in an XML text, and which name in it is there in a namespace."""
    document = xml.read(value)
    default = "" if version == XPATH_10 else document.default_namespace
    prefixes = {uri: prefix for prefix, uri in document.prefixes.items()}
    wanted = set(_NAME.findall(text))
    for element in document.root.iter("*"):
        uri, _, local = element.tag[1:].rpartition("}") if element.tag[0] == "{" else ("", "", element.tag)
        if local in wanted and uri != default and uri:
            anywhere = f"*[local-name()='{local}']" if version == XPATH_10 else f"*:{local}"
            correct = f"{prefixes[uri]}:{local}" if uri in prefixes else anywhere
            return f"`{shortened(text)}` selects nothing; `{local}` is there in the namespace {uri}: write `{correct}`"
    return f"`{shortened(text)}` selects nothing"
