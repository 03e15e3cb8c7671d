"""Plain values to the typed model, with every finding on the way; the first one stops nothing.

What an Object may hold is a table of Fields; what fields ask of each other is in `checks`. Versions 1.0 and 1.1 are two
values: the fields of 1.1 are marked, and are a dialect in a document that says 1.0. What texts mean (expressions,
conditions) is not read here.
"""

import re
from typing import Any
from urllib.parse import urlsplit

from treadle.diagnostics import Diagnostic
from treadle.document import model
from treadle.document.checks import check_document
from treadle.document.fields import (
    REFUSED,
    Builder,
    Field,
    Reader,
    anything,
    check_since,
    kind,
    label,
    list_of,
    map_of,
    not_negative,
    object_of,
    one_of,
    typed,
    written,
)
from treadle.document.reader import Reading
from treadle.pointer import Path

SUPPORTED = ("1.0", "1.1")
_VERSION = re.compile(r"(\d+\.\d+)(?:\.\d+)?(?:-.*)?", re.ASCII)


_IN_URIS = r"(?:[A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})*"
_URI_REFERENCE = re.compile(f"{_IN_URIS}(?:#{_IN_URIS})?")


def build(reading: Reading) -> tuple[model.Document | None, list[Diagnostic]]:
    """Build the document, or None where its structure does not allow it; the diagnostics hold every finding.

    Where they hold an error, the document has holes: it is there to find what else is wrong, not to be run.
    """
    builder = Builder(reading)
    document = _build(builder, reading.value)
    if document is not None:
        check_document(builder, document)
    return document, builder.finished()


def _build(builder: Builder, value: Any) -> model.Document | None:
    if not isinstance(value, dict) or "arazzo" not in value:
        found = "an OpenAPI description" if isinstance(value, dict) and "openapi" in value else kind(value)
        builder.error(
            "not-arazzo",
            f"this is not an Arazzo document: the root has no field 'arazzo', it is {found}",
            (),
            "an Arazzo document starts with `arazzo: 1.0.1` or `arazzo: 1.1.0`",
        )
        return None
    version = value["arazzo"]
    number = isinstance(version, int | float) and not isinstance(version, bool)
    matched = _VERSION.fullmatch(version if isinstance(version, str) else str(version) if number else "")
    if matched is None or matched[1] not in SUPPORTED:
        builder.error(
            "arazzo-version",
            f"version {written(version)} of Arazzo is unknown",
            ("arazzo",),
            f"Treadle reads the versions {', '.join(f'{known}.x' for known in SUPPORTED)}; write them as a string",
        )
        return None
    builder.version = matched[1]
    for at, tag in builder.reading.foreign_tags():
        # "Tags MUST be limited to those allowed by the JSON Schema ruleset" (section "Format")
        builder.error(
            "yaml-tag", f"{label(at) or 'the document'} has the tag {tag}, which JSON has not", at, "take it away"
        )
    if number or version == matched[1]:
        message = f"version {written(version)} of Arazzo is not three numbers"
        builder.dialect("version-number", message, ("arazzo",), f"write `arazzo: {matched[1]}.0`")
    document = object_of(model.Document, _DOCUMENT, with_holes=True)(builder, {**value, "arazzo": matched[0]}, ())
    return None if document is REFUSED else document


def _version_text(builder: Builder, value: Any, at: Path) -> Any:
    """Take a version; YAML reads `1.0` as a number."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        builder.dialect(
            "version-number", f"{label(at)} is a number, but a string belongs here", at, f"write `'{value}'`"
        )
        return str(value)
    return _string(builder, value, at)


def _uri_reference(builder: Builder, value: Any, at: Path) -> Any:
    """Take a URI-reference (RFC 3986 section 4.1); what has odd characters in it is still one to many programs."""
    text = _string(builder, value, at)
    if text is REFUSED:
        return REFUSED
    try:
        urlsplit(text)
    except ValueError as error:
        hint = "brackets in a host are for IPv6 addresses, such as [::1]"
        builder.error("uri", f"{label(at)} is no URI-reference: {str(error).lower()}", at, hint)
        return REFUSED
    if not _URI_REFERENCE.fullmatch(text):
        hint = "spaces and other characters are percent-encoded in a URI, such as %20"
        builder.dialect("uri-reference", f"{label(at)} has characters that a URI-reference must not have", at, hint)
    return text


def _reusable_or(read: Reader) -> Reader:
    def either(builder: Builder, value: Any, at: Path) -> Any:
        if isinstance(value, dict) and "reference" in value:
            reference = _string(builder, value["reference"], (*at, "reference"))
            if reference is REFUSED:
                return REFUSED
            # "This object cannot be extended with additional properties and any properties added MUST be ignored."
            return model.Reusable(reference, value.get("value"), "value" in value, at)
        if isinstance(value, dict) and "$ref" in value:
            hint = "write `reference: $components.KIND.NAME`; `$ref` is for schemas of inputs"
            builder.error("reference", f"{label(at)} refers by `$ref`, which belongs into schemas only", at, hint)
            return REFUSED
        return read(builder, value, at)

    return either


def _named_action(read: Reader, kind: str) -> Reader:
    def named(builder: Builder, value: Any, at: Path) -> Any:
        if isinstance(value, dict) and "name" not in value and "type" in value:
            hint = "an action needs a `name`; it is shown in reports"
            builder.dialect("action-name", f"the {kind} has no name", at, hint)
            whose = "step" if "steps" in at else at[0] if at[0] == "components" else "workflow"
            value = {"name": f"{whose}-{kind.replace(' ', '-')}-{at[-1]}", **value}
        return read(builder, value, at)

    return named


def _selector_or_text(builder: Builder, value: Any, at: Path) -> Any:
    if isinstance(value, dict):
        check_since(builder, "a Selector Object", "1.1", at)
        return _SELECTOR_OBJECT(builder, value, at)
    return _string(builder, value, at)


def _expression_type(*kinds: str) -> Reader:
    plain = one_of(*kinds)
    typed_kinds = tuple(kind for kind in kinds if kind in model.EXPRESSION_VERSIONS)
    with_version = object_of(
        model.ExpressionType,
        (
            Field("type", "type", one_of(*typed_kinds), required=True),
            Field("version", "version", _string, required=True),
        ),
    )

    def read(builder: Builder, value: Any, at: Path) -> Any:
        if not isinstance(value, dict):
            return plain(builder, value, at)
        found = with_version(builder, value, at)
        if found is REFUSED:
            return REFUSED
        versions = model.EXPRESSION_VERSIONS[found.type]
        if found.version not in versions:
            choices = ", ".join(f"'{version}'" for version in versions)
            message = (
                f"'{found.version}' is no version of {found.type}; there {'are' if versions[1:] else 'is'} {choices}"
            )
            hint = f"without a version, `type: {found.type}` means {versions[0]}"
            builder.error("expression-version", message, (*at, "version"), hint)
            return REFUSED
        return found

    return read


def _depends(builder: Builder, value: Any, at: Path) -> Any:
    if isinstance(value, str):
        builder.dialect("depends-on-list", "dependsOn is a list of ids", at, f"write `dependsOn: [{value}]`")
        return (value,)
    return list_of(_string)(builder, value, at)


_string = typed(str, word="a string")
_number = not_negative(typed(int, float, word="a number"))
_integer = not_negative(typed(int, word="an integer"))
_schema = typed(dict, bool, word="a JSON Schema")

_SELECTOR_OBJECT = object_of(
    model.Selector,
    (
        Field("context", "context", _string, required=True),
        Field("selector", "selector", _string, required=True),
        Field("type", "type", _expression_type("jsonpath", "xpath", "jsonpointer"), required=True),
    ),
)
_CRITERION = object_of(
    model.Criterion,
    (
        Field("context", "context", _string),
        Field("condition", "condition", _string, required=True),
        Field("type", "type", _expression_type("simple", "regex", "jsonpath", "xpath")),
    ),
    hint="write `condition: …`",
)
_PARAMETER = object_of(
    model.Parameter,
    (
        Field("name", "name", _string, required=True),
        Field(
            "in", "location", one_of("path", "query", "querystring", "header", "cookie", since={"querystring": "1.1"})
        ),
        Field("value", "value", anything, required=True),
    ),
)
_PARAMETERS = list_of(_reusable_or(_PARAMETER))
_ACTION_FIELDS = (
    Field("name", "name", _string, required=True),
    Field("workflowId", "workflow_id", _string),
    Field("stepId", "step_id", _string),
    Field("parameters", "parameters", _PARAMETERS, since="1.1"),
    Field("criteria", "criteria", list_of(_CRITERION)),
)
_SUCCESS_TYPE = one_of(
    "end", "goto", hint={"retry": "only failure actions retry; to poll, use a `goto` to the same step with criteria"}
)
_SUCCESS_ACTION = _named_action(
    object_of(model.SuccessAction, (*_ACTION_FIELDS, Field("type", "type", _SUCCESS_TYPE, required=True))),
    "success action",
)
_FAILURE_ACTION = _named_action(
    object_of(
        model.FailureAction,
        (
            *_ACTION_FIELDS,
            Field("type", "type", one_of("end", "retry", "goto"), required=True),
            Field("retryAfter", "retry_after", _number),
            Field("retryLimit", "retry_limit", _integer),
        ),
    ),
    "failure action",
)
_REPLACEMENT = object_of(
    model.PayloadReplacement,
    (
        Field("target", "target", _string, required=True),
        Field(
            "targetSelectorType",
            "target_selector_type",
            _expression_type("jsonpath", "xpath", "jsonpointer"),
            since="1.1",
        ),
        Field("value", "value", anything, required=True),
    ),
)
_REQUEST_BODY = object_of(
    model.RequestBody,
    (
        Field("contentType", "content_type", _string),
        Field("payload", "payload", anything),
        Field("replacements", "replacements", list_of(_REPLACEMENT)),
    ),
)
_RECONCILE = object_of(
    model.Reconcile,
    (
        Field("operationId", "operation_id", _string),
        Field("operationPath", "operation_path", _string),
        Field("parameters", "parameters", _PARAMETERS),
        Field("criteria", "criteria", list_of(_CRITERION, at_least=1), required=True),
        Field("ambiguous", "ambiguous", list_of(_CRITERION, at_least=1)),
        Field("unanswered", "unanswered", list_of(_CRITERION, at_least=1)),
        Field("outputs", "outputs", map_of(_selector_or_text)),
        Field("within", "within", anything),
        Field("otherwise", "otherwise", one_of("in-doubt", "retry")),
    ),
    keep_extensions=True,
)
_STEP = object_of(
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
        Field("successCriteria", "success_criteria", list_of(_CRITERION, at_least=1)),
        Field("onSuccess", "on_success", list_of(_reusable_or(_SUCCESS_ACTION))),
        Field("onFailure", "on_failure", list_of(_reusable_or(_FAILURE_ACTION))),
        Field("outputs", "outputs", map_of(_selector_or_text)),
        Field("timeout", "timeout", _integer, since="1.1"),
        Field("correlationId", "correlation_id", _string, since="1.1"),
        Field("action", "action", one_of("send", "receive"), since="1.1"),
        Field("dependsOn", "depends_on", _depends, since="1.1"),
        Field("x-treadle-reconcile", "reconcile", _RECONCILE),
    ),
    keep_extensions=True,
    with_holes=True,
)
_WORKFLOW = object_of(
    model.Workflow,
    (
        Field("workflowId", "workflow_id", _string, required=True),
        Field("summary", "summary", _string),
        Field("description", "description", _string),
        Field("inputs", "inputs", _schema),
        Field("dependsOn", "depends_on", _depends),
        Field("steps", "steps", list_of(_STEP, at_least=1), required=True),
        Field("successActions", "success_actions", list_of(_reusable_or(_SUCCESS_ACTION))),
        Field("failureActions", "failure_actions", list_of(_reusable_or(_FAILURE_ACTION))),
        Field("outputs", "outputs", map_of(_selector_or_text)),
        Field("parameters", "parameters", _PARAMETERS),
    ),
    keep_extensions=True,
    with_holes=True,
)
_DOCUMENT = (
    Field("arazzo", "arazzo", _string, required=True),
    Field("$self", "self_uri", _uri_reference, since="1.1"),
    Field(
        "info",
        "info",
        object_of(
            model.Info,
            (
                Field("title", "title", _string, required=True),
                Field("summary", "summary", _string),
                Field("description", "description", _string),
                Field("version", "version", _version_text, required=True),
            ),
        ),
        required=True,
        instead=model.Info("", ""),
    ),
    Field(
        "sourceDescriptions",
        "source_descriptions",
        list_of(
            object_of(
                model.SourceDescription,
                (
                    Field("name", "name", _string, required=True),
                    Field("url", "url", _uri_reference, required=True),
                    Field("type", "type", one_of("openapi", "asyncapi", "arazzo", since={"asyncapi": "1.1"})),
                ),
                keep_extensions=True,
            ),
            at_least=1,
        ),
        required=True,
        instead=(),
    ),
    Field("workflows", "workflows", list_of(_WORKFLOW, at_least=1), required=True),
    Field(
        "components",
        "components",
        object_of(
            model.Components,
            (
                Field("inputs", "inputs", map_of(_schema)),
                Field("parameters", "parameters", map_of(_PARAMETER)),
                Field("successActions", "success_actions", map_of(_SUCCESS_ACTION)),
                Field("failureActions", "failure_actions", map_of(_FAILURE_ACTION)),
            ),
        ),
    ),
)
