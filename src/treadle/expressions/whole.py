"""One whole expression, in the grammar or in a dialect of it: each a named rewrite with its warning.

The grammar of `syntax` is tried first and a dialect only where it does not fit. Declared names decide what is ambiguous.
"""

import re
from collections.abc import Callable, Iterator
from functools import partial

from msgspec.structs import replace

from treadle import pointer
from treadle.document.dialects import DIALECTS
from treadle.errors import ExpressionInvalid
from treadle.expressions import jsonpath
from treadle.expressions.names import Finding, Named, Names, beginnings, declared_names
from treadle.expressions.syntax import (
    IDENTIFIER_STRICT,
    Expression,
    InputReference,
    MessagePart,
    Navigation,
    Reference,
    StepReference,
    WholeMap,
    WorkflowReference,
    dump,
    dump_steps,
    parse,
    parse_prefix,
)

_NAME = re.compile(r"[A-Za-z0-9._-]+")
_STEP = re.compile(r"\.([A-Za-z0-9_$-]+)|\[(-?\d{1,18})\]|\[\s*'([^']*)'\s*\]|\[\s*\"([^\"]*)\"\s*\]", re.ASCII)
_BRACKETED = re.compile(r"((?:\[[A-Za-z_][A-Za-z0-9_.-]*\])+)(#/.*)?", re.ASCII | re.DOTALL)
"""`[organization]`, as names of query parameters have it."""
_UNDECLARED_INPUT = re.compile(r"\$inputs\.(\$?[A-Za-z0-9._-]*(?:\[[A-Za-z0-9_.-]*\])*)(#/.*)?", re.ASCII | re.DOTALL)
_UNDECLARED_OUTPUT = re.compile(r"\$steps\.([A-Za-z0-9_-]+)\.outputs\.([A-Za-z0-9._-]*<[^<>]*>[^#]*)", re.ASCII)
_HOLDER = re.compile(r"\.(inputs|outputs)\.")
_INDEX_HINT = "an index is a number, as in `[0]`; a name stands in quotes, as in `['name']`"


def read_whole(text: str, names: Names, findings: list[Finding], ways: list[Finding] | None) -> Expression:
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
            undeclared = _undeclared(text, findings)
            if undeclared is None:
                raise refused from None
            return undeclared
        steps = read_steps(text[node.end :])
        if steps:
            return _navigate(node, steps, text, names, ways)
        loose = _bracketed(node, text, names, ways)
        if loose is None and not _is_declared(node, names, text):
            loose = _undeclared(text, findings)
        return loose or _queried(node, text, names, findings, refused)


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


def correct_form(node: Expression) -> str:
    """Write an expression as the grammar has it: the way into a value by a JSON Pointer, where one can say it."""
    if not isinstance(node, Navigation) or node.query or not isinstance(node.base, Named | MessagePart):
        return dump(node)
    if any(isinstance(step, int) and step < 0 for step in node.steps):
        return dump(node)
    return f"{dump(replace(node.base, pointer=()))}#{pointer.dump((*node.base.pointer, *node.steps))}"


# Ways into values


def _declared(node: Expression, names: Names, ways: list[Finding] | None, text: str) -> Expression:
    """Read `$steps.s.outputs.y.z` as the declared output `y` and the way `z` into it, when no `y.z` is declared."""
    if not isinstance(node, Named) or "." not in node.name:
        return node
    declared = declared_names(node, names)
    if declared is None or node.name in declared:
        return node
    for name in beginnings(declared, node.name):
        if steps := read_steps(node.name[len(name) :]):
            break
    else:
        return node
    before = node.start + len(dump(replace(node, pointer=()))) - len(node.name) + len(name)
    base = replace(node, name=name, pointer=(), end=before)
    return _with_finding(base, (*steps, *node.pointer), node.end, ways, text)


def _is_declared(node: Reference, names: Names, text: str) -> bool:
    declared = declared_names(node, names) or ()
    return getattr(node, "name", "") in declared or isinstance(_declared(node, names, None, text), Navigation)


def _navigate(
    node: Reference, steps: tuple[str | int, ...], text: str, names: Names, ways: list[Finding] | None
) -> Expression:
    split = _declared(node, names, None, text)
    if isinstance(split, Navigation):
        node, steps = split.base, (*split.steps, *steps)
    if not isinstance(node, Named | MessagePart):
        raise ExpressionInvalid(f"there is no way into `{dump(node)}`", node.end, len(text))
    return _with_finding(node, steps, len(text), ways, text)


def _with_finding(
    base: Reference, steps: tuple[str | int, ...], end: int, ways: list[Finding] | None, text: str
) -> Navigation:
    node = Navigation(base, steps, base.start, end)
    if ways is not None:
        message = f"`{text[base.end : end]}` goes into a value without a JSON Pointer"
        correct = f"write `{correct_form(node)}`"
        if any(isinstance(step, int) and step < 0 for step in steps):
            correct = f"use a Selector Object: `selector: ${dump_steps(steps)}`, `type: jsonpath`"
        elif steps[-1] == "length":
            correct += " for a member of that name; how long a value is can be asked in conditions only"
        ways.append(Finding("dot-navigation", message, base.end, end, correct))
    return node


def _bracketed(node: Reference, text: str, names: Names, ways: list[Finding] | None) -> Expression | None:
    """`$inputs.filter[status]` for the declared input `filter`: the member of that name."""
    match = _BRACKETED.fullmatch(text, node.end)
    if match is None or not isinstance(node, InputReference) or not _is_declared(node, names, text):
        return None
    tokens = _tokens(match[2] or "")
    return None if tokens is None else _navigate(node, (*match[1][1:-1].split("]["), *tokens), text, names, ways)


def _tokens(fragment: str) -> tuple[str, ...] | None:
    """Read `#/a/b`, or give None where it is no JSON Pointer."""
    try:
        return pointer.parse(fragment[1:])
    except ValueError:
        return None


def _queried(
    node: Reference, text: str, names: Names, findings: list[Finding], refused: ExpressionInvalid
) -> Expression:
    """`$response.body.items[*].id`, `$inputs.list[?(@.id == 1)]`: a JSONPath query into a value.

    Raises:
        ExpressionInvalid: what follows the expression is no query.
    """
    split = _declared(node, names, None, text)
    base = split.base if isinstance(split, Navigation) else node
    rest = text[node.end :]
    if not isinstance(base, Named | MessagePart) or base.pointer or rest[:1] not in ("[", "."):
        raise refused
    # People write `[]` for all items of an array; at the end that is the array.
    way = text[base.end : node.end] + rest.removesuffix("[]").replace("[]", "[*]")
    steps = read_steps(way)
    whole = Navigation(base, steps or (), 0, len(text), "" if steps is not None else f"${way}")
    if steps is None:
        try:
            jsonpath.compiled(whole.query)
        except ExpressionInvalid:
            hint = _INDEX_HINT if re.search(r"\[[A-Za-z_]", rest) else refused.hint
            raise ExpressionInvalid(refused.message, refused.start, refused.end, hint=hint) from None
    correct = f"use a Selector Object: `context: {dump(base)}`, `selector: {whole.query}`, `type: jsonpath`"
    if steps is not None:
        correct = f"write `{correct_form(whole)}`" if steps else f"write `{dump(base)}`"
    message = f"`{text[base.end :]}` is a query into a value"
    findings.append(Finding("query-in-expression", message, base.end, len(text), correct))
    return replace(base, end=len(text)) if steps == () else whole


# Expressions that are written a little differently


_Repair = tuple[Expression, str, str]


def _repaired(text: str, names: Names, findings: list[Finding]) -> Expression | None:
    """Read a whole text by one of the dialects that write an expression a little differently."""
    for repair in (_literal_name, _whole_map, _body_root, _headers_plural, _pointer_without_slash, _step_output):
        found = repair(text, names)
        if found is not None:
            return _noted(found, text, findings)
    return None


def _noted(found: _Repair, text: str, findings: list[Finding]) -> Expression:
    node, rule, correct = found
    findings.append(Finding(rule, DIALECTS[rule].rstrip("."), 0, len(text), correct))
    if isinstance(node, Navigation):
        # Its base may come from a corrected spelling, whose offsets are not those of the text.
        node = replace(node, base=replace(node.base, start=0, end=len(text)))
    return replace(node, start=0, end=len(text))


def _undeclared(text: str, findings: list[Finding]) -> Expression | None:
    """`$inputs.page[size]`, `$inputs.$filter`: a name that is declared nowhere is still one."""
    match = _UNDECLARED_INPUT.fullmatch(text)
    tokens = _tokens(match[2] or "") if match is not None and match[1] else None
    if match is not None and tokens is not None:
        return _noted((InputReference(match[1], tokens), "literal-name", _renamed(match[1])), text, findings)
    match = _UNDECLARED_OUTPUT.fullmatch(text)
    if match is not None:
        return _noted((StepReference(match[1], match[2]), "literal-name", _renamed(match[2])), text, findings)
    return None


def _literal_name(text: str, names: Names) -> _Repair | None:
    """`$inputs.page[size]`, `$steps.s.outputs.my result`: a declared name as it stands, then the way into it."""
    for prefix, holder, declared, make in _declared_places(text, names):
        odd = not set(holder) <= IDENTIFIER_STRICT
        for name in beginnings(declared, text, len(prefix)):
            if not odd and _NAME.fullmatch(name):
                continue
            after = text[len(prefix) + len(name) :]
            node = make(name)
            correct = _renamed(holder if odd else name)
            if not after:
                return node, "literal-name", correct
            tokens = _tokens(after) if after.startswith("#/") else None
            if tokens is not None:
                return replace(node, pointer=tokens), "literal-name", correct
            if steps := read_steps(after):
                return Navigation(node, steps), "literal-name", correct
    return None


def _renamed(name: str) -> str:
    return f"rename `{name}`, for example to `{re.sub(r'[^A-Za-z0-9_-]+', '_', name).strip('_')}`"


def _declared_places(
    text: str, names: Names
) -> Iterator[tuple[str, str, frozenset[str], Callable[[str], InputReference | StepReference | WorkflowReference]]]:
    """Give what a text may start with, the id in it, the names that may follow, and the node of such a name."""
    if text.startswith("$inputs."):
        yield "$inputs.", "", names.inputs or frozenset(), InputReference
    for match in _HOLDER.finditer(text):
        root, holder, field = text[: text.find(".")], text[text.find(".") + 1 : match.start()], match[1]
        if root == "$steps" and field == "outputs" and holder in names.steps:
            yield text[: match.end()], holder, names.steps[holder], partial(StepReference, holder)
        elif root == "$workflows" and (holder, field) in names.workflows:
            yield text[: match.end()], holder, names.workflows[holder, field], partial(WorkflowReference, holder, field)


def _whole_map(text: str, names: Names) -> _Repair | None:
    """`$inputs`, `$steps.s.outputs`: all of them, as an object."""
    correct = "name the inputs or outputs that are needed, one by one"
    if text == "$inputs":
        return WholeMap(), "whole-map", correct
    step_id = text.removeprefix("$steps.").removesuffix(".outputs")
    if text == f"$steps.{step_id}.outputs" and (step_id in names.steps or not names.steps):
        return WholeMap(step_id), "whole-map", correct
    return None


def _body_root(text: str, names: Names) -> _Repair | None:
    """`$body.score`."""
    return _reread(f"$response.{text[1:]}", "body-root", names) if re.match(r"\$body(?![A-Za-z0-9_-])", text) else None


def _headers_plural(text: str, names: Names) -> _Repair | None:
    """`$response.headers.X`."""
    respelt = re.sub(r"^(\$[a-z]+)\.headers\.", r"\1.header.", text)
    return None if respelt == text else _reread(respelt, "headers-plural", names)


def _pointer_without_slash(text: str, names: Names) -> _Repair | None:
    """`$response.body#x`."""
    return (
        None if "#/" in text or "#" not in text else _reread(text.replace("#", "#/", 1), "pointer-without-slash", names)
    )


def _step_output(text: str, names: Names) -> _Repair | None:
    """`$steps.s.y` for the output `y` of step `s`, and the way into it."""
    match = re.match(r"\$steps\.([A-Za-z0-9_-]+)\.(?!outputs(?![A-Za-z0-9_-]))(?=[A-Za-z0-9_-])", text)
    if match is None:
        return None
    return _reread(f"{match[0]}outputs.{text[match.end() :]}", "step-output-without-outputs", names)


def _reread(text: str, rule: str, names: Names) -> _Repair | None:
    """Read a text in its corrected spelling; where that is a dialect too, the advice is that of the last one."""
    inner: list[Finding] = []
    try:
        node = read_whole(text, names, inner, inner)
    except ExpressionInvalid:
        return None
    return node, rule, inner[0].correct if inner else f"write `{text}`"
