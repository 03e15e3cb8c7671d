"""Whatever text is loaded: it is read, built and compiled, or refused by an error of Treadle's own that says where."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from itertools import pairwise

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from scripted import document, linked, source

from loader import table
from treadle.diagnostics import Severity, code_frame
from treadle.document.build import build
from treadle.document.reader import read
from treadle.engine.compile import compile_workflow
from treadle.engine.inputs import validated
from treadle.errors import TreadleError

BASES = [
    document(case) for case in table("engine/run.yaml") if "steps" in case and not any("openapi" in key for key in case)
]
WHOLE = {
    "arazzo": "1.1.0",
    "$self": "https://x.test/flows.yaml",
    "info": {"title": "t", "version": "1", "summary": "s", "description": "d"},
    "sourceDescriptions": [{"name": "api", "url": "api.yaml", "type": "openapi", "x-note": 1}],
    "workflows": [
        {
            "workflowId": "w",
            "summary": "s",
            "inputs": {"type": "object", "properties": {"a": {"$ref": "#/components/inputs/page", "default": 1}, "b": {}}},
            "parameters": [{"reference": "$components.parameters.p", "value": "$inputs.a"}],
            "successActions": [{"reference": "$components.successActions.stop"}],
            "failureActions": [{"reference": "$components.failureActions.again"}],
            "steps": [
                {
                    "stepId": "one",
                    "operationId": "createThing",
                    "timeout": 1000,
                    "x-treadle-poll": {"interval": 1, "timeout": 60},
                    "parameters": [{"name": "q", "in": "query", "value": "a {$inputs.a} b $inputs.b"}],
                    "requestBody": {
                        "contentType": "application/json",
                        "payload": {"a": ["$inputs.a", {"context": "$inputs.b", "selector": "$.x[0]", "type": "jsonpath"}]},
                        "replacements": [{"target": "/a/0", "value": "$inputs.b#/x", "targetSelectorType": "jsonpointer"}],
                    },
                    "successCriteria": [
                        {"condition": "$statusCode == 200 && $response.body.a[0] != 'x'"},
                        {"context": "$response.body", "condition": "$.a[?@.b == '{$inputs.a}']", "type": "jsonpath"},
                        {"context": "$statusCode", "condition": "^2\\d\\d$", "type": {"type": "jsonpath", "version": "rfc9535"}},
                    ],
                    "onSuccess": [{"name": "on", "type": "goto", "stepId": "two", "criteria": [{"condition": "true"}]}],
                    "onFailure": [{"name": "r", "type": "retry", "retryAfter": 1.5, "retryLimit": 2}],
                    "outputs": {"x": "$response.body#/x", "y": {"context": "$response.body", "selector": "/y", "type": "jsonpointer"}},
                },
                {
                    "stepId": "two",
                    "operationPath": "{$sourceDescriptions.api.url}#/paths/~1things~1{id}/get",
                    "dependsOn": ["one"],
                    "parameters": [{"name": "id", "in": "path", "value": "$steps.one.outputs.x.deep[0]"}],
                },
            ],
            "outputs": {"x": "$steps.one.outputs.x"},
        }
    ],
    "components": {
        "inputs": {"page": {"type": "integer", "format": "int32"}},
        "parameters": {"p": {"name": "X-P", "in": "header", "value": 1}},
        "successActions": {"stop": {"name": "stop", "type": "end", "criteria": [{"condition": "$statusCode == 204"}]}},
        "failureActions": {"again": {"name": "again", "type": "retry"}},
    },
}  # fmt: skip


def load(text: str, *, strict: bool = False) -> list[bytes] | None:
    """The programs of a text as JSON, or None where it is refused; what else is raised is a fault."""
    try:
        reading = read(text, "f.yaml")
        built, diagnostics = build(reading)
        if built is not None and not any(found.severity is Severity.ERROR for found in diagnostics):
            whole = linked(text, api=source())
            results = [compile_workflow(whole, flow.workflow_id, strict=strict) for flow in built.workflows]
            diagnostics += [found for result in results for found in result.diagnostics]
            programs = [result.program for result in results]
        else:
            programs = [None]
        for found in diagnostics:
            assert code_frame(found, reading.text)
    except TreadleError as refused:
        assert refused.message  # noqa: PT017 - a refusal says why
        return None
    if None in programs:
        assert any(found.severity is Severity.ERROR for found in diagnostics)
        return None
    for program in programs:
        try:
            validated(program.entry.inputs, {}, program.workflow_id)
        except TreadleError:
            continue
    return [msgspec.json.encode(program) for program in programs]


def test_the_documents_that_are_changed_here_are_valid():
    assert all(load(json.dumps(base)) for base in BASES)
    assert (
        load(json.dumps({**WHOLE, "workflows": [{**WHOLE["workflows"][0]}]})) is None
    )  # one type is for another context
    fixed = deepcopy(WHOLE)
    del fixed["workflows"][0]["steps"][0]["successCriteria"][2]
    assert load(json.dumps(fixed))


HEAD = "arazzo: 1.1.0\ninfo: {title: t, version: '1'}\nsourceDescriptions: [{name: api, url: api.yaml}]\n"
STEP = "  - workflowId: w\n    steps:\n    - stepId: s\n      operationId: a\n"
NAMES = "abcdefghij"
BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{below}'] * 10)}]\n" for below, name in pairwise(NAMES)
)
DEEP = 10_000


@pytest.mark.parametrize(
    "text",
    {
        "flow": "[" * DEEP + "]" * DEEP,
        "flow of objects": "{a: " * DEEP + "}" * DEEP,
        "flow that stays open": "[{" * DEEP,
        "json": '{"a":' * DEEP + "1" + "}" * DEEP,
        "block": "\n".join(" " * depth + "a:" for depth in range(DEEP)),
        "block of lists": "- " * DEEP + "a",
        "complex keys": "? " * DEEP,
        "aliases": BOMB,
        "an alias of itself": "a: &a {b: *a}",
        "merge keys": f"{HEAD}x-a: &a {{workflowId: w}}\nworkflows:\n  - <<: *a\n    steps: [{{stepId: s, operationId: a}}]\n",
        "merge keys of merge keys": "a0: &a0 {x: 1}\n" + "".join(f"a{n + 1}: &a{n + 1}\n  <<: *a{n}\n  y{n}: 1\n" for n in range(1_000)),
        "long text": f'{HEAD}x-a: "{"x" * 10_000_000}"\nworkflows:\n{STEP}',
        "long line": f"{HEAD}workflows:\n{STEP}      description: {'x ' * 1_000_000}\n",
        "many lines": "\n" * 1_000_000,
        "many keys": "\n".join(f"a{number}: 1" for number in range(20_000)),
        "many steps": f"{HEAD}workflows:\n  - workflowId: w\n    steps:\n" + "".join(f"    - {{stepId: s{n}, operationId: a}}\n" for n in range(1_000)),
        "many of one name": f"{HEAD}workflows:\n" + STEP * 1_000,
        "many anchors": "".join(f"a{n}: &a{n} {{}}\n" for n in range(2_000)),
        "large number": f"{HEAD}workflows:\n{STEP}      timeout: {'9' * 400}\n",
        "larger number": f"a: {'9' * 100_000}",
        "poll of a large number": f"{HEAD}workflows:\n{STEP}      x-treadle-poll: {{interval: {'9' * 400}}}\n",
        "retry of a large number": f"{HEAD}workflows:\n{STEP}      onFailure: [{{name: n, type: retry, retryAfter: {'9' * 400}, retryLimit: {'9' * 400}}}]\n",
        "payload of large numbers": f"{HEAD}workflows:\n{STEP}      requestBody: {{payload: [{'9' * 400}, 1e999, -.inf]}}\n",
        "surrogates": '{"arazzo": "1.1.0", "\\ud800": "\\udc00"}',
        "surrogates as such": f"{HEAD}workflows: \ud800",
        "nul": f"{HEAD}workflows: \0",
        "nul as an escape": f'{HEAD}workflows:\n{STEP}      description: "\\0"\n',
        "byte order mark": f"\ufeff{HEAD}workflows:\n{STEP}",
        "byte order mark inside": f"{HEAD}\ufeffworkflows:\n{STEP}",
        "tabs": f"{HEAD}workflows:\n\t- workflowId: w\n",
        "carriage returns": f"{HEAD}workflows:\n{STEP}".replace("\n", "\r"),
        "line separators": f"{HEAD}workflows:\n{STEP}".replace("\n", "\u2028"),
        "keys that are no texts": f"{HEAD}workflows:\n{STEP}      outputs: {{1: $url, true: $url, null: $url, 1.5: $url}}\n",
        "a key that is an object": f"{HEAD}workflows:\n{STEP}      ? {{a: b}}\n      : c\n",
        "tags": f"{HEAD}workflows: !!seq\n{STEP}      timeout: !!int '5'\n      x-a: [!!binary aGk=, !mine x, !!timestamp 2020-01-01]\n",
        "a set": f"{HEAD}workflows: !!set {{a, b}}\n",
        "an object of Python": f"{HEAD}workflows: !!python/object/apply:os.system [x]\n",
        "two documents": f"{HEAD}---\n{HEAD}",
        "directives": f"%YAML 1.1\n%TAG ! tag:x.test,2020:\n---\n{HEAD}workflows:\n{STEP}",
        "right to left": f"{HEAD}workflows:\n{STEP}      description: \u202eabc\u202c\n      outputs: {{'\u202e': $url}}\n",
        "names that nothing shows": f'{HEAD}workflows:\n  - workflowId: "\\u200b"\n    steps: [{{stepId: "\\u2060", operationId: a}}]\n',
        "a schema of itself": f"{HEAD}workflows:\n  - workflowId: w\n    inputs: {{$ref: '#/workflows/0/inputs'}}\n    steps: [{{stepId: s, operationId: a}}]\n",
        "a schema of the document": f"{HEAD}workflows:\n  - workflowId: w\n    inputs: {{properties: {{a: {{$ref: '#/workflows/0'}}}}}}\n    steps: [{{stepId: s, operationId: a}}]\n",
        "a deep schema": f"{HEAD}workflows:\n  - workflowId: w\n    inputs: {'{not: ' * 240}{'}' * 240}\n    steps: [{{stepId: s, operationId: a}}]\n",
        "a deep payload": f"{HEAD}workflows:\n{STEP}      requestBody: {{payload: {'[' * 240}$inputs.a{']' * 240}}}\n",
        "a pattern without end": f"{HEAD}workflows:\n{STEP}      successCriteria: [{{context: $response.body, condition: '{'(' * 5_000}', type: regex}}]\n",
        "a query without end": f"{HEAD}workflows:\n{STEP}      outputs: {{x: '$response.body{'[?(@.a' * 2_000}'}}\n",
        "a condition without end": f"{HEAD}workflows:\n{STEP}      successCriteria: [{{condition: '{'(' * 100_000}'}}]\n",
        "a text of expressions": f"{HEAD}workflows:\n{STEP}      outputs: {{x: '{'$inputs.a ' * 10_000}'}}\n",
        "a text of roots": f"{HEAD}workflows:\n{STEP}      outputs: {{x: '{'$inputs' * 10_000}'}}\n",
        "a text of braces": f"{HEAD}workflows:\n{STEP}      outputs: {{x: '{'{$' * 10_000}'}}\n",
        "a text of dots": f"{HEAD}workflows:\n{STEP}      outputs: {{x: '$response.body{'.a' * 10_000}'}}\n",
        "an expression of dots": f"{HEAD}workflows:\n{STEP}      outputs: {{x: 'x $inputs{'.a' * 10_000}'}}\n",
    }.items(),
    ids=lambda pair: pair[0],
)  # fmt: skip
def test_hostile_texts(text):
    for strict in (False, True):
        load(text[1], strict=strict)


@settings(deadline=None)
@given(
    st.text()
    | st.lists(st.sampled_from([*"a: -[]{}'\"|>&*!?#%@\n\t,1\\\0\ufeff\u2028", "arazzo: 1.1.0\n", "- "])).map("".join)
)
def test_any_text(text):
    load(text)
    load(HEAD + text)
    load(f"{HEAD}workflows:\n{STEP}{text}")


texts = st.sampled_from([
    "", " ", "x", "$", "$inputs", "$inputs.", "$inputs.a", "$inputs.a[", "$inputs.a[*]", "$inputs.a[0].b", "$inputs.$x", "{$", "{$}",
    "{$inputs.a}", "{$inputs.a} $inputs.b", "$steps.one.outputs.x", "$steps.two.x", "$steps", "$workflows.w.outputs.x", "$url", "$self",
    "$sourceDescriptions.api.url", "$components.parameters.p", "$body", "$response.body#/~", "'", '"', "$statusCode = 1", "!", "((((", "\0",
    "\u202e", "é", "😀", "\ufeff", "#", "#/", "/", "//", "http://[", "a b", "api.yaml", "$.a[?(@.b)]", "(a|aa)+$", "[", "$ref", "x-a", "end",
    "retry", "goto", "simple", "regex", "jsonpath", "xpath", "querystring", "1.0", "a" * 500, "$" * 200, "{$inputs.a}" * 50, "#/workflows/0",
    "#/components/inputs/page", "w", "one", "two", "s",
])  # fmt: skip
odd = st.one_of(
    texts,
    st.text(max_size=8),
    st.sampled_from([None, True, False, 0, -1, 1.5, 10**30, -(10**30), 10**400, [], {}, [[]], {"": None}, [None] * 5]),
    st.sampled_from([{"$ref": "#"}, {"$ref": "#/workflows/0/inputs"}, {"reference": "$components.parameters.p"}, {"name": "x"}]),
    st.sampled_from([json.loads("[" * 90 + "]" * 90), json.loads('{"a":' * 60 + "1" + "}" * 60)]),
    st.just({"context": "$response.body", "selector": "$.a", "type": "jsonpath"}),
    st.floats(allow_nan=False, allow_infinity=False),
)  # fmt: skip


def paths(value, at=()):
    yield at
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from paths(inner, (*at, key))


@st.composite
def changed(draw):
    """A valid document with a few things changed, each at any place."""
    whole = deepcopy(draw(st.sampled_from([WHOLE, *BASES])))
    for _ in range(draw(st.integers(1, 4))):
        places = [path for path in paths(whole) if path]
        *above, key = places[draw(st.integers(0, len(places) - 1))]
        holder = whole
        for step in above:
            holder = holder[step]
        change = draw(st.sampled_from(["value", "value", "text", "gone", "twice", "wrapped", "named", "moved"]))
        if change == "value":
            holder[key] = deepcopy(draw(odd))
        elif change == "text":
            holder[key] = draw(texts)
        elif change == "gone":
            del holder[key]
        elif change == "wrapped":
            holder[key] = draw(st.sampled_from([[holder[key]], {"x": holder[key]}, {draw(texts): holder[key]}]))
        elif isinstance(holder, list):
            holder.insert(key, deepcopy(draw(st.sampled_from(holder))) if change == "twice" else deepcopy(draw(odd)))
        elif change == "named":
            holder[draw(texts)] = holder.pop(key)
        else:
            holder[draw(texts)] = deepcopy(holder[key])
    return whole


def as_json(value) -> str:
    return json.dumps(value, ensure_ascii=False)


def escaped(text: str) -> str:
    """The text in double quotes, as YAML has them; what cannot be seen is escaped."""
    quoted = json.dumps(text, ensure_ascii=False).replace("\\/", "/")
    return re.sub(r"[^ -~]", lambda found: f"\\U{ord(found[0]):08x}", quoted)


def as_yaml(value, depth=0) -> str:
    """The value in block style, which JSON has not."""
    indent = "\n" + "  " * depth
    if isinstance(value, dict) and value:
        return "".join(f"{indent}{escaped(key)}: {as_yaml(inner, depth + 1)}" for key, inner in value.items())
    if isinstance(value, list) and value:
        return "".join(f"{indent}- {as_yaml(inner, depth + 1)}" for inner in value)
    if isinstance(value, str):
        return escaped(value)
    return as_json(value)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(changed(), st.booleans())
def test_documents_with_anything_changed(whole, strict):
    load(as_json(whole), strict=strict)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(changed())
@example(BASES[0])
def test_a_document_printed_and_read_again_is_the_same_program(whole):
    program = load(as_json(whole))
    assert load(as_yaml(whole)) == program
    try:
        again = read(as_json(whole), "f.yaml").value
    except TreadleError:
        return
    assert load(as_json(again)) == program


def test_every_base_is_the_same_program_in_json_and_yaml():
    for base in BASES:
        assert load(as_json(base)) == load(as_yaml(base))
