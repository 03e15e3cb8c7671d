"""Taking a snapshot of a run's state, and putting it back. Values that hold secret inputs are marked, never kept."""

from treadle.engine.effects import Sleep
from treadle.engine.frame import Detour, Ends, Frame
from treadle.engine.pace import Pace
from treadle.engine.program import Action, Step
from treadle.engine.secret_inputs import secret_values
from treadle.engine.snapshot import (
    DetourSnapshot,
    FrameSnapshot,
    KnownSnapshot,
    RetrySnapshot,
    Snapshot,
)
from treadle.engine.state import State
from treadle.engine.withheld import Withheld


def taken(state: State, sleep: Sleep | None, since: float, withheld: Withheld) -> Snapshot:
    """Give what a run knows while it waits for a pause, or without one for a request. What goes on changes nothing in it."""
    return Snapshot(
        frames=tuple(_frame(frame, withheld) for frame in state.frames),
        known=tuple(
            KnownSnapshot(document, withheld.marked({**workflows})) for document, workflows in state.known.items()
        ),
        since=since,
        sleep=sleep,
        completed=tuple(sorted(state.completed)),
        steps_taken=state.steps_taken,
        transfers=state.transfers,
        ended_elsewhere=tuple(sorted(state.ended_elsewhere)),
        learnt=tuple(withheld.marked(text) for text in state.secrets.learnt),
        warned=tuple((rule, withheld.marked(text)) for rule, text in sorted(state.warned)),
    )


def put_back(state: State, snapshot: Snapshot, withheld: Withheld) -> None:
    """Make a state what it was; secret inputs are what they are now."""
    for known in snapshot.known:
        state.known[known.document] = withheld.filled(known.workflows)
    state.frames = [_frame_again(state, frame, withheld) for frame in snapshot.frames]
    for number, workflow in enumerate(state.program.workflows):
        inputs = state.known.get(workflow.document, {}).get(workflow.workflow_id, {}).get("inputs")
        if inputs is not None and number:
            state.secrets.add(secret_values(inputs, workflow.secrets, workflow.inputs))
    state.secrets.learn(text for text in map(withheld.filled, snapshot.learnt) if isinstance(text, str))
    state.completed = frozenset(snapshot.completed)
    state.steps_taken = snapshot.steps_taken
    state.transfers = snapshot.transfers
    state.ended_elsewhere = set(snapshot.ended_elsewhere)
    state.warned = frozenset((rule, withheld.filled(text)) for rule, text in snapshot.warned)


def _frame(frame: Frame, withheld: Withheld) -> FrameSnapshot:
    step, detour, before = frame.workflow.steps[frame.step], frame.detour, frame.before_retry
    return FrameSnapshot(
        number=frame.number,
        ends=frame.ends.name,
        inputs=withheld.marked(frame.inputs),
        pace=frame.pace.snapshot(),
        step=frame.step,
        attempt=frame.attempt,
        began=frame.began,
        first=frame.first,
        caller=frame.caller,
        prefix=frame.prefix,
        origin=frame.origin,
        transferred=frame.transferred,
        deadline=frame.deadline,
        outputs=withheld.marked({**frame.outputs}),
        ended=tuple(sorted(frame.ended)),
        visits=tuple(frame.visits.items()),
        retries=_retries(step, frame.retries),
        unanswered=frame.unanswered,
        detour=None
        if detour is None
        else DetourSnapshot(detour.step, detour.attempt, _retries(frame.workflow.steps[detour.step], detour.retries)),
        before_retry=None if before is None else RetrySnapshot(_number(step, before[0]), withheld.marked(before[1])),
    )


def _frame_again(state: State, kept: FrameSnapshot, withheld: Withheld) -> Frame:
    workflow = state.program.workflows[kept.number]
    pace = Pace(state.limits.poll_interval, state.limits.poll_max_interval, kept.pace)
    known = state.known.setdefault(workflow.document, {})
    inputs = withheld.filled(kept.inputs)
    frame = Frame(kept.number, workflow, inputs, known, state.secrets.text, pace, Ends[kept.ends])
    frame.caller, frame.prefix, frame.origin, frame.first = kept.caller, kept.prefix, kept.origin, kept.first
    frame.transferred, frame.deadline, frame.began = kept.transferred, kept.deadline, kept.began
    frame.outputs.update(withheld.filled(kept.outputs))
    frame.ended = set(kept.ended)
    frame.visits = dict(kept.visits)
    frame.unanswered = kept.unanswered
    if kept.detour is not None:
        frame.step, frame.attempt = kept.detour.step, kept.detour.attempt
        frame.retries = _counted(workflow.steps[frame.step], kept.detour.retries)
        frame.detour = Detour(frame)
    step = workflow.steps[kept.step]
    frame.step, frame.attempt, frame.retries = kept.step, kept.attempt, _counted(step, kept.retries)
    if kept.before_retry is not None:
        action = _actions(step)[kept.before_retry.action]
        frame.before_retry = (action, withheld.filled(kept.before_retry.inputs))
    return frame


def _actions(step: Step) -> tuple[Action, ...]:
    return (*step.on_success, *step.on_failure)


def _number(step: Step, wanted: Action) -> int:
    return next(number for number, action in enumerate(_actions(step)) if action is wanted)


def _retries(step: Step, retries: dict[int, int]) -> tuple[tuple[int, int], ...]:
    """Give how often actions were taken: by their numbers, for identities end with the process."""
    return tuple((n, retries[id(action)]) for n, action in enumerate(_actions(step)) if id(action) in retries)


def _counted(step: Step, retries: tuple[tuple[int, int], ...]) -> dict[int, int]:
    actions = _actions(step)
    return {id(actions[number]): count for number, count in retries}
