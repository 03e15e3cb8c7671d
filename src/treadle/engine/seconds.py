"""Lengths of time that documents give by a number or by an expression: how long a step may take, how late a trace may be."""

from math import isfinite
from typing import Any

from treadle.engine.scope import Scope
from treadle.expressions.evaluate import Context, Missing
from treadle.expressions.payload import Constant, Payload, resolve
from treadle.expressions.words import shortened
from treadle.pointer import Path
from treadle.sources.request import RequestInvalid


def read_seconds(scope: Scope, written: Any, at: Path, number: int) -> Payload | None:
    """Read a number of seconds, or an expression for one; None where a finding says what is wrong."""
    value = scope.value(written, at, number) if isinstance(written, str) else Constant(written)
    if isinstance(value, Constant) and not is_seconds(value.value):
        message = f"'{at[-1]}' needs a number of seconds that is not negative, or an expression for one"
        scope.findings.error("seconds", message, at, "for example 120, or $inputs.timeout")
        return None
    return value


def is_seconds(value: Any) -> bool:
    """Say whether a value is a number of seconds."""
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) and value >= 0


def seconds_of(value: Payload, what: str, context: Context) -> float | None:
    """Give the seconds, or None where the value is null or not there.

    Raises:
        RequestInvalid: it is something else.
    """
    missing: list[Missing] = []
    found = resolve(value, context, missing)
    if missing or found is None:
        return None
    if not is_seconds(found):
        raise RequestInvalid(f"{what} is {shortened(context.mask(repr(found)))}, which is no number of seconds")
    return float(found)
