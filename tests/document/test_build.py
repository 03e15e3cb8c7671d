"""Values to the model: every finding of every rule with its place, and what is built all the same."""

from __future__ import annotations

from textwrap import dedent, indent

import pytest

from loader import cases
from treadle.diagnostics import code_frame
from treadle.document import model
from treadle.document.build import build
from treadle.document.dialects import strictly
from treadle.document.reader import read

BASE = """\
arazzo: 1.1.0
info: {title: t, version: '1'}
sourceDescriptions: [{name: api, url: openapi.yaml}]
workflows:
  - workflowId: w
    steps:
      - stepId: s
        operationId: o
"""


def document(case) -> str:
    """The text of a case, or the smallest document with the fields of the case from line 9 on."""
    text = case.get("text", BASE)
    if "without" in case:
        text = "".join(line for line in text.splitlines(keepends=True) if case["without"] not in line)
    for name, depth in (("step", 8), ("workflow", 4), ("root", 0)):
        if name in case:
            text = text.removesuffix("\n") + "\n" + indent(case[name], " " * depth)
    return text.replace("arazzo: 1.1.0", f"arazzo: {case.get('version', '1.1.0')}", 1)


def build_text(text: str, *, strict: bool = False):
    built, diagnostics = build(read(text, "f.yaml"))
    return built, [strictly(found) for found in diagnostics] if strict else diagnostics


def shown(diagnostic) -> str:
    hint = f" ({diagnostic.hint})" if diagnostic.hint else ""
    place = f"{diagnostic.span.line}:{diagnostic.span.column}"
    return f"{place} {diagnostic.severity}[{diagnostic.rule}]: {diagnostic.message}{hint}"


@pytest.mark.parametrize("case", cases("document/build.yaml"))
def test_findings(case):
    built, diagnostics = build_text(document(case), strict=case.get("strict", False))
    assert [shown(diagnostic) for diagnostic in diagnostics] == case["found"]
    assert (built is None) is case.get("refused", False)


@pytest.mark.parametrize("case", cases("document/frames.yaml"))
def test_frames(case):
    text = document(case)
    _, diagnostics = build_text(text)
    assert "\n\n".join(code_frame(diagnostic, text) for diagnostic in diagnostics) == case["frames"].rstrip("\n")


def test_every_field_of_every_object_arrives():
    text = dedent("""\
        arazzo: 1.1.0
        $self: https://example.com/flows.yaml
        info: {title: t, version: '1', summary: s, description: d}
        sourceDescriptions: [{name: api, url: asyncapi.yaml, type: asyncapi}]
        components:
          inputs: {page: {type: object}, any: true}
          parameters: {page: {name: page, in: query, value: 1}}
          successActions: {stop: {name: stop, type: end}}
          failureActions: {again: {name: again, type: retry, retryAfter: 0.5, retryLimit: 2}}
        workflows:
          - workflowId: w
            summary: s
            description: d
            inputs: {type: object}
            dependsOn: [v]
            successActions: [{reference: $components.successActions.stop}]
            failureActions: [{reference: $components.failureActions.again}]
            outputs: {a: $steps.s.outputs.a}
            parameters: [{reference: $components.parameters.page, value: null}]
            x-note: kept
            steps:
              - stepId: s
                description: d
                channelPath: '{$sourceDescriptions.api.url}#/channels/c'
                action: receive
                timeout: 100
                correlationId: $inputs.id
                dependsOn: [r]
                parameters: [{name: p, in: header, value: {a: 1}}]
                requestBody:
                  contentType: application/json
                  payload: {a: 1}
                  replacements: [{target: /a, value: 2, targetSelectorType: {type: jsonpath, version: rfc9535}}]
                successCriteria: [{condition: ^2, context: $statusCode, type: regex}]
                onSuccess: [{name: n, type: goto, stepId: s, criteria: [{condition: 'true'}]}]
                onFailure: [{name: m, type: goto, workflowId: w, parameters: [{name: q, value: 1}]}]
                outputs: {a: $response.body, b: {context: $response.body, selector: /x, type: jsonpointer}}
                x-treadle-poll: {interval: 1}
          - workflowId: v
            steps: [{stepId: r, workflowId: w}]
        """)
    built, diagnostics = build_text(text)
    assert diagnostics == []
    workflow = built.workflow("w")
    step = workflow.steps[0]
    assert (built.arazzo, built.self_uri) == ("1.1.0", "https://example.com/flows.yaml")
    assert built.info == model.Info("t", "1", "s", "d", at=("info",))
    assert built.source_descriptions[0] == model.SourceDescription(
        "api", "asyncapi.yaml", "asyncapi", at=("sourceDescriptions", 0)
    )
    assert built.components.inputs == {"page": {"type": "object"}, "any": True}
    assert built.components.parameters["page"].location == "query"
    assert built.components.success_actions["stop"].type == "end"
    assert built.components.failure_actions["again"].retry_after == 0.5
    assert built.components.failure_actions["again"].retry_limit == 2
    assert (workflow.summary, workflow.description, workflow.inputs) == ("s", "d", {"type": "object"})
    assert (workflow.depends_on, workflow.outputs) == (("v",), {"a": "$steps.s.outputs.a"})
    assert workflow.success_actions[0].reference == "$components.successActions.stop"
    assert workflow.parameters[0] == model.Reusable(
        "$components.parameters.page", None, has_value=True, at=("workflows", 0, "parameters", 0)
    )
    assert not workflow.success_actions[0].has_value
    assert workflow.extensions == {"x-note": "kept"}
    assert (step.channel_path, step.action) == ("{$sourceDescriptions.api.url}#/channels/c", "receive")
    assert (step.timeout, step.correlation_id, step.depends_on) == (100, "$inputs.id", ("r",))
    assert step.parameters[0].value == {"a": 1}
    assert (step.request_body.content_type, step.request_body.payload) == ("application/json", {"a": 1})
    assert step.request_body.replacements[0].target_selector_type.version == "rfc9535"
    assert step.success_criteria[0].type == "regex"
    assert step.on_success[0].criteria[0].condition == "true"
    assert step.on_failure[0].parameters[0].name == "q"
    assert step.outputs["b"].selector == "/x"
    assert step.extensions == {"x-treadle-poll": {"interval": 1}}
    assert step.at == ("workflows", 0, "steps", 0)
    assert built.workflow("V") is None


def test_an_action_without_a_name_gets_one():
    built, _ = build_text(document({"step": "onFailure: [{type: end}, {type: end}]"}))
    assert [action.name for action in built.workflows[0].steps[0].on_failure] == [
        "step-failure-action-0",
        "step-failure-action-1",
    ]


def test_what_is_wrong_is_left_out_and_the_rest_is_built():
    built, _ = build_text(document({"step": "outputs: {a: 1, b: $url}\nonSuccess: [{name: n, type: end}, 7]"}))
    step = built.workflows[0].steps[0]
    assert (step.outputs, len(step.on_success)) == ({"b": "$url"}, 1)


def test_a_dialect_is_a_warning_and_strictly_an_error():
    text = document({"workflow": "dependsOn: v\noutputs: {a b: $url}"})
    for strict, severity in ((False, "warning"), (True, "error")):
        built, diagnostics = build_text(text, strict=strict)
        assert [(it.rule, it.severity) for it in diagnostics] == [
            ("depends-on-list", severity),
            ("name-characters", severity),
        ]
        assert built.workflows[0].depends_on == ("v",)


def test_of_more_findings_than_anybody_reads_the_number_is_told():
    many = "\n".join(f"a{number}: 1" for number in range(1_500))
    _, diagnostics = build_text(document({"root": many}))
    assert len(diagnostics) == 1_001
    assert str(diagnostics[-1]) == "f.yaml:1:1: warning[more-findings]: 500 more warnings are not shown"


def test_an_error_behind_many_warnings_is_told():
    many = "\n".join(f"a{number}: 1" for number in range(1_500))
    _, diagnostics = build_text(document({"root": f"{many}\ncomponents: {{parameters: 1}}"}))
    assert [it.rule for it in diagnostics if it.severity == "error"] == ["wrong-type"]
