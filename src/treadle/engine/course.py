"""The moves of a run between two effects: entering workflows and steps, sending, what follows a step, the end.

What a driver calls is in `interpreter`; what a run knows is in `state`.
"""

from math import inf
from typing import Any

from msgspec import Struct

from treadle.engine import journal as records
from treadle.engine.effects import Effect, HttpFailed, HttpResponse, SendHttp, Sleep
from treadle.engine.frame import Detour, Ends, Frame
from treadle.engine.idempotency import keyed
from treadle.engine.journal import Failure
from treadle.engine.messages import Response, said_by_server
from treadle.engine.pace import JITTER
from treadle.engine.program import Action, Call, Poll, Program, Step, WorkflowCall
from treadle.engine.requests import request_of, security_of
from treadle.engine.seconds import seconds_of
from treadle.engine.secret_flows import answered, flowing
from treadle.engine.state import CallRefused, Limits, State
from treadle.engine.transitions import TRANSITIONS, StepStatus, Then, matched
from treadle.sources.needs import Alternatives, Credential
from treadle.sources.request import HttpRequest, RequestInvalid

MAX_DEPTH = 100
"""How many workflows may be under way within each other."""
_PLAIN_POLL = Poll()
_CLOCKS_DIFFER = 0.01
"""By how many seconds a driver may be early."""


class Outcome(Struct, frozen=True, gc=False):
    """How a run ended; `status` is succeeded, failed, limited, in-doubt or cancelled."""

    status: str
    outputs: dict[str, Any]
    error: Failure | None = None


class Doubt:
    """A request that is not idempotent and may have been sent, without an answer.

    Attributes:
        effect: the request.
        announced: when it was announced.
        looks: how often a trace of it was looked for.
        retry: it is sent again where there is none.
    """

    __slots__ = ("announced", "effect", "looks", "retry")

    def __init__(self, effect: SendHttp, announced: float) -> None:
        self.effect = effect
        self.announced = announced
        self.looks = 0
        self.retry = False


class Course:
    """Moves a run from one effect to the next.

    Attributes:
        state: what the run knows.
        effect: what is to be done now, or None.
        due: the present attempt is to be sent.
        outcome: how the run ended, or None.
        doubt: what the run is in doubt of, or None.
    """

    __slots__ = ("doubt", "due", "effect", "limits", "outcome", "program", "state")

    def __init__(self, program: Program, limits: Limits, state: State) -> None:
        self.program = program
        self.limits = limits
        self.state = state
        self.effect: Effect | None = None
        self.due = False
        self.outcome: Outcome | None = None
        self.doubt: Doubt | None = None

    # Entering a workflow

    def begin_workflow(self, now: float, last: HttpResponse | None = None) -> None:
        """Run what the workflow depends on and has not been completed, then its first step."""
        frame = self.state.frames[-1]
        for call in frame.workflow.depends_on:
            if call.workflow not in self.state.completed:
                try:
                    self._call(call.workflow, self.state.inputs_of(call, now), Ends.A_DEPENDENCY, now)
                except CallRefused as refused:
                    self._end_workflow(now, refused.failure)
                return
        self._enter(0, now, by_goto=frame.transferred, last=last)

    def _call(self, number: int, inputs: dict[str, Any], ends: Ends, now: float, deadline: float | None = None) -> None:
        """Begin another workflow within this one, which has until then.

        Raises:
            CallRefused: too many are under way.
        """
        state = self.state
        if len(state.frames) >= MAX_DEPTH:
            workflow_id = self.program.workflows[number].workflow_id
            message = f"workflow '{workflow_id}' would be number {MAX_DEPTH + 1} of workflows within each other"
            hint = "a workflow that calls itself needs a criterion that ends it"
            raise CallRefused(Failure("depth", message, None, hint))
        child = state.new_frame(number, inputs, ends)
        child.called_by(state.frame)
        child.deadline = deadline
        state.frames.append(child)
        self.begin_workflow(now)

    # Entering a step

    def _enter(self, index: int, now: float, *, by_goto: bool = False, last: HttpResponse | None = None) -> None:
        """Come to a step: count the visit, pause where a loop would go round without one, and send."""
        frame = self.state.frames[-1]
        step = frame.workflow.steps[index]
        if self.state.steps_taken >= self.limits.max_steps:
            message = f"the run took {self.limits.max_steps:,} steps and did not end"
            hint = "raise --max-steps, or see why the loop never ends"
            self.end_run("limited", now, Failure("max-steps", message, step.step_id, hint))
            return
        frame.step = index
        frame.unanswered = None
        frame.visits[index] = frame.visits.get(index, 0) + 1
        frame.attempt = 1
        frame.retries = {}
        poll = step.poll or _PLAIN_POLL
        place = (frame.number, index)
        left = frame.pace.left(place, poll, now) if by_goto else inf
        due_in = self.state.time_left(now) if poll.wait_first else None
        pause = frame.pace.enter(place, poll, now, by_goto=by_goto, left=inf if due_in is None else due_in)
        told = None if pause is None else self.state.told_to_wait(last, now)
        if left <= _CLOCKS_DIFFER or (told or 0.0) > left:
            message = f"step '{step.step_id}' polled and did not come to an end within its {poll.timeout:g} s"
            message += f"; the server asks for a pause of {told:g} s" if told is not None else ""
            self._end_workflow(now, Failure("poll-timeout", message, step.step_id, "raise timeout in x-treadle-poll"))
        elif pause is None:
            self.due = True
        elif told is not None:
            self._sleep(told, "retry-after", now)
        else:
            sure = left < pause * (1 + JITTER)  # the last look is when the time is up
            self._sleep(min(pause, left), "poll", now, 0.0 if sure else JITTER)

    def _sleep(self, seconds: float, reason: str, now: float, jitter: float = 0.0) -> None:
        frame = self.state.frames[-1]
        left = self.state.time_left(now)
        if left is not None and left <= seconds * (1 + jitter):
            seconds, jitter = left, 0.0
        step_id = frame.workflow.steps[frame.step].step_id
        frame.leave_message()  # a waiting run holds no bodies
        self.effect = Sleep(f"{frame.effect_id}/wait", frame.place, seconds, reason, jitter)
        self.state.records.append(
            records.Waiting(now, step_id, seconds, reason, frame.workflow.workflow_id, frame.caller)
        )

    def send_what_is_due(self, now: float) -> None:
        """Send until something is pending. A loop, no recursion: a request that cannot be built leads to the next step."""
        while self.due:
            self.due = False
            if not self._given_up(now):
                self._send(now)

    def send_again(self, now: float) -> None:
        """Build the request anew that was pending at a checkpoint; `now` is when its attempt began."""
        self.state.steps_taken -= 1
        self._send(now)
        self.send_what_is_due(now)

    def _send(self, now: float) -> None:
        frame = self.state.frames[-1]
        if frame.before_retry is not None:
            self._run_before_retry(frame, *frame.before_retry, now)
            return
        step = frame.workflow.steps[frame.step]
        self.state.steps_taken += 1
        frame.began = now
        frame.leave_message()
        waits_for = self.state.waits_for(step) if step.depends_on else None
        if waits_for is not None:
            message = f"step '{step.step_id}' depends on step '{waits_for.step_id}', which has not been completed"
            failure = Failure("depends-on", message, step.step_id, "see which step goes past it")
            self.ended(step, StepStatus.FAILED, (), None, now, failure)
            return
        if not isinstance(step.call, Call):
            self._call_workflow(step, step.call, now)
            return
        try:
            timeout = step.timeout if step.timeout_given is None else self._timeout(step)
            request, security = self.request_of(step.call, now)
        except RequestInvalid as error:
            failure = Failure("request", f"step '{step.step_id}': {error.message}", step.step_id, error.hint)
            self.ended(step, StepStatus.FAILED, (), None, now, failure)
            return
        left = self.state.time_left(now)
        if timeout is None or (left is not None and left < timeout):
            timeout = left
        effect_id = frame.effect_id
        request, has_key = keyed(
            step.call.operation, request, self.state.run_id, frame.unanswered or effect_id,
            wanted=self.limits.idempotency_key,
        )  # fmt: skip
        effect = SendHttp(effect_id, frame.place, request, timeout, *security, keyed=has_key)
        self.effect = effect
        self.state.step_began(now, effect_id, request, idempotent=effect.idempotent)

    def _call_workflow(self, step: Step, call: WorkflowCall, now: float) -> None:
        state = self.state
        state.step_began(now, state.frame.effect_id, None, calls=self.program.workflows[call.workflow].workflow_id)
        try:
            timeout = self._timeout(step)
            deadline = None if timeout is None else now + timeout
            self._call(call.workflow, state.inputs_of(call, now), Ends.THE_CALLING_STEP, now, deadline)
        except (CallRefused, RequestInvalid) as refused:
            why = refused.failure if isinstance(refused, CallRefused) else Failure("request", refused.message)
            failure = Failure(why.kind, f"step '{step.step_id}': {why.message}", step.step_id, why.hint)
            self.ended(step, StepStatus.FAILED, (), None, now, failure)

    def _timeout(self, step: Step) -> float | None:
        """Give the seconds that a step may take, if there is a limit; raises RequestInvalid where it is none."""
        if step.timeout_given is None:
            return step.timeout
        return seconds_of(step.timeout_given, "x-treadle-timeout", self.state.frame.context)

    # Deadlines of steps that call workflows

    def _given_up(self, now: float) -> bool:
        """Give up the outermost workflow whose deadline has passed, and fail the step that called it."""
        for depth, frame in enumerate(self.state.frames):
            if frame.deadline is not None and now >= frame.deadline - _CLOCKS_DIFFER:
                self.state.frames = self.state.frames[:depth]
                step = self.state.step
                timeout = self._timeout(step) or 0.0
                message = f"step '{step.step_id}' did not complete within its timeout of {timeout:g} s"
                self.ended(step, StepStatus.FAILED, (), None, now, Failure("timeout", message, step.step_id))
                return True
        return False

    # Leaving a step

    def take_answer(self, response: HttpResponse, now: float) -> Response:
        """Let expressions speak of an answer, and no message show the tokens in it."""
        state, frame = self.state, self.state.frames[-1]
        step_id = frame.workflow.steps[frame.step].step_id
        state.secrets.learn(answered(response))
        frame.context.status = response.status
        read = Response(response, lambda rule, message: state.warn(rule, f"step '{step_id}': {message}", now))
        frame.context.response = read
        return read

    def request_of(self, call: Call, now: float) -> tuple[HttpRequest, tuple[Alternatives, tuple[Credential, ...]]]:
        """Give the request of a call, with what it requires and what the document gives as its credentials.

        Raises:
            RequestInvalid: a value that it needs is missing or does not fit.
        """
        state, context = self.state, self.state.frames[-1].context
        if call.flows:
            state.secrets.learn(flowing(call, context))
        request = request_of(call, context, lambda rule, message: state.warn(rule, message, now))
        return request, security_of(call, request, context)

    def answered(self, effect: SendHttp, response: HttpResponse, now: float) -> str | None:
        """Take an answer: judge it, and see what follows; give why where it says no more than none would."""
        request = effect.request
        frame = self.state.frames[-1]
        step = frame.workflow.steps[frame.step]
        frame.unanswered = None
        read = self.take_answer(response, now)
        criteria, passed, why = self.state.judged(step.success_criteria, now)
        if passed if criteria else 200 <= response.status < 400:
            self.ended(step, StepStatus.SUCCEEDED, criteria, response, now)
            return None
        rule = step.reconcile
        if rule is not None and not effect.idempotent and self.state.may_hold(rule.unanswered, now):
            return f"it answered {response.status}"
        message = f"step '{step.step_id}' failed: {request.method} {request.url} answered {response.status}"
        said = said_by_server(read.body(), self.state.secrets)
        hint = "; ".join(filter(None, (response.note, f"the server says: {said}" if said else None))) or None
        failure = Failure("criteria", message + why, step.step_id, hint)
        self.ended(step, StepStatus.FAILED, criteria, response, now, failure)
        return None

    def unanswered(self, effect: SendHttp, failed: HttpFailed, now: float) -> None:
        """Take it that no answer came, and that the request did nothing, or may be sent again."""
        frame = self.state.frames[-1]
        step = frame.workflow.steps[frame.step]
        if failed.sent and effect.keyed:
            frame.unanswered = frame.unanswered or effect.id  # the next attempt has the key of this one
        if not self._given_up(now):
            message = f"step '{step.step_id}': {effect.request.method} {effect.request.url}: {failed.message}"
            self.ended(step, StepStatus.FAILED, (), None, now, Failure(failed.kind, message, step.step_id, failed.hint))

    def _returned(self, called: str, outputs: dict[str, Any], failure: Failure | None, now: float) -> None:
        """Go on in a step whose workflow has ended; `$outputs` are what that gave."""
        frame = self.state.frames[-1]
        step = frame.workflow.steps[frame.step]
        frame.context.outputs = outputs
        if failure is not None:
            message = f"step '{step.step_id}' failed: workflow '{called}' failed: {failure.message}"
            message = failure.message if failure.kind == "depth" else message  # or it would be said a hundred times
            failed = Failure(failure.kind, message, step.step_id, failure.hint)
            self.ended(step, StepStatus.FAILED, (), None, now, failed)
            return
        criteria, passed, why = self.state.judged(step.success_criteria, now)
        if passed:
            self.ended(step, StepStatus.SUCCEEDED, criteria, None, now)
            return
        message = f"step '{step.step_id}' failed: workflow '{called}' succeeded{why}"
        self.ended(step, StepStatus.FAILED, criteria, None, now, Failure("criteria", message, step.step_id))

    def ended(
        self,
        step: Step,
        status: StepStatus,
        criteria: tuple[records.Criterion, ...],
        response: HttpResponse | None,
        now: float,
        failure: Failure | None = None,
        *,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """End an attempt at the present step, and see what follows; `outputs` stand in for its own."""
        frame = self.state.frames[-1]
        if outputs is None:
            outputs = self.state.step_outputs(step, now) if failure is None else {}
        if failure is None:
            frame.outputs[step.step_id] = outputs
        self.state.note_end(step)
        actions = step.on_success if status is StepStatus.SUCCEEDED else step.on_failure
        if frame.detour is not None:  # it was only called for a retry, so it goes nowhere else
            actions = tuple(a for a in actions if a.type == "retry" and a.target is None and a.workflow is None)
        if failure is not None and failure.kind == "in-doubt":  # nobody sends it again who does not know what it did
            actions = tuple(action for action in actions if action.type != "retry")
        action, unevaluated = self.state.matching(actions, now)
        if action is None and unevaluated:
            failure = failure or Failure(
                "criteria",
                f"step '{step.step_id}': no action matched, and one could not be evaluated: {unevaluated}",
                step.step_id,
                "the run fails rather than guess what was meant",
            )
        elif action is None and status is StepStatus.SUCCEEDED:
            self.state.warn_of_missing(step, now)
        self.state.step_ended(now, status, criteria, response, action, failure, outputs)
        if frame.detour is not None and action is None:
            self._back_to_the_retry(frame, frame.detour)
            return
        then = TRANSITIONS[status, matched(action, unevaluated=bool(unevaluated))]
        self._follow(then, action, response, now, failure)

    def _follow(
        self, then: Then, action: Action | None, response: HttpResponse | None, now: float, failure: Failure | None
    ) -> None:
        frame = self.state.frames[-1]
        match then:
            case Then.NEXT_STEP if frame.step + 1 < len(frame.workflow.steps):
                self._enter(frame.step + 1, now)
            case Then.GO_TO if action is not None and action.target is not None:
                self._enter(action.target, now, by_goto=True, last=response)
            case Then.TRANSFER if action is not None and action.workflow is not None:
                self._transfer(action, action.workflow, response, now)
            case Then.RETRY | Then.RETRY_AFTER if action is not None:
                self._retry(action, response, now)
            case Then.NEXT_STEP | Then.END_SUCCEEDED:
                self._end_workflow(now)
            case _:
                self._end_workflow(now, failure or Failure("end", "the workflow was ended by a failure action"))

    def _transfer(self, action: Action, call: WorkflowCall, response: HttpResponse | None, now: float) -> None:
        """Put another workflow in the place of this one: what is left of this one is not evaluated."""
        state, frame, step_id = self.state, self.state.frame, self.state.step.step_id
        try:
            inputs = state.inputs_of(call, now)
        except CallRefused as refused:
            self._end_workflow(now, _of_action(action, step_id, refused.failure))
            return
        state.transfers += 1
        other = state.new_frame(call.workflow, inputs, frame.ends, frame.pace)
        other.in_place_of(frame, state.transfers)
        names = (frame.workflow.workflow_id, step_id, action.name, other.workflow.workflow_id)
        state.records.append(records.Transferred(now, *names, frame.caller))
        state.frames[-1] = other
        self.begin_workflow(now, response)

    def _retry(self, action: Action, response: HttpResponse | None, now: float) -> None:
        state, frame = self.state, self.state.frame
        inputs: dict[str, Any] = {}
        if action.workflow is not None:
            try:  # now, for after a pause the response that a parameter may speak of is gone
                inputs = state.inputs_of(action.workflow, now)
            except CallRefused as refused:
                self._end_workflow(now, _of_action(action, state.step.step_id, refused.failure))
                return
        frame.before_retry = None if action.target is None and action.workflow is None else (action, inputs)
        frame.retries[id(action)] = frame.retries.get(id(action), 0) + 1
        frame.attempt += 1
        told = state.told_to_wait(response, now)
        if state.steps_taken >= self.limits.max_steps:
            self._enter(frame.step, now)
        elif told is not None:
            self._sleep(told, "retry-after", now)
        elif action.retry_after:
            self._sleep(action.retry_after, "retry", now)
        else:
            self.due = True

    def _run_before_retry(self, frame: Frame, action: Action, inputs: dict[str, Any], now: float) -> None:
        """Run the step or workflow that a retry names; "the reference is executed and the context is returned"."""
        frame.before_retry = None
        self.due = True
        if action.target is not None:
            frame.detour = Detour(frame)
            frame.step = action.target
            frame.visits[frame.step] = frame.visits.get(frame.step, 0) + 1
            frame.attempt = 1
            frame.retries = {}
        elif action.workflow is not None:
            try:
                self._call(action.workflow.workflow, inputs, Ends.THE_WAY_TO_A_RETRY, now)
            except CallRefused as refused:
                self.state.warn("before-retry", f"action '{action.name}': {refused.failure.message}", now)

    def _back_to_the_retry(self, frame: Frame, detour: Detour) -> None:
        frame.step, frame.attempt, frame.retries = detour.step, detour.attempt, detour.retries
        frame.detour = None
        self.due = True

    # The end

    def _end_workflow(self, now: float, failure: Failure | None = None) -> None:
        """End the innermost workflow, and go on where it was called."""
        frame = self.state.frames[-1]
        if frame.ends is Ends.THE_RUN:
            self.end_run("succeeded" if failure is None else "failed", now, failure)
            return
        outputs = self.state.workflow_outputs(frame, now, warn=failure is None)
        self.state.frames.pop()
        caller = self.state.frame
        caller.pace.went_round(frame.pace)
        if failure is None:
            self.state.complete(frame, caller, outputs)
        called = self.program.workflows[frame.first].workflow_id
        match frame.ends:
            case Ends.THE_CALLING_STEP:
                self._returned(called, outputs, failure, now)
            case Ends.A_DEPENDENCY if failure is None:
                self.begin_workflow(now)
            case Ends.A_DEPENDENCY if failure is not None:
                message = (
                    f"workflow '{caller.workflow.workflow_id}' depends on '{called}', which failed: {failure.message}"
                )
                self._end_workflow(now, Failure(failure.kind, message, failure.step_id, failure.hint))
            case _:
                if failure is not None:
                    message = f"workflow '{called}' failed, and the step is tried again all the same: {failure.message}"
                    self.state.warn("before-retry", message, now)
                self.due = True

    def end_run(self, status: str, now: float, failure: Failure | None = None) -> None:
        """End the run, whatever is under way."""
        self.effect = None
        self.due = False
        frames = self.state.frames
        outputs = self.state.workflow_outputs(frames[0], now, warn=status == "succeeded") if frames else {}
        self.outcome = Outcome(status, outputs, failure)
        self.state.records.append(records.RunEnded(now, status, outputs, failure))
        for frame in frames:
            frame.leave_message()  # a response knows the run that it warns: together they would stay in memory


def _of_action(action: Action, step_id: str, failure: Failure) -> Failure:
    return Failure(failure.kind, f"action '{action.name}': {failure.message}", step_id, failure.hint)
