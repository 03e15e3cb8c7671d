"""One workflow while it is compiled: its document and its names, and the reading of values, outputs and components."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from treadle import pointer
from treadle.document import model
from treadle.engine.findings import Findings
from treadle.engine.linked import LinkedDocument
from treadle.engine.names import Declared, Reach, Signature, near
from treadle.engine.operations import Operations
from treadle.errors import ExpressionInvalid
from treadle.expressions import payload
from treadle.expressions.payload import Located, Payload
from treadle.expressions.syntax import (
    ComponentReference,
    Expression,
    InputReference,
    Navigation,
    SourceReference,
    parse,
)
from treadle.pointer import Path


class Link(Protocol):
    """Gives workflows their place in the program; every workflow asked for is compiled in its turn."""

    def number(self, linked: LinkedDocument, workflow: model.Workflow) -> int:
        """Give the index of a workflow in the program."""

    def operations(self, linked: LinkedDocument) -> Operations:
        """Give the operations that a document's sources describe."""

    def document(self, linked: LinkedDocument) -> int:
        """Give the number of a document of the program."""


class Scope:
    """What the readers of one workflow share.

    Attributes:
        linked: the document it stands in.
        steps: in the order in which they are executed.
        findings: where diagnostics go.
        secrets: the inputs that are found to be secret.
    """

    def __init__(
        self,
        link: Link,
        linked: LinkedDocument,
        workflow: model.Workflow,
        steps: tuple[model.Step, ...],
        findings: Findings,
    ) -> None:
        self.link = link
        self.linked = linked
        self.workflow = workflow
        self.steps = steps
        self.findings = findings
        self.components = linked.document.components
        self.secrets: set[str] = set()
        self.declared = Declared(
            workflow,
            steps,
            linked.inputs(workflow),
            {step.step_id: self._given(step.workflow_id) for step in steps if step.workflow_id is not None},
            reachable(linked),
            closed=linked.closed(workflow),
        )

    def _given(self, workflow_id: str) -> frozenset[str] | None:
        target = find_workflow(self.linked, workflow_id)
        return None if target is None else signature(*target).outputs

    def number(self, step: model.Step) -> int:
        """Give the place of a step in the order of execution."""
        return self.declared.index[step.step_id]

    # Values

    def value(self, written: Any, at: Path, number: int) -> Payload:
        """Read a value as the step with that number sees it."""
        if isinstance(written, str) and written.startswith("$components.parameters."):
            written, at = self._component_value(written, at)
        found: list[Located] = []
        value = payload.prepare(written, self.declared.names, found)
        for entry in found:
            where = (*at, *entry.at)
            text = pointer.follow(written, [str(token) for token in entry.at]).value
            if isinstance(entry.finding, ExpressionInvalid):
                rule = "json-value" if isinstance(text, float) else "expression-syntax"
                self.findings.refused(entry.finding, where, rule)
            else:
                self.findings.dialects([entry.finding], text, where)
        for where, expression in payload.located(value, at):
            self.check_names((expression,), where, number)
        return value

    def _component_value(self, text: str, at: Path) -> tuple[Any, Path]:
        """Give what `$components.parameters.NAME` stands for where a value is wanted: the value of that parameter."""
        try:
            reference = parse(text)
        except ExpressionInvalid:
            return text, at  # it is said where every value is read
        component = (
            self.components.parameters.get(reference.name) if isinstance(reference, ComponentReference) else None
        )
        if component is None:
            name = text.removeprefix("$components.parameters.")
            message = f"the components have no parameters named '{name}'"
            self.findings.error("reference", message, at, near(name, self.components.parameters))
            return None, at
        return component.value, (*component.at, "value")

    def check_names(self, expressions: Iterable[Expression], at: Path, number: int) -> None:
        """Add a finding for each name in expressions that is not declared, or only after the step with that number."""
        for found in self.declared.problems(expressions, number):
            span = self.findings.reading.span(at, found.start, found.end)
            self.findings.report(found.rule, found.severity, found.message, span, found.hint)

    def outputs(self, written: Mapping[str, Any], at: Path, number: int) -> tuple[tuple[str, Payload], ...]:
        """Read outputs; those of a step are read when it has ended, so they may speak of the step itself."""
        found = []
        for name, value in written.items():
            plain = value
            if isinstance(value, model.Selector):
                kind = value.type
                named = kind if isinstance(kind, str) else {"type": kind.type, "version": kind.version}
                plain = {"context": value.context, "selector": value.selector, "type": named}
            found.append((name, self.value(plain, (*at, "outputs", name), number + 1)))
        return tuple(found)

    def mark_secret(self, value: Payload) -> None:
        """Note the inputs that a value takes as secret."""
        bases = (e.base if isinstance(e, Navigation) else e for e in payload.expressions(value))
        self.secrets |= {base.name for base in bases if isinstance(base, InputReference)}

    # Components

    def parameters(self, entries: tuple[model.Parameter | model.Reusable, ...]) -> list[model.Parameter]:
        """Give parameters with each Reusable Object replaced by what it refers to; its own value overrides.

        "The list MUST NOT include duplicate parameters": what two entries come to is looked at here.
        """
        found = []
        known: set[tuple[str, str | None]] = set()
        for entry in entries:
            parameter = entry if isinstance(entry, model.Parameter) else self._referred_to(entry)
            if parameter is None:
                continue
            if (parameter.name, parameter.location) in known:
                where = "" if parameter.location is None else f" in {parameter.location}"
                message = f"the parameter '{parameter.name}'{where} stands twice"
                self.findings.error("not-unique", message, entry.at, "each must be unique")
            known.add((parameter.name, parameter.location))
            found.append(parameter)
        return found

    def _referred_to(self, entry: model.Reusable) -> model.Parameter | None:
        component = self.component(entry, "parameters", self.components.parameters)
        if component is None:
            return None
        value = entry.value if entry.has_value else component.value
        at = entry.at if entry.has_value else component.at
        return model.Parameter(component.name, value, component.location, at)

    def component(self, entry: model.Reusable, kind: str, components: Mapping[str, Any]) -> Any:
        """Give what a Reusable Object refers to among the components of a kind, or None with a finding."""
        at = (*entry.at, "reference")
        prefix = f"$components.{kind}."
        name = entry.reference.removeprefix(prefix)
        if not entry.reference.startswith(prefix):
            message = f"`{entry.reference}` is no reference to {kind}"
            self.findings.error("reference", message, at, f"write `{prefix}NAME`")
        elif name not in components:
            message = f"the components have no {kind} named '{name}'"
            self.findings.error("reference", message, at, near(name, components))
        return components.get(name)


Target = tuple[LinkedDocument, model.Workflow]


def find_workflow(linked: LinkedDocument, text: str) -> Target | None:
    """Find the workflow that a workflowId names: a local id, or `$sourceDescriptions.NAME.WORKFLOW`."""
    if text.startswith("$"):
        try:
            reference = parse(text)
        except ExpressionInvalid:
            return None
        if not isinstance(reference, SourceReference):
            return None
        source = linked.sources.get(reference.source)
        found = None if source is None or source.document is None else source.document
        return _of(found, reference.reference)
    local = _of(linked, text)
    if local is not None:
        return local
    found_in = [(name, target) for name, other in linked.linked() if (target := _of(other, text)) is not None]
    if len(found_in) == 1:
        return found_in[0][1]
    name, _, workflow_id = text.partition(".")
    return _of(dict(linked.linked()).get(name), workflow_id)


def _of(linked: LinkedDocument | None, workflow_id: str) -> Target | None:
    workflow = None if linked is None else linked.document.workflow(workflow_id)
    return None if linked is None or workflow is None else (linked, workflow)


def reachable(linked: LinkedDocument) -> Reach:
    """Give the workflows that `$workflows` reaches: the document's own, and those of its Arazzo sources."""
    if linked.reach is None:
        found: dict[str, Signature] = {}
        for document in (*(other for _, other in linked.linked()), linked):
            found |= {flow.workflow_id: signature(document, flow) for flow in document.document.workflows}
        linked.reach = Reach(found)
    return linked.reach


def signature(linked: LinkedDocument, workflow: model.Workflow) -> Signature:
    """Give the names of a workflow's inputs, and of the outputs it may end with, also after a transfer to another."""
    inputs = linked.inputs(workflow)
    outputs: set[str] = set()
    todo: list[Target] = [(linked, workflow)]
    seen: set[tuple[int, str]] = set()
    while todo:
        document, flow = todo.pop()
        if (id(document), flow.workflow_id) in seen:
            continue
        seen.add((id(document), flow.workflow_id))
        outputs |= flow.outputs.keys()
        for workflow_id in _transfers(document.document, flow):
            target = find_workflow(document, workflow_id)
            if target is None:
                return Signature(None if inputs is None else frozenset(inputs), None)
            todo.append(target)
    return Signature(None if inputs is None else frozenset(inputs), frozenset(outputs))


def _transfers(document: model.Document, workflow: model.Workflow) -> Iterable[str]:
    """Give the workflows that the workflow's actions go to."""
    components = document.components
    actions: list[model.SuccessAction | model.FailureAction | model.Reusable]
    actions = [*workflow.success_actions, *workflow.failure_actions]
    for step in workflow.steps:
        actions += [*step.on_success, *step.on_failure]
    if any(isinstance(action, model.Reusable) for action in actions):
        actions += [*components.success_actions.values(), *components.failure_actions.values()]
    for action in actions:
        if not isinstance(action, model.Reusable) and action.type == "goto" and action.workflow_id is not None:
            yield action.workflow_id
