"""What a run knows at a moment, as data: enough to go on from there without what led to it.

A snapshot is taken where a run waits for an effect. Then no message is needed any more: after a pause none is there, and
a request that is pending is built anew from the rest. How it is taken and put back is in `checkpoints`.
"""

from typing import Any

from msgspec import Struct

from treadle.engine.effects import Sleep


class PaceSnapshot(Struct, frozen=True, gc=False):
    """What a workflow remembers of its loops; places are workflow, step and value."""

    pauses: int
    seen: tuple[tuple[int, int, int], ...] = ()
    next: tuple[tuple[int, int, float], ...] = ()
    since: tuple[tuple[int, int, float], ...] = ()


class RetrySnapshot(Struct, frozen=True, gc=False):
    """A retry that is to be made after another step or workflow: the number of its action, and the inputs for it."""

    action: int
    inputs: dict[str, Any]


class DetourSnapshot(Struct, frozen=True, gc=False):
    """Where a step stood that is tried again after another one; `retries` are numbers of actions and how often."""

    step: int
    attempt: int
    retries: tuple[tuple[int, int], ...]


class FrameSnapshot(Struct, frozen=True, gc=False, omit_defaults=True):
    """A workflow under way; fields as in `Frame`. Actions are named by their number among those of their step."""

    number: int
    ends: str
    inputs: dict[str, Any]
    pace: PaceSnapshot
    step: int
    attempt: int
    began: float
    first: int
    caller: str = ""
    prefix: str = ""
    origin: str = ""
    transferred: bool = False
    deadline: float | None = None
    outputs: dict[str, dict[str, Any]] = {}
    ended: tuple[str, ...] = ()
    visits: tuple[tuple[int, int], ...] = ()
    retries: tuple[tuple[int, int], ...] = ()
    unanswered: str | None = None
    detour: DetourSnapshot | None = None
    before_retry: RetrySnapshot | None = None


class KnownSnapshot(Struct, frozen=True, gc=False, omit_defaults=True):
    """What `$workflows` gives in one document of the program."""

    document: int
    workflows: dict[str, dict[str, dict[str, Any]]]


class Snapshot(Struct, frozen=True, gc=False, omit_defaults=True):
    """What a run knows; fields as in `State`.

    Attributes:
        frames: the workflows under way.
        known: what `$workflows` gives.
        since: when what is pending was asked for.
        sleep: the pause that is pending; without it a request is.
        learnt: values that turned out to be secret.
    """

    frames: tuple[FrameSnapshot, ...]
    known: tuple[KnownSnapshot, ...]
    since: float
    sleep: Sleep | None = None
    completed: tuple[int, ...] = ()
    steps_taken: int = 0
    transfers: int = 0
    ended_elsewhere: tuple[tuple[int, str], ...] = ()
    warned: tuple[tuple[str, Any], ...] = ()
    learnt: tuple[Any, ...] = ()
