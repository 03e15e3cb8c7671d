"""What is said of an answer that is none: one clear line, and what to do about it."""

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from treadle.engine.effects import HttpFailed, HttpResponse
from treadle.engine.journal import Delivered, Failure, Record

_NOT_THE_SCHEME = frozenset({"dns", "policy", "proxy", "timeout", "url"})
"""Kinds of failures that have nothing to do with http and https."""


class Problem(NamedTuple):
    """What is wrong and what to do, in words for people."""

    message: str
    hint: str | None = None


class LastAnswer:
    """Remembers the last answer of a run."""

    __slots__ = ("answer",)

    def __init__(self) -> None:
        self.answer: HttpResponse | HttpFailed | None = None

    def observe(self, record: Record) -> None:
        """Take in a record."""
        if isinstance(record, Delivered) and isinstance(record.result, HttpResponse | HttpFailed):
            self.answer = record.result

    @property
    def status(self) -> int | None:
        """The status of the answer, if there was one."""
        return self.answer.status if isinstance(self.answer, HttpResponse) else None

    @property
    def body(self) -> Any:
        """The JSON value of the answer, or None where it is none."""
        if not isinstance(self.answer, HttpResponse):
            return None
        try:
            return json.loads(self.answer.body)
        except ValueError:
            return None

    @property
    def items(self) -> list[Any] | None:
        """The JSON array of the answer, or None where it is none."""
        body = self.body
        return body if isinstance(body, list) else None

    @property
    def said(self) -> str:
        """What DSS says of an error."""
        body = self.body
        said = body.get("message") or body.get("detailedMessage") if isinstance(body, Mapping) else None
        return str(said) if said else ""


def what_is_wrong(last: LastAnswer, failure: Failure | None, root: str, scheme: str, may: str) -> Problem:
    """Say why a request was refused or got no answer of a DSS; `may` is what the key was to be used for."""
    said, status = last.said, last.status
    told = f": {said}" if said else ""
    if status == 401:
        hint = "check the key: DKU_API_KEY, or the instance's api_key"
        if scheme == "bearer":
            hint += "; a DSS before 13.1 takes it with --auth basic only"
        return Problem(f"{root} does not accept the API key (401{told})", hint)
    if status == 403:
        right = "RUN_SCENARIOS" if may == "run scenarios" else "READ_CONF"
        return Problem(f"the API key may not {may} (403{told})", f"it needs the privilege {right} in the project")
    if status == 407:
        return Problem("the proxy asks for a user and a password (407)", "give them: --proxy http://USER:PASSWORD@HOST")
    if status is not None and last.body is None:
        return _no_dss(last, status, root)
    if status is not None:
        return Problem(f"{root} answered {status}{told or ' with something that is no answer of a DSS'}", _hint(status))
    if isinstance(last.answer, HttpFailed):
        return Problem(f"{root}: {last.answer.message}", _transport_hint(last.answer, root))
    if failure is not None:
        return Problem(failure.message, failure.hint)
    return Problem(f"{root} gave no answer")


def _no_dss(last: LastAnswer, status: int, root: str) -> Problem:
    headers = {name.lower(): value for name, value in getattr(last.answer, "headers", ())}
    kind = headers.get("content-type", "no type").partition(";")[0]
    if status in (502, 503, 504):
        hint = "is the DSS backend starting? try again when its page opens in a browser"
        return Problem(f"{root} is not available: a proxy answered {status}", hint)
    if status == 400 and root.startswith("http://"):
        return Problem(f"{root} refused the request (400)", f"is it https? --server https://{root.partition('://')[2]}")
    who = f" of {headers['server']}" if "server" in headers and "dss-version" not in headers else ""
    hint = "is this the URL of the DSS, or a page of a login or proxy before it? check --server or DKU_DSS_URL"
    return Problem(f"{root} is no DSS: it answered {status} with a page{who} ({kind}), not with JSON", hint)


def _hint(status: int) -> str | None:
    return "the server fails; its log (backend.log) says why" if status >= 500 else None


def _transport_hint(answer: HttpFailed, root: str) -> str | None:
    if answer.kind == "tls" and root.startswith("https://") and "certificate" not in answer.message:
        return f"is it http? --server http://{root.partition('://')[2]}"
    if root.startswith("http://") and answer.kind not in _NOT_THE_SCHEME:
        return f"is the server up? where it speaks https, --server https://{root.partition('://')[2]}"
    return answer.hint


def near_names(wrong: str, known: Iterable[str]) -> str | None:
    """Say which names are near a wrong one, or a few of all where none is; None where there are no names."""
    names = list(known)
    folded = {name.lower(): name for name in names}
    near = [folded[found] for found in difflib.get_close_matches(wrong.lower(), folded, n=3, cutoff=0.5)]
    if near:
        return f"did you mean {' or '.join(near)}?"
    if not names:
        return None
    shown = ", ".join(names[:8])
    return f"there are {shown}" + (f" and {len(names) - 8} more" if len(names) > 8 else "")
