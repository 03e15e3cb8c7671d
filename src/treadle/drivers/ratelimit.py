"""What servers say about how often they want to be asked: Retry-After and the RateLimit header fields."""

import re
from collections.abc import Iterator, Mapping

from treadle.engine.pace import retry_after_seconds

SAYS = ("RateLimit", "RateLimit-Remaining", "X-RateLimit-Remaining", "X-Rate-Limit-Remaining")
"""The fields of which one must be there for an answer to speak of limits at all."""
BUSY = frozenset({429, 503})
"""Statuses whose Retry-After concerns the whole server, not the one answer (RFC 6585 section 4, RFC 9110 15.6.4)."""
_EPOCH = 1e9
_MILLISECONDS = 1e12
"""From where on a reset is no number of seconds from now, but a moment: in seconds, or in milliseconds, since 1970."""
_PAIRS = (
    ("RateLimit-Remaining", "RateLimit-Reset"),
    ("X-RateLimit-Remaining", "X-RateLimit-Reset"),
    ("X-Rate-Limit-Remaining", "X-Rate-Limit-Reset"),
)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_MEMBER = re.compile(r"(?:^|[;,\s])(r|remaining|t|reset)\s*=\s*(\d{1,15})(?=$|[;,\s])")

_LEFT_OR_UNTIL = {"r": "left", "remaining": "left", "t": "until", "reset": "until"}


def closed_for(status: int, headers: Mapping[str, str], now: float) -> float | None:
    """Give the seconds for which the server wants no further request, or None where it says nothing of the kind.

    Args:
        status: of the answer.
        headers: its fields, found by names in any case.
        now: seconds since the epoch.
    """
    found = [wait for wait in _exhausted(headers, now) if wait is not None]
    if status in BUSY:
        wait = retry_after_seconds(headers.get("Retry-After"), now)
        found += [] if wait is None else [wait]
    return max(found, default=None)


def _exhausted(headers: Mapping[str, str], now: float) -> Iterator[float | None]:
    """Give how long until there is something left again, for each limit that says that nothing is left.

    In use are two fields (drafts 00 to 02 and the older X- forms, whose reset may also be a moment), one field of
    `limit=, remaining=, reset=` (drafts 03 to 06), and `"name";r=;t=` for each limit (from draft 08 on).
    """
    for remaining, reset in _PAIRS:
        if _number(headers.get(remaining)) == 0:
            yield _seconds(_number(headers.get(reset)), now)
    whole = headers.get("RateLimit")
    if whole is None:
        return
    text = _QUOTED.sub("-", whole)
    limits = [text] if "remaining" in text else text.split(",")
    for limit in limits:
        said = {_LEFT_OR_UNTIL[name]: int(value) for name, value in _MEMBER.findall(limit)}
        if said.get("left") == 0 and "until" in said:
            yield float(said["until"])


def _number(text: str | None) -> float | None:
    """Read the number that a field begins with; older forms list further limits behind it."""
    found = re.match(r"\s*(\d{1,15}(?:\.\d{1,9})?)(?=$|[\s,;])", text or "")
    return float(found[1]) if found else None


def _seconds(reset: float | None, now: float) -> float | None:
    if reset is None or reset < _EPOCH:
        return reset
    return max(0.0, (reset / 1000 if reset >= _MILLISECONDS else reset) - now)
