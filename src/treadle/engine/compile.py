"""Document and sources to Program, with every finding on the way.

The way down is the document's own: workflow, step, parameter, criterion, action. What this version of Treadle does not
run is refused here by name, never skipped.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from msgspec import UNSET, structs

from treadle import pointer
from treadle.diagnostics import Diagnostic, Severity
from treadle.document import model
from treadle.document.reader import Reading
from treadle.engine import program
from treadle.engine.findings import Findings
from treadle.engine.inputs import check_schema, properties
from treadle.engine.names import Declared, near
from treadle.engine.operations import Operations
from treadle.engine.payloads import target_type
from treadle.errors import ExpressionInvalid, InputsInvalid, TreadleError
from treadle.expressions import payload, selectors
from treadle.expressions.criteria import Test, compile_criterion, criterion_expressions
from treadle.expressions.dialect import Finding
from treadle.expressions.evaluate import kind
from treadle.expressions.payload import Located, Payload
from treadle.expressions.syntax import Expression, InputReference, Navigation, Template
from treadle.pointer import Path
from treadle.sources.openapi import Description
from treadle.sources.operation import ParameterSpec, undeclared
from treadle.sources.references import DocumentsMissing
from treadle.sources.request import has_form

_SECRET_HEADER = re.compile(
    r"authorization|cookie|(api|access|auth|secret)[-_]?(key|token)|^x-.*(key|token)$", re.IGNORECASE
)
_SECRET_NAME = re.compile(
    r"(password|passphrase|passwd|secret|token|credentials?|(api|access|secret|private)[-_]?key|authorization)$",
    re.IGNORECASE,
)


class Source(NamedTuple):
    """A Source Description's description, or the diagnostic that says why it is not there."""

    description: Description | None
    problem: Diagnostic | None = None


class Compilation(NamedTuple):
    """What compiling gives: the program where there are no errors, and every diagnostic."""

    program: program.Program | None
    diagnostics: list[Diagnostic]


def compile_workflow(
    document: model.Document,
    reading: Reading,
    sources: Mapping[str, Source],
    workflow_id: str,
    *,
    strict: bool = False,
    servers: Mapping[str, str] | None = None,
) -> Compilation:
    """Compile one workflow.

    Args:
        document: the document.
        reading: the text it came from; gives the places of findings.
        sources: a Source for each Source Description of the document, by name.
        workflow_id: the workflow; it must be in the document.
        strict: make each dialect an error.
        servers: the base URL to use for a source, by its name; `""` stands for all others.

    Raises:
        DocumentsMissing: a description refers to documents that are not loaded.
    """
    workflow = document.workflow(workflow_id)
    if workflow is None:
        raise ValueError(f"there is no workflow {workflow_id!r}")
    compiler = _Compiler(document, reading, sources, workflow, strict=strict, servers=servers or {})
    result = compiler.workflow_program()
    compiler.name_other_lines()
    failed = any(diagnostic.severity is Severity.ERROR for diagnostic in compiler.diagnostics)
    return Compilation(None if failed else result, compiler.diagnostics)


class _Compiler(Findings):
    def __init__(
        self,
        document: model.Document,
        reading: Reading,
        sources: Mapping[str, Source],
        workflow: model.Workflow,
        *,
        strict: bool,
        servers: Mapping[str, str],
    ) -> None:
        super().__init__(reading, strict=strict)
        self.document = document
        self.workflow = workflow
        self.operations = Operations(document, {name: source.description for name, source in sources.items()}, servers)
        self.problems = {name: source.problem for name, source in sources.items() if source.problem is not None}
        self.declared = Declared(workflow, properties(workflow.inputs, reading.value))
        self._secrets: set[str] = set()

    def names_found(self, expressions: Iterable[Expression], at: Path, number: int) -> None:
        for found in self.declared.problems(expressions, number):
            span = self.reading.span(at, found.start, found.end)
            self.report(found.rule, found.severity, found.message, span, found.hint)

    # Workflow and steps

    def workflow_program(self) -> program.Program:
        workflow = self.workflow
        for at, what in self._unsupported():
            self.not_yet(what, at)
        steps = tuple(step for step in map(self.step, workflow.steps) if step is not None)
        return program.Program(
            workflow_id=workflow.workflow_id,
            steps=steps,
            outputs=self.outputs(workflow.outputs, workflow.at, len(workflow.steps)),
            inputs=self.schema(),
            secrets=tuple(sorted(self._secrets | self._declared_secrets())),
            self_uri=self.document.self_uri,
            sources={
                source.name: {"name": source.name, "url": source.url, "type": source.type or "openapi"}
                for source in self.document.source_descriptions
            },
        )

    def _unsupported(self) -> Iterable[tuple[Path, str]]:
        if self.workflow.depends_on:
            yield (*self.workflow.at, "dependsOn"), "dependsOn of workflows"
        for step in self.workflow.steps:
            if step.workflow_id is not None:
                yield (*step.at, "workflowId"), "a step that calls a workflow"
            if step.channel_path is not None:
                yield (*step.at, "channelPath"), "a step on a channel"
            if step.action is not None or step.correlation_id is not None:
                yield step.at, "a step that sends or receives messages"

    def schema(self) -> Any:
        """Give the schema of the inputs with the components that it may refer to by `#/components/inputs/…`."""
        schema = self.workflow.inputs
        if isinstance(schema, dict) and self.document.components.inputs:
            schema = {**schema, "components": {"inputs": self.document.components.inputs}}
        try:
            check_schema(schema)
        except InputsInvalid as error:
            self.refused(error, (*self.workflow.at, "inputs"), "inputs-schema")
        return schema

    def _declared_secrets(self) -> set[str]:
        return {
            name
            for name, schema in (self.declared.inputs or {}).items()
            if _SECRET_NAME.search(name)
            or (isinstance(schema, dict) and (schema.get("format") == "password" or schema.get("writeOnly") is True))
        }

    def step(self, step: model.Step) -> program.Step | None:
        call = self.call(step)
        self.depends_on(step)
        number = self.declared.index[step.step_id]
        success_criteria = self.criteria(step.success_criteria, number)
        on_success = self.actions(step.on_success, self.workflow.success_actions, "successActions", number)
        on_failure = self.actions(step.on_failure, self.workflow.failure_actions, "failureActions", number)
        outputs = self.outputs(step.outputs, step.at, number)
        poll = self.poll(step)
        if call is None:
            return None
        return program.Step(
            step_id=step.step_id,
            call=call,
            success_criteria=success_criteria,
            on_success=on_success,
            on_failure=on_failure,
            outputs=outputs,
            timeout=None if step.timeout is None else step.timeout / 1000,
            poll=poll,
        )

    def depends_on(self, step: model.Step) -> None:
        for number, name in enumerate(step.depends_on):
            at = (*step.at, "dependsOn", number)
            if name.startswith("$"):
                self.not_yet("dependsOn of a step in another workflow", at)
            elif name not in self.declared.index:
                self.error("unknown-step", f"there is no step '{name}'", at, near(name, self.declared.index))
            elif self.declared.index[name] >= self.declared.index[step.step_id]:
                self.not_yet(f"dependsOn of the later step '{name}'", at)

    def poll(self, step: model.Step) -> program.Poll | None:
        written = step.extensions.get("x-treadle-poll")
        if written is None:
            return None
        at = (*step.at, "x-treadle-poll")
        names = {"interval": "interval", "maxInterval": "max_interval", "backoff": "backoff", "timeout": "timeout"}
        problem = "is an object of interval, maxInterval, backoff and timeout"
        if isinstance(written, dict):
            problem = next((f"has no '{name}'" for name in written if name not in names), "")
            wrong = (name for name, value in written.items() if not _is_seconds(value))
            problem = problem or next((f"needs a number that is not negative for '{name}'" for name in wrong), "")
            if not problem and written.get("backoff", 1) < 1:
                problem = "has a backoff below 1, which would poll faster and faster"
            if not problem:
                return program.Poll(**{names[name]: float(value) for name, value in written.items()})
        self.error("poll", f"x-treadle-poll {problem}", at, "for example {interval: 2, maxInterval: 30, timeout: 3600}")
        return None

    # Calls

    def call(self, step: model.Step) -> program.Call | None:
        if step.operation_id is None and step.operation_path is None:
            return None
        field = "operationId" if step.operation_id is not None else "operationPath"
        at = (*step.at, field)
        text = step.operation_id or step.operation_path or ""
        findings: list[Finding] = []
        try:
            operation, server = self.operations.find(text, by_path=step.operation_id is None, findings=findings)
        except DocumentsMissing:
            raise  # no finding: the caller brings them and compiles again
        except TreadleError as error:
            self._source_problem(error, at)
            return None
        self.dialects(findings, text, at)
        arguments = self.arguments(step, operation.path, operation.parameter)
        return program.Call(operation, server, arguments, self.body(step, operation.body, operation.method))

    def _source_problem(self, error: TreadleError, at: Path) -> None:
        """A source that could not be loaded explains an operation that is not found, so it is said in its place."""
        if not self.problems:
            self.refused(error, at, "unknown-operation")
            return
        for problem in self.problems.values():
            if problem not in self.diagnostics:
                self.diagnostics.append(problem)

    def arguments(self, step: model.Step, path: str, declared: Any) -> tuple[program.Argument, ...]:
        found: dict[tuple[str, str], program.Argument] = {}
        inherited = self._parameters(self.workflow.parameters)
        for parameter in (*inherited, *self._parameters(step.parameters)):
            location = parameter.location
            at = parameter.at
            if location == "querystring":
                self.not_yet("a parameter in querystring", (*at, "in"))
                continue
            if location is None:
                self.error("parameter-in", f"parameter '{parameter.name}' does not say where it goes", at, "add `in:`")
                continue
            spec: ParameterSpec = declared(parameter.name, location) or undeclared(parameter.name, location)
            if location == "path" and "{" + parameter.name + "}" not in path:
                if parameter not in inherited:
                    message = f"the path {path} has no place for parameter '{parameter.name}'"
                    self.error("unknown-parameter", message, at, near(parameter.name, _placeholders(path)))
                continue
            value = self.value(parameter.value, (*at, "value"), self.declared.index[step.step_id])
            if _SECRET_NAME.search(parameter.name) or (location == "header" and _SECRET_HEADER.search(parameter.name)):
                bases = (e.base if isinstance(e, Navigation) else e for e in payload.expressions(value))
                self._secrets |= {base.name for base in bases if isinstance(base, InputReference)}
            found[parameter.name.lower() if location == "header" else parameter.name, location] = program.Argument(
                spec, value
            )
        for name in _placeholders(path):
            if (name, "path") not in found:
                message = f"step '{step.step_id}' gives no value for '{name}' in the path {path}"
                self.error("missing-parameter", message, step.at, f"add a parameter `name: {name}`, `in: path`")
        return tuple(found.values())

    def _parameters(self, parameters: tuple[model.Parameter | model.Reusable, ...]) -> list[model.Parameter]:
        found = []
        for entry in parameters:
            if isinstance(entry, model.Parameter):
                found.append(entry)
                continue
            component = self._component(entry, "parameters", self.document.components.parameters)
            if component is not None:
                value = entry.value if entry.has_value else component.value
                at = entry.at if entry.has_value else component.at
                found.append(model.Parameter(component.name, value, component.location, at))
        return found

    def _component(self, entry: model.Reusable, kind: str, components: Mapping[str, Any]) -> Any:
        at = (*entry.at, "reference")
        prefix = f"$components.{kind}."
        name = entry.reference.removeprefix(prefix)
        if not entry.reference.startswith(prefix):
            self.error("reference", f"`{entry.reference}` is no reference to {kind}", at, f"write `{prefix}NAME`")
        elif name not in components:
            message = f"the components have no {kind} named '{name}'"
            self.error("reference", message, at, near(name, components))
        return components.get(name)

    def body(self, step: model.Step, declared: Any, method: str) -> program.Body | None:
        written = step.request_body
        if written is None or written.payload is UNSET:
            if declared is not None and declared.required:
                message = f"step '{step.step_id}' gives no payload, but its operation ({method}) requires a body"
                self.error("missing-body", message, step.at, "add `requestBody: {payload: …}`")
            if written is not None and written.replacements:
                self.error("missing-body", "there is no payload to replace anything in", (*written.at, "replacements"))
            return None
        number = self.declared.index[step.step_id]
        content_type = written.content_type or (declared.media_types[0] if declared and declared.media_types else None)
        content_type = content_type or ("text/plain" if isinstance(written.payload, str) else "application/json")
        replacements = []
        for entry in written.replacements:
            target = (*target_type(entry.target_selector_type, written.payload, content_type), entry.target)
            try:
                selectors.check(*target)
            except ExpressionInvalid as error:
                self.refused(error, (*entry.at, "target"))
                continue
            replacements.append(program.Replacement(target, self.value(entry.value, (*entry.at, "value"), number)))
        value = self.value(written.payload, (*written.at, "payload"), number)
        known = isinstance(value, payload.Constant | payload.Members | payload.Items)
        if known and not has_form(written.payload, content_type):
            message = f"a payload that is {kind(written.payload)} cannot be written as {content_type}"
            field = "payload" if written.content_type is None else "contentType"
            self.error("not-supported", message, (*written.at, field), "give it as text")
        return program.Body(content_type, value, tuple(replacements))

    # Values, criteria, actions

    def value(self, written: Any, at: Path, number: int) -> Payload:
        found: list[Located] = []
        value = payload.prepare(written, self.declared.names, found)
        for entry in found:
            where = (*at, *entry.at)
            text = pointer.follow(written, [str(token) for token in entry.at]).value
            if isinstance(entry.finding, ExpressionInvalid):
                self.refused(entry.finding, where, "json-value" if isinstance(text, float) else "expression-syntax")
            else:
                self.dialects([entry.finding], text, where)
        self.names_found(payload.expressions(value), at, number)
        return value

    def outputs(self, written: Mapping[str, Any], at: Path, number: int) -> tuple[tuple[str, Payload], ...]:
        found = []
        for name, value in written.items():
            where = (*at, "outputs", name)
            plain = value
            if isinstance(value, model.Selector):
                kind = value.type
                named = kind if isinstance(kind, str) else {"type": kind.type, "version": kind.version}
                plain = {"context": value.context, "selector": value.selector, "type": named}
            # A step's outputs are read when it has ended, so they may speak of the step itself.
            found.append((name, self.value(plain, where, number + 1)))
        return tuple(found)

    def criteria(self, criteria: tuple[model.Criterion, ...], number: int) -> tuple[Test, ...]:
        tests = (self.criterion(criterion, number) for criterion in criteria)
        return tuple(test for test in tests if test is not None)

    def criterion(self, criterion: model.Criterion, number: int) -> Test | None:
        kind = criterion.type
        at = (*criterion.at, "condition")
        kind, version = (kind.type, kind.version) if isinstance(kind, model.ExpressionType) else (kind, "")
        context = None
        findings: list[Finding] = []
        try:
            if criterion.context is not None:
                context = self._context(criterion, (*criterion.at, "context"))
            test = compile_criterion(kind, version, criterion.condition, context, self.declared.names, findings)
        except ExpressionInvalid as error:
            self.refused(error, at, "condition-syntax")
            return None
        self.dialects(findings, criterion.condition, at)
        self.names_found(criterion_expressions(test), at, number + 1)
        return structs.replace(test, lenient=test.lenient and not self.strict)

    def _context(self, criterion: model.Criterion, at: Path) -> Expression | None:
        value = self.value(criterion.context, at, len(self.workflow.steps))
        if isinstance(value, payload.Constant | Template | payload.Members | payload.Items | payload.Selection):
            self.error("criterion-context", f"the context `{criterion.context}` is no runtime expression", at)
            return None
        return value

    def actions(
        self, own: tuple[Any, ...], shared: tuple[Any, ...], kind: str, number: int
    ) -> tuple[program.Action, ...]:
        """Give a step's own actions and after them the workflow's; one of the same name overrides the workflow's."""
        components = self.document.components
        pool = components.success_actions if kind == "successActions" else components.failure_actions

        def resolved(actions: tuple[Any, ...]) -> list[Any]:
            found = [self._component(a, kind, pool) if isinstance(a, model.Reusable) else a for a in actions]
            return [action for action in found if action is not None]

        first = resolved(own)
        names = {action.name for action in first}
        rest = [action for action in resolved(shared) if action.name not in names]
        return tuple(self.action(action, number) for action in (*first, *rest))

    def action(self, action: model.SuccessAction | model.FailureAction, number: int) -> program.Action:
        target = None
        if action.workflow_id is not None:
            self.not_yet(f"an action of type {action.type} to a workflow", (*action.at, "workflowId"))
        elif action.type == "retry" and action.step_id is not None:
            self.not_yet("a retry that runs another step first", (*action.at, "stepId"))
        elif action.step_id is not None:
            target = self.declared.index.get(action.step_id)
            if target is None:
                message = f"action '{action.name}' goes to step '{action.step_id}', which is not in this workflow"
                self.error("unknown-step", message, (*action.at, "stepId"), near(action.step_id, self.declared.index))
        retry_after = action.retry_after if isinstance(action, model.FailureAction) else None
        retry_limit = action.retry_limit if isinstance(action, model.FailureAction) else None
        return program.Action(
            name=action.name,
            type=action.type,
            target=target,
            retry_after=None if retry_after is None else float(retry_after),
            # "If not specified then a single retry SHALL be attempted."
            retry_limit=1 if retry_limit is None else retry_limit,
            criteria=self.criteria(action.criteria, number),
        )


def _is_seconds(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")


def _placeholders(path: str) -> list[str]:
    return re.findall(r"\{([^{}]+)\}", path)
