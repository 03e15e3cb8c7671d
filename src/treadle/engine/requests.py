"""What goes out for a step: the request of an operation, or the inputs of a workflow, from what the run knows by then."""

from collections.abc import Callable, Mapping
from typing import Any

from treadle.engine.messages import Request
from treadle.engine.payloads import as_sent, replaced
from treadle.engine.program import Body, Call, WorkflowCall
from treadle.expressions.evaluate import Context, Missing
from treadle.expressions.payload import resolve
from treadle.expressions.syntax import Template
from treadle.sources.needs import Alternatives, Credential
from treadle.sources.request import Argument, HttpRequest, RequestInvalid, build_request

Warn = Callable[[str, str], None]
"""Takes a rule and a message."""


def request_of(call: Call, context: Context, warn: Warn) -> HttpRequest:
    """Build the request of an operation and let `$request`, `$url` and `$method` speak of it.

    Raises:
        RequestInvalid: a value that it needs is missing or does not fit; nothing was sent.
    """
    if call.url is not None:
        from treadle.engine.undescribed import located  # noqa: PLC0415 - few documents have x-operation

        call = located(call, context)
    arguments = []
    missing: list[Missing] = []
    for argument in call.arguments:
        spec, prepared = argument.spec, argument.value
        value = resolve(prepared, context, missing)
        if isinstance(value, Missing):
            # An input that was not given leaves its optional parameter out; half a value is never sent.
            if spec.required or value.unreadable or isinstance(prepared, Template):
                raise RequestInvalid(f"parameter '{spec.name}' in {spec.location} has no value: {value.why}")
            warn("parameter-left-out", f"parameter '{spec.name}' has no value: {value.why}")
            continue
        arguments.append(Argument(spec, value))
    content_type = None
    payload = sent = None
    if call.body is not None:
        content_type = call.body.content_type
        payload = _payload(call.body, context, warn)
        written = None if call.body.replacements else call.body.payload
        sent = as_sent(payload, written, content_type, context)
    request = build_request(call.operation, call.server, arguments, content_type, sent)
    context.url = request.url
    context.method = request.method
    context.request = Request(request, arguments, payload)
    return request


def security_of(call: Call, request: HttpRequest, context: Context) -> tuple[Alternatives, tuple[Credential, ...]]:
    """Give what the operation requires and the step has not set, and the credentials that the document gives.

    Raises:
        RequestInvalid: a value of `x-security` is missing; nothing was sent.
    """
    credentials: tuple[Credential, ...] = ()
    if call.given:
        from treadle.engine.credentials import credentials_of  # noqa: PLC0415 - few documents have x-security

        credentials = credentials_of(call.given, context)
    if call.settled or not call.operation.security:
        return (), credentials
    from treadle.sources.security import unmet  # noqa: PLC0415 - many descriptions have no security

    return unmet(call.operation.security, request, credentials), credentials


def open_needs(call: Call) -> Alternatives:
    """Give what a call's operation requires and its step does not set, as far as the document tells beforehand."""
    if not call.operation.security:
        return ()
    from treadle.sources.security import unmet  # noqa: PLC0415 - many descriptions have no security

    places = [(argument.spec.name, argument.spec.location) for argument in call.arguments]
    headers = [(name, "") for name, location in places if location == "header"]
    headers += [("Cookie", f"{name}=") for name, location in places if location == "cookie"]
    query = "&".join(name for name, location in places if location == "query")
    request = HttpRequest(call.operation.method, f"{call.server}?{query}", tuple(headers))
    return unmet(call.operation.security, request, [Credential(given.need) for given in call.given])


def _payload(body: Body, context: Context, warn: Warn) -> Any:
    missing: list[Missing] = []
    payload = resolve(body.payload, context, missing)
    if isinstance(payload, Missing):
        raise RequestInvalid(f"the request body has no value: {payload.why}")
    for replacement in body.replacements:
        value = resolve(replacement.value, context, missing)
        if isinstance(value, Missing):  # half a value is never sent, nor what should have been replaced
            raise RequestInvalid(f"the replacement at {replacement.target[-1]} has no value: {value.why}")
        payload = replaced(payload, body.payload, body.content_type, context, replacement.target, value)
    for absent in missing:
        warn("value-left-out", f"a part of the request body has no value: {absent.why}")
    return payload


def inputs_of(call: WorkflowCall, inherited: Mapping[str, Any], context: Context, warn: Warn) -> dict[str, Any]:
    """Give the inputs of a workflow: what its parameters say, and the rest by name from the calling workflow's inputs.

    Raises:
        RequestInvalid: half of a value is missing, or it cannot be read.
    """
    inputs = {name: inherited[name] for name in call.inherited if name in inherited}
    for name, prepared in call.inputs:
        value = resolve(prepared, context, [])
        if isinstance(value, Missing):
            if value.unreadable or isinstance(prepared, Template):
                raise RequestInvalid(f"the input '{name}' has no value: {value.why}")
            warn("parameter-left-out", f"the input '{name}' has no value: {value.why}")
            continue
        inputs[name] = value
    return inputs
