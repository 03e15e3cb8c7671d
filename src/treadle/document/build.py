"""Plain values to the typed model, with every finding on the way; the first one stops nothing.

What an Object may hold is a table of Fields. Versions 1.0 and 1.1 are two values: the fields of 1.1 are marked, and a
document that says 1.0 gets a warning for each. What texts mean (expressions, conditions) is not read here.
"""

import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, NamedTuple

from msgspec import Struct

from treadle.diagnostics import Diagnostic, Severity
from treadle.document import model
from treadle.document.reader import Reading
from treadle.pointer import Path

SUPPORTED = ("1.0", "1.1")
_VERSION = re.compile(r"^(\d+\.\d+)(?:\.\d+)?(?:-.*)?$", re.ASCII)
_NAME = re.compile(r"^[a-zA-Z0-9.\-_]+$")
_KINDS = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number"}


class Field(NamedTuple):
    """One fixed field of an Object: its name in documents, the attribute it becomes, how its value is read."""

    name: str
    attribute: str
    read: "Reader"
    required: bool = False
    since: str = "1.0"


Reader = Callable[["Builder", Any, Path], Any]
_REFUSED = object()


class Builder:
    """Collects what is found while one document is built."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.version = "1.1"
        self.diagnostics: list[Diagnostic] = []

    def error(self, rule: str, message: str, at: Path, hint: str | None = None, *, key: bool = False) -> None:
        """Note an error at a location."""
        span = self.reading.span(at, key=key)
        self.diagnostics.append(Diagnostic(rule, Severity.ERROR, message, span, hint))

    def warn(self, rule: str, message: str, at: Path, hint: str | None = None, *, key: bool = False) -> None:
        """Note a warning at a location."""
        span = self.reading.span(at, key=key)
        self.diagnostics.append(Diagnostic(rule, Severity.WARNING, message, span, hint))


def build(reading: Reading) -> tuple[model.Document | None, list[Diagnostic]]:
    """Build the document, or None where its structure does not allow it; the diagnostics hold every finding."""
    builder = Builder(reading)
    value = reading.value
    if not isinstance(value, dict) or "arazzo" not in value:
        found = "an OpenAPI description" if isinstance(value, dict) and "openapi" in value else _kind(value)
        builder.error(
            "not-arazzo",
            f"this is not an Arazzo document: the root has no field 'arazzo', it is {found}",
            (),
            "an Arazzo document starts with `arazzo: 1.0.1` or `arazzo: 1.1.0`",
        )
        return None, builder.diagnostics
    version = value["arazzo"]
    matched = _VERSION.match(version) if isinstance(version, str) else None
    if matched is None or matched[1] not in SUPPORTED:
        builder.error(
            "arazzo-version",
            f"version {version!r} of Arazzo is unknown",
            ("arazzo",),
            f"Treadle reads the versions {', '.join(f'{known}.x' for known in SUPPORTED)}; write them as a string",
        )
        return None, builder.diagnostics
    builder.version = matched[1]
    document = _object(model.Document, _DOCUMENT)(builder, value, ())
    if document is _REFUSED:
        return None, builder.diagnostics
    _check_document(builder, document)
    return document, builder.diagnostics


def _kind(value: Any) -> str:
    return "null" if value is None else _KINDS.get(type(value), type(value).__name__)


def _typed(*types: type, word: str) -> Reader:
    def read(builder: Builder, value: Any, at: Path) -> Any:
        if isinstance(value, types) and not (isinstance(value, bool) and bool not in types):
            return value
        builder.error("wrong-type", f"{_label(at)} is {_kind(value)}, but {word} belongs here", at)
        return _REFUSED

    return read


def _any(builder: Builder, value: Any, at: Path) -> Any:  # noqa: ARG001 - one signature for all readers
    return value


def _not_negative(read: Reader) -> Reader:
    def checked(builder: Builder, value: Any, at: Path) -> Any:
        result = read(builder, value, at)
        if result is not _REFUSED and result < 0:
            builder.error("negative", f"{_label(at)} is {value}, but it must not be negative", at)
            return _REFUSED
        return result

    return checked


def _one_of(*allowed: str, hint: dict[str, str] | None = None) -> Reader:
    def read(builder: Builder, value: Any, at: Path) -> Any:
        if value in allowed:
            return value
        choices = ", ".join(f"'{choice}'" for choice in allowed)
        advice = (hint or {}).get(value) if isinstance(value, str) else None
        builder.error("unknown-value", f"{_label(at)} is {value!r}, but it must be one of {choices}", at, advice)
        return _REFUSED

    return read


def _list(item: Reader, *, at_least: int = 0) -> Reader:
    def read(builder: Builder, value: Any, at: Path) -> Any:
        if not isinstance(value, list):
            builder.error("wrong-type", f"{_label(at)} is {_kind(value)}, but an array belongs here", at)
            return _REFUSED
        if len(value) < at_least:
            builder.error("empty-list", f"{_label(at)} is empty, but needs at least one entry", at)
        items = [item(builder, entry, (*at, index)) for index, entry in enumerate(value)]
        return tuple(entry for entry in items if entry is not _REFUSED)

    return read


def _map(item: Reader, *, names: bool = True) -> Reader:
    def read(builder: Builder, value: Any, at: Path) -> Any:
        if not isinstance(value, dict):
            hint = "write each as `name: $expression`" if isinstance(value, list) else None
            builder.error("wrong-type", f"{_label(at)} is {_kind(value)}, but an object belongs here", at, hint)
            return _REFUSED
        result = {}
        for name, entry in value.items():
            where = (*at, name)
            if names and not (isinstance(name, str) and _NAME.match(name)):
                builder.warn(
                    "name-characters",
                    f"the name {name!r} has characters that names must not have",
                    where,
                    "names match [a-zA-Z0-9._-]+; no runtime expression can reach this one otherwise",
                    key=True,
                )
            read_entry = item(builder, entry, where)
            if read_entry is not _REFUSED:
                result[str(name)] = read_entry
        return result

    return read


def _object(struct: type[Struct], fields: tuple[Field, ...], *, keep_extensions: bool = False) -> Reader:
    by_name = {field.name: field for field in fields}
    title = re.sub(r"(?<!^)([A-Z])", r" \1", struct.__name__) + " Object"

    def read(builder: Builder, value: Any, at: Path) -> Any:
        if not isinstance(value, dict):
            builder.error("wrong-type", f"{_label(at)} is {_kind(value)}, but a {title} belongs here", at)
            return _REFUSED
        found: dict[str, Any] = {"at": at}
        extensions: dict[str, Any] = {}
        refused = False
        for name, entry in value.items():
            field = by_name.get(name)
            if field is not None:
                result = field.read(builder, entry, (*at, name))
                refused |= result is _REFUSED
                found[field.attribute] = result
                _check_since(builder, field, at)
            elif isinstance(name, str) and name.startswith("x-"):
                extensions[name] = entry
            else:
                _unknown_field(builder, title, str(name), tuple(by_name), at)
        for field in fields:
            if field.required and field.name not in value:
                where = f" in {_label(at)}" if at else ""
                builder.error("missing-field", f"the required field '{field.name}' is absent{where}", at)
                refused = True
        if refused:
            return _REFUSED
        if keep_extensions:
            found["extensions"] = extensions
        return struct(**found)

    return read


def _check_since(builder: Builder, field: Field, at: Path) -> None:
    if field.since > builder.version:
        builder.warn(
            "field-of-later-version",
            f"the field '{field.name}' came with Arazzo {field.since}, but the document says {builder.version}",
            (*at, field.name),
            f"write `arazzo: {field.since}.0` at the top",
            key=True,
        )


def _unknown_field(builder: Builder, title: str, name: str, known: tuple[str, ...], at: Path) -> None:
    near = get_close_matches(name, known, 1)
    hint = f"did you mean '{near[0]}'?" if near else "fields of your own start with 'x-'"
    builder.warn("unknown-field", f"the {title} has no field '{name}'; it is ignored", (*at, name), hint, key=True)


def _label(at: Path) -> str:
    if not at:
        return "the document"
    return "".join(
        f"[{part}]" if isinstance(part, int) else ("." if i else "") + str(part) for i, part in enumerate(at)
    )


def _reusable_or(read: Reader) -> Reader:
    def either(builder: Builder, value: Any, at: Path) -> Any:
        if isinstance(value, dict) and "reference" in value:
            reference = _string(builder, value["reference"], (*at, "reference"))
            if reference is _REFUSED:
                return _REFUSED
            # "This object cannot be extended with additional properties and any properties added MUST be ignored."
            return model.Reusable(reference, value.get("value"), "value" in value, at)
        return read(builder, value, at)

    return either


def _named_action(read: Reader, kind: str) -> Reader:
    def named(builder: Builder, value: Any, at: Path) -> Any:
        if isinstance(value, dict) and "name" not in value and "type" in value:
            builder.warn(
                "action-name", f"the {kind} has no name", at, "an action needs a `name`; it is shown in reports"
            )
            value = {"name": f"{kind.replace(' ', '-')}-{at[-1]}", **value}
        return read(builder, value, at)

    return named


def _selector_or_text(builder: Builder, value: Any, at: Path) -> Any:
    if isinstance(value, dict):
        return _SELECTOR_OBJECT(builder, value, at)
    return _string(builder, value, at)


def _expression_type(*kinds: str) -> Reader:
    plain = _one_of(*kinds)

    def read(builder: Builder, value: Any, at: Path) -> Any:
        if isinstance(value, dict):
            return _EXPRESSION_TYPE_OBJECT(builder, value, at)
        return plain(builder, value, at)

    return read


def _depends(builder: Builder, value: Any, at: Path) -> Any:
    if isinstance(value, str):
        builder.warn("depends-on-list", "dependsOn is a list of ids", at, f"write `dependsOn: [{value}]`")
        return (value,)
    return _list(_string)(builder, value, at)


_string = _typed(str, word="a string")
_number = _not_negative(_typed(int, float, word="a number"))
_integer = _not_negative(_typed(int, word="an integer"))
_schema = _typed(dict, bool, word="a JSON Schema")

_EXPRESSION_TYPE_OBJECT = _object(
    model.ExpressionType,
    (
        Field("type", "type", _one_of("jsonpath", "xpath", "jsonpointer"), required=True),
        Field("version", "version", _string, required=True),
    ),
)
_SELECTOR_OBJECT = _object(
    model.Selector,
    (
        Field("context", "context", _string, required=True),
        Field("selector", "selector", _string, required=True),
        Field("type", "type", _expression_type("jsonpath", "xpath", "jsonpointer"), required=True),
    ),
)
_CRITERION = _object(
    model.Criterion,
    (
        Field("context", "context", _string),
        Field("condition", "condition", _string, required=True),
        Field("type", "type", _expression_type("simple", "regex", "jsonpath", "xpath")),
    ),
)
_PARAMETER = _object(
    model.Parameter,
    (
        Field("name", "name", _string, required=True),
        Field("in", "location", _one_of("path", "query", "querystring", "header", "cookie")),
        Field("value", "value", _any, required=True),
    ),
)
_PARAMETERS = _list(_reusable_or(_PARAMETER))
_ACTION_FIELDS = (
    Field("name", "name", _string, required=True),
    Field("workflowId", "workflow_id", _string),
    Field("stepId", "step_id", _string),
    Field("parameters", "parameters", _PARAMETERS, since="1.1"),
    Field("criteria", "criteria", _list(_CRITERION)),
)
_SUCCESS_TYPE = _one_of(
    "end", "goto", hint={"retry": "only failure actions retry; to poll, use a `goto` to the same step with criteria"}
)
_SUCCESS_ACTION = _named_action(
    _object(model.SuccessAction, (*_ACTION_FIELDS, Field("type", "type", _SUCCESS_TYPE, required=True))),
    "success action",
)
_FAILURE_ACTION = _named_action(
    _object(
        model.FailureAction,
        (
            *_ACTION_FIELDS,
            Field("type", "type", _one_of("end", "retry", "goto"), required=True),
            Field("retryAfter", "retry_after", _number),
            Field("retryLimit", "retry_limit", _integer),
        ),
    ),
    "failure action",
)
_REPLACEMENT = _object(
    model.PayloadReplacement,
    (
        Field("target", "target", _string, required=True),
        Field(
            "targetSelectorType",
            "target_selector_type",
            _expression_type("jsonpath", "xpath", "jsonpointer"),
            since="1.1",
        ),
        Field("value", "value", _any, required=True),
    ),
)
_REQUEST_BODY = _object(
    model.RequestBody,
    (
        Field("contentType", "content_type", _string),
        Field("payload", "payload", _any),
        Field("replacements", "replacements", _list(_REPLACEMENT)),
    ),
)
_STEP = _object(
    model.Step,
    (
        Field("stepId", "step_id", _string, required=True),
        Field("description", "description", _string),
        Field("operationId", "operation_id", _string),
        Field("operationPath", "operation_path", _string),
        Field("channelPath", "channel_path", _string, since="1.1"),
        Field("workflowId", "workflow_id", _string),
        Field("parameters", "parameters", _PARAMETERS),
        Field("requestBody", "request_body", _REQUEST_BODY),
        Field("successCriteria", "success_criteria", _list(_CRITERION, at_least=1)),
        Field("onSuccess", "on_success", _list(_reusable_or(_SUCCESS_ACTION))),
        Field("onFailure", "on_failure", _list(_reusable_or(_FAILURE_ACTION))),
        Field("outputs", "outputs", _map(_selector_or_text)),
        Field("timeout", "timeout", _integer, since="1.1"),
        Field("correlationId", "correlation_id", _string, since="1.1"),
        Field("action", "action", _one_of("send", "receive"), since="1.1"),
        Field("dependsOn", "depends_on", _depends, since="1.1"),
    ),
    keep_extensions=True,
)
_WORKFLOW = _object(
    model.Workflow,
    (
        Field("workflowId", "workflow_id", _string, required=True),
        Field("summary", "summary", _string),
        Field("description", "description", _string),
        Field("inputs", "inputs", _schema),
        Field("dependsOn", "depends_on", _depends),
        Field("steps", "steps", _list(_STEP, at_least=1), required=True),
        Field("successActions", "success_actions", _list(_reusable_or(_SUCCESS_ACTION))),
        Field("failureActions", "failure_actions", _list(_reusable_or(_FAILURE_ACTION))),
        Field("outputs", "outputs", _map(_selector_or_text)),
        Field("parameters", "parameters", _PARAMETERS),
    ),
    keep_extensions=True,
)
_DOCUMENT = (
    Field("arazzo", "arazzo", _string, required=True),
    Field("$self", "self_uri", _string, since="1.1"),
    Field(
        "info",
        "info",
        _object(
            model.Info,
            (
                Field("title", "title", _string, required=True),
                Field("summary", "summary", _string),
                Field("description", "description", _string),
                Field("version", "version", _string, required=True),
            ),
        ),
        required=True,
    ),
    Field(
        "sourceDescriptions",
        "source_descriptions",
        _list(
            _object(
                model.SourceDescription,
                (
                    Field("name", "name", _string, required=True),
                    Field("url", "url", _string, required=True),
                    Field("type", "type", _one_of("openapi", "asyncapi", "arazzo")),
                ),
            ),
            at_least=1,
        ),
        required=True,
    ),
    Field("workflows", "workflows", _list(_WORKFLOW, at_least=1), required=True),
    Field(
        "components",
        "components",
        _object(
            model.Components,
            (
                Field("inputs", "inputs", _map(_schema)),
                Field("parameters", "parameters", _map(_PARAMETER)),
                Field("successActions", "success_actions", _map(_SUCCESS_ACTION)),
                Field("failureActions", "failure_actions", _map(_FAILURE_ACTION)),
            ),
        ),
    ),
)


def _check_document(builder: Builder, document: model.Document) -> None:
    """Check what no single field shows: uniqueness, and fields that exclude or need each other."""
    _unique(builder, [(source.name, (*source.at, "name")) for source in document.source_descriptions], "source name")
    _unique(builder, [(flow.workflow_id, (*flow.at, "workflowId")) for flow in document.workflows], "workflowId")
    if document.self_uri is not None and "#" in document.self_uri:
        builder.error("self-fragment", "'$self' must not have a fragment", ("$self",))
    for workflow in document.workflows:
        _unique(builder, [(step.step_id, (*step.at, "stepId")) for step in workflow.steps], "stepId")
        _check_actions(builder, (*workflow.success_actions, *workflow.failure_actions))
        _check_parameters(builder, workflow.parameters)
        for step in workflow.steps:
            _check_step(builder, step)
    components = document.components
    _check_actions(builder, (*components.success_actions.values(), *components.failure_actions.values()))


def _unique(builder: Builder, names: list[tuple[str, Path]], word: str) -> None:
    seen: set[str] = set()
    for name, at in names:
        if name in seen:
            builder.error("not-unique", f"the {word} '{name}' stands twice", at, "each must be unique")
        seen.add(name)


def _check_step(builder: Builder, step: model.Step) -> None:
    targets = {
        "operationId": step.operation_id,
        "operationPath": step.operation_path,
        "channelPath": step.channel_path,
        "workflowId": step.workflow_id,
    }
    given = [name for name, value in targets.items() if value is not None]
    if len(given) != 1:
        said = f"has {' and '.join(given)}" if given else "says neither operation nor workflow"
        builder.error(
            "step-target", f"step '{step.step_id}' {said}", step.at, f"give exactly one of {', '.join(targets)}"
        )
    _check_parameters(builder, step.parameters)
    _check_actions(builder, (*step.on_success, *step.on_failure))
    for criterion in step.success_criteria:
        _check_criterion(builder, criterion)
    if step.workflow_id is None:
        for parameter in step.parameters:
            if isinstance(parameter, model.Parameter) and parameter.location is None:
                builder.error(
                    "parameter-in",
                    f"parameter '{parameter.name}' does not say where it goes",
                    parameter.at,
                    "add `in:` path, query, querystring, header or cookie",
                )


def _check_parameters(builder: Builder, parameters: tuple[model.Parameter | model.Reusable, ...]) -> None:
    known = [parameter for parameter in parameters if isinstance(parameter, model.Parameter)]
    _unique(builder, [(f"{entry.name} in {entry.location}", entry.at) for entry in known], "parameter")


def _check_actions(
    builder: Builder, actions: tuple[model.SuccessAction | model.FailureAction | model.Reusable, ...]
) -> None:
    for action in actions:
        if isinstance(action, model.Reusable):
            continue
        targets = [name for name in (action.step_id, action.workflow_id) if name is not None]
        if len(targets) > 1:
            builder.error("action-target", f"action '{action.name}' has both stepId and workflowId", action.at)
        if action.type == "goto" and not targets:
            builder.error(
                "action-target", f"action '{action.name}' does not say where to go", action.at, "add `stepId:`"
            )
        if action.type == "end" and targets:
            builder.warn("action-target", f"action '{action.name}' ends the workflow; its target is ignored", action.at)
        for criterion in action.criteria:
            _check_criterion(builder, criterion)


def _check_criterion(builder: Builder, criterion: model.Criterion) -> None:
    kind = criterion.type.type if isinstance(criterion.type, model.ExpressionType) else criterion.type
    if kind != "simple" and criterion.context is None:
        builder.error(
            "criterion-context",
            f"a criterion of type {kind} needs a context",
            criterion.at,
            "add `context: $response.body` (or another runtime expression)",
        )
