"""Expressions inside other text: in braces, as the grammar has them, or bare, as people write them.

A bare expression ends before the first character that cannot belong to it. A declared name wins over the longest one;
behind an output stands the way into it, behind an input other text (`$inputs.name.json`).
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from msgspec.structs import replace

from treadle.errors import ExpressionInvalid
from treadle.expressions.names import Finding, Names, beginnings
from treadle.expressions.syntax import ROOTS, Expression, Navigation, Template, WholeMap
from treadle.expressions.whole import correct_form, read_whole

# `$self-service` and the like are prose, and so is what stands behind a backslash or another dollar sign.
ROOT = re.compile(r"(?<![\\$])\$(?:" + "|".join(ROOTS) + r")(?!-?[A-Za-z0-9_])")
_BARE = re.compile(
    r"""
    \$(?:request|response|message)\.(?:query|path)\.[^\s"'`<>{},;&]+
    | \$[A-Za-z]+
      (?: \.[A-Za-z0-9_-]+ | \[(?:-?\d{1,18}|'[^'\]]*'|"[^"\]]*")\] ){0,50}
      (?: \#/?[^\s"'`<>{}&?=,;()|\]]* )?
    """,
    re.VERBOSE | re.ASCII,
)
_HOLDER = re.compile(r"\$inputs\.|\$steps\.([A-Za-z0-9_-]+)\.outputs\.")
_GRAPHQL = re.compile(r"\$[A-Za-z_][A-Za-z0-9_]*\s*:\s*\[*[A-Z]")
"""`$url: String!`: a text of GraphQL has variables of its own, which may have names of roots."""
_CLOSING = ".,;:!?)"
_NOT_IN_THE_ADVICE = ("literal-name", "query-in-expression")
"""Dialects that the advice for the whole text does not put right."""


class _Piece(NamedTuple):
    start: int
    end: int
    node: Expression
    bare: bool


def read_embedded(
    text: str, names: Names, findings: list[Finding], *, dotted: bool = False
) -> Template | Expression | str:
    """Read a text with expressions in it; one that is nothing but `{expression}` comes back as that expression.

    With `dotted`, a bare expression is only what has a dot behind its root: in a pattern or a query `$url` may be its own.

    Raises:
        ExpressionInvalid: a brace with `$` opens, but no expression and closing brace follow.
    """
    found: list[Finding] = []
    pieces = list(_pieces(text, names, found, dotted=dotted or _GRAPHQL.search(text) is not None))
    parts: list[str | Expression] = []
    correct = []
    at = 0
    for start, end, node, _ in pieces:
        parts += [text[at:start], node]
        correct += [text[at:start], "{", correct_form(node), "}"]
        at = end
    bare = [piece for piece in pieces if piece.bare]
    if bare:
        message = "an expression inside other text stands in braces"
        advice = f"write `{''.join(correct)}{text[at:]}`"
        findings.append(Finding("embedded-without-braces", message, bare[0].start, bare[-1].end, advice))
    findings += found
    parts = [part for part in (*parts, text[at:]) if part != ""]
    if len(parts) == 1:
        return parts[0]
    return Template(tuple(parts)) if pieces else text


def _pieces(text: str, names: Names, found: list[Finding], *, dotted: bool) -> Iterator[_Piece]:
    at = 0
    while (opening := text.find("{$", at)) >= 0:
        yield from _bare(text, at, opening, names, found, dotted=dotted)
        closing = text.find("}", opening)
        if closing < 0:
            raise ExpressionInvalid("'{' opens an embedded expression that no '}' closes", opening, len(text))
        yield _Piece(opening, closing + 1, _read(text, opening + 1, closing, names, found), bare=False)
        at = closing + 1
    yield from _bare(text, at, len(text), names, found, dotted=dotted)


def _read(text: str, start: int, end: int, names: Names, found: list[Finding]) -> Expression:
    """Read one expression; offsets are those in the whole text."""
    inner: list[Finding] = []
    try:
        node = read_whole(text[start:end], names, inner, inner)
    except ExpressionInvalid as error:
        last = None if error.end is None else error.end + start
        raise ExpressionInvalid(error.message, error.start + start, last, hint=error.hint) from None
    found += [finding._replace(start=finding.start + start, end=finding.end + start) for finding in inner]
    if isinstance(node, Navigation):
        node = replace(node, base=replace(node.base, start=node.base.start + start, end=node.base.end + start))
    return replace(node, start=node.start + start, end=node.end + start)


def _bare(text: str, start: int, end: int, names: Names, found: list[Finding], *, dotted: bool) -> Iterator[_Piece]:
    """Find the expressions without braces in a part of the text."""
    at = start
    for match in ROOT.finditer(text, start, end):
        if match.start() < at or (dotted and text[match.end() : match.end() + 1] != "."):
            continue
        piece = _bare_at(text, match.start(), end, names, found)
        if piece is not None:
            yield piece
            at = piece.end


def _bare_at(text: str, start: int, limit: int, names: Names, found: list[Finding]) -> _Piece | None:
    """Read the expression that starts here, or give None where the dollar sign is one of prose."""
    for end in _ends(text, start, limit, names):
        inner: list[Finding] = []
        try:
            node = _read(text, start, end, names, inner)
        except ExpressionInvalid:
            continue
        if isinstance(node, WholeMap):
            continue
        found += [finding for finding in inner if finding.rule in _NOT_IN_THE_ADVICE]
        return _Piece(start, end, node, bare=True)
    return None


def _ends(text: str, start: int, limit: int, names: Names) -> Iterator[int]:
    """Give where the expression may end, the most probable first."""
    match = _BARE.match(text, start, limit)
    written = "" if match is None else match[0]
    if text[start + len(written) : start + len(written) + 1] == "$":
        written = written.rstrip("_")
    written = written.rstrip(_CLOSING + "-")
    for end in _declared_ends(text, start, names):
        after = written[end - start :]
        if not after[:1].isalnum() and not _leads_on(written, after):
            yield end
    while written:
        yield start + len(written)
        written = written[: max(written.rfind("."), written.rfind("["), written.rfind("#"), 0)]


def _declared_ends(text: str, start: int, names: Names) -> Iterator[int]:
    match = _HOLDER.match(text, start)
    if match is not None:
        declared = names.inputs if match[1] is None else names.steps.get(match[1])
        for name in beginnings(declared or frozenset(), text, match.end()):
            yield match.end() + len(name)


def _leads_on(written: str, after: str) -> bool:
    """Say whether what follows a declared name is a way into its value, rather than other text."""
    return after.startswith(("#", "[")) or (after.startswith(".") and not written.startswith("$inputs."))
