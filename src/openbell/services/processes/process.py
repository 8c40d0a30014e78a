"""One service in a process of its own: what every such process has, and how it runs until it is told to stop."""

import asyncio
import socket
from contextlib import AsyncExitStack
from functools import cached_property
from pathlib import Path

import structlog

from openbell.adapters.buses.inprocess import InProcessBus
from openbell.adapters.stores.base import Journal
from openbell.adapters.stores.database import Address, Database, open_database
from openbell.config import Settings
from openbell.engine.plan import Plan
from openbell.errors import UsageError
from openbell.model.plan import Listing
from openbell.observability import Metrics
from openbell.services.control.channel import ControlChannel
from openbell.services.control.handlers import ControlService
from openbell.services.ingest.markets import listings_of
from openbell.services.plans import MAIN, make_plans
from openbell.services.processes.edge import Edge
from openbell.services.processes.status import StatusService
from openbell.services.processor.display import Herald
from openbell.services.service import Service
from openbell.services.supervisor import Supervisor
from openbell.services.topics.names import CONTROL, topics
from openbell.services.views import ServiceView

log = structlog.get_logger("process")


class Process:
    """The buses, the database and the plans of a process, and the services it runs: who reads first, the source last."""

    def __init__(
        self, service: str, settings: Settings, trader: str = MAIN, fresh: bool = False, opened: socket.socket | None = None,
        take_over: bool = False,
    ) -> None:  # fmt: skip
        self.name = service if trader == MAIN else f"{service}-{trader}"
        self.settings = settings
        self.trader = trader
        self.fresh = fresh
        #: Whether a trader becomes the writer of its journal although another process is.
        self.take_over = take_over
        #: Where a gateway listens.
        self.opened = opened
        self.edge = Edge(settings, f"openbell-{self.name}")
        self.bus = InProcessBus()
        self.bus.declare(*topics(settings.trading.event_bus_buffer))
        self.metrics = Metrics()
        self.services: list[Service] = []
        #: Its end of the control channel; a service has its types of message handled here.
        self.channel = ControlChannel(self.edge.control, self.name, self.edge.name(CONTROL))
        self.supervisor = Supervisor(self.bus, ())
        self.stack = AsyncExitStack()
        self.stack.push_async_callback(self.edge.close)

    @cached_property
    def listings(self) -> tuple[Listing, ...]:
        """What the configured market lists."""
        return listings_of(self.settings)

    @cached_property
    def plans(self) -> dict[str, Plan]:
        """The plan of each trader, for who follows or trades one."""
        return make_plans(self.settings.trading, self.listings)

    def database(self) -> Database:
        """The platform's database, at the newest revision."""
        database = open_database(database_place(self.settings))
        self.stack.callback(database.close)
        return database

    def journal(self, trader: str) -> Journal:
        """Where a trader keeps its runs: a file of its own, or the platform's PostgreSQL."""
        journal = open_journal(self.settings, trader, take_over=self.take_over)
        self.stack.callback(journal.close)
        return journal

    async def run(self, stop: asyncio.Event, status: socket.socket | None) -> None:
        """Run the services until `stop`, or until one fails; its error is raised then."""
        around: list[Service] = [Herald(self.edge, self.name, self.views), ControlService(self.channel, lambda: self.services)]
        if status is not None:
            around.append(StatusService(self, status))
        self.supervisor = Supervisor(self.bus, [*around, *self.services])
        await self.supervisor.start()
        log.info("running", process=self.name, status="" if status is None else "{}:{}".format(*status.getsockname()[:2]))
        failed = asyncio.create_task(self.supervisor.failed.wait())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({failed, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for task in (failed, stopping):
            task.cancel()
        await self.supervisor.stop()
        if self.supervisor.cause is not None:
            raise self.supervisor.cause

    def views(self) -> list[ServiceView]:
        """How its services stand."""
        return [service.view() for service in self.services]

    def is_well(self) -> bool:
        """Whether every service runs, or has come to its end."""
        return all(service.state in ("running", "done") for service in self.services)

    def metrics_text(self) -> bytes:
        """Its metrics, with what the services count by themselves brought up to date."""
        for service in self.supervisor.services:
            self.metrics.note(service.name, service.state in ("running", "done"), service.processed, service.queue, service.lag_ms)
        return self.metrics.text()


def database_place(settings: Settings) -> Path | Address:
    """Where the platform's tables are."""
    database = settings.database
    if database.engine == "sqlite":
        return Path(database.sqlite_path)
    return Address(database.host, database.port, database.user, database.password, database.name)


def open_journal(settings: Settings, trader: str, writable: bool = True, take_over: bool = False) -> Journal:
    """Where a trader keeps its runs: a file of its own, or the platform's PostgreSQL.

    `take_over` ends the connection of who writes it now, and whatever that one still wants to write is refused. UsageError for a file.
    """
    place = database_place(settings)
    if take_over and isinstance(place, Path):
        raise UsageError("a journal in a file cannot be taken over", "one in PostgreSQL", "end the process that writes it, and start again")
    if isinstance(place, Path):
        from openbell.adapters.stores.journal import SqliteJournal

        return SqliteJournal(Path(settings.trading.data_dir) / f"journal-{trader}.db", writable)
    from openbell.adapters.stores.postgres_journal import PostgresJournal

    return PostgresJournal(place, writable, f"{settings.bus.namespace} {trader}".strip(), take_over=take_over)
