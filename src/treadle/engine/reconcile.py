"""`x-treadle-reconcile` of a step: read into what the engine asks when the answer to the step's request never came."""

import copy

from msgspec import structs

from treadle.document import model
from treadle.engine import program
from treadle.engine.actions import read_criteria
from treadle.engine.calls import read_call
from treadle.engine.names import near
from treadle.engine.scope import Scope
from treadle.engine.seconds import read_seconds
from treadle.engine.undescribed import FIELD
from treadle.expressions.payload import Constant
from treadle.sources.request import IDEMPOTENT_METHODS, SAFE_METHODS


def read_reconcile(
    scope: Scope, step: model.Step, call: program.Call | program.WorkflowCall | None
) -> program.Reconcile | None:
    """Read the rule, or give None where there is none or findings say what is wrong with it."""
    rule = step.reconcile
    if rule is None:
        return None
    if isinstance(call, program.WorkflowCall):
        message = f"step '{step.step_id}' calls a workflow, whose own steps may have rules"
        scope.findings.error(
            "reconcile", message, rule.at, "put x-treadle-reconcile on the step that sends the request"
        )
        return None
    if call is not None and call.operation.method in IDEMPOTENT_METHODS:
        message = f"x-treadle-reconcile is never used: {call.operation.method} may be sent twice"
        scope.findings.warn("reconcile", message, rule.at, "take it away")
    if [rule.operation_id, rule.operation_path, rule.extensions.get(FIELD)].count(None) != 2:
        message = f"x-treadle-reconcile names one operation, by `operationId`, `operationPath` or `{FIELD}`"
        scope.findings.error("reconcile", message, rule.at)
        return None
    inner = copy.copy(scope)
    inner.declared = scope.declared.knowing(program.ANNOUNCED_S, program.ANNOUNCED_MS)
    number = scope.number(step)
    asked = read_call(
        inner,
        model.Step(
            step.step_id,
            operation_id=rule.operation_id,
            operation_path=rule.operation_path,
            parameters=rule.parameters,
            extensions={name: value for name, value in rule.extensions.items() if name == FIELD},
            at=rule.at,
        ),
    )
    criteria, ambiguous = (read_criteria(inner, tests, number) for tests in (rule.criteria, rule.ambiguous))
    within = read_seconds(scope, rule.within, (*rule.at, "within"), number)
    outputs = inner.outputs(rule.outputs, rule.at, number)
    _check_outputs(scope, step, rule)
    if not isinstance(asked, program.Call):
        return None
    if asked.operation.method not in SAFE_METHODS:
        message = f"x-treadle-reconcile asks by {asked.operation.method}, but it must only read"
        scope.findings.error("reconcile", message, rule.at, "name an operation that is a GET")
        return None
    if call is not None and call.given:
        asked = structs.replace(asked, given=_given(asked, call.given))
    number_of_seconds = within.value if isinstance(within, Constant) else 0.0
    return program.Reconcile(
        asked, criteria, outputs, float(number_of_seconds), rule.otherwise,
        within_given=None if isinstance(within, Constant) else within,
        ambiguous=ambiguous,
        unanswered=read_criteria(scope, rule.unanswered, number),
    )  # fmt: skip


def _given(asked: program.Call, of_step: tuple[program.Given, ...]) -> tuple[program.Given, ...]:
    """Give what `x-security` of the step, too, gives to what is asked; of a scheme it wins over its workflow's."""
    known = {(given.need.source, given.need.scheme): given for given in (*asked.given, *of_step)}
    # What is given for one source is none of another's business.
    return tuple(given for given in known.values() if given.need.source in ("", asked.operation.source))


def _check_outputs(scope: Scope, step: model.Step, rule: model.Reconcile) -> None:
    at = (*rule.at, "outputs") if rule.outputs else rule.at
    for name in step.outputs:
        if name not in rule.outputs:
            message = f"x-treadle-reconcile gives no output '{name}', which step '{step.step_id}' has"
            scope.findings.error("reconcile", message, at, "say where it comes from when the answer never came")
    for name in rule.outputs:
        if name not in step.outputs:
            message = f"x-treadle-reconcile gives an output '{name}', which step '{step.step_id}' has not"
            scope.findings.error("reconcile", message, (*at, name), near(name, step.outputs))
