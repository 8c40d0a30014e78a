"""The alerts service for accounts: what traders decide, followed with a cursor of its own, against alerts on positions and drawdowns.

    topic of decisions -> ledgers -> alerts that stand -> what came, and how far the topic was taken -> store -> teller -> topic of alerts

The one partition of the topic is given to one member of the group; what came is stored with how far it was taken, as of ticks. Where it has
never stood before, or missed decisions on a bus that keeps none, it goes on from what the portfolio service has stored.
"""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec
import structlog

from openbell.adapters.buses.base import Bus, Message
from openbell.adapters.messages.decisions import Decisions, decode_decisions
from openbell.adapters.stores.alerts import AlertStore
from openbell.adapters.stores.progress import Progress
from openbell.engine.plan import Plan
from openbell.errors import DataError, JournalError
from openbell.services.alerts.accounts import AccountDesk, Kept
from openbell.services.alerts.ledger import Ledger
from openbell.services.alerts.watcher import Watcher
from openbell.services.portfolio.replica import Replica
from openbell.services.trader.decisions import plan_hash, trader_of

log = structlog.get_logger("alerts")


class AccountAlertService(Watcher[AccountDesk]):
    """Follows the decisions of traders on `topic`; `portfolio` is the reader whose accounts are stored."""

    name = "account-alerts"
    OF_ACCOUNTS = True

    def __init__(self, market: Bus, topic: str, plans: Mapping[str, Plan], store: AlertStore, news: asyncio.Event) -> None:
        super().__init__(market, topic, store, news)
        self._plans = dict(plans)
        self._hashes = {trader: plan_hash(plan) for trader, plan in plans.items()}
        self._portfolio = f"portfolio {topic}"

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

    async def _begin(self, partition: int) -> tuple[Progress, AccountDesk]:
        """As the store has it, and what stands now."""
        progress = await asyncio.to_thread(self._store.progress, self.reader, partition)
        if not progress.state:
            first = AccountDesk(self._plans)
            position, ledgers = await self._stored_accounts(first)
            for trader, ledger in ledgers.items():
                first.begin(trader, ledger)
            progress = await self._first(progress, position, first.state())
        own = AccountDesk(self._plans, msgspec.msgpack.decode(progress.state, type=Kept))
        own.change(await asyncio.to_thread(self._store.standing_of_accounts))
        self.news.set()
        return progress, own

    @property
    def watched(self) -> str:
        """Of whoever they are."""
        return "accounts"
