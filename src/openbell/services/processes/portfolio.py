"""`openbell serve portfolio`: the accounts of all traders, kept in the database together with how far they have been followed."""

import asyncio

import structlog

from openbell.adapters.buses.base import Start
from openbell.adapters.stores.database import Database
from openbell.adapters.stores.progress import Progress, move, read_progress
from openbell.errors import JournalError
from openbell.services.decisions import DecisionReader
from openbell.services.portfolio import PortfolioService
from openbell.services.processes.process import Process
from openbell.services.service import Service
from openbell.services.topics import COMMANDS

#: How often (seconds) the accounts are written, when something changed.
KEEP_EVERY_S = 0.5

log = structlog.get_logger("portfolio")


class Keeper(Service):
    """Writes the accounts of a portfolio service, and the offset they are of, in one transaction."""

    name = "keeper"

    def __init__(self, portfolio: PortfolioService, database: Database, known: Progress) -> None:
        super().__init__()
        self._portfolio = portfolio
        self._database = database
        self._known = known

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(KEEP_EVERY_S)
            await self._keep()

    async def _keep(self) -> None:
        if self._portfolio.offset > self._known.position:
            advance = self._known.advance(self._portfolio.offset, state=self._portfolio.snapshot())
            await asyncio.to_thread(self._database.run, lambda sql: move(sql, advance))
            self._known = advance.after
            self.processed += 1

    async def stop(self) -> None:
        """Write what is new."""
        await self._keep()

    def progress(self) -> dict[str, int]:
        """The offset that is stored."""
        return {"offset": self._known.position}


async def build(process: Process) -> None:
    """Follow every trader from where the database stands."""
    database = process.database()
    portfolio = PortfolioService(process.bus, process.plans, lambda _: None)
    known, start = await take_up(process, portfolio, database)
    reader = DecisionReader(process.bus, process.edge, process.plans, start, "portfolio")
    process.services += [portfolio, Keeper(portfolio, database, known), reader]


async def take_up(process: Process, portfolio: PortfolioService, database: Database) -> tuple[Progress, Start]:
    """Bring a portfolio to where the database stands, and say where to follow from.

    Accounts that cannot be read are built anew from the oldest message.
    """
    reader = f"portfolio {process.edge.name(COMMANDS)}"
    known = await asyncio.to_thread(database.run, lambda sql: read_progress(sql, reader, 0))
    if not known.state:
        return known, "oldest"
    try:
        portfolio.restore(known.state, known.position)
    except JournalError as error:
        log.warning("accounts are built anew", error=str(error))
        return known, "oldest"
    return known, {0: known.position}
