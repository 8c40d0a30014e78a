"""`openbell serve portfolio`: the accounts of all traders, kept in the database together with how far they have been followed."""

import asyncio
from dataclasses import replace
from typing import Any

import structlog

from openbell.adapters.buses.base import Start
from openbell.adapters.stores.database import Database
from openbell.adapters.stores.progress import Advance, Progress, move, read_progress
from openbell.errors import JournalError
from openbell.services.gateway.owners import own_accounts
from openbell.services.portfolio.service import PortfolioService
from openbell.services.processes.process import Process
from openbell.services.service import Service
from openbell.services.topics.names import COMMANDS
from openbell.services.trader.decisions import DecisionReader

#: How often (seconds) the accounts are written, when something changed.
KEEP_EVERY_S = 0.5

log = structlog.get_logger("portfolio")


class Keeper(Service):
    """Writes the accounts of a portfolio service, and the offset they are of, in one transaction."""

    name = "keeper"

    def __init__(self, portfolio: PortfolioService, database: Database, known: Progress, identity: bytes) -> None:
        super().__init__()
        self._identity = identity
        self._portfolio = portfolio
        self._database = database
        self._known = known
        self._applied = 0
        self._lock = asyncio.Lock()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(KEEP_EVERY_S)
            await self.keep()

    async def keep(self) -> None:
        """Write what is new. Without offsets (a bus that keeps no history) the position counts what was written."""
        async with self._lock:
            position, applied = self._portfolio.offset or self._known.position + 1, self._portfolio.processed
            if applied > self._applied:
                after = replace(self._known, position=position, cursor=self._identity, state=self._portfolio.snapshot())
                advance = Advance(self._known.position, after)
                await asyncio.to_thread(self._database.run, lambda sql: move(sql, advance))
                self._known, self._applied = advance.after, applied
                self.processed += 1

    async def settle(self) -> None:
        """Wait until everything that was brought is in the books, and write it."""
        while self._portfolio.queue:
            await asyncio.sleep(0.001)
        await self.keep()

    async def stop(self) -> None:
        """Write what is new."""
        await self.keep()

    def progress(self) -> dict[str, int]:
        """The offset that is stored."""
        return {"offset": self._known.position}


async def build(process: Process) -> None:
    """Follow every trader from where the database stands."""
    database = process.database()
    portfolio = PortfolioService(process.bus, process.plans, lambda _: None, own=own_accounts(process.settings))
    known, start = await take_up(process, portfolio, database)
    keeper = Keeper(portfolio, database, known, await identity_of(process))
    process.services += [portfolio, keeper, DecisionReader(process.bus, process.edge, process.plans, start, "portfolio", keeper.settle)]


async def take_up(process: Process, portfolio: PortfolioService, database: Database) -> tuple[Progress, Start]:
    """Bring a portfolio to where the database stands, and say where to follow from.

    Accounts that cannot be read are built anew from the oldest message. A topic that was made anew is read from its oldest message
    too: what is in the books already is known by its number.
    """
    reader = f"portfolio {process.edge.name(COMMANDS)}"
    known = await asyncio.to_thread(database.run, lambda sql: read_progress(sql, reader, 0))
    if not known.state:
        return known, "oldest"
    is_same = known.cursor in (b"", await identity_of(process))
    try:
        portfolio.restore(known.state, known.position if is_same else 0)
    except JournalError as error:
        log.warning("accounts are built anew", error=str(error))
        return known, "oldest"
    return known, {0: known.position} if is_same else "oldest"


async def identity_of(process: Process) -> bytes:
    """Which topic of decisions it is; empty where the bus cannot tell."""
    market: Any = process.edge.market
    return (await market.identity(process.edge.name(COMMANDS))).encode() if market.KEEPS_HISTORY else b""
