"""The dialects: what real documents write in place of what the specification asks for, each by the name of its rule.

Who reads which: `document.build` those of a document's structure, `expressions` those of expressions and conditions,
`engine.operations` and `engine.calls` those that name operations and workflows. Each use is a warning with the correct
form, and strictly an error.
"""

from msgspec import structs

from treadle.diagnostics import Diagnostic, Severity

DIALECTS = {
    # The structure of a document
    "version-number": "The version of Arazzo is a string of three numbers.",
    "field-of-later-version": "A field belongs to the version of Arazzo that brought it.",
    "uri-reference": "A source's url and `$self` are URI-references (RFC 3986).",
    "name-characters": "Names of outputs and components match `[a-zA-Z0-9._-]+`.",
    "depends-on-list": "What a workflow or step depends on is a list.",
    "action-name": "An action has a name.",
    "duplicate-action": "A list has no two actions of one name and the same criteria; the second is never reached.",
    "action-parameter-in": "Parameters of an action become inputs of a workflow: they have no `in`.",
    # Which operation or workflow is meant
    "plain-operation-id": "With several source descriptions, an operationId names the one it belongs to.",
    "source-dot-operation": "An operation of a source is `$sourceDescriptions.SOURCE.OPERATION`.",
    "operation-path": "An operationPath is `{$sourceDescriptions.SOURCE.url}` and a JSON Pointer.",
    "plain-workflow-id": "A workflow of another document is `$sourceDescriptions.SOURCE.WORKFLOW`.",
    # Expressions
    "unknown-root": "An expression starts with `$` and a word of the grammar; what only looks like one is plain text.",
    "body-root": "The body of an answer is `$response.body`.",
    "headers-plural": "A header is `$response.header.NAME`.",
    "dot-navigation": "Outside a condition, the way into a value is a JSON Pointer.",
    "pointer-without-slash": "A JSON Pointer starts with a slash.",
    "query-in-expression": "A query into a value is a Selector Object.",
    "step-output-without-outputs": "An output of a step stands after `.outputs.`.",
    "literal-name": "Names of inputs and outputs match `[A-Za-z0-9._-]+`; no expression can reach others.",
    "whole-map": "An expression names one input or output.",
    "embedded-without-braces": "An expression inside other text stands in braces.",
    # Conditions
    "double-quoted-string": "A string in a condition stands in single quotes.",
    "unquoted-string": "A string in a condition stands in single quotes.",
    "expression-in-quotes": "An expression in a condition stands as it is, without quotes and braces.",
    "body-as-condition": "A simple condition compares single values; it has no literals for objects and arrays.",
    "jsonpath-comparison": "A comparison is a condition of type simple; a JSONPath query has none outside its filters.",
    "jsonpath-filter-on-object": "A filter selects among the children of an array or object, not the object itself.",
}
"""Every dialect: the name of its rule, and what the specification asks for instead."""


def strictly(found: Diagnostic) -> Diagnostic:
    """Give a finding as `--strict` has it: a dialect is an error."""
    return structs.replace(found, severity=Severity.ERROR) if found.rule in DIALECTS else found
