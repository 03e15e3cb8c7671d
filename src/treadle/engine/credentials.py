"""`x-security` as Redocly's users write it: schemes with their values, on a step or on a workflow for all its steps.

Each entry names a scheme of a description (`schemeName`) or holds one (`scheme`), and gives `values`, which may be
expressions. What a step says of a scheme wins over its workflow.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from treadle.document import model
from treadle.engine import program
from treadle.engine.operations import OperationUnknown
from treadle.engine.scope import Scope
from treadle.errors import ExpressionInvalid
from treadle.expressions.evaluate import Context, Missing
from treadle.expressions.payload import resolve
from treadle.expressions.syntax import SourceReference, parse
from treadle.expressions.words import to_text
from treadle.pointer import Path
from treadle.sources.needs import Credential, SecurityNeed
from treadle.sources.openapi import Description
from treadle.sources.request import RequestInvalid
from treadle.sources.security import SCHEMES, read_scheme, scheme_of

FIELD = "x-security"
_TOKENS = {"apiKey": "token", "value": "token", "accessToken": "token", "token": "token"}
_VALUES = {
    "apiKey": ("apiKey",),
    "basic": ("username", "password"),
    "digest": ("username", "password"),
    "bearer": ("token",),
    "oauth2": ("accessToken",),
    "openIdConnect": ("accessToken",),
}
"""What each kind of scheme needs as `values`."""
_FORM = "write `- {schemeName: NAME, values: {token: $inputs.token}}`"


def given_credentials(scope: Scope, step: model.Step, source: str) -> tuple[program.Given, ...]:
    """Read what a step's `x-security`, and its workflow's, gives to an operation of a source."""
    found: dict[tuple[str, str], program.Given] = {}
    for holder in (scope.workflow, step):
        for at, entry in _entries(scope, holder):
            given = _entry(scope, entry, at, source, scope.number(step))
            # What a workflow gives for one source is none of another's business.
            if given is not None and given.need.source in ("", source):
                found[given.need.source, given.need.scheme] = given
    return tuple(found.values())


def _entries(scope: Scope, holder: model.Workflow | model.Step) -> Iterator[tuple[Path, dict[str, Any]]]:
    written = holder.extensions.get(FIELD)
    at = (*holder.at, FIELD)
    if written is None:
        return
    if not isinstance(written, list):
        scope.findings.error(FIELD, f"{FIELD} is a list of schemes with their values", at, _FORM)
        return
    for number, entry in enumerate(written):
        if isinstance(entry, dict) and ("scheme" in entry) != ("schemeName" in entry):
            yield (*at, number), entry
        else:
            message = f"an entry of {FIELD} has either `schemeName` or `scheme`"
            scope.findings.error(FIELD, message, (*at, number), _FORM)


def _entry(scope: Scope, entry: dict[str, Any], at: Path, source: str, number: int) -> program.Given | None:
    need = _need(scope, entry, at, source)
    if need is None:
        return None
    values = entry.get("values")
    values = values if isinstance(values, dict) else {}
    names = _VALUES.get(need.kind)
    if names is None:
        known = ", ".join(_VALUES)
        what = "mutualTLS takes a client certificate" if need.kind in SCHEMES else f"a scheme is one of {known}"
        scope.findings.error(FIELD, f"{FIELD} cannot give values for '{need.scheme}' ({need.kind})", at, what)
        return None
    fields = {_TOKENS.get(name, name): name for name in values}
    for name in names:
        if _TOKENS.get(name, name) not in fields:
            message = f"{FIELD} gives no '{name}' for '{need.scheme}'"
            scope.findings.error(FIELD, message, at, f"add `{name}:` under `values`")
            return None
    found = []
    for field in dict.fromkeys(_TOKENS.get(name, name) for name in names):
        value = scope.value(values[fields[field]], (*at, "values", fields[field]), number)
        if field != "username":
            scope.mark_secret(value)
        found.append((field, value))
    return program.Given(need, tuple(found))


def _need(scope: Scope, entry: dict[str, Any], at: Path, source: str) -> SecurityNeed | None:
    if "scheme" in entry:
        scheme = entry["scheme"]
        named = scheme.get("name") if isinstance(scheme, dict) and isinstance(scheme.get("name"), str) else None
        kind = scheme.get("scheme") or scheme.get("type") if isinstance(scheme, dict) else None
        return scheme_of(scheme, named or str(kind), "")
    name = entry["schemeName"]
    described, name = _described(scope, str(name), source)
    if described is None:
        message = f"`schemeName: {entry['schemeName']}` does not say of which source description"
        hint = "write `$sourceDescriptions.SOURCE.SCHEME`, or give the scheme itself as `scheme`"
        scope.findings.error(FIELD, message, (*at, "schemeName"), hint)
        return None
    schemes = described.security_schemes()
    need = read_scheme(name, schemes, described.registry, described.uri, described.name)
    if need.kind == "undefined":
        known = ", ".join(map(str, schemes)) or "none"
        message = f"source '{described.name}' has no security scheme '{name}'"
        scope.findings.error(FIELD, message, (*at, "schemeName"), f"it has {known}")
        return None
    return need


def _described(scope: Scope, text: str, source: str) -> tuple[Description | None, str]:
    """Give the description that a schemeName speaks of, and the name of the scheme in it."""
    operations = scope.link.operations(scope.linked)
    sources = [entry.name for entry in scope.linked.document.source_descriptions if entry.type in (None, "openapi")]
    try:
        reference = parse(text) if text.startswith("$") else None
        if isinstance(reference, SourceReference):
            return operations.described(reference.source), reference.reference
        if reference is None and (source or len(sources) == 1):
            return operations.described(source or sources[0]), text
    except (ExpressionInvalid, OperationUnknown):
        pass  # the finding is the same as for what names no source
    return None, text


def credentials_of(given: Iterable[program.Given], context: Context) -> tuple[Credential, ...]:
    """Give the credentials that a step's `x-security` comes to.

    Raises:
        RequestInvalid: a value is missing; nothing was sent.
    """
    found = []
    for entry in given:
        fields = {}
        for name, prepared in entry.values:
            value = resolve(prepared, context, [])
            if isinstance(value, Missing) or value is None:
                why = f": {value.why}" if isinstance(value, Missing) else ": it is null"
                raise RequestInvalid(f"{FIELD}: '{name}' of '{entry.need.scheme}' has no value{why}")
            fields[name] = to_text(value)
        found.append(
            Credential(entry.need, fields.get("token", ""), fields.get("username", ""), fields.get("password", ""))
        )
    return tuple(found)
