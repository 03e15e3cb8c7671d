"""What a step calls: an operation with its arguments and body, or another workflow with its inputs."""

import re
from collections.abc import Container, Iterable

from msgspec import UNSET, structs

from treadle.document import model
from treadle.engine import program
from treadle.engine.linked import SourcesMissing
from treadle.engine.names import near
from treadle.engine.payloads import target_type
from treadle.engine.program import Flow
from treadle.engine.scope import Scope, Target, find_workflow
from treadle.engine.secret_flows import body_flows, credential, flows
from treadle.engine.secret_inputs import SECRET_NAME
from treadle.errors import ExpressionInvalid, RequestInvalid, TreadleError
from treadle.expressions import payload, selectors
from treadle.expressions.dialect import Finding
from treadle.expressions.syntax import Template
from treadle.expressions.words import kind
from treadle.pointer import Path
from treadle.sources.bodies import body_hint, content_type_of, has_form
from treadle.sources.keys import key_place, key_places
from treadle.sources.media import media_type
from treadle.sources.operation import BodySpec, Operation, ParameterSpec, query_conflict, undeclared
from treadle.sources.parameters import writer
from treadle.sources.references import DocumentsMissing, DocumentUnavailable, ReferenceInvalid
from treadle.sources.request import HttpRequest
from treadle.sources.servers import ServerInvalid

_OUT_OF_REACH = Operation("", "GET", "/", "http://out-of-reach.invalid")
"""Stands for an operation whose description was not looked for; what is compiled with it is never run."""


def read_call(scope: Scope, step: model.Step) -> program.Call | program.WorkflowCall | None:
    """Read what a step calls; None where a finding says why it cannot be called."""
    if step.channel_path is not None or step.action is not None or step.correlation_id is not None:
        field = "channelPath" if step.channel_path is not None else "action" if step.action else "correlationId"
        scope.findings.not_yet("a step that sends or receives messages (AsyncAPI)", (*step.at, field))
        return None
    if step.workflow_id is not None:
        return _workflow_step(scope, step, step.workflow_id)
    if step.undescribed:
        return _undescribed_step(scope, step)
    if step.operation_id is None and step.operation_path is None:
        return None  # said when the document was built
    return _operation_step(scope, step)


# Workflows


def _workflow_step(scope: Scope, step: model.Step, workflow_id: str) -> program.WorkflowCall | None:
    target = workflow_target(scope, workflow_id, (*step.at, "workflowId"))
    if target is None:
        return None
    linked, workflow = target
    takes = linked.inputs(workflow)
    own = scope.parameters(step.parameters)
    # "Each parameter MUST be passed to an operation or workflow": those that it can take.
    shared = [entry for entry in scope.parameters(scope.workflow.parameters) if takes is None or entry.name in takes]
    inputs = _inputs(scope, (*shared, *own), scope.number(step))
    for entry in own:
        if takes is not None and entry.name not in takes:
            message = f"workflow '{workflow.workflow_id}' declares no input '{entry.name}'"
            scope.findings.warn("unknown-input", message, (*entry.at, "name"), near(entry.name, takes))
    _check_required(scope, step, target, [name for name, _ in inputs])
    return program.WorkflowCall(scope.link.number(*target), inputs)


def _check_required(scope: Scope, step: model.Step, target: Target, given: Iterable[str]) -> None:
    linked, workflow = target
    for name in linked.required(workflow):
        if name not in given:
            message = (
                f"step '{step.step_id}' gives no value for the input '{name}' of workflow '{workflow.workflow_id}'"
            )
            scope.findings.error("missing-parameter", message, step.at, f"add a parameter `name: {name}`")


def _inputs(
    scope: Scope, parameters: Iterable[model.Parameter], number: int
) -> tuple[tuple[str, payload.Payload], ...]:
    """Read parameters as the inputs of a workflow; where a name stands twice, the later one counts."""
    found = {}
    for entry in parameters:
        value = scope.value(entry.value, (*entry.at, "value"), number)
        if SECRET_NAME.search(entry.name):
            scope.mark_secret(value)
        found[entry.name] = value
    return tuple(found.items())


def transfer(
    scope: Scope, workflow_id: str, at: Path, parameters: tuple[model.Parameter | model.Reusable, ...], number: int
) -> program.WorkflowCall | None:
    """Read the workflow that an action goes to, with its parameters.

    What they do not give, it takes from the inputs of the workflow that it comes from, by name: Arazzo 1.0 knows no
    parameters of actions.
    """
    target = workflow_target(scope, workflow_id, at)
    inputs = _inputs(scope, scope.parameters(parameters), number + 1)
    if target is None:
        return None
    return program.WorkflowCall(scope.link.number(*target), inputs, _inherited(target, inputs))


def _inherited(target: Target, given: tuple[tuple[str, payload.Payload], ...] = ()) -> tuple[str, ...]:
    linked, workflow = target
    takes = linked.inputs(workflow) or {}
    return tuple(name for name in takes if name not in dict(given))


def dependency(scope: Scope, workflow_id: str, at: Path) -> program.WorkflowCall | None:
    """Read a workflow of `dependsOn`; its inputs are those of the dependent one, by name."""
    target = workflow_target(scope, workflow_id, at)
    return None if target is None else program.WorkflowCall(scope.link.number(*target), (), _inherited(target))


def workflow_target(scope: Scope, text: str, at: Path) -> Target | None:
    """Find the workflow that a workflowId names, or add the finding that says why there is none."""
    target = find_workflow(scope.linked, text)
    if target is None:
        _workflow_unknown(scope, text, at)
    elif not text.startswith("$") and target[0] is not scope.linked:
        name = next(name for name, other in scope.linked.linked() if other is target[0])
        # "the `workflowId` MUST be specified using a Runtime Expression"
        correct = f"write `$sourceDescriptions.{name}.{target[1].workflow_id}`"
        message = "a workflow of another document is named by a runtime expression"
        scope.findings.dialects([Finding("plain-workflow-id", message, 0, len(text), correct)], text, at)
    return target


def _workflow_unknown(scope: Scope, text: str, at: Path) -> None:
    sources = scope.linked.sources
    if any(source.out_of_reach for source in sources.values()):
        return  # it may be there
    name = text.removeprefix("$sourceDescriptions.").partition(".")[0]
    source = sources.get(name) if text.startswith("$") else None
    if source is not None and source.problem is not None:
        scope.findings.add(source.problem)
    elif text.startswith("$") and source is None:
        message = f"`{text}`: there is no source description '{name}'"
        scope.findings.error("unknown-workflow", message, at, near(name, sources))
    elif source is not None and source.document is None:
        message = f"source '{name}' is of type {source.kind} and has no workflows"
        scope.findings.error("unknown-workflow", message, at, "only a source of type arazzo has workflows")
    else:
        linked = scope.linked if source is None or source.document is None else source.document
        known = [flow.workflow_id for flow in linked.document.workflows]
        wanted = text.removeprefix(f"$sourceDescriptions.{name}.") if source is not None else text
        where = f"source '{name}' has" if source is not None else "there is"
        scope.findings.error("unknown-workflow", f"{where} no workflow '{wanted}'", at, near(wanted, known))


# Operations


def _operation_step(scope: Scope, step: model.Step) -> program.Call | None:
    field = "operationId" if step.operation_id is not None else "operationPath"
    at = (*step.at, field)
    text = step.operation_id or step.operation_path or ""
    findings: list[Finding] = []
    try:
        operation, server = scope.link.operations(scope.linked).find(
            text, by_path=step.operation_id is None, findings=findings
        )
    except (DocumentsMissing, SourcesMissing):
        raise  # no finding: the caller brings them and compiles again
    except TreadleError as error:
        if any(source.out_of_reach for source in scope.linked.sources.values()):
            return _unchecked(scope, step)
        _operation_unknown(scope, error, at)
        return None
    scope.findings.dialects(findings, text, at)
    if operation.security:
        from treadle.sources.security import at_server  # noqa: PLC0415 - many descriptions have no security

        operation = structs.replace(operation, security=at_server(operation.security, server))
    arguments = _arguments(scope, step, operation)
    body = _body(scope, step, operation.body, operation.method)
    secret = _flows(scope, operation, arguments, body)
    given = _given(scope, step, operation.source)
    settled = bool(operation.security) and _settled(operation, arguments)
    return program.Call(operation, server, arguments, body, secret, given, settled=settled)


def _settled(operation: Operation, arguments: Iterable[program.Argument]) -> bool:
    """Say whether the header fields that a step sends in any case are what its operation requires."""
    from treadle.sources.security import unmet  # noqa: PLC0415 - many descriptions have no security

    sure = (argument.spec for argument in arguments if _always_sent(argument.value))
    headers = tuple((spec.name, "") for spec in sure if spec.location == "header")
    return not unmet(operation.security, HttpRequest(operation.method, "", headers))


def _always_sent(value: payload.Payload) -> bool:
    return isinstance(value, Template) or (isinstance(value, payload.Constant) and isinstance(value.value, str))


def _undescribed_step(scope: Scope, step: model.Step) -> program.Call | None:
    from treadle.engine.undescribed import read_operation  # noqa: PLC0415 - few documents have x-operation

    call = read_operation(scope, step)
    if call is None:
        return None
    operation = call.operation
    arguments = _arguments(scope, step, operation)
    body = _body(scope, step, None, operation.method)
    secret = _flows(scope, operation, arguments, body)
    return structs.replace(call, arguments=arguments, body=body, flows=secret, given=_given(scope, step, ""))


def _given(scope: Scope, step: model.Step, source: str) -> tuple[program.Given, ...]:
    if "x-security" not in step.extensions and "x-security" not in scope.workflow.extensions:
        return ()
    from treadle.engine.credentials import given_credentials  # noqa: PLC0415 - few documents have x-security

    return given_credentials(scope, step, source)


def _flows(
    scope: Scope, operation: Operation, arguments: Iterable[program.Argument], body: program.Body | None
) -> tuple[Flow, ...]:
    """Mark the inputs that flow to where credentials go, and give what else does: that is known when it is sent."""
    source = scope.linked.sources.get(operation.source)
    description = None if source is None else source.description
    keys = frozenset() if description is None else key_places(description.security_schemes())
    # Those that the operation requires were followed wherever they stand.
    keys |= {key_place(need.name, need.location) for needs in operation.security for need in needs}
    found: list[Flow] = []
    for spec, value in ((argument.spec, argument.value) for argument in arguments):
        if credential(spec.name, spec.location) or key_place(spec.name, spec.location) in keys:
            scope.mark_secret(value)
            found += flows(spec.name, spec.location, value)
        elif spec.location == "cookie":
            found += flows(spec.name, spec.location, value)
    if body is not None:
        replaced = [entry.value for entry in body.replacements if SECRET_NAME.search(entry.target[-1])]
        for value in (*body_flows(body.payload), *replaced):
            scope.mark_secret(value)
            found += flows("", "body", value)
    return tuple(found)


def _unchecked(scope: Scope, step: model.Step) -> program.Call:
    """Read all of a step that does not need the description of its operation."""
    for parameter in (*scope.parameters(scope.workflow.parameters), *scope.parameters(step.parameters)):
        scope.value(parameter.value, (*parameter.at, "value"), scope.number(step))
    return program.Call(_OUT_OF_REACH, _OUT_OF_REACH.server, (), _body(scope, step, None, "GET"))


def _operation_unknown(scope: Scope, error: TreadleError, at: Path) -> None:
    """A source that could not be loaded explains an operation that is not found, so it is said in its place."""
    problems = [source.problem for source in scope.linked.sources.values() if source.problem is not None]
    for problem in problems:
        scope.findings.add(problem)
    if isinstance(error, DocumentUnavailable):
        scope.findings.add(error.problem)
    elif not problems:
        rule = "server" if isinstance(error, ServerInvalid) else "unknown-operation"
        scope.findings.refused(error.placed() if isinstance(error, ReferenceInvalid) else error, at, rule)


def _arguments(scope: Scope, step: model.Step, operation: Operation) -> tuple[program.Argument, ...]:
    path = operation.path
    found: dict[tuple[str, str], program.Argument] = {}
    inherited = scope.parameters(scope.workflow.parameters)
    calls_workflows = any(other.workflow_id is not None for other in scope.steps)
    for parameter in (*inherited, *scope.parameters(step.parameters)):
        location, at = parameter.location, parameter.at
        if location is None:
            if calls_workflows and parameter in inherited:
                continue  # it is meant for the steps that call workflows
            message = f"parameter '{parameter.name}' does not say where it goes"
            scope.findings.error("parameter-in", message, at, "add `in:`")
            continue
        if location == "path" and "{" + parameter.name + "}" not in path:
            if parameter not in inherited:
                message = f"the path {path} has no place for parameter '{parameter.name}'"
                scope.findings.error("unknown-parameter", message, at, near(parameter.name, _placeholders(path)))
            continue
        value = scope.value(parameter.value, (*at, "value"), scope.number(step))
        spec = operation.parameter(parameter.name, location) or undeclared(parameter.name, location)
        _check_value(scope, step, spec, value, (*at, "value"))
        found[_key(parameter.name, location)] = program.Argument(spec, value)
    _check_required_parameters(scope, step, operation, found)
    conflict = query_conflict(argument.spec for argument in found.values())
    if conflict is not None:
        message = f"{conflict}, in step '{step.step_id}'"
        scope.findings.error("query-conflict", message, step.at, "give one or the other")
    return tuple(found.values())


def _key(name: str, location: str) -> tuple[str, str]:
    return (name.lower() if location == "header" else name, location)


def _check_value(scope: Scope, step: model.Step, spec: ParameterSpec, value: payload.Payload, at: Path) -> None:
    """Refuse a value of the document itself that the parameter cannot have, before anything is sent."""
    if isinstance(value, payload.Constant):
        try:
            writer(spec)(value.value)
        except RequestInvalid as error:
            message = f"step '{step.step_id}': {error.message}"
            scope.findings.error("parameter-value", message, at, error.hint)


def _check_required_parameters(
    scope: Scope, step: model.Step, operation: Operation, given: Container[tuple[str, str]]
) -> None:
    for name in _placeholders(operation.path):
        if (name, "path") not in given:
            message = f"step '{step.step_id}' gives no value for '{name}' in the path {operation.path}"
            hint = f"add a parameter `name: {name}`, `in: path`"
            scope.findings.error("missing-parameter", message, step.at, hint)
    for spec in operation.parameters:
        name, location = spec.name, spec.location
        missing = spec.required and location != "path" and not spec.has_default
        # What carries a credential may come from elsewhere than the document.
        if missing and _key(name, location) not in given and not credential(name, location):
            message = (
                f"step '{step.step_id}' gives no value for the parameter '{name}' in {location}, which is required"
            )
            hint = f"add a parameter `name: {name}`, `in: {location}`"
            scope.findings.error("missing-parameter", message, step.at, hint)


def _body(scope: Scope, step: model.Step, declared: BodySpec | None, method: str) -> program.Body | None:
    written = step.request_body
    if written is None or written.payload is UNSET:
        if declared is not None and declared.required:
            message = f"step '{step.step_id}' gives no payload, but its operation ({method}) requires a body"
            scope.findings.error("missing-body", message, step.at, "add `requestBody: {payload: …}`")
        if written is not None and written.replacements:
            at = (*written.at, "replacements")
            scope.findings.error("missing-body", "there is no payload to replace anything in", at, "add `payload:`")
        return None
    number = scope.number(step)
    value = scope.value(written.payload, (*written.at, "payload"), number)
    known = isinstance(value, payload.Constant | payload.Members | payload.Items)
    content_type = written.content_type or content_type_of(declared, written.payload, known=known)
    replacements = _replacements(scope, written, content_type, number)
    if known and not has_form(written.payload, content_type):
        message = f"a payload that is {kind(written.payload)} cannot be written as {content_type}"
        field = "payload" if written.content_type is None else "contentType"
        scope.findings.error("not-supported", message, (*written.at, field), body_hint(media_type(content_type)))
    return program.Body(content_type, value, replacements)


def _replacements(
    scope: Scope, body: model.RequestBody, content_type: str, number: int
) -> tuple[program.Replacement, ...]:
    found = []
    for entry in body.replacements:
        target = (*target_type(entry.target_selector_type, body.payload, content_type), entry.target)
        try:
            selectors.check(*target)
        except ExpressionInvalid as error:
            scope.findings.refused(error, (*entry.at, "target"))
            continue
        found.append(program.Replacement(target, scope.value(entry.value, (*entry.at, "value"), number)))
    return tuple(found)


def _placeholders(path: str) -> list[str]:
    return re.findall(r"\{([^{}]+)\}", path)
