"""What a run knows at a moment: the workflows under way, those completed, and what is to be recorded.

What happens next is decided in `course`.
"""

from typing import Any

from msgspec import Struct

from treadle.engine import journal as records
from treadle.engine.effects import HttpResponse
from treadle.engine.frame import Ends, Frame
from treadle.engine.inputs import validated
from treadle.engine.journal import Failure, Record
from treadle.engine.messages import Response
from treadle.engine.pace import Pace, retry_after_seconds
from treadle.engine.program import Action, Program, Step, StepKey, WorkflowCall
from treadle.engine.requests import inputs_of
from treadle.engine.secret_inputs import secret_values
from treadle.engine.secrets import Secrets
from treadle.engine.transitions import StepStatus
from treadle.errors import InputsInvalid
from treadle.expressions.criteria import Test, Verdict, check, missing_compared
from treadle.expressions.evaluate import Missing
from treadle.expressions.payload import Payload, resolve
from treadle.sources.request import HttpRequest, RequestInvalid

MOST_WARNINGS = 100
_NONE: frozenset[Any] = frozenset()
"""What most runs have of some things: one for all of them."""


class Limits(Struct, frozen=True):
    """What bounds a run: pauses in seconds, `max_steps` in visits of steps.

    With `idempotency_key` every request that is not idempotent has a key, whether its operation knows of that or not.
    """

    poll_interval: float = 1.0
    poll_max_interval: float = 15.0
    max_retry_after: float = 300.0
    max_steps: int = 100_000
    idempotency_key: bool = False


class CallRefused(Exception):
    """A workflow cannot be called; `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class State:
    """The state of one run.

    Attributes:
        frames: the workflows under way, each called by the one before it; the last one moves.
        completed: the indexes of workflows that have succeeded.
        records: what happened since they were last taken.
        steps_taken: how many attempts at steps there were.
        run_id: the id of the run.
        transfers: how often a `goto` led to another workflow.
        known: what `$workflows` gives, by document and workflow.
        ended_elsewhere: the steps that have ended, with the indexes of their workflows.
        warned: the warnings that were given, each once.
    """

    __slots__ = (
        "completed", "ended_elsewhere", "frames", "known", "limits", "program", "records", "run_id", "secrets", "steps_taken",
        "transfers", "warned",
    )  # fmt: skip

    def __init__(self, program: Program, limits: Limits, secrets: Secrets) -> None:
        self.program = program
        self.limits = limits
        self.secrets = secrets
        self.run_id = ""
        self.frames: list[Frame] = []
        self.completed: frozenset[int] = _NONE
        self.records: list[Record] = []
        self.steps_taken = 0
        self.transfers = 0
        self.known: dict[int, dict[str, dict[str, dict[str, Any]]]] = {}
        self.ended_elsewhere: set[tuple[int, str]] = set()
        self.warned: frozenset[tuple[str, str]] = _NONE

    @property
    def frame(self) -> Frame:
        """The innermost workflow under way."""
        return self.frames[-1]

    @property
    def step(self) -> Step:
        """The step where that one stands."""
        frame = self.frames[-1]
        return frame.workflow.steps[frame.step]

    # Workflows

    def new_frame(self, number: int, inputs: dict[str, Any], ends: Ends, pace: Pace | None = None) -> Frame:
        """Make a frame for a workflow; its inputs are then those of `$workflows.ID.inputs`."""
        workflow = self.program.workflows[number]
        known = self.known.setdefault(workflow.document, {})
        known[workflow.workflow_id] = {**known.get(workflow.workflow_id, {}), "inputs": inputs}
        pace = pace or Pace(self.limits.poll_interval, self.limits.poll_max_interval)
        return Frame(number, workflow, inputs, known, self.secrets.text, pace, ends)

    def inputs_of(self, call: WorkflowCall, now: float) -> dict[str, Any]:
        """Give the inputs of a workflow that the present one calls, checked and with their defaults.

        Raises:
            CallRefused: they do not fit.
        """
        frame, workflow = self.frame, self.program.workflows[call.workflow]
        try:
            given = inputs_of(call, frame.inputs, frame.context, lambda rule, message: self.warn(rule, message, now))
            inputs, unknown = validated(workflow.inputs, given, workflow.workflow_id)
        except (RequestInvalid, InputsInvalid) as error:
            message = f"workflow '{workflow.workflow_id}' cannot be called: {error.message}"
            hint = error.hint if isinstance(error, RequestInvalid) else "its inputs are the parameters of what calls it"
            raise CallRefused(Failure("inputs", message, None, hint)) from error
        for message in unknown:
            self.warn("unknown-input", message, now)
        self.secrets.add(secret_values(inputs, workflow.secrets, workflow.inputs))
        return inputs

    def complete(self, frame: Frame, caller: Frame, outputs: dict[str, Any]) -> None:
        """Make the outputs of a workflow known under its id, and note that nothing needs to wait for it any more."""
        for number in {frame.number, frame.first}:
            workflow = self.program.workflows[number]
            self.completed |= {number}
            known = self.known[workflow.document]
            known[workflow.workflow_id] = {**known[workflow.workflow_id], "outputs": outputs}
            other = caller.workflow.document
            if workflow.document != other and not self._has(other, workflow.workflow_id):
                self.known[other][workflow.workflow_id] = known[workflow.workflow_id]

    def _has(self, document: int, workflow_id: str) -> bool:
        return any((w.document, w.workflow_id) == (document, workflow_id) for w in self.program.workflows)

    def time_left(self, now: float) -> float | None:
        """Give the seconds until the first deadline of the workflows under way, or None where there is none."""
        if len(self.frames) == 1:
            return None
        deadlines = [frame.deadline for frame in self.frames if frame.deadline is not None]
        return max(0.0, min(deadlines) - now) if deadlines else None

    # Steps

    def note_end(self, step: Step) -> None:
        """Note that a step has ended, for those that depend on it."""
        frame = self.frames[-1]
        frame.ended.add(step.step_id)
        self.ended_elsewhere.add((frame.number, step.step_id))

    def waits_for(self, step: Step) -> StepKey | None:
        """Give a step that has to end before this one and has not."""
        for key in step.depends_on:
            here = key.workflow == self.frame.number
            if not (key.step_id in self.frame.ended if here else (key.workflow, key.step_id) in self.ended_elsewhere):
                return key
        return None

    def step_began(
        self,
        now: float,
        effect_id: str,
        request: HttpRequest | None,
        *,
        idempotent: bool = True,
        calls: str | None = None,
    ) -> None:
        """Record that an attempt at the present step begins: a request is sent, or the workflow `calls` begun."""
        frame = self.frames[-1]
        self.records.append(
            records.StepBegan(
                at=now,
                effect_id=effect_id,
                step_id=frame.workflow.steps[frame.step].step_id,
                visit=frame.visits[frame.step],
                attempt=frame.attempt,
                method=None if request is None else request.method,
                url=None if request is None else request.url,
                idempotent=idempotent,
                calls=calls,
                workflow_id=frame.workflow.workflow_id,
                caller=frame.caller,
            )
        )

    def step_ended(
        self,
        now: float,
        status: StepStatus,
        criteria: tuple[records.Criterion, ...],
        response: HttpResponse | None,
        action: Action | None,
        failure: Failure | None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Record that an attempt at the present step is over."""
        frame = self.frames[-1]
        self.records.append(
            records.StepEnded(
                at=now,
                began=frame.began,
                step_id=frame.workflow.steps[frame.step].step_id,
                visit=frame.visits[frame.step],
                attempt=frame.attempt,
                status=status.value,
                method=frame.context.method,
                url=frame.context.url,
                response=None if response is None else response.status,
                criteria=criteria,
                action=None if action is None else records.ActionTaken(action.name, action.type),
                outputs=outputs or {},
                error=failure,
                workflow_id=frame.workflow.workflow_id,
                caller=frame.caller,
            )
        )

    # Criteria

    def judged(self, tests: tuple[Test, ...], now: float) -> tuple[tuple[records.Criterion, ...], bool, str]:
        """Check criteria: each as it is recorded, whether all hold, and in words which ones do not."""
        found, failed = [], []
        for test, verdict in zip(tests, self._check(tests, now), strict=True):
            criterion = records.Criterion(test.text, verdict.passed, verdict.why)
            found.append(criterion)
            if not verdict.passed:
                failed.append(criterion)
        criteria = tuple(found)
        if not failed:
            return criteria, True, ""
        why = "; ".join(f"`{c.condition}` does not hold" + (f": {c.why}" if c.why else "") for c in failed)
        return criteria, False, f"; {why}"

    def _check(self, tests: tuple[Test, ...], now: float, *, explained: bool = True) -> list[Verdict]:
        verdicts = []
        context = self.frames[-1].context
        for test in tests:
            verdict = check(test, context, explained=explained)
            if verdict.dialect is not None:
                self.warn(verdict.dialect.rule, f"{verdict.dialect.message}: `{test.text}`", now)
            verdicts.append(verdict)
        return verdicts

    def evaluated(self, tests: tuple[Test, ...], now: float) -> bool:
        """Say whether all criteria can be evaluated."""
        return all(verdict.evaluated for verdict in self._check(tests, now, explained=False))

    def may_hold(self, tests: tuple[Test, ...], now: float) -> bool:
        """Say whether there are criteria, and none of them can be told not to hold."""
        return bool(tests) and all(v.passed or not v.evaluated for v in self._check(tests, now, explained=False))

    def matching(self, actions: tuple[Action, ...], now: float) -> tuple[Action | None, str]:
        """Give the first action whose criteria all hold, and why one before it could not be evaluated."""
        unevaluated = ""
        retries = self.frames[-1].retries
        for action in actions:
            if action.type == "retry" and retries.get(id(action), 0) >= action.retry_limit:
                continue  # "The retryLimit MUST be exhausted prior to executing subsequent failure actions."
            passed, reason = True, None
            for verdict in self._check(action.criteria, now, explained=False):
                passed = passed and verdict.passed
                reason = verdict.why if reason is None and not verdict.evaluated else reason
            if passed:
                return action, unevaluated
            if reason is not None:
                unevaluated = unevaluated or f"action '{action.name}': {reason}"
        return None, unevaluated

    def warn_of_missing(self, step: Step, now: float) -> None:
        """Say that no action matched and why that may not be what was meant: a value to compare was not there."""
        if not step.on_success:
            return
        tests = (test for action in step.on_success for test in action.criteria)
        absent = next(filter(None, (missing_compared(test, self.frame.context) for test in tests)), "")
        if absent:
            message = f"step '{step.step_id}': no action matched, so the workflow goes on: {absent}"
            self.warn("no-action-matched", message, now)

    def told_to_wait(self, response: HttpResponse | None, now: float) -> float | None:
        """Give the seconds that a Retry-After header asks for, as far as the limit allows."""
        told = None if response is None else Response(response).header("retry-after")
        seconds = retry_after_seconds(told, now)
        return None if seconds is None else min(seconds, self.limits.max_retry_after)

    # Outputs and warnings

    def workflow_outputs(self, frame: Frame, now: float, *, warn: bool) -> dict[str, Any]:
        """Give the outputs of a workflow; one may speak of another before it."""
        values: dict[str, Any] = {}
        frame.context.outputs = values
        self._evaluate(values, frame.workflow.outputs, frame, now, "" if warn else None)
        return values

    def outputs_of(self, wanted: tuple[tuple[str, Payload], ...], step: Step, now: float) -> dict[str, Any]:
        """Give outputs that stand in for those of a step."""
        values: dict[str, Any] = {}
        self._evaluate(values, wanted, self.frame, now, f" of step '{step.step_id}'")
        return values

    def step_outputs(self, step: Step, now: float) -> dict[str, Any]:
        """Give a step's outputs; where it called a workflow, that one's outputs and then its own."""
        frame = self.frames[-1]
        values = dict(frame.context.outputs or {})
        if step.outputs:
            self._evaluate(values, step.outputs, frame, now, f" of step '{step.step_id}'")
        return values

    def _evaluate(
        self,
        values: dict[str, Any],
        wanted: tuple[tuple[str, Payload], ...],
        frame: Frame,
        now: float,
        whose: str | None,
    ) -> None:
        """Add outputs to `values`; one that is Missing becomes null, with a warning that says what was not there."""
        for name, prepared in wanted:
            missing: list[Missing] = []
            value = resolve(prepared, frame.context, missing)
            values[name] = None if isinstance(value, Missing) else value
            for absent in missing if whose is not None else ():
                self.warn("missing-value", f"output '{name}'{whose} is null: {absent.why}", now)

    def warn(self, rule: str, message: str, now: float) -> None:
        """Record a warning, once."""
        if (rule, message) not in self.warned and len(self.warned) < MOST_WARNINGS:
            self.warned |= {(rule, message)}
            self.records.append(records.Warned(now, rule, message))
