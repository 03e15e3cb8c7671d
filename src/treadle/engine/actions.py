"""What makes a step succeed and what follows it: criteria, success actions, failure actions."""

from typing import Any

from msgspec import structs

from treadle.document import model
from treadle.engine import program
from treadle.engine.calls import transfer
from treadle.engine.names import near
from treadle.engine.scope import Scope
from treadle.errors import ExpressionInvalid
from treadle.expressions import payload
from treadle.expressions.criteria import Test, compile_criterion, criterion_expressions
from treadle.expressions.dialect import Finding
from treadle.expressions.syntax import Expression, Template
from treadle.pointer import Path


def read_criteria(scope: Scope, criteria: tuple[model.Criterion, ...], number: int) -> tuple[Test, ...]:
    """Read criteria as they are seen when the step with that number has ended."""
    tests = (_criterion(scope, criterion, number) for criterion in criteria)
    return tuple(test for test in tests if test is not None)


def _criterion(scope: Scope, criterion: model.Criterion, number: int) -> Test | None:
    kind = criterion.type
    at = (*criterion.at, "condition")
    kind, version = (kind.type, kind.version) if isinstance(kind, model.ExpressionType) else (kind, "")
    context = None
    findings: list[Finding] = []
    try:
        if criterion.context is not None:
            context = _context(scope, criterion, (*criterion.at, "context"))
        test = compile_criterion(kind, version, criterion.condition, context, scope.declared.names, findings)
    except ExpressionInvalid as error:
        scope.findings.refused(error, at, "condition-syntax")
        return None
    scope.findings.dialects(findings, criterion.condition, at)
    scope.check_names(criterion_expressions(test), at, number + 1)
    return structs.replace(test, lenient=test.lenient and not scope.findings.strict)


def _context(scope: Scope, criterion: model.Criterion, at: Path) -> Expression | None:
    value = scope.value(criterion.context, at, len(scope.steps))
    if isinstance(value, payload.Constant | Template | payload.Members | payload.Items | payload.Selection):
        message = f"the context `{criterion.context}` is no runtime expression"
        scope.findings.error("criterion-context", message, at, "write it as in `$response.body`")
        return None
    return value


def read_actions(
    scope: Scope, own: tuple[Any, ...], shared: tuple[Any, ...], kind: str, number: int
) -> tuple[program.Action, ...]:
    """Give a step's own actions and after them the workflow's; one of the same name overrides the workflow's."""
    pool = scope.components.success_actions if kind == "successActions" else scope.components.failure_actions

    def resolved(actions: tuple[Any, ...]) -> list[Any]:
        found = [scope.component(a, kind, pool) if isinstance(a, model.Reusable) else a for a in actions]
        return [action for action in found if action is not None]

    first = resolved(own)
    names = {action.name for action in first}
    rest = [action for action in resolved(shared) if action.name not in names]
    return tuple(_action(scope, action, number) for action in (*first, *rest))


def _action(scope: Scope, action: model.SuccessAction | model.FailureAction, number: int) -> program.Action:
    target = workflow = None
    if action.type != "end" and action.workflow_id is not None:
        workflow = transfer(scope, action.workflow_id, (*action.at, "workflowId"), action.parameters, number)
    elif action.type != "end" and action.step_id is not None:
        index = scope.declared.index
        target = index.get(action.step_id)
        if target is None:
            message = f"action '{action.name}' goes to step '{action.step_id}', which is not in this workflow"
            scope.findings.error("unknown-step", message, (*action.at, "stepId"), near(action.step_id, index))
    retry_after = action.retry_after if isinstance(action, model.FailureAction) else None
    retry_limit = action.retry_limit if isinstance(action, model.FailureAction) else None
    return program.Action(
        name=action.name,
        type=action.type,
        target=target,
        workflow=workflow,
        retry_after=None if retry_after is None else float(retry_after),
        # "If not specified then a single retry SHALL be attempted."
        retry_limit=1 if retry_limit is None else retry_limit,
        criteria=read_criteria(scope, action.criteria, number),
    )
