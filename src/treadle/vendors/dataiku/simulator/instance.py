"""One simulated DSS with all that belongs to it, so that it can be set up anew while it is served."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from treadle.vendors.dataiku.simulator.clock import Clock
from treadle.vendors.dataiku.simulator.description import Simulation
from treadle.vendors.dataiku.simulator.faults import Fault, Faults
from treadle.vendors.dataiku.simulator.keys import Keyring
from treadle.vendors.dataiku.simulator.world import World

# A simulator may serve for days; what is older is forgotten.
_REMEMBERED_REQUESTS: Final = 100_000


@dataclass(slots=True)
class RecordedRequest:
    """A request as it came in.

    Attributes:
        number: counts the requests, from 1 on.
        path: as sent, with its query.
        at: simulated epoch seconds.
        status: None until, or unless, it was answered.
        faults: what it met, as the command line takes it.
    """

    number: int
    method: str
    path: str
    headers: Mapping[str, str]
    at: float
    status: int | None = None
    faults: tuple[str, ...] = ()


class Instance:
    """A simulated DSS: its description, its clock, its state, its faults and its request log."""

    def __init__(self, simulation: Simulation, clock: Clock) -> None:
        self.clock = clock
        self.requests: deque[RecordedRequest] = deque(maxlen=_REMEMBERED_REQUESTS)
        self.configure(simulation)

    def configure(self, simulation: Simulation) -> None:
        """Begin anew as another simulation; the clock goes on."""
        self.simulation = simulation
        self.keyring = Keyring(simulation.keys)
        self.started = self.clock.now()
        self.world = World(simulation, self.started)
        self.faults = Faults(simulation.faults, simulation.seed)
        self.requests.clear()
        self._count = 0

    def reset(self) -> None:
        """Begin anew as the same simulation."""
        self.configure(self.simulation)

    def set_faults(self, faults: Iterable[Fault], seed: int) -> None:
        """Put these faults in the place of those that were there; all else goes on. A reset brings back the first ones."""
        self.faults = Faults(faults, seed)

    def record(self, method: str, path: str, headers: Mapping[str, str]) -> RecordedRequest:
        """Hear of a request: the clock ticks, the log has a new line."""
        self.clock.request()
        self._count += 1
        entry = RecordedRequest(self._count, method, path, headers, self.clock.now())
        self.requests.append(entry)
        return entry
