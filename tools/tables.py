"""Tables of the documentation, each drawn from the code that it is about."""

from collections.abc import Callable, Iterable

from treadle.document.model import EXPRESSION_VERSIONS
from treadle.drivers.settings import Options
from treadle.engine.course import MAX_DEPTH
from treadle.engine.pace import JITTER
from treadle.engine.program import POLL_BACKOFF, Poll
from treadle.engine.transitions import TRANSITIONS
from treadle.expressions import condition, judgement, syntax
from treadle.expressions.criteria import CRITERIA
from treadle.expressions.dialect import Names
from treadle.expressions.evaluate import Context

_COMPARED = (
    "'Done' == 'DONE'", "'10' == 10", "'10' > 9", "'ten' == 10", "'b' > 'A'", "null == null", "null == 0", "true == 'true'",
    "true == 1", "$inputs.none == null", "$inputs.none != null", "$inputs.none == $inputs.none", "$inputs.none < 5",
    "$inputs.list == $inputs.same", "$inputs.none", "$inputs.empty", "$inputs.zero", "$inputs.list", "!$inputs.none",
    "true || false && false", "(true || false) && false", "!true == false",
)  # fmt: skip
_INPUTS = {"list": [1, {"a": "B"}], "same": [1, {"a": "b"}], "empty": "", "zero": 0}
_OPERATORS = (
    ("`()`", "grouping"), ("`.name` `[0]` `['name']`", "into a value"), ("`!`", "not"),
    (" ".join(f"`{operator}`" for operator in condition.COMPARISONS), "comparison"), ("`&&`", "and"), ("`\\|\\|`", "or"),
)  # fmt: skip
_KINDS = {
    "simple": "literals, operators and runtime expressions; without `type` this is meant",
    "regex": "a regular expression that is searched for in the context",
    "jsonpath": "a query over the context, which is JSON",
    "xpath": "an expression over the context, which is XML",
}


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Write a Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def transitions() -> str:
    """Give the table of what follows a step."""
    rows = [(status.value, matched, then.value) for (status, matched), then in TRANSITIONS.items()]
    return table(("the step", "the action", "then"), rows)


def expressions() -> str:
    """Give the kinds of expressions, as the nodes of the syntax describe them."""
    nodes = (
        syntax.InputReference, syntax.StepReference, syntax.OutputReference, syntax.WorkflowReference, syntax.StatusCode,
        syntax.MessagePart, syntax.Url, syntax.Method, syntax.SourceReference, syntax.ComponentReference, syntax.SelfUri,
    )  # fmt: skip
    return "\n".join(f"- {' '.join((node.__doc__ or '').split())}" for node in nodes)


def criteria() -> str:
    """Give the types of criteria with their versions, the default first."""
    rows = [(f"`{kind}`", _KINDS[kind], ", ".join(EXPRESSION_VERSIONS.get(kind, ())) or "-") for kind in CRITERIA]
    return table(("type", "condition", "versions, the default first"), rows)


def operators() -> str:
    """Give the operators of simple conditions."""
    return table(("operator", ""), _OPERATORS)


def comparisons() -> str:
    """Evaluate conditions and give what they are."""
    names, context = Names(), Context(inputs=_INPUTS)
    rows = []
    for text in _COMPARED:
        judged = judgement.judge(condition.parse(text, names, []), context)
        rows.append((f"`{text}`".replace("|", "\\|"), str(judged).lower()))
    return table(("condition", "is"), rows)


def loops() -> str:
    """Give the options that pace loops, with their defaults."""
    options = Options()
    rows = [
        ("`--poll-interval`", f"{options.poll_interval:g} s", "the first pause; 0 turns pacing off"),
        ("`--poll-max-interval`", f"{options.poll_max_interval:g} s", "the longest pause that it grows to"),
        ("growth", f"times {POLL_BACKOFF:g}", "for each round"),
        ("spread", f"{JITTER:.0%} either way", "so that many runs do not ask at the same moment"),
        ("`--max-retry-after`", f"{options.max_retry_after:g} s", "the longest `Retry-After` that is obeyed"),
        ("`--max-steps`", f"{options.max_steps:,}", "visits of steps in a run"),
    ]
    return table(("what", "default", ""), rows)


def poll() -> str:
    """Give the fields of `x-treadle-poll`."""
    plain = Poll()
    rows = [
        ("`interval`", "the first pause", "`--poll-interval`"),
        ("`maxInterval`", "the longest pause", "`--poll-max-interval`"),
        ("`backoff`", "how the pause grows, at least 1", f"{plain.backoff:g}"),
        ("`waitFirst`", "whether the first pause is made before the first look", str(plain.wait_first).lower()),
        ("`timeout`", "how long the loop may go on", "no limit"),
    ]
    return table(("field", "meaning", "without it"), rows)


def depth() -> str:
    """Give the most workflows that may be under way within each other."""
    return str(MAX_DEPTH)


TABLES: dict[str, Callable[[], str]] = {
    "transitions": transitions,
    "expressions": expressions,
    "criteria": criteria,
    "operators": operators,
    "comparisons": comparisons,
    "loops": loops,
    "poll": poll,
    "depth": depth,
}
"""The tables by the name of the marks between which they stand: `<!-- NAME -->` and `<!-- /NAME -->`."""
