"""A request that is not idempotent, that may have been sent, and whose answer never came: how the doubt is resolved.

A step with `x-treadle-reconcile` looks by itself whether the request took effect. All else is for somebody to decide:
to send it again, to go on as if it had succeeded, or to take it as failed.
"""

from typing import Any

from treadle.engine import journal as records
from treadle.engine.course import Course, Doubt
from treadle.engine.effects import HttpFailed, HttpResponse, Result, SendHttp, Sleep
from treadle.engine.journal import Failure
from treadle.engine.program import ANNOUNCED_MS, ANNOUNCED_S, POLL_BACKOFF, Reconcile
from treadle.engine.seconds import seconds_of
from treadle.engine.transitions import StepStatus
from treadle.sources.request import RequestInvalid

FIRST_PAUSE = 1.0
"""Seconds between two looks for a trace of a request, where the run's own loops make no pause."""
_MOST_GROWTH = 40
WAYS = ("reconcile", "retry", "skip", "fail")


def resolve(course: Course, doubt: Doubt, how: str, outputs: dict[str, Any], now: float) -> None:
    """Go on with a doubt in one of the ways; a rule of the step comes before a retry."""
    course.doubt = doubt
    course.outcome = None
    step = course.state.step
    if how == "skip":
        _back_to_the_step(course, doubt)
        course.ended(step, StepStatus.SUCCEEDED, (), None, now, outputs=outputs)
    elif how == "fail":
        _back_to_the_step(course, doubt)
        message = f"step '{step.step_id}': whether {_request(doubt)} took effect is not known, and was taken as failed"
        course.ended(step, StepStatus.FAILED, (), None, now, Failure("in-doubt", message, step.step_id))
    else:
        doubt.retry = how == "retry" or (step.reconcile is not None and step.reconcile.otherwise == "retry")
        if step.reconcile is not None:
            _look(course, doubt, step.reconcile, now)
        elif doubt.retry:
            send_again(course)
        else:
            _give_up(course, doubt, "the step has no rule that finds out", now)


def begin(course: Course, effect: SendHttp, why: str, now: float) -> None:
    """Begin to doubt: look for a trace where the step says how, else the run ends in doubt."""
    step = course.state.step
    course.doubt = doubt = Doubt(effect, course.state.frame.began)
    if step.reconcile is None:
        message = f"step '{step.step_id}': {_request(doubt)}: {why}"
        failure = Failure("in-doubt", message, step.step_id, "find out whether the request took effect")
        course.state.step_ended(now, StepStatus.FAILED, (), None, None, failure)
        course.end_run("in-doubt", now, failure)
        return
    doubt.retry = step.reconcile.otherwise == "retry"
    _look(course, doubt, step.reconcile, now)


def looked(course: Course, doubt: Doubt, result: Result, now: float) -> None:
    """Take what a look gave, or that the pause before the next one is over."""
    step = course.state.step
    rule = step.reconcile
    if rule is None:
        raise AssertionError("only a step with a rule looks for traces")
    if not isinstance(result, HttpResponse | HttpFailed):
        _look(course, doubt, rule, now)
        return
    frame = course.state.frame
    response = result if isinstance(result, HttpResponse) else None
    criteria: tuple[records.Criterion, ...] = ()
    known, passed, why = False, False, f": {result.message}" if isinstance(result, HttpFailed) else ""
    if response is not None:
        course.take_answer(response, now)
        frame.context.inputs = _inputs(course, doubt)
        criteria, passed, why = course.state.judged(rule.criteria, now)
        known = 200 <= response.status < 300 and course.state.evaluated(rule.criteria, now)
    status = None if response is None else response.status
    course.state.records.append(
        records.Looked(now, doubt.effect.id, step.step_id, status, criteria, passed, frame.caller)
    )
    ambiguous = bool(response is not None and rule.ambiguous) and course.state.judged(rule.ambiguous, now)[1]
    if passed:
        outputs = course.state.outputs_of(rule.outputs, step, now)
        _back_to_the_step(course, doubt)
        course.ended(step, StepStatus.SUCCEEDED, (), None, now, outputs=outputs)
        return
    try:
        left = doubt.announced + _within(course, rule) - now
    except RequestInvalid as error:
        _give_up(course, doubt, f"it could not be found out: {error.message}", now)
        return
    if ambiguous and known:
        _give_up(course, doubt, "what was found may have come of something else", now)
    elif left > 0:
        _look_later(course, doubt, left, now)
    elif known and doubt.retry:
        send_again(course)
    else:
        _give_up(course, doubt, f"no trace of it was found{why}" if known else f"it could not be found out{why}", now)


def _within(course: Course, rule: Reconcile) -> float:
    if rule.within_given is None:
        return rule.within
    return seconds_of(rule.within_given, "`within` of x-treadle-reconcile", course.state.frame.context) or 0.0


def _look_later(course: Course, doubt: Doubt, left: float, now: float) -> None:
    frame = course.state.frame
    limits = course.limits
    first = limits.poll_interval or FIRST_PAUSE
    pause = min(first * POLL_BACKOFF ** min(doubt.looks - 1, _MOST_GROWTH), max(limits.poll_max_interval, first), left)
    course.effect = Sleep(f"{_effect_id(doubt)}/wait", doubt.effect.step_id, pause, "reconcile")
    frame.leave_message()
    step_id, workflow_id = course.state.step.step_id, frame.workflow.workflow_id
    course.state.records.append(records.Waiting(now, step_id, pause, "reconcile", workflow_id, frame.caller))


def _look(course: Course, doubt: Doubt, rule: Reconcile, now: float) -> None:
    frame = course.state.frame
    doubt.looks += 1
    frame.leave_message()
    frame.context.inputs = _inputs(course, doubt)
    try:
        request, security = course.request_of(rule.call, now)
    except RequestInvalid as error:
        _give_up(course, doubt, f"it could not be found out: {error.message}", now)
        return
    finally:
        frame.context.inputs = frame.inputs
    course.effect = SendHttp(_effect_id(doubt), doubt.effect.step_id, request, None, *security)


def _inputs(course: Course, doubt: Doubt) -> dict[str, Any]:
    """Give the inputs as the rule sees them: with the time of the announcement."""
    announced = {ANNOUNCED_S: doubt.announced, ANNOUNCED_MS: int(doubt.announced * 1000)}
    return {**course.state.frame.inputs, **announced}


def send_again(course: Course) -> None:
    """Have the request of the present step sent again, or what was not sent at last."""
    course.doubt = course.effect = None
    course.due = True
    course.state.steps_taken -= 1  # the attempt was counted


def _back_to_the_step(course: Course, doubt: Doubt) -> None:
    """Have expressions and records speak of the step's own request, which has no answer."""
    frame = course.state.frame
    frame.leave_message()
    context = frame.context
    context.inputs, context.method, context.url = frame.inputs, doubt.effect.request.method, doubt.effect.request.url
    course.doubt = None


def _give_up(course: Course, doubt: Doubt, why: str, now: float) -> None:
    step_id = course.state.step.step_id
    message = f"step '{step_id}': whether {_request(doubt)} took effect is not known: {why}"
    failure = Failure("in-doubt", message, step_id, "find out whether the request took effect")
    _back_to_the_step(course, doubt)
    course.doubt = doubt
    course.state.step_ended(now, StepStatus.FAILED, (), None, None, failure)
    course.end_run("in-doubt", now, failure)


def _effect_id(doubt: Doubt) -> str:
    return f"{doubt.effect.id}/reconcile/{doubt.looks}"


def _request(doubt: Doubt) -> str:
    return f"{doubt.effect.request.method} {doubt.effect.request.url}"
