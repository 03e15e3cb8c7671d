"""The lenient readings of real documents, each one a named rewrite with its warning and the correct form.

`read_value` and `read_operand` are the ways in: they try the grammar of `syntax` first and a dialect only where it
does not fit. Which dialects there are is the table DIALECTS.
"""

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import partial
from typing import NamedTuple, TypeVar

from msgspec.structs import replace

from treadle import pointer
from treadle.errors import ExpressionInvalid
from treadle.expressions.syntax import (
    ROOTS,
    Expression,
    InputReference,
    MessagePart,
    Navigation,
    OutputReference,
    Reference,
    StepReference,
    Template,
    WholeMap,
    WorkflowReference,
    dump,
    parse,
    parse_prefix,
    parse_template,
)

DIALECTS = {
    "unknown-root": "An expression starts with `$` and a word of the grammar; what only looks like one is plain text.",
    "embedded-without-braces": "An expression inside other text stands in braces.",
    "headers-plural": "A header is `$response.header.NAME`.",
    "pointer-without-slash": "A JSON Pointer starts with a slash.",
    "step-output-without-outputs": "An output of a step stands after `.outputs.`.",
    "literal-name": "Names of inputs and outputs match [A-Za-z0-9._-]+; no expression can reach others.",
    "whole-map": "An expression names one input or output.",
    "dot-navigation": "Outside a condition, the way into a value is a JSON Pointer.",
    "jsonpath-comparison": "A comparison is a condition of type simple; a JSONPath query has none outside its filters.",
    "jsonpath-filter-on-object": "A filter selects among the children of an array or object, not the object itself.",
    "plain-operation-id": "With several source descriptions, an operationId names the one it belongs to.",
    "source-dot-operation": "An operation of a source is `$sourceDescriptions.SOURCE.OPERATION`.",
    "operation-path": "An operationPath is `{$sourceDescriptions.SOURCE.url}` and a JSON Pointer.",
    "double-quoted-string": "A string in a condition stands in single quotes.",
    "unquoted-string": "A string in a condition stands in single quotes.",
}
"""Every dialect: its rule name and what the specification asks for instead."""

# `$self-service` and the like are prose.
_ROOT = re.compile(r"\$(?:" + "|".join(ROOTS) + r")(?!-?[A-Za-z0-9_])")
_NEARLY_ROOT = re.compile(r"(?<![\w.{$\\])\$([A-Za-z][A-Za-z_-]*)(?=\.[A-Za-z_]|\Z)", re.ASCII)
_LOWER_ROOTS = {root.lower(): root for root in ROOTS}
_LONG_ROOTS = [root for root in _LOWER_ROOTS if len(root) > 4]
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_STEP = re.compile(r"\.([A-Za-z0-9_$-]+)|\[(-?\d{1,18})\]|\[\s*'([^']*)'\s*\]|\[\s*\"([^\"]*)\"\s*\]", re.ASCII)


_Named = TypeVar("_Named", bound=InputReference | OutputReference | StepReference | WorkflowReference)


class Finding(NamedTuple):
    """A use of a dialect: its rule, what to say, the offsets in the text (characters), and the correct form."""

    rule: str
    message: str
    start: int
    end: int
    correct: str


class Names(NamedTuple):
    """The names a document declares, for texts that are ambiguous without them; None where anything is allowed."""

    inputs: frozenset[str] | None = None
    steps: Mapping[str, frozenset[str]] = {}


def read_value(text: str, names: Names, findings: list[Finding]) -> Expression | Template | str:
    """Read a text that stands where a value may: an expression, a template, or a literal.

    Raises:
        ExpressionInvalid: it is meant as an expression and cannot be read as one.
    """
    if "$" not in text:
        return text
    value = _read(text, names, findings)
    _near_misses(text, findings)
    return value


def _near_misses(text: str, findings: list[Finding]) -> None:
    """Find `$input.a`, `$statuscode`: plain text to the grammar, and never meant to be."""
    for match in _NEARLY_ROOT.finditer(text):
        meant = _meant_root(match[1])
        if meant is not None:
            message = f"`${match[1]}` starts no expression, so it is plain text"
            findings.append(Finding("unknown-root", message, *match.span(), f"did you mean `${meant}`?"))


def _meant_root(written: str) -> str | None:
    if written in ROOTS or written.isupper():  # `$URL` is a variable of a shell
        return None
    plain = re.sub("[_-]", "", written).lower()
    close = [plain] if plain in _LOWER_ROOTS else get_close_matches(plain, _LONG_ROOTS, 1, 0.8)
    return _LOWER_ROOTS[close[0]] if close else None


def _read(text: str, names: Names, findings: list[Finding]) -> Expression | Template | str:
    if "{$" in text:
        return parse_template(text)
    if _ROOT.match(text):
        return _whole_or_embedded(text, names, findings)
    return _embedded(text, names, findings)


def _whole_or_embedded(text: str, names: Names, findings: list[Finding]) -> Expression | Template | str:
    try:
        return _whole(text, names, findings, findings)
    except ExpressionInvalid:
        if _ends_inside(text):
            return _embedded(text, names, findings)
        raise


def _whole(text: str, names: Names, findings: list[Finding], ways: list[Finding] | None) -> Expression:
    """Read a text that is one expression, in the grammar or a dialect; `ways` takes what is found of ways into values.

    Raises:
        ExpressionInvalid: it is none.
    """
    try:
        return _declared(parse(text), names, ways, text)
    except ExpressionInvalid as refused:
        repaired = _repaired(text, names, findings)
        if repaired is not None:
            return repaired
        try:
            node = parse_prefix(text, 0)
        except ExpressionInvalid:
            raise refused from None
        steps = read_steps(text[node.end :])
        if not steps:
            raise
        return _navigate(node, steps, text, names, ways)


def _ends_inside(text: str) -> bool:
    """Say whether an expression at the start of a text ends where other text goes on."""
    try:
        end = parse_prefix(text, 0).end
    except ExpressionInvalid:
        return False
    return text[end : end + 1] in set(" /-:,;&?=@$")


def _repaired(text: str, names: Names, findings: list[Finding]) -> Expression | None:
    """Read a whole text by one of the dialects that write an expression a little differently."""
    for repair in (_literal_name, _whole_map, _headers_plural, _pointer_without_slash, _step_output):
        found = repair(text, names)
        if found is None:
            continue
        node, rule, correct = found
        findings.append(Finding(rule, DIALECTS[rule].rstrip("."), 0, len(text), correct))
        return replace(node, start=0, end=len(text))
    return None


_Repair = tuple[Expression, str, str]


def _literal_name(text: str, names: Names) -> _Repair | None:
    """`$inputs.page[size]`, `$steps.s.outputs.my result`: a declared name as it stands, then the way into it."""
    for prefix, declared, make in _declared_places(text, names):
        rest = text[len(prefix) :]
        fitting = [name for name in declared if rest.startswith(name) and not _NAME.fullmatch(name)]
        if not fitting:
            continue
        name = max(fitting, key=len)
        node = make(name)
        after = rest[len(name) :]
        correct = f"rename `{name}`, for example to `{re.sub(r'[^A-Za-z0-9._-]+', '_', name).strip('_')}`"
        if not after:
            return node, "literal-name", correct
        if after.startswith("#/"):
            return replace(node, pointer=pointer.parse(after[1:])), "literal-name", correct
        steps = read_steps(after)
        if steps:
            return Navigation(node, steps), "literal-name", correct
    return None


def _declared_places(
    text: str, names: Names
) -> list[tuple[str, frozenset[str], Callable[[str], InputReference | StepReference]]]:
    if text.startswith("$inputs."):
        return [("$inputs.", names.inputs or frozenset(), InputReference)]
    found: list[tuple[str, frozenset[str], Callable[[str], InputReference | StepReference]]] = []
    for step_id, outputs in names.steps.items():
        prefix = f"$steps.{step_id}.outputs."
        if text.startswith(prefix):
            found.append((prefix, outputs, partial(StepReference, step_id)))
    return found


def _whole_map(text: str, names: Names) -> _Repair | None:
    """`$inputs`, `$steps.s.outputs`: all of them, as an object."""
    correct = "name the inputs or outputs that are needed, one by one"
    if text == "$inputs":
        return WholeMap(), "whole-map", correct
    step_id = text.removeprefix("$steps.").removesuffix(".outputs")
    if text == f"$steps.{step_id}.outputs" and step_id in names.steps:
        return WholeMap(step_id), "whole-map", correct
    return None


def _headers_plural(text: str, _names: Names) -> _Repair | None:
    """`$response.headers.X`."""
    return _respelt(text, ".headers.", ".header.", "headers-plural")


def _pointer_without_slash(text: str, _names: Names) -> _Repair | None:
    """`$response.body#x`."""
    return None if "#/" in text else _respelt(text, "#", "#/", "pointer-without-slash")


def _step_output(text: str, names: Names) -> _Repair | None:
    """`$steps.s.y` for the declared output `y` of step `s`, and the way into it."""
    step_id, _, rest = text.removeprefix("$steps.").partition(".")
    declared = names.steps.get(step_id)
    if not text.startswith("$steps.") or declared is None or not rest:
        return None
    fitting = [name for name in declared if re.match(rf"{re.escape(name)}(?=[.\[#]|$)", rest)]
    if not fitting:
        return None
    correct = f"$steps.{step_id}.outputs.{rest}"
    inner: list[Finding] = []
    try:
        node = read_value(correct, names, inner)
    except ExpressionInvalid:
        return None
    if isinstance(node, str | Template):
        return None
    shown = inner[0].correct if inner else f"write `{correct}`"
    return node, "step-output-without-outputs", shown


def _respelt(text: str, written: str, meant: str, rule: str) -> _Repair | None:
    if written not in text:
        return None
    correct = text.replace(written, meant, 1)
    try:
        return parse(correct), rule, f"write `{correct}`"
    except ExpressionInvalid:
        return None


def _embedded(text: str, names: Names, findings: list[Finding]) -> Template | str:
    """Read expressions inside other text: `Bearer $inputs.apiKey`."""
    parts: list[str | Expression] = []
    correct = []
    at = 0
    for match in _ROOT.finditer(text):
        if match.start() < at:
            continue
        try:
            node = _trimmed(parse_prefix(text, match.start()), names)
        except ExpressionInvalid:
            continue  # a dollar sign in prose
        parts += [text[at : match.start()], node]
        correct += [text[at : match.start()], "{", dump(node), "}"]
        at = node.end
    if not parts:
        return text
    parts.append(text[at:])
    correct.append(text[at:])
    first = next(part for part in parts if not isinstance(part, str))
    findings.append(
        Finding(
            "embedded-without-braces",
            "an expression inside other text stands in braces",
            first.start,
            at,
            f"write `{''.join(correct)}`",
        )
    )
    return Template(tuple(part for part in parts if part != ""))


def _trimmed(node: Reference, names: Names) -> Reference:
    """End a name in running text where the declared name ends, else before a closing full stop."""
    declared = declared_names(node, names)
    name = getattr(node, "name", "")
    if not isinstance(node, InputReference | OutputReference | StepReference | WorkflowReference) or node.pointer:
        return node
    if declared is None or name not in declared:
        fitting = [other for other in declared or () if name.startswith(other)]
        shorter = max(fitting, key=len) if fitting else name.rstrip(".")
        if not shorter:
            raise ExpressionInvalid("a name is expected here", node.start, node.end)
        return _renamed(node, shorter, node.end - len(name) + len(shorter))
    return node


def _renamed(node: _Named, name: str, end: int) -> _Named:
    return replace(node, name=name, end=end)


def declared_names(node: Reference, names: Names) -> frozenset[str] | None:
    """Give the names among which the last name of `node` is declared, or None where that is not known."""
    if isinstance(node, InputReference):
        return names.inputs
    if isinstance(node, StepReference):
        return names.steps.get(node.step_id)
    return None


def _declared(node: Expression, names: Names, findings: list[Finding] | None, text: str) -> Expression:
    """Read `$steps.s.outputs.y.z` as the declared output `y` and the way `z` into it, when no `y.z` is declared."""
    if not isinstance(node, InputReference | StepReference) or "." not in node.name or node.pointer:
        return node
    declared = declared_names(node, names)
    if declared is None or node.name in declared:
        return node
    fitting = [name for name in declared if node.name.startswith(f"{name}.")]
    if not fitting:
        return node
    name = max(fitting, key=len)
    steps = read_steps(node.name[len(name) :])
    if not steps:
        return node
    base = _renamed(node, name, node.end - len(node.name) + len(name))
    return _with_finding(base, steps, node.end, findings, text)


def _with_finding(
    base: Reference, steps: tuple[str | int, ...], end: int, findings: list[Finding] | None, text: str
) -> Navigation:
    if findings is not None:
        tokens = (*getattr(base, "pointer", ()), *steps)
        bare = dump(base).partition("#")[0]
        correct = f"write `{bare}#{pointer.dump(tokens)}`"
        message = f"`{text[base.end : end]}` goes into a value without a JSON Pointer"
        findings.append(Finding("dot-navigation", message, base.end, end, correct))
    return Navigation(base, steps, base.start, end)


def _navigate(
    node: Reference, steps: tuple[str | int, ...], text: str, names: Names, findings: list[Finding] | None
) -> Expression:
    split = _declared(node, names, None, text)
    if isinstance(split, Navigation):
        node, steps = split.base, (*split.steps, *steps)
    if not isinstance(node, InputReference | OutputReference | StepReference | WorkflowReference | MessagePart):
        raise ExpressionInvalid(f"there is no way into `{dump(node)}`", node.end, len(text))
    return _with_finding(node, steps, len(text), findings, text)


def read_steps(text: str) -> tuple[str | int, ...] | None:
    """Read `.name`, `[0]` and `['name']` in a row, or give None when the text is anything else."""
    steps: list[str | int] = []
    at = 0
    while at < len(text):
        match = _STEP.match(text, at)
        if match is None:
            return None
        name, index, single, double = match.groups()
        steps.append(int(index) if index is not None else next(n for n in (name, single, double) if n is not None))
        at = match.end()
    return tuple(steps)


def read_operand(text: str, names: Names, findings: list[Finding] | None = None) -> Expression:
    """Read an operand of a condition: a runtime expression and, by the operators `.` and `[]`, the way into its value.

    Offsets of the node and of what is found are those in `text`.

    Raises:
        ExpressionInvalid: it is no expression.
    """
    return _whole(text, names, [] if findings is None else findings, None)
