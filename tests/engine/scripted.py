"""The pure core played from a script: a case of tests/cases/engine in, what it did out. No event loop, made-up time."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import urljoin

import fast_yaml
import msgspec

from loader import table
from treadle.document.build import build
from treadle.document.reader import read
from treadle.engine.compile import Compilation, compile_workflow
from treadle.engine.effects import Effect, HttpFailed, HttpResponse, Result, SendHttp, Slept
from treadle.engine.interpreter import Outcome, Run
from treadle.engine.journal import Record
from treadle.engine.linked import LinkedDocument, Source
from treadle.engine.program import Program
from treadle.engine.state import Limits
from treadle.sources.openapi import Description
from treadle.sources.references import Registry

API = "https://api.test/v1"
NOON = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


def source(value: Any = None, name: str = "api", uri: str = "file:///cases/api.yaml") -> Source:
    value = table("engine/api.openapi.yaml") if value is None else value
    return Source("openapi", Description(name, uri, value, Registry({uri: value})))


def document(case: dict[str, Any]) -> dict[str, Any]:
    """Wrap the workflow of a case, and others beside it, into a document."""
    others = [{"name": name, "url": f"{name}.arazzo.yaml", "type": "arazzo"} for name in case.get("documents", {})]
    own = [{"workflowId": "w", "steps": case["steps"], **case.get("workflow", {})}] if "steps" in case else []
    return {
        "arazzo": case.get("arazzo", "1.1.0"),
        **({"$self": case["self"]} if "self" in case else {}),
        "info": {"title": "a case", "version": "1"},
        "sourceDescriptions": [{"name": "api", "url": "api.yaml", "type": "openapi"}, *others],
        "workflows": [*own, *case.get("workflows", [])],
        "components": case.get("components", {}),
    }


def linked(text: str, uri: str = "file:///cases/case.yaml", **sources: Source) -> LinkedDocument:
    """Read a document and link it to its sources."""
    reading = read(text, uri.rpartition("/")[2])
    built, diagnostics = build(reading)
    assert built is not None, diagnostics
    found = LinkedDocument(built, reading, urljoin(uri, built.self_uri or ""), diagnostics)
    for described in built.source_descriptions:
        found.sources[described.name] = sources.get(described.name) or Source(described.type or "openapi")
    return found


def compiled(text: str, *, strict: bool = False, **sources: Source) -> Compilation:
    """Compile the first workflow of a document."""
    document = linked(text, **(sources or {"api": source()}))
    return compile_workflow(document, document.document.workflows[0].workflow_id, strict=strict)


def compile_case(case: dict[str, Any]) -> Compilation:
    """Compile the first workflow of a case; other documents of it lead back to it as `main`."""
    api = source(case.get("openapi"))
    known: dict[str, LinkedDocument] = {}
    for name, other in case.get("documents", {}).items():
        text = msgspec.json.encode({**document({"documents": {"main": None}}), **other}).decode()
        known[name] = linked(text, f"file:///cases/{name}.arazzo.yaml", api=api)
    sources = {name: Source("arazzo", document=other) for name, other in known.items()}
    main = linked(msgspec.json.encode(document(case)).decode(), api=api, **sources)
    for other in known.values():
        other.sources["main"] = Source("arazzo", document=main)
    return compile_workflow(main, main.document.workflows[0].workflow_id)


def program(case: dict[str, Any]) -> Program:
    result = compile_case(case)
    assert result.program is not None, result.diagnostics
    return result.program


def limits(case: dict[str, Any]) -> Limits:
    return Limits(**case.get("limits", {}))


def answer(line: dict[str, Any]) -> Result:
    """Make the result that a line of a script stands for."""
    if "fail" in line:
        return HttpFailed(line["fail"], line.get("message", "it broke"), line.get("hint"), sent=line.get("sent", False))
    headers = dict(line.get("headers", {}))
    body = b""
    if "json" in line:
        headers.setdefault("Content-Type", "application/json")
        body = msgspec.json.encode(line["json"])
    elif "text" in line:
        headers.setdefault("Content-Type", "text/html; charset=utf-8")
        body = line["text"].encode(line.get("encoding", "utf-8"))
    return HttpResponse(line.get("status", 200), tuple((n, str(v)) for n, v in headers.items()), body)


class Played(NamedTuple):
    effects: list[Effect]
    records: list[Record]
    outcome: Outcome


def play(run: Run, script: list[dict[str, Any]], now: float = NOON) -> Played:
    """Drive a run to its end: each request gets the next line of the script, each sleep takes its time."""
    lines = iter(script)
    effects: list[Effect] = []
    records: list[Record] = []
    if not run.pending() and run.outcome is None:
        records += run.begin(now)
    while pending := run.pending():
        (effect,) = pending
        effects.append(effect)
        if isinstance(effect, SendHttp):
            line = next(lines, None)
            assert line is not None, f"the script has no answer to {shown(effect)}"
            now += line.get("took", 0)
            records += run.deliver(effect.id, answer(line), now)
        else:
            now += effect.seconds
            records += run.deliver(effect.id, Slept(), now)
    assert run.outcome is not None
    assert next(lines, None) is None, "the script has answers that nobody asked for"
    return Played(effects, records, run.outcome)


def shown(effect: Effect) -> str:
    if isinstance(effect, SendHttp):
        return f"{effect.request.method} {effect.request.url.removeprefix(API)}"
    return f"sleep {effect.seconds:g} {effect.reason}" + (f" ~{effect.jitter:g}" if effect.jitter else "")


def yaml(text: str) -> Any:
    return fast_yaml.safe_load(text)
