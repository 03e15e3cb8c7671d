"""When a request may go: rates that the user sets for hosts, and servers that want to be left alone for a while.

Waiting here is not the server's time: the time-outs of a request begin after it.
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from weakref import WeakValueDictionary

from treadle.drivers.ratelimit import BUSY, SAYS, closed_for
from treadle.drivers.run import Clock
from treadle.errors import RunRefused

_RATE = re.compile(r"(?:(?P<host>[^=\s]+)=)?(?P<count>\d{1,9}(?:\.\d{1,6})?)/(?P<unit>s|m|h)")
_SECONDS = {"s": 1, "m": 60, "h": 3600}
WORTH_TELLING = 1.0
"""From how many seconds on it is told that a request waits."""
Told = Callable[[str, float | None], None]
"""Is told for what a request waits, and how many seconds if that is known."""


def read_rates(written: Iterable[str]) -> dict[str, float]:
    """Read rates; gives the seconds between two requests by host, under `""` those of any other host.

    Raises:
        RunRefused: one is no rate.
    """
    found = {}
    for text in written:
        rate = _RATE.fullmatch(text)
        if rate is None or float(rate["count"]) == 0:
            hint = "for example --rate 10/s, --rate 100/m, or --rate api.example.com=10/s"
            raise RunRefused(f"--rate '{text}' is no rate", hint=hint)
        found[(rate["host"] or "").lower().strip("[]")] = _SECONDS[rate["unit"]] / float(rate["count"])
    return found


class Slots:
    """So many requests may be under way; those who wait get a free slot in the order in which they came.

    A slot goes from hand to hand. asyncio.Semaphore instead looks, each time that one is released, at all who were woken in
    the same turn of the event loop: with a hundred slots that is the dearest function of a request.
    """

    __slots__ = ("__weakref__", "_free", "_waiting")

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def all_taken(self) -> bool:
        """Whether one has to wait."""
        return self._free == 0

    def take(self) -> None:
        """Take a slot that is free."""
        self._free -= 1

    async def acquire(self) -> None:
        """Take a slot, as soon as there is one."""
        if self._free:
            self._free -= 1
            return
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        try:
            await waiting
        except asyncio.CancelledError:
            if not waiting.cancelled():  # it was handed over just then
                self.release()
            raise

    def release(self) -> None:
        """Hand a slot to whoever waits longest, or leave it free."""
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(None)
                return
        self._free += 1


class Turns:
    """Whose turn it is, over all runs of one Transport.

    Args:
        rates: seconds between two requests to a host, by its name; `""` stands for any other host.
        longest: how many seconds a server may ask to be left alone.
        clock: tells the time and waits.
    """

    __slots__ = ("_clock", "_closed", "_intervals", "_longest", "_next", "_queues")

    def __init__(self, rates: Mapping[str, float], longest: float, clock: Clock) -> None:
        self._intervals = rates
        self._longest = longest
        self._clock = clock
        self._closed: dict[str, float] = {}
        self._next: dict[str, float] = {}
        self._queues: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @property
    def matter(self) -> bool:
        """Whether anybody may have to wait."""
        return bool(self._intervals or self._closed)

    async def take(self, origin: str, host: str, slots: Slots, told: Told | None = None) -> None:
        """Wait until a request may go to an origin, and take one of the slots for it; longer waits are `told`."""
        if self._closed:
            await self._until_open(origin, told)
        interval = (self._intervals.get(host) or self._intervals.get("")) if self._intervals else None
        if interval is None:
            await _acquired(slots, told)
            return
        # One after the other, in the order in which they came. The slot is part of the turn: those who wait for one
        # would otherwise all go at once when it comes.
        queue = self._queues.setdefault(host, asyncio.Lock())
        if told is not None and queue.locked() and interval >= WORTH_TELLING:
            told("rate", None)
        async with queue:
            pause = min(self._next.get(host, 0.0) - self._clock.now(), interval)
            if pause > 0:
                if told is not None and pause >= WORTH_TELLING:
                    told("rate", pause)
                await self._clock.sleep(pause)
            if self._closed:
                await self._until_open(origin, told)
            await _acquired(slots, told)
            self._next[host] = self._clock.now() + interval

    async def _until_open(self, origin: str, told: Told | None) -> None:
        """Wait as long as the server of an origin wants to be left alone, and in all no longer than that is obeyed."""
        began = self._clock.now()
        while origin in self._closed:
            now = self._clock.now()
            pause = min(self._closed[origin], began + self._longest) - now
            if pause <= 0:
                if self._closed[origin] <= now:
                    del self._closed[origin]
                return
            if told is not None and pause >= WORTH_TELLING:
                told("limits", pause)
            await self._clock.sleep(pause)

    def heed(self, origin: str, status: int, headers: Mapping[str, str]) -> None:
        """Note what an answer says about further requests to its origin."""
        if status not in BUSY and not (
            SAYS[0] in headers or SAYS[1] in headers or SAYS[2] in headers or SAYS[3] in headers
        ):
            return  # nearly always, so it has to be quick
        now = self._clock.now()
        wait = closed_for(status, headers, now)
        if wait is not None and wait > 0:
            self._closed[origin] = max(self._closed.get(origin, 0.0), now + min(wait, self._longest))


async def _acquired(slots: Slots, told: Told | None) -> None:
    if told is not None and slots.all_taken:
        told("connections", None)
    await slots.acquire()
