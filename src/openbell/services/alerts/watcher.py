"""What the alerts services do alike with the partitions that are given to them: take what comes, store what it triggered, and notice what
users changed.

What an alert waits for is compared with everything that is taken after the alert was noticed, and it comes once for each crossing, whatever
is killed: what came is stored in one transaction with how far its partition has been taken (see `openbell.services.topics.shares`). Only
what is stored is told of (`openbell.services.alerts.teller`), and marked when the bus has it; after a crash in between it is told of again,
with the same number.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import ClassVar, Generic, TypeVar

from openbell.adapters.buses.base import Bus, Message
from openbell.adapters.stores.alerts import AlertStore
from openbell.adapters.stores.progress import Progress
from openbell.errors import FencedError
from openbell.services.alerts.desk import NOTICE_EVERY_S, Desk
from openbell.services.service import Service
from openbell.services.topics.shares import Shares

Own = TypeVar("Own", bound=Desk)


class Watcher(Service, Generic[Own]):
    """Base of the alerts services: who is one says how messages are taken by the desk of their partition, and how a desk begins.

    `news` is set when there may be something to tell of.
    """

    #: Whether its alerts are those on accounts, rather than those on symbols.
    OF_ACCOUNTS: ClassVar[bool]

    def __init__(self, market: Bus, topic: str, store: AlertStore, news: asyncio.Event) -> None:
        super().__init__()
        #: Who it is to the store.
        self.reader = f"alerts {topic}"
        self.news = news
        self.triggered = 0
        self.refused = 0
        self.shares: Shares[Own] = Shares(market, topic, self.name, self._begin)
        self._market = market
        self._topic = topic
        self._store = store
        self._revision = 0
        self._notice_at = 0.0

    async def start(self) -> None:
        """Changes from now on have to be noticed."""
        self._revision = await asyncio.to_thread(self._store.revision)

    async def run(self) -> None:
        """Until cancelled."""
        await self.shares.run(self.take, self.keep)

    async def take(self, messages: Sequence[Message]) -> None:
        """Compare what comes with what stands."""
        raise AssertionError("each service says it")

    async def _begin(self, partition: int) -> tuple[Progress, Own]:
        """A partition as the store has it, and what stands there now."""
        raise AssertionError("each service says it")

    async def _first(self, stored: Progress, position: int, state: bytes) -> Progress:
        """Nobody has taken this partition before: store at once where it begins, so that a crash does not move it."""
        advance = stored.advance(max(position, stored.position) if self._market.KEEPS_HISTORY else stored.position, state=state)
        try:
            await asyncio.to_thread(self._store.record, (), (), advance)
        except FencedError:  # somebody else was first
            return await asyncio.to_thread(self._store.progress, stored.reader, stored.partition)
        return advance.after

    async def keep(self) -> None:
        """Store what came with how far each partition has been taken. What users changed meanwhile holds from there on."""
        for share in self.shares.unstored(lambda own: own.has_news):
            firings, changes = share.own.came()
            if await self.shares.store(share, share.own.state(), partial(self._store.record, firings, changes)) and firings:
                self.triggered += len(firings)
                self.news.set()
        now = asyncio.get_running_loop().time()
        if now >= self._notice_at:
            self._notice_at = now + NOTICE_EVERY_S
            await self._notice()

    async def _notice(self) -> None:
        """See what users have changed."""
        changes = await asyncio.to_thread(self._store.changes, self._revision, of_accounts=self.OF_ACCOUNTS)
        if changes:
            for share in self.shares:
                share.own.change(changes)
            self._revision = changes[-1].revision

    async def stop(self) -> None:
        """Store what is left."""
        await self.shares.stop(self.keep)

    def partitions(self) -> list[int]:
        """Those that are taken here."""
        return [share.partition for share in self.shares]

    @property
    def standing(self) -> int:
        """Alerts that wait here."""
        return sum(share.own.board.standing for share in self.shares)

    def progress(self) -> dict[str, int]:
        """How far the topic is taken, the number of the latest change by a user that is noticed, and the alerts that stand."""
        return {**self.shares.progress(), "revision": self._revision, "standing": self.standing}

    @property
    def detail(self) -> str:
        """What it has."""
        told = f"{self.standing:,} alerts waiting on {self.watched}, {self.triggered:,} triggered"
        return told + (f", {self.refused:,} messages refused" if self.refused else "")

    @property
    def watched(self) -> str:
        """What its alerts wait on, in words."""
        raise AssertionError("each service says it")

    @property
    def queue(self) -> int:
        """Messages waiting."""
        return self.shares.depth
