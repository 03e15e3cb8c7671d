"""What the readers of expressions are told and tell: the names a document declares, and the dialects it uses."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from treadle.expressions.syntax import InputReference, OutputReference, Reference, StepReference, WorkflowReference

Named = InputReference | OutputReference | StepReference | WorkflowReference
"""The expressions that end with a name a document declares."""


class Finding(NamedTuple):
    """A use of a dialect: its rule, what to say, the offsets in the text (characters), and the correct form."""

    rule: str
    message: str
    start: int
    end: int
    correct: str


class Names(NamedTuple):
    """The names a document declares, for texts that are ambiguous without them.

    Attributes:
        inputs: of the workflow, or None where it declares none and any is allowed.
        steps: the outputs of each step, by its id; empty where the steps are not known.
        workflows: of workflows, by (workflowId, "inputs" or "outputs"); what is not in it is not known.
        outputs: what `$outputs.` reaches, or None where that is not known.
    """

    inputs: frozenset[str] | None = None
    steps: Mapping[str, frozenset[str]] = {}
    workflows: Mapping[tuple[str, str], frozenset[str]] = {}
    outputs: frozenset[str] | None = None


def declared_names(node: Reference, names: Names) -> frozenset[str] | None:
    """Give the names among which the last name of `node` is declared, or None where that is not known."""
    match node:
        case InputReference():
            return names.inputs
        case OutputReference():
            return names.outputs
        case StepReference(step_id):
            return names.steps.get(step_id)
        case WorkflowReference(workflow_id, field):
            return names.workflows.get((workflow_id, field))
    return None


def beginnings(declared: frozenset[str], text: str, start: int = 0) -> Iterator[str]:
    """Give the declared names that a text starts with at an offset, the longest first."""
    for length in _lengths(declared):
        name = text[start : start + length]
        if len(name) == length and name in declared:
            yield name


@lru_cache(1024)
def _lengths(declared: frozenset[str]) -> tuple[int, ...]:
    # A look-up for each length there is: a document of many names and many texts costs no product of the two.
    return tuple(sorted(set(map(len, declared)), reverse=True))
