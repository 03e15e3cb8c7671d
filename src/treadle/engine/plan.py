"""What a run would do, as far as its inputs tell: each step in order with its request, and the credentials it takes.

Nothing is sent for it. What only an answer can tell stands in the requests as the expression that will give it.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import structs

from treadle.engine.program import Action, Argument, Call, Program, Step, Workflow, WorkflowCall
from treadle.engine.secret_flows import credential, flowing
from treadle.engine.secret_inputs import secret_values
from treadle.engine.secrets import Secrets
from treadle.expressions import payload
from treadle.expressions.evaluate import Context, Missing, evaluate
from treadle.expressions.payload import Items, Members, Payload, resolve
from treadle.expressions.syntax import InputReference, Navigation, Template, dump
from treadle.expressions.words import to_text
from treadle.files import File, json_form
from treadle.sources.request import Argument as Given
from treadle.sources.request import RequestInvalid, build_request

FORMAT = "treadle.plan/1"
_UNKNOWN = "Z7Q{}Q7Z"
"""Stands for what is not known while a URL is built: nothing in it is encoded."""


def plan(program: Program, inputs: dict[str, Any], secrets: Secrets) -> dict[str, Any]:
    """Give the plan of a run as a JSON value. Secrets are still in it; mask them before it is shown.

    Those of workflows that are called are added to `secrets`.
    """
    steps = list(_workflow(program, 0, inputs, "", (), secrets))
    return {
        "format": FORMAT,
        "workflowId": program.workflow_id,
        "inputs": json_form(inputs),
        "credentials": [entry for step in steps for entry in step.pop("credentials")],
        "steps": steps,
    }


def _workflow(
    program: Program, number: int, inputs: dict[str, Any], caller: str, within: tuple[int, ...], secrets: Secrets
) -> Iterator[dict[str, Any]]:
    workflow = program.workflows[number]
    secrets.add(secret_values(inputs, workflow.secrets, workflow.inputs))
    context = Context(
        inputs=inputs, sources=workflow.sources, self_uri=workflow.self_uri,
        workflows={workflow.workflow_id: {"inputs": inputs}},
    )  # fmt: skip
    for call in workflow.depends_on:
        inner = _inputs(call, inputs, context)
        yield from _workflow(program, call.workflow, inner, _place(caller, "dependsOn"), (*within, number), secrets)
    for step in workflow.steps:
        yield _step(program, workflow, step, context, caller)
        called = step.call
        if isinstance(called, Call):
            secrets.learn(flowing(called, context))
        if isinstance(called, WorkflowCall) and called.workflow not in (*within, number):
            inner = _inputs(called, inputs, context)
            yield from _workflow(
                program, called.workflow, inner, _place(caller, step.step_id), (*within, number), secrets
            )


def _place(caller: str, step_id: str) -> str:
    return f"{caller}/{step_id}" if caller else step_id


def _inputs(call: WorkflowCall, outer: dict[str, Any], context: Context) -> dict[str, Any]:
    """Give the inputs of a called workflow that are known beforehand."""
    known = {name: outer[name] for name in call.inherited if name in outer}
    for name, prepared in call.inputs:
        value = resolve(prepared, context, [])
        if not isinstance(value, Missing):
            known[name] = value
    return known


def _step(program: Program, workflow: Workflow, step: Step, context: Context, caller: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"stepId": step.step_id, "workflowId": workflow.workflow_id}
    if caller:
        entry["caller"] = caller
    if isinstance(step.call, WorkflowCall):
        entry |= {"calls": program.workflows[step.call.workflow].workflow_id, "credentials": []}
    else:
        entry |= _request(step.call, context, caller)
        entry["credentials"] = list(_credentials(step, step.call))
    actions = [("onSuccess", action) for action in step.on_success] + [("onFailure", a) for a in step.on_failure]
    entry["actions"] = [_action(program, workflow, when, action) for when, action in actions]
    return entry


def _request(call: Call, context: Context, caller: str) -> dict[str, Any]:
    fails: list[str] = []
    left_out: list[str] = []
    if not caller:  # what a workflow that is called gets may be known only later; what the user gave is known now
        _find_absent(call, context, fails, left_out)
    unknown: list[str] = []
    given = [
        Given(argument.spec, _value(argument.value, context, unknown))
        for argument in call.arguments
        if caller or _is_needed(argument) or _absent(argument.value, context) is None
    ]
    entry: dict[str, Any] = {"method": call.operation.method}
    if left_out:
        entry["leftOut"] = left_out
    if fails:
        entry["fails"] = fails
    if call.url is not None:  # x-operation
        url = _with_unknown(to_text(_value(call.url, context, unknown)), unknown)
        call = structs.replace(call, server=url)
    try:
        request = build_request(call.operation, call.server, given, None)
    except RequestInvalid as error:
        return {**entry, "url": call.server.rstrip("/") + call.operation.path, "problem": error.message}
    entry["url"] = _with_unknown(request.url, unknown)
    if request.headers:
        entry["headers"] = {name: _with_unknown(value, unknown) for name, value in request.headers}
    if call.body is not None:
        entry["contentType"] = call.body.content_type
    return entry


def _find_absent(call: Call, context: Context, fails: list[str], left_out: list[str]) -> None:
    """Find the values that nobody gave: a run leaves some of them out, and cannot do without others (`request_of`)."""
    for argument in call.arguments:
        why = _absent(argument.value, context)
        if why is not None:
            found = fails if _is_needed(argument) else left_out
            found.append(f"parameter '{argument.spec.name}' in {argument.spec.location} has no value: {why}")
    if call.body is None:
        return
    why = _absent(call.body.payload, context)
    if why is not None:
        fails.append(f"the request body has no value: {why}")
    for part in _parts(call.body.payload):
        why = _absent(part, context)
        if why is not None:
            left_out.append(f"a part of the request body has no value: {why}")


def _is_needed(argument: Argument) -> bool:
    return argument.spec.required or isinstance(argument.value, Template)


def _parts(prepared: Payload) -> Iterator[Payload]:
    match prepared:
        case Members(members):
            inner: Iterable[Payload] = members.values()
        case Items(items):
            inner = items
        case _:
            return
    for entry in inner:
        yield entry
        yield from _parts(entry)


def _absent(prepared: Payload, context: Context) -> str | None:
    """Say why there is no value, where only an input could have given it."""
    if isinstance(prepared, Members | Items):
        return None
    for node in payload.expressions(prepared):
        base = node.base if isinstance(node, Navigation) else node
        value = evaluate(node, context) if isinstance(base, InputReference) else None
        if isinstance(value, Missing):
            return value.why
    return None


def _value(prepared: Payload, context: Context, unknown: list[str]) -> Any:
    """Give a value as far as it is known; what is not leaves a mark, and its expression in `unknown`."""
    missing: list[Missing] = []
    value = resolve(prepared, context, missing)
    if not missing:
        return value
    if not isinstance(prepared, Template):
        return _mark("".join(f"{{{dump(node)}}}" for node in payload.expressions(prepared)), unknown)
    parts = []
    for part in prepared.parts:
        found = evaluate(part, context)
        lacks = isinstance(found, Missing) and not isinstance(part, str)
        lacks = lacks or isinstance(found, File)  # which has no text; the run will say so
        parts.append(_mark(f"{{{dump(part)}}}", unknown) if lacks else to_text(found))  # type: ignore[arg-type]
    return "".join(parts)


def _mark(text: str, unknown: list[str]) -> str:
    unknown.append(text)
    return _UNKNOWN.format(len(unknown) - 1)


def _with_unknown(text: str, unknown: list[str]) -> str:
    for number, expression in enumerate(unknown):
        text = text.replace(_UNKNOWN.format(number), expression)
    return text


def _credentials(step: Step, call: Call) -> Iterator[dict[str, Any]]:
    for argument in call.arguments:
        if credential(argument.spec.name, argument.spec.location):
            yield {
                "stepId": step.step_id,
                "name": argument.spec.name,
                "in": argument.spec.location,
                "from": _sources(argument.value),
            }
    for given in call.given:
        sources = [source for _, value in given.values for source in _sources(value)]
        name, location = given.need.name, given.need.location
        yield {"stepId": step.step_id, "name": name, "in": location, "from": list(dict.fromkeys(sources))}


def _sources(value: Payload) -> list[str]:
    return list(dict.fromkeys(dump(node) for node in payload.expressions(value)))


def _action(program: Program, workflow: Workflow, when: str, action: Action) -> dict[str, Any]:
    entry: dict[str, Any] = {"on": when, "name": action.name, "type": action.type}
    if action.workflow is not None:
        entry["workflowId"] = program.workflows[action.workflow.workflow].workflow_id
    if action.target is not None:
        entry["stepId"] = workflow.steps[action.target].step_id
    if action.criteria:
        entry["criteria"] = [test.text for test in action.criteria]
    return entry
