"""One workflow under way: where it stands, what its steps have given, and what happens when it ends."""

from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Any

from treadle.engine.pace import Pace
from treadle.engine.program import Action, Workflow
from treadle.expressions.evaluate import Context


class Ends(Enum):
    """What the end of a workflow leads to."""

    THE_RUN = auto()
    THE_CALLING_STEP = auto()
    A_DEPENDENCY = auto()
    THE_WAY_TO_A_RETRY = auto()


class Detour:
    """Another step that runs before a step is tried again; remembers where that one stood."""

    __slots__ = ("attempt", "retries", "step")

    def __init__(self, frame: "Frame") -> None:
        self.step = frame.step
        self.attempt = frame.attempt
        self.retries = frame.retries


class Frame:
    """A workflow of the program while it runs.

    Attributes:
        number: the index of the workflow in the program.
        ends: what its end leads to.
        caller: the steps through which it was called, from the outermost one on, as people read them.
        prefix: what effect ids start with, so that they are unique in the run.
        origin: the prefix that the workflow called here first had; `first` is the index of that one.
        transferred: it was put in the place of another workflow by a `goto`.
        before_retry: a retry's action that names what is to run first, with the inputs for that.
        deadline: when the step that called it is to be given up (seconds since the epoch), or None.
        outputs: those of the steps that succeeded, by stepId.
        ended: the steps that have ended, in whichever way.
        visits: how often each step was entered, by its index.
        step: the index of the step where it stands.
        attempt: which attempt at that step it is.
        retries: how often each action was taken at this visit, by the identity of the action: names need not be unique.
        began: when the attempt began.
        detour: set while another step runs before a retry.
        unanswered: the first attempt at this visit that may have taken effect, where no answer came since; or None.
    """

    __slots__ = (
        "attempt", "before_retry", "began", "caller", "context", "deadline", "detour", "ended", "ends", "first", "inputs",
        "number", "origin", "outputs", "pace", "prefix", "retries", "step", "transferred", "unanswered", "visits",
        "workflow",
    )  # fmt: skip

    def __init__(
        self,
        number: int,
        workflow: Workflow,
        inputs: dict[str, Any],
        known: Mapping[str, Mapping[str, Mapping[str, Any]]],
        mask: Callable[[str], str],
        pace: Pace,
        ends: Ends = Ends.THE_RUN,
    ) -> None:
        self.number = number
        self.workflow = workflow
        self.inputs = inputs
        self.pace = pace
        self.ends = ends
        self.caller = ""
        self.prefix = self.origin = ""
        self.first = number
        self.transferred = False
        self.deadline: float | None = None
        self.outputs: dict[str, dict[str, Any]] = {}
        self.context = Context(
            inputs=inputs, steps=self.outputs, workflows=known, sources=workflow.sources, self_uri=workflow.self_uri, mask=mask
        )  # fmt: skip
        self.ended: set[str] = set()
        self.visits: dict[int, int] = {}
        self.step = 0
        self.attempt = 1
        self.retries: dict[int, int] = {}
        self.began = 0.0
        self.detour: Detour | None = None
        self.unanswered: str | None = None
        self.before_retry: tuple[Action, dict[str, Any]] | None = None

    def called_by(self, frame: "Frame") -> None:
        """Take over from the frame below what tells this one from all others of the run."""
        if self.ends is Ends.A_DEPENDENCY:
            step_id, prefix = "dependsOn", f"{frame.prefix}dependsOn/{self.number}/"
        else:
            step_id, prefix = frame.workflow.steps[frame.step].step_id, f"{frame.effect_id}/"
            # The attempt itself may call a workflow too, whose steps may have the same ids.
            prefix += "before/" if self.ends is Ends.THE_WAY_TO_A_RETRY else ""
        self.prefix = self.origin = prefix
        self.caller = f"{frame.caller}/{step_id}" if frame.caller else step_id

    def in_place_of(self, frame: "Frame", number: int) -> None:
        """Take the place of another frame; `number` says which transfer of the run it is."""
        self.origin, self.first, self.caller, self.deadline = frame.origin, frame.first, frame.caller, frame.deadline
        self.prefix = f"{frame.origin}goto-{number}/"
        self.transferred = True

    @property
    def effect_id(self) -> str:
        """The id of the effect that the present attempt asks for: `step/visit/attempt`."""
        step_id = self.workflow.steps[self.step].step_id
        return f"{self.prefix}{step_id}/{self.visits[self.step]}/{self.attempt}"

    @property
    def place(self) -> str:
        """The present step as people find it: with the steps through which its workflow was called."""
        step_id = self.workflow.steps[self.step].step_id
        return f"{self.caller}/{step_id}" if self.caller else step_id

    def leave_message(self) -> None:
        """Forget request and response: a waiting run holds no bodies, and the next step has its own."""
        context = self.context
        context.request = context.response = context.url = context.method = context.status = context.outputs = None
