"""The Objects of the Arazzo Specification 1.1.0 as frozen values, one Struct for each, under their own names.

Texts that hold runtime expressions or conditions are kept as written; `expressions` reads them. Every Object knows
where it stands (`at`), so that a diagnostic can show the place. What may stand where is checked in `build`.
"""

from typing import Any

from msgspec import UNSET, Struct

from treadle.pointer import Path

EXPRESSION_VERSIONS: dict[str, tuple[str, ...]] = {
    "jsonpath": ("rfc9535", "draft-goessner-dispatch-jsonpath-00"),
    "xpath": ("xpath-31", "xpath-30", "xpath-20", "xpath-10"),
    "jsonpointer": ("rfc6901",),
}
"""The versions of each expression type (section "Expression Type Object"); the first is what a plain type means."""


class ExpressionType(Struct, frozen=True, gc=False):
    """Expression Type Object: the kind of an expression and the version of its language."""

    type: str
    version: str
    at: Path = ()


class Selector(Struct, frozen=True, gc=False):
    """Selector Object (1.1): picks data from `context` with a JSONPath, XPath or JSON Pointer."""

    context: str
    selector: str
    type: str | ExpressionType
    at: Path = ()


class Criterion(Struct, frozen=True, gc=False):
    """Criterion Object: a condition, the language it is written in, and the context it is applied to."""

    condition: str
    context: str | None = None
    type: str | ExpressionType = "simple"
    at: Path = ()


class Parameter(Struct, frozen=True, gc=False):
    """Parameter Object: a value for an operation's parameter, or without `location` (`in`) for a workflow's input."""

    name: str
    value: Any
    location: str | None = None
    at: Path = ()


class Reusable(Struct, frozen=True, gc=False):
    """Reusable Object: a reference into the Components Object, for a parameter with its own value if `has_value`."""

    reference: str
    value: Any = None
    has_value: bool = False
    at: Path = ()


class SuccessAction(Struct, frozen=True, gc=False):
    """Success Action Object: what follows a step that succeeded (`end` or `goto`)."""

    name: str
    type: str
    workflow_id: str | None = None
    step_id: str | None = None
    parameters: tuple[Parameter | Reusable, ...] = ()
    criteria: tuple[Criterion, ...] = ()
    at: Path = ()


class FailureAction(Struct, frozen=True, gc=False):
    """Failure Action Object: what follows a step that failed (`end`, `goto` or `retry`); `retry_after` in seconds."""

    name: str
    type: str
    workflow_id: str | None = None
    step_id: str | None = None
    parameters: tuple[Parameter | Reusable, ...] = ()
    retry_after: float | None = None
    retry_limit: int | None = None
    criteria: tuple[Criterion, ...] = ()
    at: Path = ()


class PayloadReplacement(Struct, frozen=True, gc=False):
    """Payload Replacement Object: a location in a payload and the value to set there."""

    target: str
    value: Any
    target_selector_type: str | ExpressionType | None = None
    at: Path = ()


class RequestBody(Struct, frozen=True, gc=False):
    """Request Body Object: payload (UNSET where there is none), its content type if it says one, and replacements."""

    payload: Any = UNSET
    content_type: str | None = None
    replacements: tuple[PayloadReplacement, ...] = ()
    at: Path = ()


class Reconcile(Struct, frozen=True, gc=False):
    """`x-treadle-reconcile`: an operation that tells whether a step's request took effect.

    `within` is a number of seconds, or an expression for one.
    """

    criteria: tuple[Criterion, ...]
    operation_id: str | None = None
    operation_path: str | None = None
    parameters: tuple[Parameter | Reusable, ...] = ()
    ambiguous: tuple[Criterion, ...] = ()
    unanswered: tuple[Criterion, ...] = ()
    outputs: dict[str, str | Selector] = {}
    within: Any = 0.0
    otherwise: str = "in-doubt"
    extensions: dict[str, Any] = {}
    at: Path = ()


class Step(Struct, frozen=True, gc=False):
    """Step Object: a call to an operation, a channel or another workflow; `timeout` in milliseconds."""

    step_id: str
    description: str | None = None
    operation_id: str | None = None
    operation_path: str | None = None
    channel_path: str | None = None
    workflow_id: str | None = None
    parameters: tuple[Parameter | Reusable, ...] = ()
    request_body: RequestBody | None = None
    success_criteria: tuple[Criterion, ...] = ()
    on_success: tuple[SuccessAction | Reusable, ...] = ()
    on_failure: tuple[FailureAction | Reusable, ...] = ()
    outputs: dict[str, str | Selector] = {}
    timeout: int | None = None
    correlation_id: str | None = None
    action: str | None = None
    depends_on: tuple[str, ...] = ()
    reconcile: Reconcile | None = None
    extensions: dict[str, Any] = {}
    at: Path = ()

    @property
    def undescribed(self) -> bool:
        """Whether the step calls what no description knows (`x-operation`), and names no operation beside it."""
        return "x-operation" in self.extensions and self.operation_id is None and self.operation_path is None


class Workflow(Struct, frozen=True, gc=False):
    """Workflow Object: inputs as a JSON Schema, steps in their order, outputs, and what all steps share."""

    workflow_id: str
    steps: tuple[Step, ...]
    summary: str | None = None
    description: str | None = None
    inputs: Any = None
    depends_on: tuple[str, ...] = ()
    success_actions: tuple[SuccessAction | Reusable, ...] = ()
    failure_actions: tuple[FailureAction | Reusable, ...] = ()
    outputs: dict[str, str | Selector] = {}
    parameters: tuple[Parameter | Reusable, ...] = ()
    extensions: dict[str, Any] = {}
    at: Path = ()


class Components(Struct, frozen=True, gc=False):
    """Components Object: what a document's workflows share by reference."""

    inputs: dict[str, Any] = {}
    parameters: dict[str, Parameter] = {}
    success_actions: dict[str, SuccessAction] = {}
    failure_actions: dict[str, FailureAction] = {}
    at: Path = ()


class SourceDescription(Struct, frozen=True, gc=False):
    """Source Description Object: a name for an API description or another Arazzo document, and where it is."""

    name: str
    url: str
    type: str | None = None
    extensions: dict[str, Any] = {}
    at: Path = ()


class Info(Struct, frozen=True, gc=False):
    """Info Object."""

    title: str
    version: str
    summary: str | None = None
    description: str | None = None
    at: Path = ()


class Document(Struct, frozen=True, gc=False):
    """Arazzo Specification Object, the root of an Arazzo document."""

    arazzo: str
    info: Info
    source_descriptions: tuple[SourceDescription, ...]
    workflows: tuple[Workflow, ...]
    components: Components = Components()
    self_uri: str | None = None
    at: Path = ()

    def workflow(self, workflow_id: str) -> Workflow | None:
        """Give the workflow of that id, or None; ids are case-sensitive."""
        return next((workflow for workflow in self.workflows if workflow.workflow_id == workflow_id), None)
