"""XML texts for XPath: read without entities, without DTD, without any access to files or the network; and written.

libxml2's own limits stay in force (256 levels, 10 MB in one text), so that no text is too deep for what walks it.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from treadle.errors import ExpressionInvalid
from treadle.expressions.words import kind

if TYPE_CHECKING:
    from lxml.etree import _Element, _ElementTree

MAX_LENGTH = 10_000_000
"""How long an XML text may be, in characters."""
MAX_ATTRIBUTES = 1_000
"""How many attributes an element may have: what looks for one among them takes time for each of the others."""
MAX_DECLARATIONS = 200
"""How many declarations of namespaces may be in force at one element, for the same reason."""
XML_NAMESPACE = "http://www.w3.org/XML/1998/namespace"
_DECLARATION = re.compile(r"\s*(<\?xml\b[^>]*\?>\s*)")


class Document:
    """An XML text that was read; what is derived from it is made when it is first asked for."""

    def __init__(self, text: str) -> None:
        self.tree = _parse(text)
        self.root = self.tree.getroot()
        self.other_nodes: Any = None  # as the engine of later versions of XPath sees them

    @cached_property
    def prefixes(self) -> dict[str, str]:
        """Every prefix that is declared in it, as expressions may use it; of two declarations the first in the text."""
        found = {"xml": XML_NAMESPACE}
        for element in self.root.iter("*"):
            for prefix, uri in element.nsmap.items():
                if prefix is not None:
                    found.setdefault(prefix, uri)
        return found

    @cached_property
    def default_namespace(self) -> str:
        """The default namespace at the root, or ""."""
        return self.root.nsmap.get(None) or ""

    @cached_property
    def nodes(self) -> "Node":
        """The nodes as XPath 1.0 sees them, from the root node on."""
        return _nodes(self.tree)

    @cached_property
    def size(self) -> int:
        """About how many nodes there are."""
        return 1 + sum(2 + len(element.attrib) for element in self.root.iter())


@lru_cache(1)  # the criteria and outputs of a step look at one text
def document(text: str) -> Document:
    """Read an XML text.

    Raises:
        ExpressionInvalid: it is none, or one that could hold more than it shows.
    """
    return Document(text)


def read(value: Any) -> Document:
    """Give the document that a context is; see `document`."""
    if not isinstance(value, str):
        raise ExpressionInvalid(f"the context is {kind(value)}, not an XML text")
    return document(value)


def _parse(text: str) -> "_ElementTree":
    from lxml import etree  # noqa: PLC0415 - imported when a document needs XPath

    if len(text) > MAX_LENGTH:
        raise ExpressionInvalid(f"the context is an XML text of more than {MAX_LENGTH:,} characters")
    if "<!ENTITY" in text:
        raise ExpressionInvalid("the context is an XML text that declares entities, which are not read")
    parser = etree.XMLParser(
        encoding="utf-8", resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False,
        attribute_defaults=False, huge_tree=False,
    )  # fmt: skip
    try:
        root = etree.fromstring(text.removeprefix("\ufeff").encode(), parser)
    except etree.XMLSyntaxError as error:
        said = " ".join((error.msg or "").partition(", line ")[0].split())
        place = f" (line {error.lineno}, column {error.offset})" if error.lineno and error.offset else ""
        raise ExpressionInvalid(f"the context is no XML: {said}{place}") from error
    except (UnicodeEncodeError, ValueError) as error:
        raise ExpressionInvalid("the context is no XML: it has characters that XML cannot hold") from error
    if next(root.iter(etree.Entity), None) is not None:
        raise ExpressionInvalid("the context is an XML text that refers to entities, which are not read")
    _refuse_crowded(root, text)
    return etree.ElementTree(root)


def _refuse_crowded(root: "_Element", text: str) -> None:
    from lxml import etree  # noqa: PLC0415

    if text.count("=") > MAX_ATTRIBUTES and any(len(element.attrib) > MAX_ATTRIBUTES for element in root.iter("*")):
        raise ExpressionInvalid(f"the context has an XML element of more than {MAX_ATTRIBUTES:,} attributes")
    if text.count("xmlns") > MAX_DECLARATIONS:
        in_force = 0
        for event, _ in etree.iterwalk(root, events=("start-ns", "end-ns")):
            in_force += 1 if event == "start-ns" else -1
            if in_force > MAX_DECLARATIONS:
                message = f"the context has an XML element with more than {MAX_DECLARATIONS:,} namespaces declared"
                raise ExpressionInvalid(message)


class Node:
    """A node of XPath 1.0: root, element, attribute, namespace, text, comment or processing-instruction.

    Attributes:
        kind: which of them.
        uri: the namespace of its name, or "".
        local: its name without prefix, or "".
        prefix: the prefix of its name, or "".
        value: its string-value; of an element and the root None, since theirs is that of the texts in them.
        order: its number in document order.
        element: the element of lxml that holds it, for writing; of a text the one before it, if it is a tail.
    """

    __slots__ = (
        "attributes", "children", "element", "kind", "local", "order", "parent", "prefix", "tail", "uri", "value",
    )  # fmt: skip

    def __init__(
        self, kind: str, parent: "Node | None", order: int, name: tuple[str, str, str], value: str | None = None
    ) -> None:
        self.kind = kind
        self.parent = parent
        self.order = order
        self.uri, self.local, self.prefix = name
        self.value = value
        self.children: list[Node] = []
        self.attributes: list[Node] = []
        self.element: Any = None
        self.tail = False

    def texts(self) -> Iterator[str]:
        """Give the texts whose concatenation is the string-value, in document order."""
        if self.value is not None:
            yield self.value
            return
        waiting = self.children[::-1]
        while waiting:
            node = waiting.pop()
            if node.kind == "text":
                yield node.value or ""
            elif node.kind == "element":
                waiting += reversed(node.children)

    def place(self) -> tuple[Any, str] | None:
        """Give where it is in the tree, for writing (see `write`), or None where nothing can be written."""
        match self.kind:
            case "element":
                return self.element, "content"
            case "attribute":
                return self.element, "@" + (f"{{{self.uri}}}{self.local}" if self.uri else self.local)
            case "text":
                return self.element, "tail" if self.tail else "text"
        return None


_NO_NAME = ("", "", "")


class _Numbers:
    """Builds nodes and numbers them. An element leaves room for its namespaces, which are made when asked for."""

    def __init__(self) -> None:
        self.order = 0

    def node(self, kind: str, parent: Node | None, name: tuple[str, str, str], value: str | None = None) -> Node:
        self.order += 1
        return Node(kind, parent, self.order, name, value)


def _nodes(tree: "_ElementTree") -> Node:
    numbers = _Numbers()
    root = numbers.node("root", None, _NO_NAME)
    top = tree.getroot()
    before = list(top.itersiblings(preceding=True))[::-1]
    waiting: list[tuple[Node, Any, bool]] = [(root, element, False) for element in (*before, top, *top.itersiblings())]
    waiting.reverse()
    while waiting:
        parent, element, tail = waiting.pop()
        if tail:
            _add_text(numbers, parent, element, element.tail, tail=True)
            continue
        node = _node(numbers, parent, element)
        parent.children.append(node)
        if parent is not root:
            waiting.append((parent, element, True))
        if node.kind == "element":
            _add_text(numbers, node, element, element.text, tail=False)
            waiting += [(node, child, False) for child in reversed(element)]
    return root


def _add_text(numbers: _Numbers, parent: Node, element: "_Element", text: str | None, *, tail: bool) -> None:
    if text:
        node = numbers.node("text", parent, _NO_NAME, text)
        node.element, node.tail = element, tail
        parent.children.append(node)


def _node(numbers: _Numbers, parent: Node, element: Any) -> Node:
    tag = element.tag
    if not isinstance(tag, str):
        is_comment = getattr(element, "target", None) is None
        name = _NO_NAME if is_comment else ("", element.target, "")
        return numbers.node("comment" if is_comment else "processing-instruction", parent, name, element.text or "")
    node = numbers.node("element", parent, _name(tag, element.prefix))
    node.element = element
    numbers.order += len(element.nsmap) + 1
    for name, value in element.attrib.items():
        attribute = numbers.node("attribute", node, _name(name, _prefix_of(name, element)), value)
        attribute.element = element
        node.attributes.append(attribute)
    return node


def _name(tag: str, prefix: str | None) -> tuple[str, str, str]:
    uri, _, local = tag[1:].partition("}") if tag[0] == "{" else ("", "", tag)
    return uri, local, prefix or ""


def _prefix_of(name: str, element: "_Element") -> str | None:
    if name[0] != "{":
        return None
    uri = name[1:].partition("}")[0]
    known = ((prefix, each) for prefix, each in element.nsmap.items() if prefix is not None)
    return "xml" if uri == XML_NAMESPACE else next((prefix for prefix, each in known if each == uri), None)


def write(text: str, places: Iterable[tuple[Any, str]], tree: "_ElementTree", new: str) -> str:
    """Give the text with `new` at every place.

    A place is an element of `tree` and what of it: `text` for the text it starts with, `tail` for the text after it,
    `content` for all that is in it, else the name of an attribute.

    Raises:
        LookupError: `new` has a character that XML cannot hold.
    """
    from lxml import etree  # noqa: PLC0415

    try:
        for element, what in places:
            if what == "content":
                tail = element.tail
                del element[:]
                element.text, element.tail = new, tail
            elif what in ("text", "tail"):
                setattr(element, what, new)
            else:
                element.set(what[1:], new)
    except ValueError as error:
        raise LookupError("the value has a character that XML cannot hold") from error
    declaration = _DECLARATION.match(text.removeprefix("\ufeff"))
    written: str = etree.tostring(tree, encoding="unicode")
    return (declaration[1] if declaration else "") + written
