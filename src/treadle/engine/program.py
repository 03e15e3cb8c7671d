"""What compiling gives: names bound, expressions parsed, only the workflows and operations that are needed.

A Program is data through and through: it can be written as JSON, and read and run elsewhere.
"""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from treadle.expressions.criteria import Test
from treadle.expressions.payload import Payload
from treadle.sources.needs import SecurityNeed
from treadle.sources.operation import Operation, ParameterSpec

POLL_BACKOFF = 1.5


class Argument(Struct, frozen=True, gc=False):
    """A parameter of the step's operation and the value it gets."""

    spec: ParameterSpec
    value: Payload


class Replacement(Struct, frozen=True, gc=False):
    """A location in the payload (kind and version of the selector, and its text) and the value that is set there."""

    target: tuple[str, str, str]
    value: Payload


class Body(Struct, frozen=True, gc=False):
    """The payload of a request and the media type it is written in."""

    content_type: str
    payload: Payload
    replacements: tuple[Replacement, ...] = ()


class Flow(Struct, frozen=True, gc=False):
    """What flows to where credentials go (header, query, path, cookie, body) and is only known when it is sent."""

    where: str
    value: Payload


class Given(Struct, frozen=True, gc=False):
    """What a document gives for a security scheme (`x-security`), by the fields of a Credential."""

    need: SecurityNeed
    values: tuple[tuple[str, Payload], ...]


class Call(Struct, frozen=True, gc=False, tag=True):
    """An operation with everything it takes; `server` is the base URL it is sent to.

    Attributes:
        url: stands in place of server and path where `x-operation` gives an expression.
        settled: the step itself always sets what the operation requires, so nobody's credential is asked for.
    """

    operation: Operation
    server: str
    arguments: tuple[Argument, ...] = ()
    body: Body | None = None
    flows: tuple[Flow, ...] = ()
    given: tuple[Given, ...] = ()
    url: Payload | None = None
    settled: bool = False


class WorkflowCall(Struct, frozen=True, gc=False, tag=True):
    """Another workflow and the inputs it gets.

    Attributes:
        workflow: its index in the program.
        inputs: what the parameters give, by the name of the input.
        inherited: inputs that it takes from the calling workflow's inputs of the same name, where there are any.
    """

    workflow: int
    inputs: tuple[tuple[str, Payload], ...] = ()
    inherited: tuple[str, ...] = ()


class Action(Struct, frozen=True, gc=False):
    """A success or failure action; times are seconds.

    Attributes:
        target: the index of the step that it names.
        workflow: the workflow that it names.
    """

    name: str
    type: str
    target: int | None = None
    workflow: WorkflowCall | None = None
    retry_after: float | None = None
    retry_limit: int = 1
    criteria: tuple[Test, ...] = ()


class Poll(Struct, frozen=True, gc=False):
    """`x-treadle-poll`: how a step that is entered again is paced; seconds. `timeout` bounds the whole loop.

    Intervals that are None are those of the run. With `wait_first` the first pause is made before the step is entered for
    the first time.
    """

    interval: float | None = None
    max_interval: float | None = None
    backoff: float = POLL_BACKOFF
    timeout: float | None = None
    wait_first: bool = False


ANNOUNCED_S = "x-treadle-announced-s"
ANNOUNCED_MS = "x-treadle-announced-ms"
"""Inputs that the expressions of a Reconcile have besides: when the request was announced, since the epoch."""


class Reconcile(Struct, frozen=True, gc=False):
    """`x-treadle-reconcile`: how to find out whether the request of a step took effect when its answer never came.

    Attributes:
        call: what is asked; it only reads.
        criteria: all hold where the request took effect.
        outputs: what the step gives then.
        within: for how many seconds after the announcement a trace may be late.
        within_given: what gives those seconds in place of `within`.
        ambiguous: all hold where further looks would not tell either.
        unanswered: all hold, or cannot be told, where an answer that is no success leaves it as open as none.
        otherwise: what follows where there is no trace: `in-doubt`, or `retry` where that proves that it took no effect.
    """

    call: Call
    criteria: tuple[Test, ...]
    outputs: tuple[tuple[str, Payload], ...] = ()
    within: float = 0.0
    otherwise: str = "in-doubt"
    within_given: Payload | None = None
    ambiguous: tuple[Test, ...] = ()
    unanswered: tuple[Test, ...] = ()


class StepKey(Struct, frozen=True, gc=False):
    """A step of a workflow of the program, which is named by its index."""

    workflow: int
    step_id: str


class Step(Struct, frozen=True, gc=False):
    """A step: the call, what makes it succeed, what follows, and what it gives; `timeout` in seconds.

    `timeout_given` gives them in its place (`x-treadle-timeout`).
    """

    step_id: str
    call: Call | WorkflowCall
    success_criteria: tuple[Test, ...] = ()
    on_success: tuple[Action, ...] = ()
    on_failure: tuple[Action, ...] = ()
    outputs: tuple[tuple[str, Payload], ...] = ()
    timeout: float | None = None
    poll: Poll | None = None
    depends_on: tuple[StepKey, ...] = ()
    reconcile: Reconcile | None = None
    timeout_given: Payload | None = None

    def calls(self) -> Iterator[Call]:
        """Give the calls of operations: its own, and that of its rule."""
        if isinstance(self.call, Call):
            yield self.call
        if self.reconcile is not None:
            yield self.reconcile.call


class Workflow(Struct, frozen=True, gc=False):
    """A workflow, ready to run.

    Attributes:
        steps: in the order in which they are executed.
        inputs: the JSON Schema of its inputs, or None; it carries all that it refers to.
        depends_on: the workflows that have to be completed before it.
        secrets: the names of inputs whose values are never shown.
        document: which of the program's documents it stands in, for `$workflows`.
        sources: what `$sourceDescriptions.NAME.FIELD` gives.
    """

    workflow_id: str
    steps: tuple[Step, ...]
    outputs: tuple[tuple[str, Payload], ...] = ()
    inputs: Any = None
    depends_on: tuple[WorkflowCall, ...] = ()
    secrets: tuple[str, ...] = ()
    document: int = 0
    self_uri: str | None = None
    sources: dict[str, dict[str, str]] = {}


class Program(Struct, frozen=True, gc=False):
    """A workflow with all those that it may come to: the first one is where the run begins."""

    workflows: tuple[Workflow, ...]

    @property
    def entry(self) -> Workflow:
        """The workflow that is run."""
        return self.workflows[0]

    @property
    def workflow_id(self) -> str:
        """The id of the workflow that is run."""
        return self.workflows[0].workflow_id

    def calls(self) -> Iterator[Call]:
        """Give every call of an operation."""
        for workflow in self.workflows:
            for step in workflow.steps:
                yield from step.calls()
