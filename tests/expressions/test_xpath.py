"""XPath beside an oracle, and what it must never do: open a file or a connection, or need libraries that are not there."""

from __future__ import annotations

import contextlib
import math
import os
import socket
import subprocess
import sys
import threading
from urllib.parse import urlsplit

import pytest
from elementpath import XPath2Parser
from elementpath.xpath30 import XPath30Parser
from elementpath.xpath31 import XPath31Parser
from elementpath.xpath_tokens import XPathFunction
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lxml import etree

from loader import CASES, table
from treadle.document.model import EXPRESSION_VERSIONS
from treadle.errors import ExpressionInvalid
from treadle.expressions import selectors, xml, xpath1, xpath2
from treadle.expressions.xpath import ExtraMissing

VERSIONS = EXPRESSION_VERSIONS["xpath"]
TEXT = (CASES / "expressions/xpath10.xml").read_text("utf-8")
BUDGET = 10_000_000


def ours(text: str, document: xml.Document):
    value = xpath1.evaluate(text, document, BUDGET)
    if isinstance(value, list):
        # lxml has nothing to show for the root node.
        return [(node.kind, node.uri, node.local, "".join(node.texts())) for node in value if node.kind != "root"]
    return value


def theirs(text: str, document: xml.Document):
    """What libxml2 gives, with the root node for the context; it starts at the root element of its own accord."""
    value = etree.XPathDocumentEvaluator(document.tree, namespaces=document.prefixes)(text)
    if not isinstance(value, list):
        return str(value) if isinstance(value, str) else value
    return [described(item) for item in value]


def described(item):
    if isinstance(item, etree._Comment):
        return ("comment", "", "", item.text)
    if isinstance(item, etree._ProcessingInstruction):
        return ("processing-instruction", "", item.target, item.text or "")
    if isinstance(item, etree._Element):
        name = etree.QName(item)
        texts = (part for part in item.xpath("descendant::text()"))
        return ("element", name.namespace or "", name.localname, "".join(texts))
    if item.is_attribute:
        uri, _, local = item.attrname.rpartition("}")
        return ("attribute", uri.removeprefix("{"), local, str(item))
    return ("text", "", "", str(item))


def same(left, right) -> bool:
    if isinstance(left, float) and isinstance(right, float):
        return left == right or (math.isnan(left) and math.isnan(right))
    return type(left) is type(right) and left == right


def agree(text: str, document: xml.Document) -> None:
    try:
        expected = theirs(text, document)
    except etree.XPathError as error:
        if "Invalid context" in str(error):  # a position outside of predicates, which is 1 here
            return
        with pytest.raises(ExpressionInvalid):
            ours(text, document)
    else:
        assert same(ours(text, document), expected), f"{text}: {ours(text, document)} is not {expected}"


def test_the_first_version_beside_libxml2(subtests):
    document = xml.Document(TEXT)
    for text in table("expressions/xpath10.yaml"):
        with subtests.test(text):
            agree(text, document)


axes = st.sampled_from([
    "", "", "child::", "descendant::", "descendant-or-self::", "ancestor::", "ancestor-or-self::", "following::", "preceding::",
    "following-sibling::", "preceding-sibling::", "self::", "parent::", "@",
])  # fmt: skip
tests = st.sampled_from(["*", "d:a", "d:b", "d:n", "soap:*", "node()", "text()", "comment()", "x"])
literals = st.sampled_from(
    ["0", "1", "2", "1.5", "'2'", "''", "'a'", "true()", "false()", "position()", "last()", "number('x')"]
)
operators = st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "and", "or", "+", "-", "*", "div", "mod"])


def steps(predicate):
    step = st.builds(lambda axis, test, inside: axis + test + inside, axes, tests, predicate)
    return st.builds(
        lambda first, rest: first + rest,
        st.sampled_from(["/", "//"]),
        st.lists(step, min_size=1, max_size=3).map("/".join),
    )


def expressions(inner):
    predicate = st.one_of(st.just(""), st.just(""), inner.map(lambda text: f"[{text}]"))
    path = steps(predicate)
    return st.one_of(
        path,
        st.builds(lambda left, operator, right: f"{left} {operator} {right}", inner, operators, inner),
        st.builds(
            lambda name, text: f"{name}({text})",
            st.sampled_from(["count", "sum", "string", "not", "boolean", "number"]),
            path,
        ),
        st.builds(lambda left, right: f"{left} | {right}", path, path),
    )


@settings(deadline=None)
@given(st.recursive(st.one_of(literals, steps(st.just(""))), expressions, max_leaves=6))
def test_any_expression_beside_libxml2(text):
    # To libxml2, what follows an attribute is what follows its element.
    if "@" not in text or "following" not in text:
        agree(text, xml.document(TEXT))


values = st.sampled_from([
    "1", "-1.5", "1e3", "'a'", "''", "'2026-01-01'", "//b", "/r", "//@x", "()", "true()", "(1, 2)", "99999999999999999999", "[1, 2]",
    "map{'a': 1}", "concat#2", "function($a) { $a }", "?", "xs:double('NaN')", "xs:date('2026-01-01')", "$x",
])  # fmt: skip
names = st.sampled_from(
    [*sorted(xpath2._OPEN), "map:merge", "map:get", "array:get", "array:join", "math:pow", "xs:integer", "xs:QName"]
)


def calls(inner):
    return st.one_of(
        st.builds(lambda name, given: f"{name}({', '.join(given)})", names, st.lists(inner, max_size=3)),
        st.builds(
            lambda left, operator, right: f"{left} {operator} {right}",
            inner,
            operators | st.sampled_from(["to", "!", "eq"]),
            inner,
        ),
        st.builds(lambda left, right: f"{left}[{right}]", inner, inner),
    )


@settings(deadline=None, max_examples=300)
@given(st.recursive(values, calls, max_leaves=5), st.sampled_from(VERSIONS))
@example("map:merge(1)", "xpath-31")
@example("format-integer(1, 'a', 'a1')", "xpath-31")
def test_any_expression_is_evaluated_or_refused_and_nothing_else(text, version):
    for work in (
        selectors.check,
        lambda *given: selectors.read(*given, TEXT),
        lambda *given: selectors.write(*given, TEXT, "x"),
    ):
        with contextlib.suppress(ExpressionInvalid, LookupError):
            work("xpath", version, text)


def test_every_function_of_the_library_is_open_or_closed():
    """A new version of elementpath may bring functions; each must be looked at."""
    closed = {
        "analyze-string", "available-environment-variables", "base-uri", "collation-key", "collection", "current-date",
        "current-dateTime", "current-time", "default-collation", "default-language", "doc", "doc-available", "document-uri",
        "element-with-id", "environment-variable", "function-lookup", "generate-id", "idref", "implicit-timezone", "json-doc",
        "json-to-xml", "load-xquery-module", "nilled", "parse-ietf-date", "parse-xml", "parse-xml-fragment",
        "random-number-generator", "resolve-uri", "serialize", "static-base-uri", "transform", "unparsed-text",
        "unparsed-text-available", "unparsed-text-lines", "uri-collection", "xml-to-json",
    }  # fmt: skip
    found = {
        name.rpartition("}")[2]
        for parser in (XPath2Parser, XPath30Parser, XPath31Parser)
        for name, token in parser.symbol_table.items()
        if issubclass(token, XPathFunction) and token.label == "function"
    }
    assert found - xpath2._OPEN == closed
    assert xpath2._OPEN - found <= {"concat", "QName", "dateTime", "error"}


@pytest.fixture
def traps(tmp_path):
    """Places that nobody may touch, a file and a server, and who came: the file is a pipe, which has no reader but a thief."""
    pipe = tmp_path / "secret.xml"
    os.mkfifo(pipe)
    came: list[str] = []
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.02)

        def watch():
            while not done.is_set():
                try:
                    with server.accept()[0]:
                        came.append("a connection")
                except TimeoutError:
                    pass
                try:
                    with open(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK), "w", encoding="utf-8") as file:  # noqa: PTH123
                        came.append("a reader")
                        file.write("<secret/>")
                except OSError:
                    pass  # nobody reads

        thread = threading.Thread(target=watch)
        thread.start()
        yield (str(pipe), pipe.as_uri(), f"http://127.0.0.1:{server.getsockname()[1]}/x.xml"), came
        done.set()
        thread.join()


def test_the_traps_catch(traps):
    (pipe, _, url), came = traps
    with contextlib.suppress(etree.XMLSyntaxError):
        etree.parse(pipe)
    with socket.create_connection(("127.0.0.1", urlsplit(url).port)) as connection:
        connection.recv(1)  # until it is closed there
    assert set(came) == {"a connection", "a reader"}


def test_no_file_is_opened_and_no_connection_made(traps):
    places, came = traps
    texts = [f'<!DOCTYPE r SYSTEM "{place}"><r/>' for place in places]
    texts += [f'<!DOCTYPE r [<!ENTITY % p SYSTEM "{place}"> %p;]><r/>' for place in places]
    texts += [f'<!DOCTYPE r [<!ENTITY e SYSTEM "{place}">]><r>&e;</r>' for place in places]
    texts += [f'<r xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="{place}"/></r>' for place in places]
    texts += [f'<?xml-stylesheet href="{place}"?><r xmlns="{place}" xml:base="{place}"/>' for place in places]
    texts += [
        f'<r xmlns:x="http://www.w3.org/2001/XMLSchema-instance" x:schemaLocation="a {place}"/>' for place in places
    ]
    conditions = ["string(/)", "//*", *(f"document('{place}')" for place in places)]
    conditions += [
        closed.replace("FILE", place).replace("URL", place)
        for closed in table("criteria/xpath_closed.yaml")
        for place in places
    ]
    for version in VERSIONS:
        for text in texts:
            for condition in conditions:
                with contextlib.suppress(ExpressionInvalid):
                    selectors.read("xpath", version, condition, text)
    assert came == []


def test_entity_bombs_are_refused():
    bomb = (
        "<!DOCTYPE a ["
        + "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "ha"}">' for n in range(10))
        + ']><a b="&e9;">&e9;</a>'
    )
    with pytest.raises(ExpressionInvalid, match="declares entities"):
        xml.Document(bomb)


def test_an_xml_text_has_a_greatest_length():
    with pytest.raises(ExpressionInvalid, match="more than 10,000,000 characters"):
        xml.Document("<a>" + " " * xml.MAX_LENGTH + "</a>")


PROGRAM = """
import sys
from treadle.document.build import build
from treadle.document.reader import read
from treadle.engine.compile import compile_workflow
from treadle.engine.linked import LinkedDocument, Source
from treadle.expressions.criteria import check
from treadle.expressions.evaluate import Context

{before}
text = '''
arazzo: 1.1.0
info: {{title: t, version: '1'}}
sourceDescriptions: [{{name: api, url: api.yaml}}]
workflows:
  - workflowId: w
    steps:
      - stepId: one
        operationId: one
        successCriteria: [{criteria}]
        outputs: {outputs}
'''
reading = read(text, "flow.yaml")
document, _ = build(reading)
linked = LinkedDocument(document, reading, "file:///flow.yaml")
linked.sources["api"] = Source("openapi")
found = compile_workflow(linked, "w").diagnostics
print([(each.rule, each.message, each.hint) for each in found if each.rule != "unknown-operation"])
print(sorted(set({libraries!r}) & set(sys.modules)))
"""
LIBRARIES = (
    "lxml",
    "lxml.etree",
    "elementpath",
    "jsonpath_rfc9535",
    "iregexp_check",
    "jsonschema_rs",
    "regex",
    "xml",
    "xml.etree",
)


def run(criteria: str, outputs: str = "{}", before: str = "") -> list[str]:
    program = PROGRAM.format(criteria=criteria, outputs=outputs, before=before, libraries=LIBRARIES)
    # What measures coverage imports libraries of its own.
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, env=env)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_an_expression_has_a_greatest_length():
    for version in VERSIONS:
        with pytest.raises(ExpressionInvalid, match="an expression of 200,001 characters is too long"):
            selectors.check("xpath", version, "1+" * 100_000 + "1")


def test_a_plain_document_imports_no_library_of_others():
    assert run(
        "{condition: $statusCode == 200}", "{a: {context: $response.body, selector: /a, type: jsonpointer}}"
    ) == ["[]", "[]"]


@pytest.mark.parametrize(
    ("criterion", "imported"),
    [
        ("{context: $response.body, condition: $.a, type: jsonpath}", "jsonpath_rfc9535"),
        ("{context: $response.body, condition: a, type: regex}", "jsonschema_rs"),
        ("{context: $response.body, condition: //a, type: xpath}", "elementpath"),
    ],
)
def test_a_library_is_imported_where_it_is_needed(criterion, imported):
    assert imported in run(criterion)[1]


def test_a_query_needs_no_libraries_for_xml():
    assert "lxml" not in run("{context: $response.body, condition: $.a, type: jsonpath}")[1]


def test_what_needs_xpath_is_refused_once_where_it_is_not_installed():
    missing = "sys.modules['lxml'] = sys.modules['elementpath'] = None"
    texts = ("//a", "//b", "'/a[{$inputs.a}]'")
    criteria = ", ".join(f"{{context: $response.body, condition: {text}, type: xpath}}" for text in texts)
    outputs = "{a: {context: $response.body, selector: //a, type: {type: xpath, version: xpath-10}}}"
    message = "this document needs XPath, and the libraries for it are not installed"
    assert run(criteria, outputs, missing) == [
        str([("missing-extra", message, 'pip install "treadle[xpath]"')]),
        "['elementpath', 'lxml']",
    ]


@pytest.mark.parametrize("library", ["lxml", "elementpath"])
def test_a_library_that_is_not_installed(library, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ExtraMissing) as refused:
        selectors.check("xpath", "", "//a")
    assert refused.value.hint == 'pip install "treadle[xpath]"'
