"""compile(document, sources, workflow) -> Program: names bound, expressions parsed, only the operations it needs.

A Program is data through and through: it can be written as JSON, and read and run elsewhere. What is wrong with a
document is found here, with its place, before anything is sent.
"""

from typing import Any

from msgspec import Struct

from treadle.expressions.criteria import Test
from treadle.expressions.payload import Payload
from treadle.sources.operation import Operation, ParameterSpec

POLL_BACKOFF = 1.5


class Argument(Struct, frozen=True):
    """A parameter of the step's operation and the value it gets."""

    spec: ParameterSpec
    value: Payload


class Replacement(Struct, frozen=True):
    """A location in the payload (kind and version of the selector, and its text) and the value that is set there."""

    target: tuple[str, str, str]
    value: Payload


class Body(Struct, frozen=True):
    """The payload of a request and the media type it is written in."""

    content_type: str
    payload: Payload
    replacements: tuple[Replacement, ...] = ()


class Call(Struct, frozen=True):
    """An operation with everything it takes; `server` is the base URL it is sent to."""

    operation: Operation
    server: str
    arguments: tuple[Argument, ...] = ()
    body: Body | None = None


class Action(Struct, frozen=True):
    """A success or failure action; `target` is the index of a step, times are seconds."""

    name: str
    type: str
    target: int | None = None
    retry_after: float | None = None
    retry_limit: int = 1
    criteria: tuple[Test, ...] = ()


class Poll(Struct, frozen=True):
    """`x-treadle-poll`: how a step that is entered again is paced; seconds. `timeout` bounds the whole loop.

    Intervals that are None are those of the run.
    """

    interval: float | None = None
    max_interval: float | None = None
    backoff: float = POLL_BACKOFF
    timeout: float | None = None


class Step(Struct, frozen=True):
    """A step: the call, what makes it succeed, what follows, and what it gives; `timeout` in seconds."""

    step_id: str
    call: Call
    success_criteria: tuple[Test, ...] = ()
    on_success: tuple[Action, ...] = ()
    on_failure: tuple[Action, ...] = ()
    outputs: tuple[tuple[str, Payload], ...] = ()
    timeout: float | None = None
    poll: Poll | None = None


class Program(Struct, frozen=True):
    """A workflow, ready to run.

    Attributes:
        workflow_id: the workflow it was compiled from.
        inputs: the JSON Schema of its inputs, or None; it carries the components it refers to.
        secrets: the names of inputs whose values are never shown.
        sources: what `$sourceDescriptions.NAME.FIELD` gives.
    """

    workflow_id: str
    steps: tuple[Step, ...]
    outputs: tuple[tuple[str, Payload], ...] = ()
    inputs: Any = None
    secrets: tuple[str, ...] = ()
    self_uri: str | None = None
    sources: dict[str, dict[str, str]] = {}
