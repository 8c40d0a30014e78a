"""A connection that is made again whenever it breaks, with growing pauses, for as long as somebody wants it."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from aiormq import Connection

from openbell.adapters.buses.rabbitmq.server import LostError, Server, begin, connect, disconnect, unreachable
from openbell.errors import BusError

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0

log = structlog.get_logger("bus")


class Link:
    """One connection. `up` is called with each new one and sets to work on it, `down` when it broke; both leave the rest to the link."""

    def __init__(
        self,
        server: Server,
        name: str,
        up: Callable[[Connection], Awaitable[None]],
        down: Callable[[], None],
        fail: Callable[[BusError], None],
        patience: float,
    ) -> None:
        self._server, self._name, self._patience = server, name, patience
        self._up, self._down, self._fail = up, down, fail
        self._task: asyncio.Task[None] | None = None
        self._was_up = False
        self._away_since: float | None = None

    def start(self) -> None:
        """Begin to connect; a second call changes nothing."""
        if self._task is None:
            self._task = begin(self._keep(), self._name, self._fail)

    async def close(self) -> None:
        """Disconnect for good."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _keep(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        started = asyncio.get_running_loop().time()
        while True:
            try:
                pause = await self._once(pause)
            except BusError as error:
                self._fail(error)
                return
            except LostError as error:
                if not self._was_up and asyncio.get_running_loop().time() - started >= self._patience:
                    self._fail(unreachable(self._server, str(error)))
                    return
                self._tell_away(error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _once(self, pause: float) -> float:
        """Connect and serve until the connection breaks; returns the pause to begin with then."""
        connection = await connect(self._server, self._name)
        try:
            await self._up(connection)
            self._tell_back()
            pause, closing = FIRST_PAUSE_SECONDS, connection.closing
            await asyncio.wait({closing})
            self._tell_away(None if closing.cancelled() else closing.exception())
        finally:
            self._down()
            await disconnect(connection)
        return pause

    def _tell_away(self, error: BaseException | None) -> None:
        if self._away_since is None:
            self._away_since = asyncio.get_running_loop().time()
            log.warning("bus server away", connection=self._name, server=self._address, reason=str(error or "the connection broke"))

    def _tell_back(self) -> None:
        if self._away_since is not None:
            away = asyncio.get_running_loop().time() - self._away_since
            log.info("bus server back", connection=self._name, server=self._address, seconds=round(away, 1))
        self._was_up, self._away_since = True, None

    @property
    def _address(self) -> str:
        return f"{self._server.host}:{self._server.port}"
