"""What goes wrong between a client and a simulated DSS: which request meets which fault. Pure; `proxy` does it.

A fault is met by the requests that match it, counted one by one; chance comes from a seed, so that the same requests in the
same order meet the same faults.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from random import Random
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta, Struct

Kind = Literal["latency", "hang", "drop", "truncate", 401, 403, 429, 500, 502, 503, 504]
Seconds = Annotated[float, Meta(ge=0, le=1e9)]
Ordinal = Annotated[int, Meta(ge=1)]


class Fault(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One fault: what happens, and to which requests.

    Attributes:
        do: `latency` holds the request up and lets it pass; `hang` never answers; `drop` closes the connection in place of
            an answer; `truncate` closes it within the body; a number answers with that status: 401, 403 and 500 as DSS
            does in JSON, 429, 502, 503 and 504 as the proxy before it does in HTML.
        path: pattern of the path below the API's root, without a slash at its end; `*` stands for any text.
        method: the method, or `*`.
        key: only requests that carry this API key.
        first: the number of the matching request that is the first to meet the fault, from 1 on.
        every: from there on, each so-manieth.
        count: how often the fault happens in all.
        probability: the chance that a request which would meet it does.
        after: from so many simulated seconds after the start on.
        until: and up to there, exclusive.
        seconds: the length of the latency, in real seconds: it is the client's clock that notices.
        jitter: up to so many seconds more, at random.
        effect: whether the request reaches DSS all the same, and only its answer is lost.
        retry_after: seconds that the field Retry-After asks for.
        retry_after_form: as a number of seconds, or as a date (RFC 9110, section 10.2.3).
        bytes: how much of the body comes before a truncation; half of it when not given.
    """

    do: Kind
    path: str = "*"
    method: Literal["*", "GET", "POST", "PUT", "DELETE"] = "*"
    key: str | None = None
    first: Ordinal = 1
    every: Ordinal = 1
    count: Ordinal | None = None
    probability: Annotated[float, Meta(gt=0, le=1)] = 1.0
    after: Seconds = 0.0
    until: Seconds | None = None
    seconds: Seconds = 0.0
    jitter: Seconds = 0.0
    effect: bool = False
    retry_after: Annotated[int, Meta(ge=0, le=10**9)] | None = None
    retry_after_form: Literal["seconds", "date"] = "seconds"
    bytes: Annotated[int, Meta(ge=0)] | None = None

    def __post_init__(self) -> None:
        """Refuse what could never show."""
        where = f"fault {self.do!r}"
        if self.do == "latency" and not self.seconds and not self.jitter:
            raise ValueError(f"{where} needs seconds or jitter")
        if self.do != "latency" and (self.seconds or self.jitter):
            raise ValueError(f"{where} has seconds or jitter, which only latency has")
        if self.effect and self.do in {"latency", "truncate"}:
            raise ValueError(f"{where} always reaches DSS: effect says nothing")
        if self.retry_after is not None and not isinstance(self.do, int):
            raise ValueError(f"{where} has retry_after but no answer to put it in")
        if self.retry_after is None and self.retry_after_form == "date":
            raise ValueError(f"{where} has retry_after_form but no retry_after")
        if self.bytes is not None and self.do != "truncate":
            raise ValueError(f"{where} has bytes, which only truncate has")
        if self.until is not None and self.until <= self.after:
            raise ValueError(f"{where} ends before it begins: until is {self.until:g}, after is {self.after:g}")

    def __str__(self) -> str:
        """Give it as the command line takes it; a key is not shown."""
        parts = [f"do={self.do}"]
        for field in msgspec.structs.fields(self)[1:]:
            value = getattr(self, field.name)
            if value != field.default:
                shown = "***" if field.name == "key" else str(value).lower() if isinstance(value, bool) else value
                parts.append(f"{field.name}={shown}")
        return ",".join(parts)


class Request(NamedTuple):
    """What of a request decides which faults it meets. `at` is simulated seconds after the start."""

    method: str
    path: str
    key: str | None
    at: float


class Met(NamedTuple):
    """What a request meets: latencies add up, then the first other fault happens, if there is one."""

    latency: float
    fault: Fault | None
    names: tuple[str, ...]


@dataclass(slots=True, eq=False)
class Rule:
    """A fault, how many requests have matched it, and how often it has happened."""

    fault: Fault
    chance: Random
    seen: int = 0
    happened: int = 0

    def meets(self, request: Request) -> bool:
        """Count a request, and tell whether it is one that the fault happens to."""
        fault = self.fault
        if not _matches(fault, request):
            return False
        self.seen += 1
        if self.seen < fault.first or (self.seen - fault.first) % fault.every:
            return False
        # Chance is asked before the count, so that the sequence of a seed does not depend on how often it happened.
        hit = self.chance.random() < fault.probability
        return hit and (fault.count is None or self.happened < fault.count)


class Faults:
    """The faults of a simulated DSS, in the order in which they are looked at."""

    def __init__(self, faults: Iterable[Fault], seed: int) -> None:
        # Each has its own sequence: adding one does not change what the others do. No secret depends on it.
        self.rules = [Rule(fault, Random(f"{seed}/{number}")) for number, fault in enumerate(faults)]  # noqa: S311

    def meet(self, request: Request) -> Met:
        """Tell what happens to a request. Each fault sees it, whether or not another one happens in its place."""
        latency, chosen, names = 0.0, None, []
        for rule in self.rules:
            if not rule.meets(request):
                continue
            if rule.fault.do == "latency":
                latency += rule.fault.seconds + rule.chance.random() * rule.fault.jitter
            elif chosen is None:
                chosen = rule.fault
            else:
                continue
            rule.happened += 1
            names.append(str(rule.fault))
        return Met(latency, chosen, tuple(names))


def _matches(fault: Fault, request: Request) -> bool:
    return (
        fault.method in {"*", request.method}
        and fnmatchcase(request.path, fault.path)
        and fault.key in {None, request.key}
        and fault.after <= request.at
        and (fault.until is None or request.at < fault.until)
    )
