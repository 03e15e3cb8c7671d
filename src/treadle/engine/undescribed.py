"""`x-operation` as Redocly's users write it: a request to a URL that no description knows."""

from typing import Any
from urllib.parse import urlsplit

from msgspec import structs

from treadle.document import model
from treadle.engine import program
from treadle.engine.scope import Scope
from treadle.expressions.evaluate import Context, Missing
from treadle.expressions.payload import Constant, resolve
from treadle.expressions.words import to_text
from treadle.sources.operation import Operation
from treadle.sources.request import RequestInvalid

FIELD = "x-operation"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "QUERY")
_FORM = "write `x-operation: {method: GET, url: 'https://api.example.com/things'}`"


def read_operation(scope: Scope, step: model.Step) -> program.Call | None:
    """Read `x-operation` into a call without arguments; None where a finding says what is wrong."""
    written = step.extensions[FIELD]
    at = (*step.at, FIELD)
    url, method = (written.get("url"), written.get("method")) if isinstance(written, dict) else (None, None)
    if not isinstance(url, str) or not isinstance(method, str):
        scope.findings.error(FIELD, f"{FIELD} needs a method and a url", at, _FORM)
        return None
    if method.upper() not in METHODS:
        message = f"{FIELD} has the method '{method}'"
        scope.findings.error(FIELD, message, (*at, "method"), f"there are {', '.join(METHODS)}")
        return None
    value = scope.value(url, (*at, "url"), scope.number(step))
    operation = Operation("", method.upper(), "", "")
    if not isinstance(value, Constant):
        return program.Call(operation, "", url=value)
    try:
        return _at(program.Call(operation, ""), value.value)
    except RequestInvalid as error:
        scope.findings.error(FIELD, error.message, (*at, "url"), error.hint)
        return None


def located(call: program.Call, context: Context) -> program.Call:
    """Give a call whose URL is an expression with the URL that it comes to.

    Raises:
        RequestInvalid: it has no value, or is no http(s) URL.
    """
    value: Any = None if call.url is None else resolve(call.url, context, [])
    if isinstance(value, Missing):
        raise RequestInvalid(f"the url of {FIELD} has no value: {value.why}")
    return _at(call, to_text(value))


def _at(call: program.Call, url: str) -> program.Call:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is no number
    except ValueError:
        parts = urlsplit("")
    if not parts.hostname or parts.scheme not in ("http", "https") or "@" in parts.netloc or parts.fragment:
        message = f"the url of {FIELD} is `{url}`, which is no http(s) URL without user and fragment"
        raise RequestInvalid(message, hint="give the whole URL, such as https://api.example.com/things")
    server = f"{parts.scheme}://{parts.netloc}"
    operation = structs.replace(call.operation, path=url[len(server) :], server=server)
    return structs.replace(call, operation=operation, server=server, url=None)
