"""Every public name, used as its type says. Never run: `mypy --strict` reads it, and refuses the calls marked so."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, assert_type

import treadle
from treadle import (
    Binary,
    Diagnostic,
    DocumentInvalid,
    EffectFailed,
    ExpressionInvalid,
    InputsInvalid,
    Journal,
    JournalFailed,
    LoadedDocument,
    MemoryJournal,
    Options,
    Outcome,
    Runner,
    RunRefused,
    Severity,
    SourceInvalid,
    Span,
    SqliteJournal,
    TreadleError,
    __version__,
    check,
    code_frame,
    load,
    run,
    run_async,
)


def documents() -> LoadedDocument:
    assert_type(__version__, str)
    document = load("workflow.arazzo.yaml")
    assert_type(document, LoadedDocument)
    assert_type(document.workflow_ids, list[str])
    assert_type(document.diagnostics, list[Diagnostic])
    assert_type(check(document), list[Diagnostic])
    assert_type(check("dataiku", strict=True), list[Diagnostic])
    load(7)  # type: ignore[arg-type]
    assert_type(load(Path("x.yaml")), LoadedDocument)
    check()  # type: ignore[call-arg]
    return document


def diagnostics(found: Diagnostic) -> str:
    assert_type(found.rule, str)
    assert_type(found.severity, Severity)
    assert_type(found.message, str)
    assert_type(found.span, Span | None)
    assert_type(found.hint, str | None)
    if found.span is not None:
        assert_type(found.span.line, int)
    found.message = "another"  # type: ignore[misc]
    Diagnostic("rule", Severity.WARNING, "message", Span("file", 1, 2, 3, 4), hint="hint")
    Diagnostic("rule", Severity.ERROR)  # type: ignore[call-arg]
    return code_frame(found, None)


def outcomes(document: LoadedDocument) -> None:
    outcome = run(document, "workflow", {"a": 1}, server="https://x.test", timeout=5, strict=True)
    assert_type(outcome, Outcome)
    assert_type(outcome.status, str)
    assert_type(outcome.run_id, str)
    assert_type(outcome.workflow_id, str)
    assert_type(outcome.outputs, dict[str, Any])
    assert_type(outcome.steps, list[dict[str, Any]])
    assert_type(outcome.report(), dict[str, Any])
    assert_type(outcome.diagnostics, list[Diagnostic])
    if outcome.error is not None:
        assert_type(outcome.error.kind, str)
        assert_type(outcome.error.hint, str | None)
    outcome.raise_for_status()
    outcome.stdout  # type: ignore[attr-defined]  # noqa: B018
    run()  # type: ignore[call-arg]
    run(document, "workflow", {"a": 1}, "https://x.test")  # type: ignore[call-arg, arg-type]
    run(document, "workflow", [("a", 1)])  # type: ignore[arg-type]
    run(document, observe="no")  # type: ignore[arg-type]


async def runners(document: LoadedDocument, options: Mapping[str, Any]) -> None:
    assert_type(await run_async("dataiku", inputs={}, **options), Outcome)
    async with Runner(
        server={"dss": "https://x.test"}, poll_interval=2, credentials={"key": "k"}, prompt=print
    ) as runner:
        assert_type(runner, Runner)
        assert_type(await runner.load("dataiku"), LoadedDocument)
        assert_type(await runner.run(document, "workflow", {}, observe=print), Outcome)
        await runner.run()  # type: ignore[call-arg]
    with Runner() as runner:  # type: ignore[attr-defined]
        pass
    journals: list[Journal] = [MemoryJournal(), SqliteJournal("runs.sqlite")]
    async with Runner(journal=journals[0]) as durable:
        assert_type(await durable.resume("id", {"apiKey": "x"}, observe=print), Outcome)
        assert_type(await durable.retry("id", "step", {"apiKey": "x"}, observe=print), Outcome)
        assert_type(await durable.forget(30 * 86400.0), int)
    assert_type(await run_async(document, journal=Path("runs.sqlite")), Outcome)
    Runner(journal=7)  # type: ignore[arg-type]
    Runner(clock=7)  # type: ignore[arg-type]
    run_async("dataiku").status  # type: ignore[attr-defined]  # noqa: B018


def settings() -> Options:
    Options("https://x.test")  # type: ignore[call-arg]
    Options(servr="https://x.test")  # type: ignore[call-arg]
    Options(timeout="5")  # type: ignore[arg-type]
    Options(credentials={"oauth": {"client_id": "me", "hosts": ["x.test"]}}, profile="work", keep_tokens=True)
    return Options(server="https://x.test", source={"a": "b"}, timeout=1.5, max_steps=9, insecure=True, proxy=None)


def errors() -> None:
    try:
        run("dataiku")
    except InputsInvalid as error:
        assert_type(error.problems, list[str])
    except SourceInvalid as error:
        assert_type(error.diagnostics, list[Diagnostic])
    except DocumentInvalid as error:
        assert_type(error.diagnostics, list[Diagnostic])
    except (RunRefused, EffectFailed, JournalFailed) as error:
        assert_type(error.hint, str | None)
    except ExpressionInvalid as error:
        assert_type(error.start, int)
    except TreadleError as error:
        assert_type(error.message, str)
    TreadleError("message", "hint")  # type: ignore[call-arg]
    treadle.TreadleError(7)  # type: ignore[arg-type]


def binary(outcome: Outcome) -> bytes:
    found = outcome.outputs["image"]
    assert_type(outcome.report(lambda body: body.media_type), dict[str, Any])
    if isinstance(found, Binary):
        assert_type(found.media_type, str)
        return found.content
    return b""
