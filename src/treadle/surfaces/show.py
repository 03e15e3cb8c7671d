"""What is in a document, for people and as JSON: workflows with inputs, steps and outputs, and the credentials they take."""

from collections.abc import Iterable, Iterator
from typing import Any

from treadle.diagnostics import printable
from treadle.document import model
from treadle.engine.inputs import properties, required
from treadle.engine.schema import SchemaInvalid, linked_schema

FORMAT = "treadle.show/1"


def shown(document: model.Document, workflows: Iterable[model.Workflow], root: Any) -> dict[str, Any]:
    """Give what is in a document as a JSON value; `root` is its plain value, in which schemas of inputs refer."""
    return {
        "format": FORMAT,
        "title": document.info.title,
        "version": document.info.version,
        "sources": [
            {"name": source.name, "type": source.type or "openapi", "url": source.url}
            for source in document.source_descriptions
        ],
        "workflows": [_workflow(workflow, root) for workflow in workflows],
    }


def _workflow(workflow: model.Workflow, root: Any) -> dict[str, Any]:
    try:
        schema = linked_schema(workflow.inputs, root)
    except SchemaInvalid:
        schema = None  # `treadle check` says what is wrong with it
    declared = properties(schema, schema) or {}
    needed = required(schema)
    return {
        "workflowId": workflow.workflow_id,
        **({"summary": workflow.summary} if workflow.summary else {}),
        "inputs": [_input(name, entry, required=name in needed) for name, entry in declared.items()],
        "steps": [_step(step) for step in workflow.steps],
        "outputs": list(workflow.outputs),
    }


def _input(name: str, schema: Any, *, required: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": name, "required": required}
    if isinstance(schema, dict):
        entry |= {key: schema[key] for key in ("type", "format", "default", "description") if key in schema}
    return entry


def _step(step: model.Step) -> dict[str, Any]:
    entry: dict[str, Any] = {"stepId": step.step_id}
    named = {
        "operationId": step.operation_id,
        "operationPath": step.operation_path,
        "channelPath": step.channel_path,
        "workflowId": step.workflow_id,
        "x-operation": step.extensions.get("x-operation"),
        "description": step.description,
    }
    return {
        **entry,
        **{field: value for field, value in named.items() if value is not None},
        "outputs": list(step.outputs),
    }


def show_lines(value: dict[str, Any]) -> list[str]:
    """Write it as lines for people."""
    return [printable(line) for line in _lines(value)]


def _lines(value: dict[str, Any]) -> Iterator[str]:
    yield f"{value['title']} {value['version']}"
    for source in value["sources"]:
        yield f"source {source['name']} ({source['type']}): {source['url']}"
    for workflow in value["workflows"]:
        yield ""
        yield f"workflow {workflow['workflowId']}" + (f": {workflow['summary']}" if "summary" in workflow else "")
        for entry in workflow["inputs"]:
            yield _input_line(entry)
        for number, step in enumerate(workflow["steps"], 1):
            yield f"  {number}. {step['stepId']}: {_calls(step)}"
        if workflow["outputs"]:
            yield f"  outputs: {', '.join(workflow['outputs'])}"
    if "credentials" in value:
        yield ""
        yield "credentials"
        yield from _credentials(value["credentials"])


def _input_line(entry: dict[str, Any]) -> str:
    kind = entry.get("type", "any")
    words = [kind if isinstance(kind, str) else " or ".join(map(str, kind))]
    if "default" in entry:
        words.append(f"default {entry['default']!r}")
    elif entry["required"]:
        words.append("required")
    description = entry.get("description")
    more = f": {description.splitlines()[0]}" if isinstance(description, str) and description.strip() else ""
    return f"  input {entry['name']} ({', '.join(words)}){more}"


def _calls(step: dict[str, Any]) -> str:
    if "workflowId" in step:
        return f"workflow {step['workflowId']}"
    written = step.get("x-operation")
    if isinstance(written, dict):
        return f"{str(written.get('method', '')).upper()} {written.get('url', '')}"
    return str(step.get("operationId") or step.get("operationPath") or step.get("channelPath") or "")


def _credentials(entries: list[dict[str, Any]]) -> Iterator[str]:
    """Write each scheme once, with the steps that need it."""
    if not entries:
        yield "  none is needed but what the document itself gives"
    steps: dict[tuple[str, ...], list[str]] = {}
    first: dict[tuple[str, ...], dict[str, Any]] = {}
    for entry in entries:
        key = (entry["source"], entry["scheme"], entry["server"], *entry["from"], entry.get("give", ""))
        steps.setdefault(key, []).append(entry["stepId"])
        first.setdefault(key, entry)
    for key, entry in first.items():
        yield f"  {entry['source']}:{entry['scheme']} ({_kind(entry)}), sent to {entry['server']}"
        yield f"    needed by {', '.join(dict.fromkeys(steps[key]))}"
        if entry.get("scopes"):
            yield f"    scopes {' '.join(entry['scopes'])}"
        if entry.get("tokensFrom"):
            yield f"    tokens from {', '.join(entry['tokensFrom'])}"
        yield f"    from {', '.join(entry['from'])}" if entry["from"] else f"    missing; give {entry['give']}"


def _kind(entry: dict[str, Any]) -> str:
    return f"{entry['kind']} in {entry['in']} {entry['name']}" if entry["kind"] == "apiKey" else str(entry["kind"])
