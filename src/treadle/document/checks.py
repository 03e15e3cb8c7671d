"""What no single field of a document shows: uniqueness, and fields that exclude or need each other."""

import re
from collections.abc import Iterable, Mapping

from treadle.document import model
from treadle.document.fields import Builder
from treadle.pointer import Path

_STRICT_NAME = re.compile(r"[A-Za-z0-9_-]+")
_SOURCE = re.compile(r"\{?\$sourceDescriptions\.([A-Za-z0-9_-]+)\.")

_SCHEMA_KEYWORDS = frozenset({
    "type", "properties", "required", "$ref", "$id", "$schema", "$defs", "$anchor", "$dynamicRef", "$comment", "definitions",
    "allOf", "anyOf", "oneOf", "not", "if", "then", "else", "enum", "const", "title", "description", "default", "examples",
    "additionalProperties", "patternProperties", "propertyNames", "minProperties", "maxProperties", "dependentRequired",
    "dependentSchemas", "unevaluatedProperties", "format",
})  # fmt: skip
"""What a schema of an object may say; one that says nothing of this is none."""

Action = model.SuccessAction | model.FailureAction


def check_document(builder: Builder, document: model.Document) -> None:
    """Check a document; what is found goes to the builder."""
    sources = [(source.name, (*source.at, "name")) for source in document.source_descriptions]
    workflows = [(workflow.workflow_id, (*workflow.at, "workflowId")) for workflow in document.workflows]
    _unique(builder, sources, "source name")
    _unique(builder, workflows, "workflowId")
    _reachable(builder, sources, "source")
    _reachable(builder, workflows, "workflow")
    if document.self_uri is not None and "#" in document.self_uri:
        builder.error("self-fragment", "'$self' must not have a fragment", ("$self",), "end it before the `#`")
    components = document.components
    types = {source.name: source.type for source in document.source_descriptions}
    for workflow in document.workflows:
        _check_workflow(builder, workflow, types, components)
    for actions in (components.success_actions, components.failure_actions):
        for action in actions.values():
            _check_action(builder, action, components)


def _check_workflow(
    builder: Builder, workflow: model.Workflow, sources: Mapping[str, str | None], components: model.Components
) -> None:
    steps = [(step.step_id, (*step.at, "stepId")) for step in workflow.steps]
    _unique(builder, steps, "stepId")
    _check_inputs(builder, workflow)
    _reachable(builder, steps, "step")
    _check_actions(builder, workflow.success_actions, components.success_actions, components)
    _check_actions(builder, workflow.failure_actions, components.failure_actions, components)
    _check_parameters(builder, workflow.parameters, components)
    for step in workflow.steps:
        if step.at not in builder.holes:  # what it calls may be what is not there
            _check_target(builder, step)
            _check_messages(builder, step, sources)
            _check_locations(builder, step)
        _check_parameters(builder, step.parameters, components)
        _check_actions(builder, step.on_success, components.success_actions, components)
        _check_actions(builder, step.on_failure, components.failure_actions, components)
        _check_criteria(builder, step.success_criteria)


def _unique(builder: Builder, names: Iterable[tuple[str, Path]], word: str) -> None:
    seen: set[str] = set()
    for name, at in names:
        if name in seen:
            builder.error("not-unique", f"the {word} '{name}' stands twice", at, "each must be unique")
        seen.add(name)


def _reachable(builder: Builder, names: Iterable[tuple[str, Path]], word: str) -> None:
    """Warn of ids that no expression can name: they "SHOULD conform to" the expression for `identifier-strict`."""
    for name, at in names:
        if not _STRICT_NAME.fullmatch(name):
            message = f"no runtime expression can name the {word} {name!r}"
            builder.warn("unreachable-name", message, at, "use letters, digits, '-' and '_' only")


def _check_inputs(builder: Builder, workflow: model.Workflow) -> None:
    """Warn of inputs by their names alone: in a JSON Schema they stand under `properties`, and nothing is said here."""
    schema = workflow.inputs
    if isinstance(schema, dict) and schema and schema.keys().isdisjoint(_SCHEMA_KEYWORDS):
        name = next(iter(schema))
        message = f"'{name}' is no keyword of JSON Schema, so these inputs declare nothing"
        builder.warn(
            "inputs-keywords", message, (*workflow.at, "inputs", name), "put the inputs under `properties:`", key=True
        )


# Steps


def _check_target(builder: Builder, step: model.Step) -> None:
    targets = {
        "operationId": step.operation_id,
        "operationPath": step.operation_path,
        "channelPath": step.channel_path,
        "workflowId": step.workflow_id,
    }
    given = [name for name, value in targets.items() if value is not None]
    if not given and step.undescribed:
        return
    if len(given) != 1:
        said = f"has {' and '.join(given)}" if given else "says neither operation nor workflow"
        builder.error(
            "step-target", f"step '{step.step_id}' {said}", step.at, f"give exactly one of {', '.join(targets)}"
        )
    elif step.workflow_id is not None and step.request_body is not None:
        message = f"step '{step.step_id}' calls a workflow, which takes inputs and no body"
        builder.error("workflow-body", message, (*step.at, "requestBody"), "give its inputs as `parameters`", key=True)


def _check_messages(builder: Builder, step: model.Step, sources: Mapping[str, str | None]) -> None:
    """Check what is "only applicable for `asyncapi` steps"; `sources` gives the type of each."""
    fields = {"channelPath": step.channel_path, "action": step.action, "correlationId": step.correlation_id}
    given = [name for name, value in fields.items() if value is not None]
    if not given:
        return
    match = _SOURCE.match(step.operation_id or step.operation_path or step.channel_path or "")
    kinds = set(sources.values()) if match is None else {sources.get(match[1])}
    if step.workflow_id is not None or kinds.isdisjoint({None, "asyncapi"}):
        where = "it calls a workflow" if step.workflow_id is not None else "its source is of another type"
        message = f"'{given[0]}' is for steps of an AsyncAPI description, but step '{step.step_id}' is none: {where}"
        hint = f"take '{given[0]}' away, or give the source description `type: asyncapi`"
        builder.error("asyncapi-only", message, (*step.at, given[0]), hint, key=True)
    elif step.correlation_id is not None and step.action == "send":
        message = f"step '{step.step_id}' sends; its correlationId is ignored"
        builder.warn(
            "ignored-field", message, (*step.at, "correlationId"), "it belongs to a step that receives", key=True
        )


def _check_locations(builder: Builder, step: model.Step) -> None:
    if step.workflow_id is not None:
        return
    for parameter in step.parameters:
        if isinstance(parameter, model.Parameter) and parameter.location is None:
            builder.error(
                "parameter-in",
                f"parameter '{parameter.name}' does not say where it goes",
                parameter.at,
                "add `in:` path, query, querystring, header or cookie",
            )


Parameters = tuple[model.Parameter | model.Reusable, ...]


def _check_parameters(builder: Builder, parameters: Parameters, components: model.Components) -> None:
    """Check that none stands twice: "A unique parameter is defined by the combination of a `name` and `in` fields"."""
    known = [(_parameter(entry, components), entry.at) for entry in parameters]
    names = [
        (f"{entry.name} in {entry.location}" if entry.location else entry.name, at) for entry, at in known if entry
    ]
    _unique(builder, names, "parameter")


def _parameter(entry: model.Parameter | model.Reusable, components: model.Components) -> model.Parameter | None:
    if isinstance(entry, model.Parameter):
        return entry
    return components.parameters.get(_component_name(entry.reference))


# Actions and criteria


def _check_actions(
    builder: Builder,
    actions: tuple[Action | model.Reusable, ...],
    shared: Mapping[str, Action],
    components: model.Components,
) -> None:
    """Check a list of actions, which "MUST NOT include duplicate" ones; real lists have one name with other criteria."""
    seen: set[tuple[str, tuple[tuple[str, str | None, object], ...]]] = set()
    for action in actions:
        if isinstance(action, model.Reusable):
            _check_reusable(builder, action)
        else:
            _check_action(builder, action, components)
        known = shared.get(_component_name(action.reference)) if isinstance(action, model.Reusable) else action
        if known is None:
            continue
        kinds = (criterion.type for criterion in known.criteria)
        types = [(it.type, it.version) if isinstance(it, model.ExpressionType) else it for it in kinds]
        texts = [(criterion.condition, criterion.context) for criterion in known.criteria]
        key = (known.name, tuple((*text, kind) for text, kind in zip(texts, types, strict=True)))
        if key in seen:
            message = f"the action '{known.name}' stands twice with the same criteria; the second is never reached"
            builder.dialect("duplicate-action", message, action.at, "take one of the two away")
        seen.add(key)


def _component_name(reference: str) -> str:
    """Give NAME of `$components.KIND.NAME`."""
    return reference.split(".", 2)[-1]


def _check_reusable(builder: Builder, action: model.Reusable) -> None:
    if action.has_value:
        message = "a value is for references to parameters; it is ignored"
        builder.warn("ignored-field", message, (*action.at, "value"), key=True)


def _check_action(builder: Builder, action: Action, components: model.Components) -> None:
    targets = [name for name in (action.step_id, action.workflow_id) if name is not None]
    if len(targets) > 1:
        message = f"action '{action.name}' has both stepId and workflowId"
        builder.error("action-target", message, action.at, "keep one of the two")
    if action.type == "goto" and not targets:
        builder.error("action-target", f"action '{action.name}' does not say where to go", action.at, "add `stepId:`")
    if action.type == "end" and targets:
        builder.warn("action-target", f"action '{action.name}' ends the workflow; its target is ignored", action.at)
    if action.type != "retry" and isinstance(action, model.FailureAction):
        for field, value in (("retryAfter", action.retry_after), ("retryLimit", action.retry_limit)):
            if value is not None:
                message = f"'{field}' is for actions of type retry, and '{action.name}' is of type {action.type}"
                builder.warn("ignored-field", f"{message}; it is ignored", (*action.at, field), key=True)
    if action.parameters and action.workflow_id is None:
        message = f"action '{action.name}' goes to no workflow that could take parameters; they are ignored"
        builder.warn("ignored-field", message, (*action.at, "parameters"), key=True)
    _check_parameters(builder, action.parameters, components)
    for entry in action.parameters:
        # "The `in` field MUST NOT be used."
        parameter = _parameter(entry, components)
        if parameter is not None and parameter.location is not None:
            message = f"parameter '{parameter.name}' of an action becomes an input of a workflow; its `in` is ignored"
            builder.dialect("action-parameter-in", message, entry.at, "take `in` away")
    _check_criteria(builder, action.criteria)


def _check_criteria(builder: Builder, criteria: tuple[model.Criterion, ...]) -> None:
    for criterion in criteria:
        kind = criterion.type.type if isinstance(criterion.type, model.ExpressionType) else criterion.type
        if kind != "simple" and criterion.context is None:
            builder.error(
                "criterion-context",
                f"a criterion of type {kind} needs a context",
                criterion.at,
                "add `context: $response.body` (or another runtime expression)",
            )
