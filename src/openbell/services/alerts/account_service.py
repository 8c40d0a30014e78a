"""The alerts service for accounts: what traders decide, followed with a cursor of its own, against alerts on positions and drawdowns.

    topic of decisions -> ledgers -> alerts that stand -> what came, and how far the topic was taken -> store -> teller -> topic of alerts

The one partition of the topic is given to one member of the group; what came is stored with how far it was taken, as of ticks. Where it has
never stood before, or missed decisions on a bus that keeps none, it goes on from what the portfolio service has stored.
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial

import msgspec
import structlog

from openbell.adapters.buses.base import Bus, Message
from openbell.adapters.messages.decisions import Decisions, decode_decisions
from openbell.adapters.stores.alerts import AlertStore
from openbell.adapters.stores.progress import Progress
from openbell.engine.plan import Plan
from openbell.errors import DataError, FencedError, JournalError
from openbell.services.alerts.accounts import AccountDesk, Kept
from openbell.services.alerts.desk import NOTICE_EVERY_S
from openbell.services.alerts.ledger import Ledger
from openbell.services.portfolio.replica import Replica
from openbell.services.service import Service
from openbell.services.topics.shares import Shares
from openbell.services.trader.decisions import plan_hash, trader_of

log = structlog.get_logger("alerts")


class AccountAlertService(Service):
    """Follows the decisions of traders on `topic`; `portfolio` is the reader whose accounts are stored."""

    name = "account-alerts"

    def __init__(self, market: Bus, topic: str, plans: Mapping[str, Plan], store: AlertStore, news: asyncio.Event) -> None:
        super().__init__()
        self.reader = f"alerts {topic}"
        self.triggered = 0
        self.refused = 0
        self._market = market
        self._plans = dict(plans)
        self._hashes = {trader: plan_hash(plan) for trader, plan in plans.items()}
        self._portfolio = f"portfolio {topic}"
        self._store = store
        self._news = news
        self.shares = Shares(market, topic, "account-alerts", self._begin)
        self._revision = 0
        self._notice_at = 0.0

    async def start(self) -> None:
        """Changes from now on have to be noticed."""
        self._revision = await asyncio.to_thread(self._store.revision)

    async def run(self) -> None:
        """Until cancelled."""
        await self.shares.run(self.take, self.keep)

    async def take(self, messages: Sequence[Message]) -> None:
        """Follow decisions."""
        async for share, message in self.shares.fresh(messages):
            try:
                decisions = decode_decisions(message.payload)
                trader = self._trader(share.own, decisions)
                if trader:
                    if decisions.first > share.own.ledgers[trader].index:
                        await self._go_on(share.own, trader)
                    share.own.take(trader, decisions.first, decisions.commands)
                    self.processed += len(decisions.commands)
            except (DataError, JournalError) as error:
                self.refused += 1
                log.warning("decisions refused", offset=message.offset, error=str(error))

    def _trader(self, desk: AccountDesk, decisions: Decisions) -> str:
        """The trader whose decisions they are, which is followed in their run from now on; empty for those of an older run."""
        trader, number = trader_of(decisions.run)
        if self._hashes.get(trader) != decisions.plan:
            raise DataError(f"decisions of the run {decisions.run[:80]!r}", "those of a trader with the plan that this process has")
        known = desk.ledgers.get(trader)
        if known is None or known.run != decisions.run:
            if known is not None and number < trader_of(known.run)[1]:
                return ""
            desk.begin(trader, Ledger.begin(decisions.run, desk.names[trader]))
        return trader

    async def _go_on(self, desk: AccountDesk, trader: str) -> None:
        """Decisions were missed: take the accounts from where they are stored, if those are of the same run, and further."""
        _, ledgers = await self._stored_accounts(desk)
        there, here = ledgers.get(trader), desk.ledgers[trader]
        if there is not None and there.run == here.run and there.index > here.index:
            desk.ledgers[trader] = there

    async def _stored_accounts(self, desk: AccountDesk) -> tuple[int, dict[str, Ledger]]:
        """What the portfolio service has stored, and the offset it is of."""
        known = await asyncio.to_thread(self._store.progress, self._portfolio, 0)
        found: dict[str, Ledger] = {}
        try:
            kept = msgspec.msgpack.decode(known.state, type=dict[str, tuple[str, bytes]]) if known.state else {}
            for trader, (run, snapshot) in kept.items():
                if trader in desk.names and run:
                    replica = Replica(desk.names[trader])
                    replica.restore(snapshot)
                    found[trader] = Ledger.of(run, replica)
        except (msgspec.DecodeError, JournalError) as error:
            log.warning("accounts are built anew", error=str(error))
            return 0, {}
        return known.position, found

    async def keep(self) -> None:
        """Store what came with how far the decisions were taken. What users changed meanwhile holds from there on."""
        for share in self.shares.unstored(lambda own: own.has_news):
            firings, changes = share.own.came()
            if await self.shares.store(share, share.own.state(), partial(self._store.record, firings, changes)) and firings:
                self.triggered += len(firings)
                self._news.set()
        now = asyncio.get_running_loop().time()
        if now < self._notice_at:
            return
        self._notice_at = now + NOTICE_EVERY_S
        changes_of_users = await asyncio.to_thread(self._store.changes, self._revision, of_accounts=True)
        if changes_of_users:
            for share in self.shares:
                share.own.change(changes_of_users)
            self._revision = changes_of_users[-1].revision

    async def _begin(self, partition: int) -> tuple[Progress, AccountDesk]:
        """As the store has it, and what stands now."""
        stored = await asyncio.to_thread(self._store.progress, self.reader, partition)
        if stored.state:
            own = AccountDesk(self._plans, msgspec.msgpack.decode(stored.state, type=Kept))
        else:
            own = AccountDesk(self._plans)
            position, ledgers = await self._stored_accounts(own)
            for trader, ledger in ledgers.items():
                own.begin(trader, ledger)
            advance = stored.advance(max(position, stored.position) if self._market.KEEPS_HISTORY else stored.position, state=own.state())
            try:
                await asyncio.to_thread(self._store.record, (), (), advance)
            except FencedError:  # somebody else was first
                return await self._begin(partition)
            stored = advance.after
        own.change(await asyncio.to_thread(self._store.standing_of_accounts))
        self._news.set()
        return stored, own

    async def stop(self) -> None:
        """Store what is left."""
        await self.shares.stop(self.keep)

    def partitions(self) -> list[int]:
        """Those that are taken here."""
        return [share.partition for share in self.shares]

    def progress(self) -> dict[str, int]:
        """How far the topic is taken, the number of the latest change by a user that is noticed, and the alerts that stand."""
        return {**self.shares.progress(), "revision": self._revision, "standing": self._standing()}

    def _standing(self) -> int:
        return sum(share.own.board.standing for share in self.shares)

    @property
    def detail(self) -> str:
        """What it has."""
        told = f"{self._standing():,} alerts waiting on accounts, {self.triggered:,} triggered"
        return told + (f", {self.refused:,} messages refused" if self.refused else "")

    @property
    def queue(self) -> int:
        """Messages waiting."""
        return self.shares.depth
