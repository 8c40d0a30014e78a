"""The notifier of the platform in one process: it follows the trader from its journal, and does nothing until there is a channel.

While nobody has made the database, there is no channel, and nothing is opened; whoever makes one in another process is noticed.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import structlog

from openbell.adapters.buses.base import Bus
from openbell.adapters.stores.alerts import AlertStore
from openbell.adapters.stores.channels import ChannelStore
from openbell.adapters.stores.database import Database, open_database
from openbell.adapters.stores.progress import Progress
from openbell.config import Settings
from openbell.errors import StorageError
from openbell.services.names import Names
from openbell.services.notifier.alerts import AlertTable
from openbell.services.notifier.assembly import Assembly
from openbell.services.notifier.channels import Channels
from openbell.services.notifier.service import BEGUN, IDLE_S, NotifierService
from openbell.services.notifier.sources import Decisions, Services, Source
from openbell.services.notifier.trading import TradingNews
from openbell.services.plans import MAIN
from openbell.services.service import Service
from openbell.services.stores import place_of
from openbell.services.trader.service import Decided
from openbell.services.views import ServiceView

log = structlog.get_logger("notifier")


class LocalNotifier(Service):
    """Follows `run`, whose commands before this process `catch_up` brings from the journal."""

    name = "notifier"

    def __init__(self, bus: Bus, settings: Settings, names: Names, run: str, views: Callable[[], Sequence[ServiceView]]) -> None:
        super().__init__()
        self._bus = bus
        self._settings = settings
        self._run = run
        self._views = views
        self._trading = TradingNews(names)
        self._place = place_of(settings.database)
        self._database: Database | None = None
        self._parts: Assembly | None = None
        self._inner: NotifierService | None = None
        self._known: Progress | None = None
        self._alone = Lock()
        self._started = False
        if not isinstance(self._place, Path) or self._place.is_file():
            parts = self._open()
            if ChannelStore(parts.database).any_enabled():
                self._known = parts.outbox.progress(self._reader)
                parts.intake.put([], self._known.position)

    @property
    def follows(self) -> bool:
        """Whether there is a channel, so that what is in the journal matters."""
        return self._known is not None

    @property
    def channels(self) -> Channels:
        """The channels of users. It may make the database, and blocks, for a thread."""
        return self._open().channels

    def catch_up(self, first: int, commands: Any) -> None:
        """Take commands from the journal, before the service runs; what was told of already, and what was before all channels, is not."""
        if self._known is None or self._parts is None:
            return
        news, last = self._trading.of(self._run, first, commands), first + len(commands)
        if self._known.state != BEGUN:
            news = []
        self._parts.intake.put([one for one in news if int(one.id.rpartition(":")[2]) >= self._known.position], last)

    async def start(self) -> None:
        """Where there is a channel, nothing is missed from now on."""
        if self._inner is not None and not self._started:
            self._started = True
            await self._inner.start()

    async def run(self) -> None:
        """Until cancelled."""
        while self._inner is None:
            await asyncio.sleep(IDLE_S)
            if not isinstance(self._place, Path) or self._place.is_file():
                try:
                    await asyncio.to_thread(self._open)
                except StorageError as error:
                    log.error("nothing is told for a while", error=str(error))
        await self.start()
        await self._inner.run()

    async def stop(self) -> None:
        """Write down what came last, and close the database."""
        if self._inner is not None:
            await self._inner.stop()
        if self._database is not None:
            self._database.close()

    def _open(self) -> Assembly:
        with self._alone:
            if self._parts is None:
                self._database = self._database or open_database(self._place)
                parts = Assembly(self._settings, self._database)
                alerts = AlertTable(AlertStore(self._database), parts.outbox, parts.deliverer.wake)
                alerts.begin()  # before a channel can be made
                self._inner = parts.service(self._reader, partial(self._sources, parts), always=[alerts])
                self._parts = parts
            return self._parts

    async def _sources(self, parts: Assembly, _: Progress) -> list[Source]:
        decisions = Decisions(self._bus, parts.intake, {MAIN: self._trading}, _behind, self._run)
        decisions.listen()
        return [decisions, Services(parts.intake, self._others)]

    def _others(self) -> list[ServiceView]:
        return [view for view in self._views() if view.name != self.name]

    @property
    def _reader(self) -> str:
        return f"notifier of {self._run}"

    def progress(self) -> dict[str, int]:
        """How far it is."""
        return self._inner.progress() if self._inner is not None else {"telling": 0}

    def view(self) -> ServiceView:
        """How it stands."""
        self.processed = self._inner.processed if self._inner is not None else 0
        return super().view()

    @property
    def detail(self) -> str:
        """What it does."""
        return self._inner.detail if self._inner is not None else "no channels"

    @property
    def queue(self) -> int:
        """What waits to be told."""
        return self._inner.queue if self._inner is not None else 0


def _behind(decided: Decided) -> int:
    return decided.first + len(decided.commands)
