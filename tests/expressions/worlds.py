"""What the tests of this folder share: the context of cases/expressions/world.yaml, and trees as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from loader import table
from treadle.expressions.evaluate import Context, Missing
from treadle.expressions.syntax import Expression


@dataclass
class Said:
    """A message whose parts are given."""

    headers: dict[str, str] = field(default_factory=dict)
    queries: dict[str, Any] = field(default_factory=dict)
    paths: dict[str, Any] = field(default_factory=dict)
    content: Any = None

    def header(self, name: str) -> Any:
        return self.headers.get(name.lower())

    def query(self, name: str) -> Any:
        return self.queries.get(name)

    def path(self, name: str) -> Any:
        return self.paths.get(name)

    def body(self) -> Any:
        return self.content


def world(case: dict[str, Any] | None = None) -> Context:
    """The world; a case may replace the status, inputs and bodies (`absent_body` says why there is none)."""
    case = case or {}
    data = table("expressions/world.yaml")
    context = Context(
        inputs={**data["inputs"], **case.get("inputs", {})},
        steps=data["steps"],
        workflows=data["workflows"],
        sources=data["sources"],
        self_uri=data["self"],
    )
    context.url, context.method, context.outputs = data["url"], data["method"], data["outputs"]
    context.status = case.get("status", data["status"])
    request, response = dict(data["request"]), dict(data["response"])
    context.request = Said(request["headers"], request["queries"], request["paths"], request["body"])
    context.response = Said(response["headers"], content=response["body"])
    if "request_body" in case:
        context.request.content = case["request_body"]
    if "body" in case:
        content_type = case.get("content_type")
        context.response = Said({"content-type": content_type} if content_type else {}, content=case["body"])
    if "absent_body" in case:
        context.response = Said(content=Missing(case["absent_body"], unreadable=case.get("unreadable", True)))
    return context


def tree(node: Expression) -> dict[str, Any]:
    """The node as plain values, without offsets and empty fields."""
    fields = msgspec.json.decode(msgspec.json.encode(node)).items()
    return {name: value for name, value in fields if name not in ("start", "end") and value not in ("", [])}
