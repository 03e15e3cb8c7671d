"""The situations of beside.yaml, as a simulated DSS each. What they are and what is claimed of them is data; nothing runs here."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

import fast_yaml
import msgspec
from msgspec import Struct

from treadle.vendors.dataiku.simulator.description import ApiKey, Scenario, Simulation
from treadle.vendors.dataiku.simulator.faults import Fault

FILE: Final = Path(__file__).with_name("beside.yaml")
PROJECT: Final = "SHOP"
SCENARIO: Final = "NIGHTLY"
TOOL: Final = ApiKey(key="key-of-the-tool", id="tool")
COLLEAGUE: Final = ApiKey(key="key-of-somebody-else", id="colleague")

Said = Literal[
    "SUCCESS",
    "WARNING",
    "FAILED",
    "ABORTED",
    "cancelled",
    "nothing triggered",
    "goes on",
    "in doubt",
    "exception",
    "hung",
]


class Event(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What happens besides the tool: `after` seconds a colleague posts something, time passes, or the faults are others."""

    after: float = 0.0
    post: Literal["run", "abort"] | None = None
    advance: float | None = None
    faults: tuple[Fault, ...] | None = None


class Reports(Struct, frozen=True, forbid_unknown_fields=True):
    """What each tool is to report."""

    treadle: Said
    client: Said


class Situation(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One situation; the fields are explained at the head of the file."""

    id: str
    what: str
    reports: Reports
    scenario: dict[str, Any] = msgspec.field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    before: tuple[Event, ...] = ()
    meanwhile: tuple[Event, ...] = ()
    options: tuple[str, ...] = ()
    open: str = ""

    @property
    def known(self) -> str:
        """Say what is known to be wrong here, behind what was found."""
        return f" [known: {self.open}]" if self.open else ""

    def simulation(self, common: dict[str, Any]) -> Simulation:
        """Describe the DSS that a tool meets."""
        scenario = msgspec.convert({"project": PROJECT, "id": SCENARIO, **common, **self.scenario}, Scenario)
        return Simulation(keys=(TOOL, COLLEAGUE), scenarios=(scenario,), faults=for_the_tool(self.faults))


class Situations(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file; `limit` is the seconds after which a tool that has not ended is killed."""

    limit: float
    common: dict[str, Any]
    situations: tuple[Situation, ...]


def for_the_tool(faults: tuple[Fault, ...]) -> tuple[Fault, ...]:
    """Let faults meet the requests of the tool only: a colleague stands at another place."""
    return tuple(msgspec.structs.replace(fault, key=TOOL.key) for fault in faults)


def read(names: list[str]) -> Situations:
    """Read the file, or of it the situations that are named; an unknown name is a ValueError."""
    whole = msgspec.convert(fast_yaml.safe_load(FILE.read_text("utf-8")), Situations)
    known = [situation.id for situation in whole.situations]
    unknown = sorted({*names} - {*known})
    if unknown:
        raise ValueError(f"no situation is called {', '.join(unknown)}; there are {', '.join(known)}")
    wanted = tuple(situation for situation in whole.situations if not names or situation.id in names)
    return msgspec.structs.replace(whole, situations=wanted)
