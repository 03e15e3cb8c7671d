"""compile_workflow(document, workflow) -> Program, with every finding on the way.

A workflow is compiled together with those that it calls, goes to or depends on, in whichever document they stand. What
this version of Treadle does not run is refused here by name, never skipped.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from msgspec import structs

from treadle.diagnostics import Diagnostic, errors
from treadle.document import model
from treadle.document.dialects import strictly
from treadle.engine import program
from treadle.engine.actions import read_actions, read_criteria
from treadle.engine.calls import dependency, read_call
from treadle.engine.findings import Findings
from treadle.engine.inputs import check_schema
from treadle.engine.linked import LinkedDocument
from treadle.engine.loops import endless_loop
from treadle.engine.names import near
from treadle.engine.operations import Operations
from treadle.engine.order import ordered
from treadle.engine.reconcile import read_reconcile
from treadle.engine.schema import SchemaInvalid
from treadle.engine.scope import Scope, find_workflow
from treadle.engine.seconds import read_seconds
from treadle.engine.secret_inputs import is_secret
from treadle.expressions import payload
from treadle.expressions.payload import Payload
from treadle.expressions.syntax import InputReference, Navigation
from treadle.pointer import Path


class Compilation(NamedTuple):
    """What compiling gives: the program where there are no errors, and every diagnostic."""

    program: program.Program | None
    diagnostics: list[Diagnostic]


def compile_workflow(
    linked: LinkedDocument,
    workflow_id: str,
    *,
    strict: bool = False,
    servers: Mapping[str, str] | None = None,
) -> Compilation:
    """Compile one workflow and all that it may come to.

    Args:
        linked: the document with its sources.
        workflow_id: the workflow; it must be in the document.
        strict: make each dialect an error.
        servers: the base URL to use for a source, by its name; `""` stands for all others.

    Raises:
        DocumentsMissing: a description refers to documents that are not loaded.
        SourcesMissing: an operation is looked for in sources that are pending.
    """
    workflow = linked.document.workflow(workflow_id)
    if workflow is None:
        raise ValueError(f"there is no workflow {workflow_id!r}")
    compiler = _Compiler(servers or {}, strict=strict)
    compiler.number(linked, workflow)
    workflows = compiler.compiled()
    diagnostics = compiler.diagnostics()
    return Compilation(None if errors(diagnostics) else program.Program(workflows), diagnostics)


def check_workflows(
    linked: LinkedDocument, *, strict: bool = False, servers: Mapping[str, str] | None = None
) -> list[Diagnostic]:
    """Compile every workflow of a document, each once, and give every diagnostic; see `compile_workflow`.

    Raises:
        DocumentsMissing: a description refers to documents that are not loaded.
    """
    compiler = _Compiler(servers or {}, strict=strict)
    for workflow in linked.document.workflows:
        compiler.number(linked, workflow)
    compiler.compiled()
    return compiler.diagnostics()


class _Compiler:
    """Compiles workflow after workflow until none is missing; each gets its number when it is first asked for."""

    def __init__(self, servers: Mapping[str, str], *, strict: bool) -> None:
        self._servers = servers
        self._strict = strict
        self._wanted: list[tuple[LinkedDocument, model.Workflow]] = []
        self._numbers: dict[tuple[int, str], int] = {}
        self._documents: dict[int, int] = {}
        self._findings: list[Findings] = []
        self._operations: dict[int, Operations] = {}

    # What a Scope asks for

    def number(self, linked: LinkedDocument, workflow: model.Workflow) -> int:
        """Give the index of a workflow in the program."""
        key = (id(linked), workflow.workflow_id)
        if key not in self._numbers:
            self._numbers[key] = len(self._wanted)
            self._wanted.append((linked, workflow))
        return self._numbers[key]

    def document(self, linked: LinkedDocument) -> int:
        """Give the number of a document of the program."""
        if id(linked) not in self._documents:
            self._documents[id(linked)] = len(self._documents)
            findings = Findings(linked.reading, strict=self._strict)
            for found in (*linked.diagnostics, *_not_checked(linked)):
                findings.add(strictly(found) if self._strict else found)
            self._findings.append(findings)
        return self._documents[id(linked)]

    def operations(self, linked: LinkedDocument) -> Operations:
        """Give the operations that a document's sources describe."""
        known = self._operations.get(id(linked))
        if known is None:
            known = self._operations[id(linked)] = Operations(linked, self._servers)
        return known

    # From the first workflow to the last

    def compiled(self) -> tuple[program.Workflow, ...]:
        workflows: list[program.Workflow] = []
        while len(workflows) < len(self._wanted):
            linked, workflow = self._wanted[len(workflows)]
            findings = self._findings[self.document(linked)]
            workflows.append(self._workflow(linked, workflow, findings))
        self._refuse_circles(workflows)
        return tuple(_with_secrets(workflows))

    def diagnostics(self) -> list[Diagnostic]:
        found = []
        for findings in self._findings:
            findings.name_other_lines()
            found += findings.diagnostics
        return found

    def _workflow(self, linked: LinkedDocument, workflow: model.Workflow, findings: Findings) -> program.Workflow:
        steps = ordered(workflow)
        if steps is None:
            message = f"the steps of workflow '{workflow.workflow_id}' depend on each other in a circle"
            findings.error("depends-on-circle", message, (*workflow.at, "steps"), _ONE_AWAY)
            steps = workflow.steps
        scope = Scope(self, linked, workflow, steps, findings)
        compiled = [self._step(scope, step) for step in steps]
        declared = scope.declared.inputs or {}
        depends_on = [
            dependency(scope, name, (*workflow.at, "dependsOn", number))
            for number, name in enumerate(workflow.depends_on)
        ]
        whole = program.Workflow(
            workflow_id=workflow.workflow_id,
            steps=tuple(step for step in compiled if step is not None),
            outputs=scope.outputs(workflow.outputs, workflow.at, len(steps)),
            inputs=_schema(scope),
            depends_on=tuple(call for call in depends_on if call is not None),
            secrets=tuple(scope.secrets | {name for name, schema in declared.items() if is_secret(name, schema)}),
            document=self.document(linked),
            self_uri=linked.uri if linked.document.self_uri is not None else None,
            sources={
                source.name: {"name": source.name, "url": source.url, "type": linked.sources[source.name].kind}
                for source in linked.document.source_descriptions
            },
        )
        if len(whole.steps) == len(steps):
            _refuse_endless_loops(scope, whole)
        return whole

    def _step(self, scope: Scope, step: model.Step) -> program.Step | None:
        call = read_call(scope, step)
        workflow, number = scope.workflow, scope.number(step)
        compiled = program.Step(
            step_id=step.step_id,
            call=call or program.WorkflowCall(0),
            success_criteria=read_criteria(scope, step.success_criteria, number),
            on_success=read_actions(scope, step.on_success, workflow.success_actions, "successActions", number),
            on_failure=read_actions(scope, step.on_failure, workflow.failure_actions, "failureActions", number),
            outputs=scope.outputs(step.outputs, step.at, number),
            timeout=None if step.timeout is None else step.timeout / 1000,
            poll=_poll(scope, step),
            depends_on=tuple(self._depends_on(scope, step)),
            reconcile=read_reconcile(scope, step, call),
            timeout_given=_timeout(scope, step),
        )
        return None if call is None else compiled

    def _depends_on(self, scope: Scope, step: model.Step) -> Iterable[program.StepKey]:
        own = self.number(scope.linked, scope.workflow)
        for number, text in enumerate(step.depends_on):
            at = (*step.at, "dependsOn", number)
            if text.startswith("$"):
                found = _step_elsewhere(scope, text)
                if found is None:
                    hint = "write `$workflows.WORKFLOW.steps.STEP` or `$sourceDescriptions.NAME.WORKFLOW.steps.STEP`"
                    scope.findings.error("unknown-step", f"`{text}` names no step of another workflow", at, hint)
                else:
                    linked, workflow, step_id = found
                    yield program.StepKey(self.number(linked, workflow), step_id)
            elif text not in scope.declared.index:
                known = near(text, scope.declared.index)
                scope.findings.error("unknown-step", f"there is no step '{text}'", at, known)
            else:
                yield program.StepKey(own, text)

    # Dependencies between workflows

    def _refuse_circles(self, workflows: list[program.Workflow]) -> None:
        """Refuse a workflow that has to be completed before itself, by way of whatever it depends on or calls."""
        leads_to = [[call.workflow for call in _calls(workflow)] for workflow in workflows]
        for number, (linked, workflow) in enumerate(self._wanted):
            for place, call in enumerate(workflows[number].depends_on):
                way = _way(leads_to, call.workflow, number)
                if way is not None:
                    ids = " -> ".join(f"'{self._wanted[index][1].workflow_id}'" for index in (number, *way))
                    message = f"workflow '{workflow.workflow_id}' would have to be completed before itself: {ids}"
                    at = (*workflow.at, "dependsOn", place)
                    self._findings[self.document(linked)].error("depends-on-circle", message, at, _ONE_AWAY)
                    break


def _way(leads_to: list[list[int]], start: int, goal: int) -> list[int] | None:
    """Give the shortest way from one workflow to another, both included, or None where there is none."""
    ways = [[start]]
    seen = {start}
    for way in ways:
        if way[-1] == goal:
            return way
        for number in leads_to[way[-1]]:
            if number not in seen:
                seen.add(number)
                ways.append([*way, number])
    return None


def _with_secrets(workflows: list[program.Workflow]) -> Iterable[program.Workflow]:
    """Make secret what is handed on to a secret input of another workflow."""
    secrets = [set(workflow.secrets) for workflow in workflows]
    changed = True
    while changed:
        changed = False
        for number, workflow in enumerate(workflows):
            for call in _calls(workflow):
                handed = _handed_on(call, secrets[call.workflow]) - secrets[number]
                secrets[number] |= handed
                changed |= bool(handed)
    for workflow, names in zip(workflows, secrets, strict=True):
        yield structs.replace(workflow, secrets=tuple(sorted(names)))


def _calls(workflow: program.Workflow) -> Iterable[program.WorkflowCall]:
    yield from workflow.depends_on
    for step in workflow.steps:
        if isinstance(step.call, program.WorkflowCall):
            yield step.call
        for action in (*step.on_success, *step.on_failure):
            if action.workflow is not None:
                yield action.workflow


def _handed_on(call: program.WorkflowCall, secret: set[str]) -> set[str]:
    found = secret.intersection(call.inherited)
    for name, value in call.inputs:
        if name in secret:
            bases = (e.base if isinstance(e, Navigation) else e for e in payload.expressions(value))
            found |= {base.name for base in bases if isinstance(base, InputReference)}
    return found


def _not_checked(linked: LinkedDocument) -> Iterable[Diagnostic]:
    return [source.problem for source in linked.sources.values() if source.out_of_reach and source.problem is not None]


# Parts of workflows and steps


def _refuse_endless_loops(scope: Scope, workflow: program.Workflow) -> None:
    loop = endless_loop(workflow, scope.link.number(scope.linked, scope.workflow))
    if loop is None:
        return
    step, target = scope.steps[loop.step], scope.steps[loop.target]
    to = "itself" if step is target else f"step '{target.step_id}'"
    message = f"step '{step.step_id}' goes back to {to} whatever is answered: nothing on the way round ends this loop"
    hint = "give the `goto` a criterion, or put an action of type end with one before it"
    scope.findings.error("endless-loop", message, (*step.at, "onSuccess") if step.on_success else step.at, hint)


def _schema(scope: Scope) -> Any:
    """Give the schema of the inputs with everything that it refers to, or None with the finding that says why not."""
    at = (*scope.workflow.at, "inputs")
    try:
        schema = scope.linked.schema(scope.workflow)
        check_schema(schema, at)
    except SchemaInvalid as error:
        scope.findings.refused(error, error.at or at, "inputs-schema")
        return None
    return schema


def _step_elsewhere(scope: Scope, text: str) -> tuple[LinkedDocument, model.Workflow, str] | None:
    """Find the step that `$workflows.WORKFLOW.steps.STEP` names, or `$sourceDescriptions.NAME.WORKFLOW.steps.STEP`."""
    workflow_id, joint, step_id = text.rpartition(".steps.")
    target = find_workflow(scope.linked, workflow_id.removeprefix("$workflows.")) if joint else None
    if target is None or not any(step.step_id == step_id for step in target[1].steps):
        return None
    return *target, step_id


_ONE_AWAY = "take one `dependsOn` away"
_LARGEST = 1.7976931348623157e308
"""What a number of YAML may be at most to be a float."""
_POLL = {"interval": "interval", "maxInterval": "max_interval", "backoff": "backoff", "timeout": "timeout"}
_WAIT_FIRST = "waitFirst"


def _timeout(scope: Scope, step: model.Step) -> Payload | None:
    written = step.extensions.get("x-treadle-timeout")
    if written is None:
        return None
    at = (*step.at, "x-treadle-timeout")
    if step.timeout is not None:
        scope.findings.error("timeout", "x-treadle-timeout stands beside `timeout`", at, "take one of them away")
        return None
    return read_seconds(scope, written, at, scope.number(step))


def _poll(scope: Scope, step: model.Step) -> program.Poll | None:
    written = step.extensions.get("x-treadle-poll")
    if written is None:
        return None
    at = (*step.at, "x-treadle-poll")
    problems = dict(_poll_problems(written, at))
    for place, problem in problems.items():
        hint = "for example {interval: 2, maxInterval: 30, timeout: 3600}"
        scope.findings.error("poll", f"x-treadle-poll {problem}", place, hint)
    if problems:
        return None
    seconds = {_POLL[name]: float(value) for name, value in written.items() if name in _POLL}
    return program.Poll(**seconds, wait_first=written.get(_WAIT_FIRST, False))


def _poll_problems(written: Any, at: Path) -> Iterable[tuple[Path, str]]:
    if not isinstance(written, dict):
        yield at, "is an object of interval, maxInterval, backoff, timeout and waitFirst"
        return
    for name, value in written.items():
        if name == _WAIT_FIRST:
            if not isinstance(value, bool):
                yield (*at, name), f"needs true or false for '{name}'"
        elif name not in _POLL:
            yield (*at, name), f"has no '{name}'"
        elif not _is_seconds(value):
            yield (*at, name), f"needs a number that is not negative for '{name}'"
        elif name == "backoff" and value < 1:
            yield (*at, name), "has a backoff below 1, which would poll faster and faster"


def _is_seconds(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _LARGEST
