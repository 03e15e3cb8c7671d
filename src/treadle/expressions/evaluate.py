"""Expression x Context -> value or Missing. A value keeps its type; what is absent says which part was not there."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeGuard

from treadle import pointer
from treadle.errors import ExpressionInvalid
from treadle.expressions import jsonpath
from treadle.expressions.syntax import (
    ComponentReference,
    ContextValue,
    Expression,
    InputReference,
    MessagePart,
    Method,
    Navigation,
    OutputReference,
    SelfUri,
    SourceReference,
    StatusCode,
    StepReference,
    Template,
    Url,
    WholeMap,
    WorkflowReference,
    dump,
    dump_steps,
)
from treadle.expressions.words import absent, to_text
from treadle.files import Binary

_NO_JSON = (str, Binary)
"""Of what the body of an answer is that is not JSON."""


class Missing:
    """The value of an expression that leads nowhere; it is not `None`.

    Attributes:
        why: the expression and the part of its path that was not there, and what was there instead.
        unreadable: there was data, or should have been, but none that can be read (HTML where JSON was expected). A
            condition over it is not false, it could not be evaluated.
    """

    __slots__ = ("unreadable", "why")

    def __init__(self, why: str, *, unreadable: bool = False) -> None:
        self.why = why
        self.unreadable = unreadable

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return f"Missing({self.why!r})"


class Message(Protocol):
    """A request or a response as expressions see it; each part is a value or Missing."""

    def header(self, name: str) -> Any:
        """Give one header field; names are case-insensitive (RFC 9110 section 5.1)."""

    def query(self, name: str) -> Any:
        """Give one query parameter."""

    def path(self, name: str) -> Any:
        """Give one path parameter."""

    def body(self) -> Any:
        """Give the body: a JSON value when it is JSON, else text."""


_NO_CONTEXT = Missing("`$` has no context here")


def _as_it_is(text: str) -> str:
    return text


class Context:
    """What expressions can see at one moment of a run; parts that do not exist then are None.

    `mask` hides secret values in a text. Whoever quotes a part of a value masks it first: of a secret that is cut, the
    rest would not be found again.
    """

    __slots__ = (
        "inputs", "mask", "method", "outputs", "request", "response", "self_uri", "sources", "status", "steps", "url", "value",
        "workflows",
    )  # fmt: skip

    def __init__(
        self,
        *,
        inputs: Mapping[str, Any] | None = None,
        steps: Mapping[str, Mapping[str, Any]] | None = None,
        workflows: Mapping[str, Mapping[str, Mapping[str, Any]]] | None = None,
        sources: Mapping[str, Mapping[str, Any]] | None = None,
        self_uri: str | None = None,
        mask: Callable[[str], str] = _as_it_is,
    ) -> None:
        self.mask = mask
        self.inputs = inputs or {}
        self.steps = steps if steps is not None else {}
        self.workflows = workflows or {}
        self.sources = sources or {}
        self.self_uri = self_uri
        self.outputs: Mapping[str, Any] | None = None
        self.url: str | None = None
        self.method: str | None = None
        self.status: int | None = None
        self.request: Message | None = None
        self.response: Message | None = None
        self.value: Any = _NO_CONTEXT


def evaluate(node: Expression | Template | str, context: Context) -> Any:
    """Give the value of an expression, of a template (a string), or of a literal text (itself); or Missing."""
    if type(node) is str:
        return node
    return EVALUATE[type(node)](node, context)


def compiled(node: Expression | Template) -> Callable[[Context], Any]:
    """Give a function that evaluates an expression; what conditions ask for most goes the shortest way."""
    if isinstance(node, StatusCode):
        return lambda context: _or_missing(context.status, node) if context.status is None else context.status
    if isinstance(node, MessagePart) and node.message == "response" and node.part in ("body", "payload"):
        return _compiled_body(node)
    read = EVALUATE[type(node)]
    return lambda context: read(node, context)


def _compiled_body(node: MessagePart) -> Callable[[Context], Any]:
    tokens = node.pointer

    def read(context: Context) -> Any:
        message = context.response
        value = None if message is None else message.body()
        for token in tokens:
            if not isinstance(value, dict) or token not in value:
                return _message_part(node, context)  # a pointer into an array, or something to say
            value = value[token]
        return _message_part(node, context) if value is None or isinstance(value, Missing) else value

    return read


def _point(node: Expression, value: Any, tokens: tuple[str, ...]) -> Any:
    if not tokens or isinstance(value, Missing):
        return value
    reached = pointer.follow(value, tokens)
    if not reached.rest:
        return reached.value
    way = pointer.dump(tokens[: len(tokens) - len(reached.rest)])
    return Missing(f"`{dump(node)}`: {absent(way, reached.value, reached.rest[0])}")


def _named(node: Expression, values: Mapping[str, Any] | None, name: str, tokens: tuple[str, ...], what: str) -> Any:
    if values is None or name not in values:
        return Missing(f"`{dump(node)}`: there is no {what} `{name}`")
    return _point(node, values[name], tokens) if tokens else values[name]


def _input(node: InputReference, context: Context) -> Any:
    if node.name not in context.inputs:
        return Missing(f"`{dump(node)}`: no input `{node.name}` was given")
    value = context.inputs[node.name]
    return _point(node, value, node.pointer) if node.pointer else value


def _output(node: OutputReference, context: Context) -> Any:
    return _named(node, context.outputs, node.name, node.pointer, "output")


def _step(node: StepReference, context: Context) -> Any:
    outputs = context.steps.get(node.step_id)
    if outputs is None:
        return Missing(f"`{dump(node)}`: step `{node.step_id}` has not run")
    return _named(node, outputs, node.name, node.pointer, f"output of step `{node.step_id}` named")


def _whole_map(node: WholeMap, context: Context) -> Any:
    if node.step_id is None:
        return dict(context.inputs)
    outputs = context.steps.get(node.step_id)
    return Missing(f"`{dump(node)}`: step `{node.step_id}` has not run") if outputs is None else dict(outputs)


def _workflow(node: WorkflowReference, context: Context) -> Any:
    fields = context.workflows.get(node.workflow_id)
    if fields is None:
        return Missing(f"`{dump(node)}`: workflow `{node.workflow_id}` has not run")
    return _named(node, fields.get(node.field), node.name, node.pointer, f"{node.field[:-1]} named")


def _source(node: SourceReference, context: Context) -> Any:
    return _named(node, context.sources.get(node.source), node.reference, (), "field of the source description named")


def _component(node: ComponentReference, _context: Context) -> Any:
    return Missing(f"`{dump(node)}`: a component is not a value")


def _message_part(node: MessagePart, context: Context) -> Any:
    message = context.request if node.message == "request" else context.response
    if message is None or node.message == "message":
        return Missing(f"`{dump(node)}`: there is no {node.message} here")
    if node.part in ("body", "payload"):
        return _body(node, message, context)
    value = getattr(message, node.part)(node.name)
    return Missing(f"`{dump(node)}`: the {node.message} has no {node.part} `{node.name}`") if value is None else value


def _body(node: MessagePart, message: Message, context: Context) -> Any:
    value = message.body()
    if isinstance(value, Missing):
        return Missing(f"`{dump(node)}`: {value.why}", unreadable=value.unreadable)
    if not node.pointer:
        return value
    return unreadable_body(node, context) if isinstance(value, _NO_JSON) else _point(node, value, node.pointer)


def unreadable_body(node: MessagePart, context: Context, *, at: Expression | None = None) -> Missing:
    """Say that a body is text, or binary data, where JSON was expected; `at` is the expression that goes into it."""
    message = context.request if node.message == "request" else context.response
    what = (message.header("content-type") if message is not None else None) or "text"
    return Missing(f"`{dump(at or node)}`: the body ({what}) is not JSON", unreadable=True)


def _or_missing(value: Any, node: Expression) -> Any:
    return Missing(f"`{dump(node)}`: there is none here") if value is None else value


def _navigation(node: Navigation, context: Context) -> Any:
    whole = value = evaluate(node.base, context)
    if isinstance(value, Missing):
        return value
    for number, step in enumerate(node.steps):
        # As in a JSON Pointer, `.0` is an index of an array, and `[0]` a member of an object.
        index = step if isinstance(step, int) else pointer.array_index(step)
        if isinstance(value, dict) and str(step) in value:
            value = value[str(step)]
        elif isinstance(value, list) and index is not None and -len(value) <= index < len(value):
            value = value[index]
        elif step == "length" and isinstance(value, list | str | dict):
            value = len(value)
        elif value is whole and isinstance(value, _NO_JSON) and _is_body(node.base):
            return unreadable_body(node.base, context, at=node)
        else:
            return Missing(f"`{dump(node)}`: {absent(dump_steps(node.steps[:number]), value, step)}")
    return _queried(node, value, context) if node.query else value


def _queried(node: Navigation, value: Any, context: Context) -> Any:
    """Give what the query selects, as a Selector Object does: one value, or the array of all."""
    if isinstance(value, _NO_JSON) and _is_body(node.base):
        return unreadable_body(node.base, context, at=node)
    try:
        query = jsonpath.compiled(node.query)
        nodes = [value for value, _ in query.nodes(value)]
    except ExpressionInvalid as error:
        return Missing(error.message, unreadable=True)
    if not nodes:
        return Missing(f"`{dump(node)}`: {query.why_nothing(value)}")
    return nodes[0] if len(nodes) == 1 else nodes


def _is_body(node: Expression) -> TypeGuard[MessagePart]:
    return isinstance(node, MessagePart) and node.part in ("body", "payload") and not node.pointer


def _template(node: Template, context: Context) -> Any:
    written = []
    for part in node.parts:
        if isinstance(part, str):
            written.append(part)
            continue
        value = evaluate(part, context)
        if isinstance(value, Missing):
            return value
        try:
            written.append(to_text(value))
        except ExpressionInvalid as error:
            return Missing(f"`{dump(part)}`: {error.message}", unreadable=True)
    return "".join(written)


EVALUATE: dict[type, Any] = {
    str: lambda text, _context: text,
    InputReference: _input,
    StepReference: _step,
    MessagePart: _message_part,
    StatusCode: lambda node, context: _or_missing(context.status, node),
    Template: _template,
    Navigation: _navigation,
    ContextValue: lambda _node, context: context.value,
    OutputReference: _output,
    WholeMap: _whole_map,
    WorkflowReference: _workflow,
    SourceReference: _source,
    ComponentReference: _component,
    Url: lambda node, context: _or_missing(context.url, node),
    Method: lambda node, context: _or_missing(context.method, node),
    SelfUri: lambda node, context: _or_missing(context.self_uri, node),
}
"""How each kind of expression, a template and a literal text give their value in a context."""
