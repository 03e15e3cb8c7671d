"""Run(program, inputs, journal=()): a run of a program as a pure state machine.

`pending()` says what is to be done, `deliver()` takes what came of it and gives the records of what followed, and
`outcome` is there when nothing is pending any more. Time enters only with a result. The same inputs and the same
results give the same run, which is how a journal resumes one.
"""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from treadle.engine import journal as records
from treadle.engine.effects import Effect, HttpFailed, HttpResponse, Result, SendHttp, Sleep, Slept
from treadle.engine.journal import Failure, Record
from treadle.engine.messages import Request, Response
from treadle.engine.pace import Pace, retry_after_seconds
from treadle.engine.payloads import as_sent, replaced
from treadle.engine.program import Action, Body, Call, Poll, Program, Step
from treadle.engine.secrets import Secrets
from treadle.engine.transitions import TRANSITIONS, StepStatus, Then
from treadle.expressions.criteria import Test, Verdict, check, missing_compared
from treadle.expressions.evaluate import Context, Missing
from treadle.expressions.payload import Payload, resolve
from treadle.expressions.syntax import Template
from treadle.sources.request import Argument, HttpRequest, RequestInvalid, build_request

JITTER = 0.1
"""How far a poll's pause may be off either way, as a share of it (semantics: pacing)."""
_PLAIN_POLL = Poll()


class Limits(Struct, frozen=True):
    """What bounds a run: pauses in seconds, `max_steps` in visits of steps."""

    poll_interval: float = 1.0
    poll_max_interval: float = 15.0
    max_retry_after: float = 300.0
    max_steps: int = 100_000


class Outcome(Struct, frozen=True):
    """How a run ended; `status` is succeeded, failed, limited, in-doubt or cancelled."""

    status: str
    outputs: dict[str, Any]
    error: Failure | None = None


class NotPending(ValueError):
    """A result was delivered for an effect that is not pending."""


class Run:
    """One run of a program.

    Args:
        program: the compiled workflow.
        inputs: the inputs, validated and with defaults.
        limits: what bounds it.
        journal: the records of the run so far; with it the run continues where they end.
        secrets: the values that no message may show; without it, those of the inputs that the program calls secret.

    Raises:
        NotPending: the journal does not fit the program.
    """

    __slots__ = (
        "_attempt", "_began", "_context", "_due", "_effect", "_inputs", "_outputs", "_pace", "_records", "_retries", "_secrets",
        "_step", "_steps_taken", "_visits", "_warned", "limits", "outcome", "program",
    )  # fmt: skip

    def __init__(
        self,
        program: Program,
        inputs: dict[str, Any],
        limits: Limits | None = None,
        journal: Iterable[Record] = (),
        *,
        secrets: Secrets | None = None,
    ) -> None:
        self.program = program
        self.limits = limits or Limits()
        self.outcome: Outcome | None = None
        self._inputs = inputs
        self._secrets = secrets or Secrets([inputs[name] for name in program.secrets if name in inputs])
        self._outputs: dict[str, dict[str, Any]] = {}
        self._context = Context(
            inputs=inputs, steps=self._outputs, sources=program.sources, self_uri=program.self_uri,
            workflows={program.workflow_id: {"inputs": inputs}}, mask=self._secrets.text,
        )  # fmt: skip
        self._pace = Pace(self.limits.poll_interval, self.limits.poll_max_interval)
        self._visits: dict[int, int] = {}
        self._steps_taken = 0
        self._attempt = 1
        self._retries: dict[int, int] = {}  # by the identity of the action: names need not be unique
        self._step = 0
        self._began = 0.0
        self._effect: Effect | None = None
        self._due = False
        self._records: list[Record] = []
        self._warned: set[tuple[str, str]] = set()
        for record in journal:
            self._replay(record)

    # What a driver calls

    def begin(self, now: float) -> list[Record]:
        """Start a new run; `now` in seconds since the epoch. Gives the first records."""
        secret = self.program.secrets
        shown = {n: value for n, value in self._inputs.items() if n not in secret and not self._secrets.has(value)}
        self._records = [records.RunBegan(now, self.program.workflow_id, shown)]
        self._enter(0, now)
        self._send_what_is_due(now)
        return self._taken()

    def pending(self) -> tuple[Effect, ...]:
        """Give the effects that are to be performed; none means that there is an outcome."""
        return (self._effect,) if self._effect is not None else ()

    def deliver(self, effect_id: str, result: Result, now: float) -> list[Record]:
        """Take the result of an effect; give the records of what followed, to be written before the next effect.

        Raises:
            NotPending: no such effect is pending, or the result is not one of its kind.
        """
        effect = self._effect
        if effect is None or effect.id != effect_id or isinstance(effect, Sleep) is not isinstance(result, Slept):
            raise NotPending(f"no effect {effect_id!r} is pending that {type(result).__name__} would answer")
        self._records = [records.Delivered(now, effect_id, result)]
        self._effect = None
        if isinstance(effect, Sleep):
            self._pace.slept()
            self._due = True
        elif isinstance(result, HttpResponse):
            self._answered(effect.request, result, now)
        elif isinstance(result, HttpFailed):
            self._unanswered(effect, result, now)
        self._send_what_is_due(now)
        return self._taken()

    def stop(self, status: str, error: Failure, now: float) -> list[Record]:
        """End the run from outside: a limit of the driver was reached (`limited`), or somebody asked (`cancelled`)."""
        if self.outcome is not None:
            return []
        self._records = [records.Stopped(now, status, error)]
        self._end(status, now, error)
        return self._taken()

    def _taken(self) -> list[Record]:
        taken, self._records = self._records, []
        return taken

    def _replay(self, record: Record) -> None:
        match record:
            case records.RunBegan(at):
                self.begin(at)
            case records.Delivered(at, effect_id, result):
                self.deliver(effect_id, result, at)
            case records.Stopped(at, status, error):
                self.stop(status, error, at)

    # Entering a step

    def _enter(self, index: int, now: float, *, by_goto: bool = False, last: HttpResponse | None = None) -> None:
        """Come to a step: count the visit, pause where a loop would go round without one, and send."""
        step = self.program.steps[index]
        if self._steps_taken >= self.limits.max_steps:
            message = f"the run took {self.limits.max_steps:,} steps and did not end"
            hint = "raise --max-steps, or see why the loop never ends"
            self._end("limited", now, Failure("max-steps", message, step.step_id, hint))
            return
        self._step = index
        self._visits[index] = self._visits.get(index, 0) + 1
        self._attempt = 1
        self._retries = {}
        poll = step.poll or _PLAIN_POLL
        if by_goto and self._pace.too_long(index, poll, now):
            message = f"step '{step.step_id}' polled for {poll.timeout:g} s and did not come to an end"
            self._end("failed", now, Failure("poll-timeout", message, step.step_id, "raise timeout in x-treadle-poll"))
            return
        pause = self._pace.enter(index, poll, now, by_goto=by_goto)
        if pause is None:
            self._due = True
            return
        told = None if last is None else self._told_to_wait(last, now)
        if told is not None:
            self._sleep(told, "retry-after", now)
        else:
            self._sleep(pause, "poll", now, JITTER)

    def _sleep(self, seconds: float, reason: str, now: float, jitter: float = 0.0) -> None:
        step_id = self.program.steps[self._step].step_id
        self._leave_message()  # a waiting run holds no bodies
        self._effect = Sleep(f"{self._effect_id()}/wait", step_id, seconds, reason, jitter)
        self._records.append(records.Waiting(now, step_id, seconds, reason))

    def _effect_id(self) -> str:
        return f"{self.program.steps[self._step].step_id}/{self._visits[self._step]}/{self._attempt}"

    def _send_what_is_due(self, now: float) -> None:
        """Send until something is pending. A loop, no recursion: a request that cannot be built leads to the next step."""
        while self._due:
            self._due = False
            self._send(now)

    def _send(self, now: float) -> None:
        step = self.program.steps[self._step]
        self._steps_taken += 1
        self._began = now
        self._leave_message()
        try:
            request = self._request(step.call, now)
        except RequestInvalid as error:
            failure = Failure("request", f"step '{step.step_id}': {error.message}", step.step_id, error.hint)
            self._ended(step, StepStatus.FAILED, (), None, now, failure)
            return
        effect = SendHttp(self._effect_id(), step.step_id, request, step.timeout)
        self._effect = effect
        visit = self._visits[self._step]
        self._records.append(
            records.StepBegan(
                now, effect.id, step.step_id, visit, self._attempt, request.method, request.url, effect.idempotent
            )
        )

    def _leave_message(self) -> None:
        context = self._context
        context.request = context.response = context.url = context.method = context.status = None

    def _request(self, call: Call, now: float) -> HttpRequest:
        arguments = []
        missing: list[Missing] = []
        for argument in call.arguments:
            spec, prepared = argument.spec, argument.value
            value = resolve(prepared, self._context, missing)
            if isinstance(value, Missing):
                # An input that was not given leaves its optional parameter out; half a value is never sent.
                if spec.required or value.unreadable or isinstance(prepared, Template):
                    raise RequestInvalid(f"parameter '{spec.name}' in {spec.location} has no value: {value.why}")
                self._warn("parameter-left-out", f"parameter '{spec.name}' has no value: {value.why}", now)
                continue
            arguments.append(Argument(spec, value))
        content_type = None
        payload = sent = None
        if call.body is not None:
            content_type = call.body.content_type
            payload = self._payload(call.body, now)
            written = None if call.body.replacements else call.body.payload
            sent = as_sent(payload, written, content_type, self._context)
        request = build_request(call.operation, call.server, arguments, content_type, sent)
        self._context.url = request.url
        self._context.method = request.method
        self._context.request = Request(request, arguments, payload)
        return request

    def _payload(self, body: Body, now: float) -> Any:
        missing: list[Missing] = []
        payload = resolve(body.payload, self._context, missing)
        if isinstance(payload, Missing):
            raise RequestInvalid(f"the request body has no value: {payload.why}")
        for replacement in body.replacements:
            value = resolve(replacement.value, self._context, missing)
            if isinstance(value, Missing):  # half a value is never sent, nor what should have been replaced
                raise RequestInvalid(f"the replacement at {replacement.target[-1]} has no value: {value.why}")
            payload = replaced(payload, body.payload, body.content_type, self._context, replacement.target, value)
        for absent in missing:
            self._warn("value-left-out", f"a part of the request body has no value: {absent.why}", now)
        return payload

    # Leaving a step

    def _answered(self, request: HttpRequest, response: HttpResponse, now: float) -> None:
        step = self.program.steps[self._step]
        self._context.status = response.status
        self._context.response = Response(response)
        verdicts = self._check(step.success_criteria, now)
        criteria = tuple(
            [
                records.Criterion(test.text, verdict.passed, verdict.why)
                for test, verdict in zip(step.success_criteria, verdicts, strict=True)
            ]
        )
        if all(verdict.passed for verdict in verdicts) if verdicts else 200 <= response.status < 400:
            self._ended(step, StepStatus.SUCCEEDED, criteria, response, now)
            return
        failed = (criterion for criterion in criteria if not criterion.passed)
        why = "; ".join(f"`{c.condition}` does not hold" + (f": {c.why}" if c.why else "") for c in failed)
        message = f"step '{step.step_id}' failed: {request.method} {request.url} answered {response.status}"
        message += f"; {why}" if why else ""
        said = _said_by_server(self._context.response.body(), self._secrets)
        hint = f"the server says: {said}" if said else None
        failure = Failure("criteria", message, step.step_id, hint)
        self._ended(step, StepStatus.FAILED, criteria, response, now, failure)

    def _unanswered(self, effect: SendHttp, failed: HttpFailed, now: float) -> None:
        step = self.program.steps[self._step]
        request = effect.request
        message = f"step '{step.step_id}': {request.method} {request.url}: {failed.message}"
        if failed.sent and not effect.idempotent:
            # Whether it took effect is not known, so nothing may follow that would send it again.
            failure = Failure("in-doubt", message, step.step_id, "find out whether the request took effect")
            self._records.append(self._step_ended(step, StepStatus.FAILED, (), None, now, None, failure))
            self._end("in-doubt", now, failure)
            return
        self._ended(step, StepStatus.FAILED, (), None, now, Failure(failed.kind, message, step.step_id, failed.hint))

    def _check(self, tests: tuple[Test, ...], now: float, *, explained: bool = True) -> list[Verdict]:
        verdicts = []
        for test in tests:
            verdict = check(test, self._context, explained=explained)
            if verdict.dialect is not None:
                self._warn(verdict.dialect.rule, f"{verdict.dialect.message}: `{test.text}`", now)
            verdicts.append(verdict)
        return verdicts

    def _ended(
        self,
        step: Step,
        status: StepStatus,
        criteria: tuple[records.Criterion, ...],
        response: HttpResponse | None,
        now: float,
        failure: Failure | None = None,
    ) -> None:
        outputs = self._values(step.outputs, now, step) if failure is None else {}
        if failure is None:
            self._outputs[step.step_id] = outputs
        actions = step.on_success if status is StepStatus.SUCCEEDED else step.on_failure
        action, unevaluated = self._matching(actions, now)
        matched = action.type if action is not None else "no action matched"
        if action is None and unevaluated:
            matched = "no action matched, one could not be evaluated"
            failure = failure or Failure(
                "criteria",
                f"step '{step.step_id}': no action matched, and one could not be evaluated: {unevaluated}",
                step.step_id,
                "the run fails rather than guess what was meant",
            )
        elif action is None and status is StepStatus.SUCCEEDED:
            self._warn_of_missing(step, now)
        self._records.append(self._step_ended(step, status, criteria, response, now, action, failure, outputs))
        then = TRANSITIONS[status, matched]
        self._follow(then, action, response, now, failure)

    def _warn_of_missing(self, step: Step, now: float) -> None:
        """Say that no action matched and why that may not be what was meant: a value to compare was not there."""
        tests = (test for action in step.on_success for test in action.criteria)
        absent = next(filter(None, (missing_compared(test, self._context) for test in tests)), "")
        if absent:
            message = f"step '{step.step_id}': no action matched, so the workflow goes on: {absent}"
            self._warn("no-action-matched", message, now)

    def _follow(
        self, then: Then, action: Action | None, response: HttpResponse | None, now: float, failure: Failure | None
    ) -> None:
        match then:
            case Then.NEXT_STEP if self._step + 1 < len(self.program.steps):
                self._enter(self._step + 1, now)
            case Then.GO_TO if action is not None and action.target is not None:
                self._enter(action.target, now, by_goto=True, last=response)
            case Then.RETRY if action is not None:
                self._retry(action, response, now)
            case Then.NEXT_STEP | Then.END_SUCCEEDED:
                self._end("succeeded", now)
            case _:
                self._end("failed", now, failure)

    def _retry(self, action: Action, response: HttpResponse | None, now: float) -> None:
        self._retries[id(action)] = self._retries.get(id(action), 0) + 1
        self._attempt += 1
        told = None if response is None else self._told_to_wait(response, now)
        if self._steps_taken >= self.limits.max_steps:
            self._enter(self._step, now)
        elif told is not None:
            self._sleep(told, "retry-after", now)
        elif action.retry_after:
            self._sleep(action.retry_after, "retry", now)
        else:
            self._due = True

    def _told_to_wait(self, response: HttpResponse, now: float) -> float | None:
        """Give the seconds that a Retry-After header asks for, as far as the limit allows."""
        seconds = retry_after_seconds(Response(response).header("retry-after"), now)
        return None if seconds is None else min(seconds, self.limits.max_retry_after)

    def _matching(self, actions: tuple[Action, ...], now: float) -> tuple[Action | None, str]:
        """Give the first action whose criteria all hold, and why one before it could not be evaluated."""
        unevaluated = ""
        for action in actions:
            if action.type == "retry" and self._retries.get(id(action), 0) >= action.retry_limit:
                continue  # "The retryLimit MUST be exhausted prior to executing subsequent failure actions."
            verdicts = self._check(action.criteria, now, explained=False)
            if all(verdict.passed for verdict in verdicts):
                return action, unevaluated
            reasons = [verdict.why for verdict in verdicts if not verdict.evaluated]
            if reasons:
                unevaluated = unevaluated or f"action '{action.name}': {reasons[0]}"
        return None, unevaluated

    def _step_ended(
        self,
        step: Step,
        status: StepStatus,
        criteria: tuple[records.Criterion, ...],
        response: HttpResponse | None,
        now: float,
        action: Action | None,
        failure: Failure | None,
        outputs: dict[str, Any] | None = None,
    ) -> records.StepEnded:
        return records.StepEnded(
            at=now,
            began=self._began,
            step_id=step.step_id,
            visit=self._visits[self._step],
            attempt=self._attempt,
            status=status.value,
            method=self._context.method,
            url=self._context.url,
            response=None if response is None else response.status,
            criteria=criteria,
            action=None if action is None else records.ActionTaken(action.name, action.type),
            outputs=outputs or {},
            error=failure,
        )

    # The end

    def _end(self, status: str, now: float, failure: Failure | None = None) -> None:
        self._effect = None
        outputs = self._values(self.program.outputs, now, warn=status == "succeeded")
        self.outcome = Outcome(status, outputs, failure)
        self._records.append(records.RunEnded(now, status, outputs, failure))

    def _values(
        self, wanted: tuple[tuple[str, Payload], ...], now: float, step: Step | None = None, *, warn: bool = True
    ) -> dict[str, Any]:
        """Evaluate outputs; one that is Missing becomes null, with a warning that says what was not there."""
        values = {}
        for name, prepared in wanted:
            missing: list[Missing] = []
            value = resolve(prepared, self._context, missing)
            values[name] = None if isinstance(value, Missing) else value
            for absent in missing if warn else ():
                whose = "" if step is None else f" of step '{step.step_id}'"
                self._warn("missing-value", f"output '{name}'{whose} is null: {absent.why}", now)
        return values

    def _warn(self, rule: str, message: str, now: float) -> None:
        if (rule, message) not in self._warned and len(self._warned) < 100:
            self._warned.add((rule, message))
            self._records.append(records.Warned(now, rule, message))


def _said_by_server(body: Any, secrets: Secrets) -> str | None:
    """Give the message of an error body as servers write it, at most 300 characters.

    Secrets are masked before it is cut: of one that is cut, the rest would not be found again.
    """
    if isinstance(body, dict):
        for name in ("detailedMessage", "message", "detail", "title", "error_description", "error"):
            if isinstance(body.get(name), str) and body[name]:
                return secrets.text(body[name])[:300]
    return None
