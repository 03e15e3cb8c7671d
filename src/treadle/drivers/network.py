"""What the requests of a Runner go through: connections, or a recording in their place, and what records them.

Recordings are imported where an option asks for one: they are no part of a plain run.
"""

from typing import TYPE_CHECKING

from treadle.drivers.connection import Exchange
from treadle.drivers.run import Clock
from treadle.drivers.settings import Options
from treadle.drivers.transport import Transport
from treadle.engine.journal import Record, Warned
from treadle.engine.secrets import Secrets
from treadle.errors import RunRefused
from treadle.version import __version__

if TYPE_CHECKING:
    from treadle.drivers.policy import Policy
    from treadle.drivers.recording import Recorder
    from treadle.drivers.replaying import Player


class Network:
    """The network of a Runner, or what stands for it.

    Attributes:
        clock: the time there.
        is_recorded: each exchange is kept, or comes from where it was kept: none may be left out because of a cache.

    Raises:
        RunRefused: a recording cannot be read or written.
    """

    def __init__(self, options: Options, clock: Clock, policy: "Policy | None" = None) -> None:
        if options.record is not None and options.replay is not None:
            raise RunRefused("--record and --replay exclude each other", hint="copy the recording instead")
        self._player = None if options.replay is None else _player(options.replay, options)
        self._transport = None
        if self._player is None:
            self._transport = Transport(options.connection(), f"treadle/{__version__}", policy=policy, clock=clock)
        self._recorder = None if options.record is None else _recorder(options.record, clock)
        self._shared: Exchange | None = None
        self.is_recorded = options.record is not None or options.replay is not None
        self.clock = clock if self._player is None else self._player.clock

    @property
    def secrets(self) -> list[str]:
        """What must not be shown of the connections: passwords of proxies and keys."""
        return [] if self._transport is None else self._transport.secrets

    def of_run(self, workflow_id: str, secrets: Secrets) -> Exchange:
        """Give what the requests of one run go through."""
        if self._player is not None:
            return self._player.run(workflow_id, secrets)
        return self._recorded(workflow_id, secrets)

    def shared(self) -> Exchange:
        """Give what goes out for no single run: documents are loaded through it."""
        if self._shared is None:
            if self._player is not None:
                self._shared = self._player.shared()
            else:
                self._shared = self._recorded(None, Secrets())
        return self._shared

    def _recorded(self, workflow_id: str | None, secrets: Secrets) -> Exchange:
        if self._transport is None:
            raise AssertionError("a network without a recording has a transport")
        return self._transport if self._recorder is None else self._recorder.page(workflow_id, self._transport, secrets)

    def left_over(self, exchange: Exchange) -> list[Record]:
        """Say what of its recording a run that has ended did not ask for."""
        unused = None if self._player is None else self._player.unused(exchange)
        return [] if unused is None else [Warned(self.clock.now(), "replay-unused", unused)]

    def save(self) -> str | None:
        """Write the recording, if there is one; give what is wrong where that fails."""
        return None if self._recorder is None else self._recorder.save()

    async def close(self) -> None:
        """Close all connections."""
        if self._transport is not None:
            await self._transport.close()


def _player(path: str, options: Options) -> "Player":
    from treadle.drivers.replaying import Player  # noqa: PLC0415 - see above

    return Player(path, options.connection())


def _recorder(path: str, clock: Clock) -> "Recorder":
    from treadle.drivers.recording import Recorder  # noqa: PLC0415 - see above

    return Recorder(path, clock)
