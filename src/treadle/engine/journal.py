"""Records of what happened in a run: versioned JSON, one a line. Reports, progress and resumption are readers of them.

Steps are those of the workflow `workflow_id`; `caller` names the steps through which that was called, from the outermost
one on, and is empty for the workflow that is run.
`Delivered`, `Resolved`, `Withdrawn` and `Stopped` are what came from outside; feeding them again gives the same run. All others
follow from it. A `Checkpoint` makes what was before it superfluous.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from treadle.engine.effects import Result
from treadle.engine.snapshot import Snapshot
from treadle.files import Binary, File, json_form

VERSION = 1
"""The version of the journal; a reader of a later one still reads this."""


class RunBegan(Struct, frozen=True, gc=False, tag=True):
    """The run began; `inputs` without those that are secret. Times are seconds since the epoch."""

    at: float
    workflow_id: str
    inputs: dict[str, Any]
    version: int = VERSION
    run_id: str = ""


class StepBegan(Struct, frozen=True, gc=False, tag=True):
    """A request is about to be sent, or the workflow `calls` begun.

    For a request that is not idempotent this is its announcement.
    """

    at: float
    effect_id: str
    step_id: str
    visit: int
    attempt: int
    method: str | None
    url: str | None
    idempotent: bool
    calls: str | None = None
    workflow_id: str = ""
    caller: str = ""


class Criterion(Struct, frozen=True, gc=False):
    """A criterion as it was found."""

    condition: str
    passed: bool
    why: str = ""


class Failure(Struct, frozen=True, gc=False):
    """Why a step or a run failed, in words for people."""

    kind: str
    message: str
    step_id: str | None = None
    hint: str | None = None


class ActionTaken(Struct, frozen=True, gc=False):
    """The action that followed a step."""

    name: str
    type: str


class StepEnded(Struct, frozen=True, gc=False, tag=True):
    """An attempt at a step is over; `status` is succeeded or failed, `response` the HTTP status if there was one."""

    at: float
    began: float
    step_id: str
    visit: int
    attempt: int
    status: str
    method: str | None = None
    url: str | None = None
    response: int | None = None
    criteria: tuple[Criterion, ...] = ()
    action: ActionTaken | None = None
    outputs: dict[str, Any] = {}
    error: Failure | None = None
    workflow_id: str = ""
    caller: str = ""


class Transferred(Struct, frozen=True, gc=False, tag=True):
    """A `goto` put another workflow in the place of the one that was under way; its result is the result."""

    at: float
    workflow_id: str
    step_id: str
    action: str
    to: str
    caller: str = ""


class Waiting(Struct, frozen=True, gc=False, tag=True):
    """A pause of `seconds` before a step; `reason` is poll, retry or retry-after."""

    at: float
    step_id: str
    seconds: float
    reason: str
    workflow_id: str = ""
    caller: str = ""


class Warned(Struct, frozen=True, gc=False, tag=True):
    """Something worth knowing that did not stop the run."""

    at: float
    rule: str
    message: str


class Repeated(Struct, frozen=True, gc=False, tag=True):
    """The driver met a passing failure of a safe request and will send it again after `seconds`."""

    at: float
    step_id: str
    attempt: int
    seconds: float
    why: str


class CookiesKept(Struct, frozen=True, gc=False, tag=True):
    """The driver keeps what the Set-Cookie fields of an answer from `url` say, which may have been a redirect."""

    at: float
    url: str
    fields: tuple[str, ...]


class Learnt(Struct, frozen=True, gc=False, tag=True):
    """The driver obtained tokens, or met keys on the way of redirects: what no message may show from now on."""

    at: float
    texts: tuple[str, ...]


class Delivered(Struct, frozen=True, gc=False, tag=True):
    """The result of an effect, as the driver brought it."""

    at: float
    effect_id: str
    result: Result


class Resolved(Struct, frozen=True, gc=False, tag=True):
    """Somebody decided how to go on with a request that is in doubt: reconcile, retry, skip (with outputs) or fail."""

    at: float
    effect_id: str
    how: str
    outputs: dict[str, Any] = {}


class Withdrawn(Struct, frozen=True, gc=False, tag=True):
    """The driver was stopped before it sent what had been announced; the request is announced anew before it is sent."""

    at: float
    effect_id: str


class Queued(Struct, frozen=True, gc=False, tag=True):
    """A request waits, for `seconds` if that is known; `why` is rate, limits (of its server) or connections.

    The driver tells it to those who look on; no journal has it.
    """

    at: float
    step_id: str
    why: str
    seconds: float | None = None


class Looked(Struct, frozen=True, gc=False, tag=True):
    """A step looked whether its request took effect; `response` is the HTTP status, or None where no answer came."""

    at: float
    effect_id: str
    step_id: str
    response: int | None
    criteria: tuple[Criterion, ...]
    took_effect: bool
    caller: str = ""


class Stopped(Struct, frozen=True, gc=False, tag=True):
    """The driver stopped the run: a limit was reached, or somebody asked for it."""

    at: float
    status: str
    error: Failure


class StepFolded(Struct, frozen=True, gc=False):
    """The attempts at one step so far: the first, the last, and how many there were."""

    first: StepEnded
    last: StepEnded
    count: int


class Folded(Struct, frozen=True, gc=False):
    """What happened in a run up to a checkpoint, as small as the report makes it."""

    began: float
    steps: tuple[StepFolded, ...] = ()
    transfers: tuple[Transferred, ...] = ()
    warnings: tuple[Warned, ...] = ()


class Checkpoint(Struct, frozen=True, gc=False, tag=True):
    """What the run knows at this point. It takes the place of all records before it: a run resumes from the last one."""

    at: float
    workflow_id: str
    snapshot: Snapshot
    folded: Folded = Folded(0.0)
    cookies: tuple[CookiesKept, ...] = ()
    version: int = VERSION
    run_id: str = ""


class RunEnded(Struct, frozen=True, gc=False, tag=True):
    """The run is over; `status` is succeeded, failed, limited, in-doubt or cancelled, or only for whoever looks on interrupted."""

    at: float
    status: str
    outputs: dict[str, Any]
    error: Failure | None = None


Record: TypeAlias = (
    RunBegan
    | StepBegan
    | StepEnded
    | Transferred
    | Waiting
    | Warned
    | Repeated
    | CookiesKept
    | Learnt
    | Delivered
    | Resolved
    | Withdrawn
    | Queued
    | Looked
    | Stopped
    | Checkpoint
    | RunEnded
)


def _plain(value: Any) -> Any:
    """Give a text of a class of its own, as names of header fields are in some clients, and files as they are written."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, File | Binary):
        return json_form(value)
    raise TypeError(f"a {type(value).__name__} is no JSON value")


_encoder = msgspec.json.Encoder(enc_hook=_plain)
_decoder = msgspec.json.Decoder(Record)


write: Callable[[Record], bytes] = _encoder.encode
"""Write a record as one line of JSON, without the line's end."""
write_value: Callable[[Any], bytes] = _encoder.encode
"""Write outputs, or a part of them, as they stand in a record."""


def read(line: bytes | str) -> Record:
    """Read a record.

    Raises:
        msgspec.ValidationError: the line is not a record of a version that this reader knows.
    """
    record: Record = _decoder.decode(line)
    return record
