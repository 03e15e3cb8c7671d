"""The past of a scenario: runs one by one, or many of them drawn from a seed."""

from __future__ import annotations

from random import Random
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

Outcome = Literal["SUCCESS", "WARNING", "FAILED", "ABORTED"]
Trigger = Literal["manual", "temporal"]
# The upper bound is some thirty years: it refuses .inf and typing errors. "Never" has fields of its own.
Seconds = Annotated[float, Meta(ge=0, le=1e9)]


class PastRun(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A run that had ended before the simulator began: `ago` is how long before that it started."""

    ago: Seconds
    outcome: Outcome | None = None
    trigger: Trigger = "manual"


class DrawnHistory(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """So many past runs, one `every` so often, the newest that long ago; outcomes by their weights. The same seed, the same past."""

    runs: Annotated[int, Meta(ge=1, le=10_000)]
    every: Annotated[float, Meta(gt=0, le=1e7)] = 86_400.0
    seed: int = 0
    outcomes: dict[Outcome, Annotated[int, Meta(ge=0)]] = field(
        default_factory=lambda: {"SUCCESS": 8, "WARNING": 1, "FAILED": 1}
    )
    trigger: Trigger = "temporal"

    def __post_init__(self) -> None:
        """Refuse weights that leave nothing to draw from."""
        if not any(self.outcomes.values()):
            raise ValueError("a history's outcomes need a weight above 0")

    def draw(self) -> tuple[PastRun, ...]:
        """Give the runs, newest first."""
        chance = Random(self.seed)  # noqa: S311 - a made-up past is no secret
        drawn = chance.choices(list(self.outcomes), list(self.outcomes.values()), k=self.runs)
        return tuple(
            PastRun(ago=self.every * number, outcome=outcome, trigger=self.trigger)
            for number, outcome in enumerate(drawn, start=1)
        )
