"""Runtime expressions by the ABNF of Arazzo 1.1.0, section "Runtime Expressions": text to tree and back.

Only what the grammar allows is read here; lenient readings are in `dialect`. Every node keeps the offsets (characters)
of its text, so that a message can point at it.
"""

from collections.abc import Sequence
from typing import NoReturn, TypeAlias

from msgspec import Struct

from treadle import pointer
from treadle.errors import ExpressionInvalid

ALPHA_DIGIT = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
IDENTIFIER_STRICT = ALPHA_DIGIT | frozenset("-_")
IDENTIFIER = IDENTIFIER_STRICT | {"."}
STEP_NAME = IDENTIFIER_STRICT | {"$"}
TOKEN = ALPHA_DIGIT | frozenset("!#$%&'*+-.^_`|~")
ROOTS = (
    "url", "method", "statusCode", "request", "response", "message", "inputs", "outputs", "steps", "workflows",
    "sourceDescriptions", "components", "self",
)  # fmt: skip
"""What may stand after `$`, in the order of the grammar."""


class Node(Struct, frozen=True, gc=False):
    """An expression without parts; `start` and `end` are offsets into the text it was read from."""

    start: int = 0
    end: int = 0


class Url(Node, frozen=True, tag=True):
    """`$url`: the URL of the request that was sent."""


class Method(Node, frozen=True, tag=True):
    """`$method`: the HTTP method of the request."""


class StatusCode(Node, frozen=True, tag=True):
    """`$statusCode`: the HTTP status of the response, a number."""


class SelfUri(Node, frozen=True, tag=True):
    """`$self`: the canonical URI of the document."""


class MessagePart(Struct, frozen=True, gc=False, tag=True):
    """`$request.`, `$response.` or `$message.` with `header.`, `query.`, `path.`, `body` or `payload`."""

    message: str
    part: str
    name: str = ""
    pointer: tuple[str, ...] = ()
    start: int = 0
    end: int = 0


class InputReference(Struct, frozen=True, gc=False, tag=True):
    """`$inputs.NAME` with an optional `#` and JSON Pointer."""

    name: str
    pointer: tuple[str, ...] = ()
    start: int = 0
    end: int = 0


class OutputReference(Struct, frozen=True, gc=False, tag=True):
    """`$outputs.NAME` with an optional `#` and JSON Pointer."""

    name: str
    pointer: tuple[str, ...] = ()
    start: int = 0
    end: int = 0


class StepReference(Struct, frozen=True, gc=False, tag=True):
    """`$steps.STEP.outputs.NAME` with an optional `#` and JSON Pointer."""

    step_id: str
    name: str
    pointer: tuple[str, ...] = ()
    start: int = 0
    end: int = 0


class WorkflowReference(Struct, frozen=True, gc=False, tag=True):
    """`$workflows.WORKFLOW.inputs.NAME` or `.outputs.NAME` with an optional `#` and JSON Pointer."""

    workflow_id: str
    field: str
    name: str
    pointer: tuple[str, ...] = ()
    start: int = 0
    end: int = 0


class SourceReference(Struct, frozen=True, gc=False, tag=True):
    """`$sourceDescriptions.NAME.REFERENCE`: an operationId, a workflowId, or a field of the Source Description."""

    source: str
    reference: str
    start: int = 0
    end: int = 0


class ComponentReference(Struct, frozen=True, gc=False, tag=True):
    """`$components.KIND.NAME`."""

    kind: str
    name: str
    start: int = 0
    end: int = 0


class WholeMap(Struct, frozen=True, gc=False, tag=True):
    """`$inputs` or `$steps.STEP.outputs` with no name after it: all of them as an object. No grammar has it."""

    step_id: str | None = None
    start: int = 0
    end: int = 0


class Navigation(Struct, frozen=True, gc=False, tag=True):
    """A value and the way into it by names and indexes: the operators `.` and `[]` of conditions.

    Real documents also write the way as a JSONPath query; `query` is then that query, and there are no steps.
    """

    base: "Reference"
    steps: tuple[str | int, ...]
    start: int = 0
    end: int = 0
    query: str = ""


class ContextValue(Struct, frozen=True, gc=False, tag=True):
    """The context of a criterion, where a condition speaks of it as `$`."""

    start: int = 0
    end: int = 0


Reference: TypeAlias = (
    Url | Method | StatusCode | SelfUri | MessagePart | InputReference | OutputReference | StepReference
    | WorkflowReference | SourceReference | ComponentReference | ContextValue | WholeMap
)  # fmt: skip
Expression: TypeAlias = Reference | Navigation


class Template(Struct, frozen=True, gc=False, tag=True):
    """An expression-string: literal text and embedded expressions in turn."""

    parts: tuple[str | Expression, ...]


def parse(text: str) -> Expression:
    """Read a text that is one runtime expression and nothing else.

    Raises:
        ExpressionInvalid: the grammar does not allow it; the offsets say where it stops to fit.
    """
    scanner = Scanner(text, 0)
    node = scanner.expression()
    if scanner.at != len(text):
        scanner.fail(f"{text[scanner.at :]!r} cannot follow {text[: scanner.at]!r}")
    return node


def parse_prefix(text: str, start: int) -> Reference:
    """Read the longest runtime expression that starts at `start`; more text may follow (see the node's `end`).

    Raises:
        ExpressionInvalid: no expression starts there.
    """
    return Scanner(text, start).expression()


class Scanner:
    """Reads one expression from a text, a character set at a time."""

    def __init__(self, text: str, at: int) -> None:
        self.text = text
        self.start = at
        self.at = at

    def fail(self, message: str, hint: str | None = None) -> NoReturn:
        """Refuse the text at the present offset."""
        raise ExpressionInvalid(message, self.at, len(self.text), hint=hint)

    def expression(self) -> Reference:
        """Read `expression` of the grammar."""
        if not self.take("$"):
            self.fail("a runtime expression starts with '$'")
        root = self.run(ALPHA_DIGIT, "a name after '$'")
        match root:
            case "url":
                return Url(self.start, self.at)
            case "method":
                return Method(self.start, self.at)
            case "statusCode":
                return StatusCode(self.start, self.at)
            case "self":
                return SelfUri(self.start, self.at)
        if root not in ROOTS:
            self.at = self.start + 1
            self.fail(f"'${root}' is not a runtime expression", f"after '$' comes one of {', '.join(ROOTS)}")
        if not self.take("."):
            self.fail(f"'${root}' needs a '.' and a name after it")
        match root:
            case "request" | "response" | "message":
                return self.source(root)
            case "inputs":
                name = self.run(IDENTIFIER, "the name of an input")
                return InputReference(name, self.pointer(), self.start, self.at)
            case "outputs":
                name = self.run(IDENTIFIER, "the name of an output")
                return OutputReference(name, self.pointer(), self.start, self.at)
            case "steps":
                return self.steps_reference()
            case "workflows":
                return self.workflows_reference()
            case "sourceDescriptions":
                return self.source_reference()
        return self.components_reference()

    def source(self, message: str) -> MessagePart:
        """Read `source`: header, query, path, body or payload of a message."""
        part = self.run(ALPHA_DIGIT, "header, query, path, body or payload")
        match part:
            case "body" | "payload":
                return MessagePart(message, part, "", self.pointer(), self.start, self.at)
            case "header" | "query" | "path":
                if not self.take("."):
                    self.fail(f"'{part}' needs a '.' and a name after it")
                name = self.run(TOKEN, "the name of a header") if part == "header" else self.name()
                return MessagePart(message, part, name, (), self.start, self.at)
        self.at -= len(part)
        hint = "write `header.NAME`" if part == "headers" else None
        self.fail(f"'{part}' is no part of a {message}; there are header, query, path, body and payload", hint)

    def steps_reference(self) -> StepReference:
        """Read `steps-reference`."""
        step_id = self.run(IDENTIFIER_STRICT, "a stepId")
        if not self.take(".outputs."):
            self.fail(f"after '$steps.{step_id}' comes '.outputs.' and the name of an output")
        name = self.run(IDENTIFIER, "the name of an output")
        return StepReference(step_id, name, self.pointer(), self.start, self.at)

    def workflows_reference(self) -> WorkflowReference:
        """Read `workflows-reference`."""
        workflow_id = self.run(IDENTIFIER_STRICT, "a workflowId")
        for field in ("inputs", "outputs"):
            if self.take(f".{field}."):
                name = self.run(IDENTIFIER, f"a name in {field}")
                return WorkflowReference(workflow_id, field, name, self.pointer(), self.start, self.at)
        hint = "what a step of another workflow gives is reached as an output of that workflow"
        message = f"after '$workflows.{workflow_id}' comes '.inputs.' or '.outputs.' and a name"
        self.fail(message, hint if self.text.startswith(".steps.", self.at) else None)

    def source_reference(self) -> SourceReference:
        """Read `source-reference`."""
        source = self.run(IDENTIFIER_STRICT, "the name of a source description")
        if not self.take("."):
            self.fail(f"after '$sourceDescriptions.{source}' comes '.' and an operationId, a workflowId or a field")
        return SourceReference(source, self.name(at_least=1), self.start, self.at)

    def components_reference(self) -> ComponentReference:
        """Read `components-reference`."""
        for kind in ("parameters", "successActions", "failureActions"):
            if self.take(f"{kind}."):
                name = self.run(IDENTIFIER, "the name of a component")
                return ComponentReference(kind, name, self.start, self.at)
        self.fail("after '$components.' comes 'parameters.', 'successActions.' or 'failureActions.' and a name")

    def name(self, at_least: int = 0) -> str:
        """Read `name`: characters of a JSON string, without braces."""
        begin = self.at
        while self.at < len(self.text):
            character = self.text[self.at]
            if character < " " or character in '"{}':
                break
            if character == "\\":
                self.escape()
            self.at += 1
        if self.at - begin < at_least:
            self.fail("a name is expected here")
        return self.text[begin : self.at]

    def escape(self) -> None:
        """Pass a backslash and what it escapes, as in a JSON string; the name keeps it as written."""
        follows = self.text[self.at + 1 : self.at + 2]
        digits = self.text[self.at + 2 : self.at + 6]
        if follows == "u" and len(digits) == 4 and all(digit in "0123456789abcdefABCDEF" for digit in digits):
            self.at += 5
        elif follows and follows in '"\\/bfnrt':
            self.at += 1
        else:
            self.fail('a backslash is followed by one of " \\ / b f n r t or by u and four hexadecimal digits')

    def pointer(self) -> tuple[str, ...]:
        """Read an optional `#` and `json-pointer`."""
        if not self.take("#"):
            return ()
        begin = self.at
        while self.at < len(self.text) and self.text[self.at] not in "{}":
            self.at += 1
        written = self.text[begin : self.at]
        try:
            return pointer.parse(written)
        except ValueError as error:
            self.at = begin
            hint = f"write `#/{written}`" if written and written[0] != "/" else None
            self.fail(str(error), hint)

    def run(self, allowed: frozenset[str], expected: str) -> str:
        """Read one or more characters of a set."""
        begin = self.at
        while self.at < len(self.text) and self.text[self.at] in allowed:
            self.at += 1
        if self.at == begin:
            self.fail(f"{expected} is expected here")
        return self.text[begin : self.at]

    def take(self, text: str) -> bool:
        """Read exactly this text if it stands here."""
        if self.text.startswith(text, self.at):
            self.at += len(text)
            return True
        return False


def parse_template(text: str) -> Template | Expression | str:
    """Read an expression-string: text with expressions in braces.

    A text without embedded expressions comes back as it is; one that is a single `{expression}` comes back as that
    expression, so that its value keeps its type. A brace that no `$` follows is text: payloads are full of them.

    Raises:
        ExpressionInvalid: a brace with `$` opens, but no expression and closing brace follow.
    """
    parts: list[str | Expression] = []
    at = 0
    while (opening := text.find("{$", at)) >= 0:
        closing = text.find("}", opening)
        if closing < 0:
            raise ExpressionInvalid("'{' opens an embedded expression that no '}' closes", opening, len(text))
        scanner = Scanner(text[:closing], opening + 1)
        node = scanner.expression()
        if scanner.at != closing:
            scanner.fail(f"{text[scanner.at : closing]!r} cannot follow {text[opening + 1 : scanner.at]!r}")
        if opening > at:
            parts.append(text[at:opening])
        parts.append(node)
        at = closing + 1
    if not parts:
        return text
    if at < len(text):
        parts.append(text[at:])
    if len(parts) == 1 and not isinstance(parts[0], str):
        return parts[0]
    return Template(tuple(parts))


def dump(node: Expression) -> str:
    """Write an expression as text; reading that text gives the same tree."""
    match node:
        case Url():
            return "$url"
        case Method():
            return "$method"
        case StatusCode():
            return "$statusCode"
        case SelfUri():
            return "$self"
        case ContextValue():
            return "$"
        case MessagePart(message, part, name, tokens):
            return f"${message}.{part}" + (f".{name}" if part in ("header", "query", "path") else _fragment(tokens))
        case WholeMap(step_id):
            return "$inputs" if step_id is None else f"$steps.{step_id}.outputs"
        case InputReference(name, tokens):
            return f"$inputs.{name}{_fragment(tokens)}"
        case OutputReference(name, tokens):
            return f"$outputs.{name}{_fragment(tokens)}"
        case StepReference(step_id, name, tokens):
            return f"$steps.{step_id}.outputs.{name}{_fragment(tokens)}"
        case WorkflowReference(workflow_id, field, name, tokens):
            return f"$workflows.{workflow_id}.{field}.{name}{_fragment(tokens)}"
        case SourceReference(source, reference):
            return f"$sourceDescriptions.{source}.{reference}"
        case ComponentReference(kind, name):
            return f"$components.{kind}.{name}"
        case _:
            return dump(node.base) + dump_steps(node.steps) + node.query[1:]


def dump_steps(steps: Sequence[str | int]) -> str:
    """Write the way into a value by the operators `.` and `[]`; a name that `.` does not allow stands in quotes."""
    return "".join(_dump_step(step) for step in steps)


def _dump_step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    if step and set(step) <= STEP_NAME:
        return f".{step}"
    quote = '"' if "'" in step else "'"
    return f"[{quote}{step}{quote}]"


def _fragment(tokens: tuple[str, ...]) -> str:
    return "#" + pointer.dump(tokens) if tokens else ""
