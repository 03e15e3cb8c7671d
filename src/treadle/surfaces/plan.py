"""What people read of a plan: inputs, steps with their requests and actions, credentials."""

import json
from collections.abc import Iterator
from typing import Any

from treadle.diagnostics import printable
from treadle.expressions.words import shortened


def plan_lines(plan: dict[str, Any]) -> list[str]:
    """Write a plan, in which secrets are masked already, as lines for people."""
    return [printable(line) for line in _lines(plan)]


def _lines(plan: dict[str, Any]) -> Iterator[str]:
    yield f"{plan['workflowId']}: nothing is sent; this is what a run would do"
    if plan["inputs"]:
        yield "inputs"
        for name, value in plan["inputs"].items():
            yield f"  {name}: {shortened(json.dumps(value, ensure_ascii=False))}"
    yield "steps"
    for number, step in enumerate(plan["steps"], 1):
        yield from _step(number, step)
    if plan["credentials"]:
        yield "credentials"
        for entry in plan["credentials"]:
            yield f"  {_credential(entry)}"


def _credential(entry: dict[str, Any]) -> str:
    source = ", ".join(entry["from"])
    if "scheme" not in entry:
        return f"{entry['name']} in {entry['in']} of step {entry['stepId']}: from {source or 'the document itself'}"
    where = f"from {source}" if source else f"missing; give {entry['give']}"
    return f"{entry['scheme']} ({entry['kind']}) of step {entry['stepId']}: {where}"


def _step(number: int, step: dict[str, Any]) -> Iterator[str]:
    place = f"{step['caller']}/{step['stepId']}" if "caller" in step else step["stepId"]
    if "calls" in step:
        yield f"  {number}. {place}: workflow {step['calls']}"
    else:
        yield f"  {number}. {place}: {step['method']} {step['url']}"
    for name, value in step.get("headers", {}).items():
        yield f"       {name}: {value}"
    if "contentType" in step:
        yield f"       with a body of type {step['contentType']}"
    for left_out in step.get("leftOut", ()):
        yield f"       left out: {left_out}"
    for why in step.get("fails", ()):
        yield f"       fails: {why}"
    if "problem" in step:
        yield f"       not yet complete: {step['problem']}"
    for action in step["actions"]:
        target = action.get("stepId") or action.get("workflowId") or ""
        what = f"{action['type']} {target}".rstrip()
        when = " when " + " and ".join(f"`{text}`" for text in action["criteria"]) if "criteria" in action else ""
        yield f"       {'on success' if action['on'] == 'onSuccess' else 'on failure'}: {what}{when}"
