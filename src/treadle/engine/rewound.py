"""What a run has given before one of its steps began, as the records that another run goes on from."""

from collections.abc import Sequence

from msgspec import structs

from treadle.engine.effects import Sleep
from treadle.engine.journal import Checkpoint, Folded, Record, RunBegan, StepBegan, StepEnded
from treadle.engine.program import Program
from treadle.engine.snapshot import FrameSnapshot, PaceSnapshot, Snapshot

_AGAIN = "again"
"""Why a run pauses, for no time at all, before the step that it goes on with."""


def before(
    records: Sequence[Record], step_id: str, program: Program, run_id: str, now: float
) -> tuple[Record, ...] | None:
    """Give the records of a run up to where a step first began, as those of the run `run_id` that goes on there `now`.

    Args:
        records: those of the run, from its beginning or from a checkpoint on.
        step_id: the step, behind those through which its workflow was called (`call/poll`).
        program: the program of both runs.
        run_id: the id of the new run.
        now: when it begins (seconds since the epoch); what happened before moves as much.

    None where the step never began, or where a checkpoint has taken the place of what a called workflow did before it.
    """
    first = records[0]
    if isinstance(first, Checkpoint):
        rewound = _rewound(first, step_id, program, run_id, now)
        if rewound is not None:
            return (rewound,)
    for number, record in enumerate(records):
        if isinstance(record, StepBegan) and _place(record) == step_id:
            last = max(records[at].at for at in range(number))
            return tuple(_moved(each, now - last, run_id) for each in records[:number])
    return None


def _place(record: StepBegan | StepEnded) -> str:
    return f"{record.caller}/{record.step_id}" if record.caller else record.step_id


def _moved(record: Record, seconds: float, run_id: str) -> Record:
    if isinstance(record, RunBegan | Checkpoint):
        record = structs.replace(record, run_id=run_id)
    if isinstance(record, StepEnded):
        record = structs.replace(record, began=record.began + seconds)
    return record if isinstance(record, Checkpoint) else structs.replace(record, at=record.at + seconds)


def _rewound(kept: Checkpoint, step_id: str, program: Program, run_id: str, now: float) -> Checkpoint | None:
    """Give a checkpoint at the beginning of a step of the outermost workflow that began before this checkpoint."""
    outermost = kept.snapshot.frames[0]
    steps = program.workflows[outermost.number].steps
    index = next((number for number, step in enumerate(steps) if step.step_id == step_id), None)
    ended = next((step.first.began for step in kept.folded.steps if _place(step.first) == step_id), None)
    began = kept.at if ended is None and outermost.step == index else ended
    if index is None or began is None:
        return None
    earlier = tuple(step for step in kept.folded.steps if step.first.at <= began)
    names = {step.first.step_id for step in earlier if not step.first.caller}
    frame = FrameSnapshot(
        number=outermost.number,
        ends=outermost.ends,
        inputs=outermost.inputs,
        pace=PaceSnapshot(0),
        step=index,
        attempt=1,
        began=now,
        first=outermost.first,
        prefix=outermost.prefix,
        origin=outermost.origin,
        transferred=outermost.transferred,
        outputs={name: outputs for name, outputs in outermost.outputs.items() if name in names},
        ended=tuple(name for name in outermost.ended if name in names),
        visits=((index, 1),),
    )
    pause = Sleep(f"{frame.prefix}{step_id}/1/1/pause", step_id, 0.0, _AGAIN)
    snapshot = Snapshot(
        (frame,), kept.snapshot.known, now, pause, completed=kept.snapshot.completed, transfers=kept.snapshot.transfers
    )
    folded = Folded(kept.folded.began, earlier, (), kept.folded.warnings)
    return structs.replace(kept, at=now, snapshot=snapshot, folded=folded, run_id=run_id)
