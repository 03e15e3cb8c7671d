"""The Python interface as its users have it: names, options, running loops, many runs at once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

import treadle
from treadle.drivers.run import Interruption
from treadle.engine.journal import StepBegan
from treadle.vendors.dataiku.simulator.clock import VirtualClock
from treadle.vendors.dataiku.simulator.server import running

WORKFLOW = "run-scenario-and-poll"
INPUTS = {"apiKey": "demo-key", "projectKey": "DEMO", "scenarioId": "NIGHTLY"}


@pytest.fixture
def simulator():
    with running(clock=VirtualClock(tick=1.0)) as simulator:
        yield simulator


def test_public_names():
    # A frozen list: to take a name away or to change it breaks other people's programs.
    assert treadle.__all__ == [
        "Binary",
        "Diagnostic",
        "DocumentInvalid",
        "EffectFailed",
        "ExpressionInvalid",
        "InputsInvalid",
        "Journal",
        "JournalFailed",
        "LoadedDocument",
        "MemoryJournal",
        "Options",
        "Outcome",
        "RunRefused",
        "Runner",
        "Severity",
        "SourceInvalid",
        "Span",
        "SqliteJournal",
        "TreadleError",
        "__version__",
        "check",
        "code_frame",
        "load",
        "run",
        "run_async",
    ]
    assert dir(treadle) == treadle.__all__
    for name in treadle.__all__:
        assert getattr(treadle, name) is not None
    with pytest.raises(AttributeError, match="module 'treadle' has no attribute 'nothing'"):
        treadle.nothing  # noqa: B018


def test_every_error_is_a_treadle_error():
    errors = [getattr(treadle, name) for name in treadle.__all__ if name.endswith(("Invalid", "Refused", "Failed"))]
    assert len(errors) == 7
    assert all(issubclass(error, treadle.TreadleError) for error in errors)


def test_importing_is_light():
    heavy = "aiohttp, asyncio, fast_yaml, jsonschema_rs, msgspec, yaml, rich, click"
    program = f"import sys, treadle; print([name for name in '{heavy}'.split(', ') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_load():
    document = treadle.load("dataiku")
    assert isinstance(document, treadle.LoadedDocument)
    assert document.workflow_ids[0] == WORKFLOW
    assert document.diagnostics == []
    assert repr(document).startswith("<LoadedDocument ")


def test_check():
    assert treadle.check("dataiku") == treadle.check(treadle.load("dataiku")) == []
    (found,) = treadle.check("nothing.yaml")
    assert (found.rule, found.severity, found.span) == ("not-found", treadle.Severity.ERROR, None)


def test_check_gives_each_finding_once(tmp_path):
    workflow = "- {{workflowId: {}, steps: [{{stepId: one, operationId: getScenarios}}]}}\n"
    path = tmp_path / "two.yaml"
    path.write_text(
        "arazzo: 1.0.1\ninfo: {title: t, version: '1'}\nextra: 1\n"
        "sourceDescriptions: [{name: dss, url: none.yaml}]\n"
        f"workflows:\n{workflow.format('a')}{workflow.format('b')}",
        "utf-8",
    )
    found = treadle.check(str(path), source={"dss": "dataiku"})
    assert [entry.rule for entry in found] == ["unknown-field", "unknown-operation", "unknown-operation"]
    assert "did you mean 'getScenario'?" in str(found[1])
    frame = treadle.code_frame(found[1], path.read_text("utf-8"))
    assert f"--> {path}:6:" in frame


def _check_outcome(outcome: treadle.Outcome) -> None:
    outcome.raise_for_status()
    assert (outcome.status, outcome.workflow_id, outcome.error) == ("succeeded", WORKFLOW, None)
    assert outcome.outputs["outcome"] == "SUCCESS"
    assert outcome.diagnostics == []
    assert outcome.steps[0]["stepId"] == "verifyScenario"
    assert repr(outcome) == f"<Outcome {WORKFLOW} succeeded>"
    report = outcome.report()
    assert (report["format"], report["runId"], report["steps"]) == ("treadle.report/1", outcome.run_id, outcome.steps)


def test_run(simulator):
    _check_outcome(treadle.run("dataiku", WORKFLOW, INPUTS, server=simulator.api_url, poll_interval=0))


def test_run_without_naming_the_only_workflow(simulator):
    document = treadle.load("dataiku")
    _check_outcome(treadle.run(document, inputs=INPUTS, server={"dss": simulator.api_url}, poll_interval=0))


def test_run_async(simulator):
    _check_outcome(
        asyncio.run(treadle.run_async("dataiku", WORKFLOW, INPUTS, server=simulator.api_url, poll_interval=0))
    )


def test_run_inside_a_running_loop(simulator):
    async def inside() -> treadle.Outcome:
        return treadle.run("dataiku", WORKFLOW, INPUTS, server=simulator.api_url, poll_interval=0)

    _check_outcome(asyncio.run(inside()))

    async def refused() -> None:
        treadle.run("dataiku", "none")

    with pytest.raises(treadle.RunRefused):
        asyncio.run(refused())


def test_observe_sees_the_records_in_their_order(simulator):
    records: list[object] = []
    treadle.run("dataiku", WORKFLOW, INPUTS, observe=records.append, server=simulator.api_url, poll_interval=0)
    names = [type(record).__name__ for record in records]
    assert (names[:3], names[-1]) == (["RunBegan", "StepBegan", "Delivered"], "RunEnded")
    assert "demo-key" not in repr(records[0])


def test_raise_for_status_says_why(simulator):
    outcome = treadle.run(
        "dataiku", WORKFLOW, {**INPUTS, "apiKey": "other-key"}, server=simulator.api_url, poll_interval=0
    )
    with pytest.raises(treadle.EffectFailed, match=r"step 'verifyScenario' failed: GET http.* answered 401") as raised:
        outcome.raise_for_status()
    assert raised.value.hint == "the server says: Unknown API Key"


def test_many_runs_share_one_runner(simulator):
    async def many() -> list[treadle.Outcome]:
        async with treadle.Runner(server=simulator.api_url, poll_interval=0) as runner:
            document = await runner.load("dataiku")
            scenarios = ["NIGHTLY", "WEEKLY_REPORT", "BROKEN", "PY_CLEANUP", "NOWHERE"]
            return await asyncio.gather(
                *(runner.run(document, WORKFLOW, {**INPUTS, "scenarioId": name}) for name in scenarios)
            )

    outcomes = asyncio.run(many())
    assert [outcome.status for outcome in outcomes] == ["succeeded", "succeeded", "failed", "succeeded", "failed"]
    assert len({outcome.run_id for outcome in outcomes}) == 5


def test_inputs_are_checked_before_anything_is_sent(simulator):
    with pytest.raises(treadle.InputsInvalid, match="'/apiKey' is required and absent") as refused:
        treadle.run("dataiku", WORKFLOW, {"projectKey": "", "scenarioId": 7}, server=simulator.api_url)
    assert len(refused.value.problems) == 3
    assert not simulator.requests


def test_a_workflow_that_is_not_there():
    with pytest.raises(treadle.RunRefused, match="has no workflow 'none'") as refused:
        treadle.run("dataiku", "none")
    assert refused.value.hint.startswith(f"it has {WORKFLOW}, ")


def test_a_workflow_has_to_be_named_where_there_are_several(tmp_path):
    path = tmp_path / "two.yaml"
    path.write_text(
        "arazzo: 1.0.1\ninfo: {title: t, version: '1'}\nsourceDescriptions: [{name: dss, url: none.yaml}]\nworkflows:\n"
        "- {workflowId: a, steps: [{stepId: one, operationId: x}]}\n"
        "- {workflowId: b, steps: [{stepId: one, operationId: x}]}\n",
        "utf-8",
    )
    with pytest.raises(treadle.RunRefused, match="has 2 workflows; say which") as refused:
        treadle.run(str(path))
    assert refused.value.hint == "there are a, b"


def test_a_document_that_cannot_be_run_says_why(tmp_path):
    path = tmp_path / "one.yaml"
    path.write_text(
        "arazzo: 1.0.1\ninfo: {title: t, version: '1'}\nsourceDescriptions: [{name: dss, url: none.yaml}]\nworkflows:\n"
        "- {workflowId: a, steps: [{stepId: one, operationId: x}]}\n",
        "utf-8",
    )
    with pytest.raises(treadle.DocumentInvalid, match=r"workflow 'a' of .* cannot be run") as refused:
        treadle.run(str(path))
    assert [found.rule for found in refused.value.diagnostics] == ["source"]


def test_an_option_that_is_not_there():
    for call in (
        lambda: treadle.run("dataiku", servr="http://x.test"),
        lambda: treadle.check("dataiku", servr="http://x.test"),
        lambda: treadle.Runner(servr="http://x.test"),
        lambda: asyncio.run(treadle.run_async("dataiku", servr="http://x.test")),
    ):
        with pytest.raises(TypeError, match=r"there is no option 'servr'; there are server, source, server_var, "):
            call()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"server": "dss.example.com"}, "the server 'dss.example.com' is no http"),
        ({"server": {"dss": "ftp://x"}}, "the server 'ftp://x' is no http"),
        ({"timeout": -1}, "timeout is -1.0, but must be a number of seconds that is not negative"),
        ({"timeout": 0}, "a timeout of 0 seconds leaves no time for anything"),
        ({"request_timeout": 0}, "a timeout of 0 seconds leaves no time for anything"),
        ({"poll_interval": float("nan")}, "poll_interval is nan"),
        ({"poll_max_interval": float("inf")}, "poll_max_interval is inf"),
        ({"max_retry_after": -0.1}, "max_retry_after is -0.1"),
        ({"max_steps": -1}, "max_steps is -1, but must not be negative"),
        ({"max_body": -1}, "max_body is -1"),
        ({"transport_retries": -1}, "transport_retries is -1"),
        ({"ca_cert": "none.pem"}, "none.pem"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(treadle.RunRefused) as refused:
        treadle.run("dataiku", WORKFLOW, INPUTS, **options)
    assert message in refused.value.message


def test_a_source_that_is_not_there():
    with pytest.raises(treadle.RunRefused, match="has no source description 'nope'"):
        treadle.run("dataiku", WORKFLOW, INPUTS, source={"nope": "dataiku"})
    with pytest.raises(treadle.RunRefused, match="has no source description 'nope'"):
        treadle.run("dataiku", WORKFLOW, INPUTS, server={"nope": "http://x.test"})


def test_options_are_a_value():
    options = treadle.Options(server="http://x.test", timeout=5)
    assert options == treadle.Options(timeout=5, server="http://x.test")
    assert options.servers == {"": "http://x.test"}
    assert repr(options) == "Options(server='http://x.test', timeout=5)"
    with pytest.raises(AttributeError):
        options.timeout = 6  # type: ignore[misc]


def _interrupted(simulator, reason_at: str) -> treadle.Outcome:
    """Interrupt a run of a scenario that never ends when a request of that step is under way."""

    async def run() -> treadle.Outcome:
        interruption = Interruption()

        def observe(record: object) -> None:
            if isinstance(record, StepBegan) and record.step_id == reason_at:
                interruption.request("interrupted")

        async with treadle.Runner(server=simulator.api_url, poll_interval=0) as runner:
            prepared = await runner.prepare("dataiku", WORKFLOW, {**INPUTS, "scenarioId": "ENDLESS"})
            return await runner.execute(prepared, observe=observe, interruption=interruption)

    return asyncio.run(run())


def test_an_interrupted_run_ends_cleanly_with_what_it_has(simulator):
    outcome = _interrupted(simulator, "awaitRun")
    assert outcome.status == "cancelled"
    assert outcome.error is not None
    assert (outcome.error.kind, outcome.error.message) == ("interrupted", "interrupted at step 'awaitRun'")
    assert outcome.outputs["triggerRunId"]
    assert outcome.report()["status"] == "cancelled"


def test_an_interrupted_post_may_have_taken_effect(simulator):
    outcome = _interrupted(simulator, "triggerRun")
    assert outcome.status == "cancelled"
    assert outcome.error is not None
    assert outcome.error.message.endswith("/run was under way and may have taken effect")


def test_a_cancelled_task_is_cancelled(simulator):
    async def run() -> None:
        task = asyncio.current_task()
        assert task is not None
        await treadle.run_async(
            "dataiku", WORKFLOW, INPUTS, server=simulator.api_url, observe=lambda _: bool(task.cancel()) and None
        )

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(run())


def test_inputs_that_no_one_declared_are_warned_of(simulator):
    outcome = treadle.run("dataiku", WORKFLOW, {**INPUTS, "scenarioID": "x"}, server=simulator.api_url, poll_interval=0)
    warnings = outcome.report()["warnings"]
    assert [warning["message"] for warning in warnings] == [
        f"workflow '{WORKFLOW}' has no input 'scenarioID'; did you mean 'scenarioId'?"
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"insecure": "no"}, "option 'insecure': expected `bool`, got `str`"),
        ({"strict": "no"}, "option 'strict': expected `bool`, got `str`"),
        ({"max_steps": 1.5}, "option 'max_steps': expected `int`, got `float`"),
        ({"timeout": "5"}, "option 'timeout': expected `float | null`, got `str`"),
        ({"server": 5}, "option 'server': expected `str | object | null`, got `int`"),
        ({"source": "x"}, "option 'source': expected `object | null`, got `str`"),
        ({"server": "http://h/?x=1"}, "the server 'http://h/?x=1' is no http(s) URL"),
        ({"server": "http://h/a b"}, "the server 'http://h/a b' is no http(s) URL"),
    ],
)
def test_options_of_the_wrong_type_are_refused_by_name(options, message):
    with pytest.raises(treadle.RunRefused) as refused:
        treadle.check("dataiku", **options)
    assert refused.value.message == message


def test_a_document_may_be_given_as_a_path():
    path = Path(treadle.__file__).parent / "vendors/dataiku/workflows/scenarios.arazzo.yaml"
    assert treadle.check(path) == []
    assert treadle.load(path).workflow_ids == treadle.load("dataiku").workflow_ids


@pytest.mark.parametrize("document", [None, {}, 5])
def test_what_is_no_document_is_refused(document):
    with pytest.raises(treadle.RunRefused, match="is no document"):
        treadle.run(document)


@pytest.mark.parametrize("inputs", [["a"], "a", {1: "a"}])
def test_what_are_no_inputs_is_refused(inputs):
    with pytest.raises(treadle.RunRefused, match="no mapping of names"):
        treadle.run("dataiku", None, inputs, server="http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("ftp://h/etc/passwd", "documents are not loaded from ftp://h/etc/passwd"),
        ("file://elsewhere/etc/passwd", "documents are not loaded from file://elsewhere/etc/passwd"),
    ],
)
def test_urls_that_are_not_loaded(source, message):
    with pytest.raises(treadle.DocumentInvalid) as refused:
        treadle.load(source)
    assert refused.value.message == message


def test_a_runner_that_is_closed_or_of_another_loop_is_refused():
    inputs = {"apiKey": "demo-key", "projectKey": "DEMO", "scenarioId": "NIGHTLY"}
    runner = treadle.Runner(server="http://127.0.0.1:1", transport_retries=0)

    async def first() -> None:
        async with runner:
            assert (await runner.run("dataiku", None, inputs)).status == "failed"
        with pytest.raises(treadle.RunRefused, match="this Runner is closed"):
            await runner.run("dataiku", None, inputs)

    asyncio.run(first())
    with pytest.raises(treadle.RunRefused, match="belongs to the event loop"):
        asyncio.run(runner.run("dataiku", None, inputs))


def test_a_source_that_is_not_there_is_told_from_a_document_that_is_wrong(tmp_path):
    path = tmp_path / "w.yaml"
    steps = "workflows: [{workflowId: w, steps: [{stepId: one, operationId: a}]}]"
    path.write_text(
        f"arazzo: 1.0.1\ninfo: {{title: t, version: '1'}}\nsourceDescriptions: [{{name: s, url: no.yaml}}]\n{steps}\n"
    )
    with pytest.raises(treadle.SourceInvalid, match="cannot be run") as refused:
        treadle.run(path)
    assert [found.rule for found in refused.value.diagnostics] == ["source"]
    path.write_text("arazzo: 1.0.1\n")
    with pytest.raises(treadle.DocumentInvalid) as refused:
        treadle.run(path)
    assert type(refused.value) is treadle.DocumentInvalid
