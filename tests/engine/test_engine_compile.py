"""What compiling finds, each finding with its place; and what a Program knows."""

from __future__ import annotations

import pytest
from scripted import compiled, linked, source

from loader import cases
from treadle.diagnostics import Diagnostic, Severity
from treadle.engine.compile import compile_workflow
from treadle.engine.linked import Source
from treadle.sources.references import DocumentsMissing

ABOVE = "sourceDescriptions: [{name: api, url: api.yaml, type: openapi}]\n"


def _text(case) -> str:
    workflow = case["workflow"].replace("\n", "\n  ").rstrip()
    head = "arazzo: 1.1.0\ninfo: {title: a case, version: '1'}\n" + case.get("above", ABOVE)
    return f"{head}workflows:\n- workflowId: w\n  {workflow}\n{case.get('below', '')}"


def _marked(text: str, found: Diagnostic) -> str:
    assert found.span is not None
    assert found.span.line == found.span.end_line
    return text.splitlines()[found.span.line - 1][found.span.column - 1 : found.span.end_column - 1]


@pytest.mark.parametrize("case", cases("engine/compile.yaml"))
def test_findings(case):
    text = _text(case)
    given = {name: source(value, name) for name, value in case.get("sources", {}).items()}
    result = compiled(text, strict=case.get("strict", False), **{"api": source(), **given})
    assert [found.rule for found in result.diagnostics] == [wanted["rule"] for wanted in case["found"]]
    for found, wanted in zip(result.diagnostics, case["found"], strict=True):
        assert found.severity == wanted.get("severity", "error")
        assert wanted.get("message", "") in found.message
        if "hint" in wanted:
            assert found.hint == wanted["hint"]
        if "marks" in wanted:
            assert _marked(text, found) == wanted["marks"]
    errors = [found for found in result.diagnostics if found.severity is Severity.ERROR]
    assert (result.program is None) == bool(errors)


def _program(workflow: str):
    result = compiled(_text({"workflow": workflow}))
    assert result.program is not None, result.diagnostics
    return result.program


@pytest.mark.parametrize(
    ("parameter", "secret"),
    [
        ("{name: Authorization, in: header, value: 'Bearer {$inputs.x}'}", True),
        ("{name: X-API-Key, in: header, value: $inputs.x}", True),
        ("{name: Cookie, in: header, value: $inputs.x}", True),
        ("{name: X-Auth-Token, in: header, value: '{$inputs.x}'}", True),
        ("{name: access_token, in: query, value: $inputs.x}", True),
        ("{name: api_key, in: query, value: $inputs.x#/key}", True),
        ("{name: Authorization, in: header, value: $inputs.x.token}", True),
        ("{name: X-Trace, in: header, value: $inputs.x}", False),
        ("{name: authorization-mode, in: query, value: $inputs.x}", False),
    ],
)
def test_an_input_that_goes_where_credentials_go_is_secret(parameter, secret):
    workflow = (
        "inputs: {type: object, properties: {x: {}}}\n"
        f"steps:\n  - {{stepId: one, operationId: a, parameters: [{parameter}]}}\n"
    )
    assert _program(workflow).entry.secrets == (("x",) if secret else ())


@pytest.mark.parametrize(
    ("name", "schema", "secret"),
    [
        ("apiKey", "{}", True),
        ("client_secret", "{type: string}", True),
        ("dbPassword", "{}", True),
        ("x", "{type: string, format: password}", True),
        ("x", "{type: string, writeOnly: true}", True),
        ("x", "true", False),
        ("tokenizer", "{}", False),
    ],
)
def test_an_input_that_is_declared_a_secret_is_one(name, schema, secret):
    workflow = (
        f"inputs: {{type: object, properties: {{{name}: {schema}}}}}\nsteps:\n  - {{stepId: one, operationId: a}}\n"
    )
    assert _program(workflow).entry.secrets == ((name,) if secret else ())


def test_servers_override_those_of_the_description():
    text = _text({"workflow": "steps:\n  - {stepId: one, operationId: a}\n"})
    for servers, expected in (
        ({}, "https://api.test/v1"),
        ({"": "http://all.test"}, "http://all.test"),
        ({"": "http://all.test", "api": "http://one.test"}, "http://one.test"),
    ):
        program = compile_workflow(linked(text, api=source()), "w", servers=servers).program
        assert program is not None
        assert program.entry.steps[0].call.server == expected


def test_a_source_that_could_not_be_loaded_explains_what_is_not_found():
    text = _text({"workflow": "steps:\n  - {stepId: one, operationId: a}\n  - {stepId: two, operationId: b}\n"})
    problem = Diagnostic("source", Severity.ERROR, "there is no file api.yaml")
    result = compiled(text, api=Source("openapi", problem=problem))
    assert result.program is None
    assert result.diagnostics == [problem]


def test_documents_that_are_referred_to_are_asked_for():
    text = _text({"workflow": "steps:\n  - {stepId: one, operationId: x}\n"})
    described = {"openapi": "3.0.0", "paths": {"/x": {"$ref": "x.yaml"}}}
    with pytest.raises(DocumentsMissing) as missing:
        compiled(text, api=source(described))
    assert missing.value.uris == ["file:///cases/x.yaml"]


def test_a_workflow_that_is_not_there():
    text = _text({"workflow": "steps:\n  - {stepId: one, operationId: a}\n"})
    with pytest.raises(ValueError, match="there is no workflow 'v'"):
        compile_workflow(linked(text), "v")


@pytest.mark.parametrize(
    ("name", "hint"), [("Item7", "did you mean 'item7'?"), ("itm7", "there are item0, item1, item10")]
)
def test_among_very_many_names_only_the_same_letters_are_near(name, hint):
    inputs = ", ".join(f"item{number}: {{}}" for number in range(1_000))
    text = _text(
        {
            "workflow": f"inputs: {{properties: {{{inputs}}}}}\nsteps: [{{stepId: s, operationId: a, outputs: {{x: $inputs.{name}}}}}]\n"
        }
    )
    (found,) = compiled(text).diagnostics
    assert found.hint.startswith(hint)
