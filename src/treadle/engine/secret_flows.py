"""What turns out to be secret while a run goes on: values that flow to where credentials go, and tokens in answers.

Which inputs are secret is known beforehand and is `secret_inputs`' to say.
"""

import itertools
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_plus

import msgspec

from treadle.engine.effects import HttpResponse
from treadle.engine.program import Call, Flow
from treadle.engine.secret_inputs import SECRET_NAME
from treadle.engine.secrets import parts
from treadle.expressions.evaluate import Context, Missing
from treadle.expressions.payload import Constant, Items, Members, Payload, expressions, resolve
from treadle.expressions.syntax import InputReference, Navigation, Template
from treadle.expressions.words import to_text

LONGEST_WORD = 7
"""Up to how many characters the value of a cookie is taken for a plain one (`lang=en`, `theme=dark`), no session."""
MAX_DEPTH = 50
"""How deep in an answer tokens are looked for."""
_HEADER = re.compile(
    r"authorization|cookie|(api|access|auth|secret)[-_]?(key|token)|^x-auth\b|^x-(?!.*idempotency).*(key|token)$",
    re.IGNORECASE,
)
_TOKEN = re.compile(
    r"((access|refresh|id|auth|session|bearer)[-_]?)?token|device[-_]?code|client[-_]?secret", re.IGNORECASE
)
"""What an answer calls a token (RFC 6749 section 5.1, OpenID Connect Core, RFC 8628, RFC 7591), and the usual variants."""
_SIGNATURES = frozenset({"sig", "signature", "x-amz-signature", "x-goog-signature"})
"""Parameters of a query that make a URL a key by itself."""
_NAMED = re.compile(r"""([\w-]+)["']?\s*[:=>]\s*["']?$""")
"""The name before a value in a text such as `password=` or `"password": "`."""


@lru_cache(4096)
def credential(name: str, location: str) -> bool:
    """Say whether a parameter is there to carry a credential."""
    return bool(SECRET_NAME.search(name) or (location == "header" and _HEADER.search(name)))


def opens(name: str) -> bool:
    """Say whether a parameter of a query is a key or a signature that opens what the URL names."""
    return credential(name, "query") or name.lower() in _SIGNATURES


def flows(name: str, location: str, value: Payload) -> Iterator[Flow]:
    """Give what of a credential is only known when it is sent; the inputs in it are known before."""
    where = "cookie" if location == "cookie" or name.lower() == "cookie" else location
    if isinstance(value, Constant):
        yield Flow(where, value)
    elif where == "cookie" and location == "header":
        yield Flow(where, value)  # `a={$…}; b={$…}`: taken apart when it is there
    else:
        for node in expressions(value):
            base = node.base if isinstance(node, Navigation) else node
            weak = where == "cookie" and not credential(name, location)
            if weak or not isinstance(base, InputReference):
                yield Flow(where, node)


def body_flows(payload: Payload) -> Iterator[Payload]:
    """Give the parts of a body that go by a secret name: members of it, and values in a text of it."""
    match payload:
        case Members(members):
            for name, entry in members.items():
                yield from (entry,) if SECRET_NAME.search(name) else body_flows(entry)
        case Items(items):
            for entry in items:
                yield from body_flows(entry)
        case Constant(value):
            yield from (Constant(found) for found in _called(value, SECRET_NAME, 0))
        case Template(written):
            for before, part in itertools.pairwise(written):
                named = _NAMED.search(before) if isinstance(before, str) and not isinstance(part, str) else None
                if named is not None and SECRET_NAME.search(named[1]):
                    yield part  # type: ignore[misc]  # no text: see above


def flowing(call: Call, context: Context) -> Iterator[str]:
    """Give the texts that are about to be sent where credentials go."""
    for flow in call.flows:
        value = resolve(flow.value, context, [])
        if not isinstance(value, Missing):
            yield from _secret_texts(flow.where, value)


def _secret_texts(where: str, value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for entry in value:
            yield from _secret_texts(where, entry)
    elif where == "cookie":
        yield from cookie_values(to_text(value))
    elif value is not None and not isinstance(value, bool):
        text = to_text(value)
        yield text
        yield from parts(text)


def cookie_values(text: str) -> Iterator[str]:
    """Give the values in a Cookie header, or in one cookie with or without its name, that may be a session's."""
    for pair in text.split(";"):
        name, joint, value = pair.strip().partition("=")
        value = (value if joint else name).strip('"')
        if len(value) > LONGEST_WORD:
            yield value


def answered(response: HttpResponse) -> Iterator[str]:
    """Give the tokens in an answer: those that it names so, cookies that it sets, keys in the URL it leads to."""
    for name, value in response.headers:
        if not _may_hold(name):
            continue
        if name.lower() == "set-cookie":
            yield from cookie_values(value.partition(";")[0])
        elif name.lower() == "location":
            pairs = (pair.partition("=") for pair in value.partition("#")[0].partition("?")[2].split("&"))
            yield from (unquote_plus(v) for n, _, v in pairs if opens(unquote_plus(n)) and len(v) > LONGEST_WORD)
        elif len(value) > LONGEST_WORD:
            yield value
            yield from parts(value)
    body = response.body
    # Most answers have no token: no second look. By find, for `in` takes what it is given for a number first.
    if body.find(b'oken"') >= 0 or body.find(b'ode"') >= 0 or body.find(b'ecret"') >= 0:
        try:
            value = msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError):
            return
        for found in _called(value, _TOKEN, 0):
            if isinstance(found, str) and len(found) > LONGEST_WORD:
                yield found


@lru_cache(4096)
def _may_hold(name: str) -> bool:
    return name.lower() == "location" or credential(name, "header")


def _called(value: Any, names: re.Pattern[str], depth: int) -> Iterator[Any]:
    """Give the values of members by whose whole names, or the ends of them where the pattern says so, they are secret."""
    if depth > MAX_DEPTH:
        return
    if isinstance(value, list):
        for entry in value:
            yield from _called(entry, names, depth + 1)
    elif isinstance(value, dict):
        for name, entry in value.items():
            secret = names.search(name) if names is SECRET_NAME else names.fullmatch(name)
            if secret and not isinstance(entry, dict | list):
                yield entry
            else:
                yield from _called(entry, names, depth + 1)
