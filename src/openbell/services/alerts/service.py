"""The alerts service: every tick of the market-data topic compared with the alerts of its symbol, shared with others by partition.

    topic -> standing alerts of each symbol -> what was triggered, and how far the topic was taken -> store -> teller -> topic of alerts

An alert is triggered by the first tick that meets its condition among those taken after the alert was noticed, once, whatever is killed:
it is stored in one transaction with how far its partition has been taken (see `openbell.services.topics.shares`). Only what is stored is
told of (`openbell.services.alerts.teller`), and marked when the bus has it; after a crash in between it is told of again, with the same id.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import msgspec
import structlog

from openbell.adapters.buses.base import Bus, Message
from openbell.adapters.messages.ticks import Part, decode_ticks
from openbell.adapters.stores.alerts import AlertStore, Change, Firing, Standing
from openbell.adapters.stores.progress import Progress
from openbell.errors import DataError, FencedError
from openbell.model.plan import Listing
from openbell.services.alerts.watch import Kept, Watch
from openbell.services.service import Service
from openbell.services.topics.shares import Shares
from openbell.services.trader.intake import by_symbol

#: How often (seconds) it is looked whether users have added or removed alerts.
NOTICE_EVERY_S = 0.5

log = structlog.get_logger("alerts")


@dataclass(slots=True)
class Watched:
    """Of one partition: its symbols, and what was triggered since it was stored."""

    watches: dict[str, Watch] = field(default_factory=dict)
    triggers: list[Firing] = field(default_factory=list)


class AlertService(Service):
    """Evaluates the partitions of `topic` that the group gives it."""

    name = "alerts"

    def __init__(self, market: Bus, topic: str, listings: Sequence[Listing], store: AlertStore) -> None:
        super().__init__()
        #: Set when there may be something to tell of.
        self.news = asyncio.Event()
        self.triggered = 0
        self.refused = 0
        self._market = market
        self._topic = topic
        self.reader = f"alerts {topic}"
        self._listings = tuple(listings)
        self._symbols = [listing.symbol for listing in listings]
        self._instruments = {symbol: index for index, symbol in enumerate(self._symbols)}
        self._store = store
        self.shares = Shares(market, topic, "alerts", self._begin)
        self._revision = 0
        self._notice_at = 0.0

    async def start(self) -> None:
        """Changes from now on have to be noticed."""
        self._revision = await asyncio.to_thread(self._store.revision)

    async def run(self) -> None:
        """Until cancelled."""
        await self.shares.run(self.take, self.keep)

    async def take(self, messages: Sequence[Message]) -> None:
        """Compare the ticks of messages with what stands."""
        async for share, message in self.shares.fresh(messages):
            try:
                part = decode_ticks(message.payload, self._instruments, self._listings)
            except DataError as error:
                self.refused += 1
                log.warning("message refused", partition=message.partition, offset=message.offset, error=str(error))
                continue
            own = share.own
            found = [(part.symbol, part.events)] if isinstance(part, Part) else by_symbol(part.events, self._symbols)
            for watch, events in [(await self._watch(own, symbol), events) for symbol, events in found if symbol in self._instruments]:
                fresh = watch.places.fresh(part) if isinstance(part, Part) else events
                own.triggers += watch.take(fresh)
                self.processed += len(fresh)

    async def keep(self) -> None:
        """Store what was triggered with how far each partition has been taken. What users changed meanwhile holds from there on."""
        for share in self.shares.unstored():
            own = share.own
            state = msgspec.msgpack.encode({symbol: watch.kept() for symbol, watch in own.watches.items()})
            if (
                await self.shares.store(share, state, partial(self._store.record, own.triggers, [_over(one) for one in own.triggers]))
                and own.triggers
            ):
                self.triggered += len(own.triggers)
                own.triggers = []
                self.news.set()
        await self._notice()

    async def _notice(self) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._notice_at:
            return
        self._notice_at = now + NOTICE_EVERY_S
        changes = await asyncio.to_thread(self._store.changes, self._revision)
        if not changes:
            return
        by_name: dict[str, list[Standing]] = {}
        for row in changes:
            if row.condition in ("above", "below", "crosses"):
                by_name.setdefault(row.symbol, []).append(row)
        for share in self.shares:
            for symbol in by_name.keys() & share.own.watches:
                share.own.watches[symbol].change(by_name[symbol])
        self._revision = changes[-1].revision

    async def _begin(self, partition: int) -> tuple[Progress, Watched]:
        """A partition as the store has it, and what stands of its symbols now."""
        stored = await asyncio.to_thread(self._store.progress, self.reader, partition)
        if not stored.state:
            stored = await self._first(stored)
        own = Watched()
        kept = msgspec.msgpack.decode(stored.state, type=dict[str, Kept])
        own.watches = {symbol: Watch(each) for symbol, each in kept.items() if symbol in self._instruments}
        await self._fill(own.watches)
        self.news.set()
        return stored, own

    async def _first(self, stored: Progress) -> Progress:
        """Nobody has taken this partition before: ticks from now on count. It is stored at once, so that a crash does not move it."""
        position = stored.position
        if self._market.KEEPS_HISTORY:
            position = max(position, (await self._market.ends(self._topic)).get(stored.partition, 0))  # type: ignore[attr-defined]
        advance = stored.advance(position, state=msgspec.msgpack.encode({}))
        try:
            await asyncio.to_thread(self._store.record, (), (), advance)
        except FencedError:  # somebody else was first
            return await asyncio.to_thread(self._store.progress, stored.reader, stored.partition)
        return advance.after

    async def _watch(self, own: Watched, symbol: str) -> Watch:
        if symbol not in own.watches:
            watch = Watch(Kept())
            await self._fill({symbol: watch})
            own.watches[symbol] = watch
        return own.watches[symbol]

    async def _fill(self, watches: dict[str, Watch]) -> None:
        rows: dict[str, list[Standing]] = {}
        for part in await asyncio.to_thread(lambda: list(self._store.standing(watches))):
            for row in part:
                if row.condition in ("above", "below", "crosses"):
                    rows.setdefault(row.symbol, []).append(row)
        for symbol, found in rows.items():
            watches[symbol].change(found)

    async def stop(self) -> None:
        """Store what is left."""
        await self.shares.stop(self.keep)

    def symbols(self) -> set[str]:
        """Those whose alerts are watched here."""
        return {symbol for share in self.shares for symbol in share.own.watches}

    def partitions(self) -> list[int]:
        """Those that are taken here."""
        return [share.partition for share in self.shares]

    def progress(self) -> dict[str, int]:
        """How far the topic is taken, the number of the latest change by a user that is noticed, and the alerts that stand."""
        return {**self.shares.progress(), "revision": self._revision, "standing": self._standing()}

    def _standing(self) -> int:
        return sum(len(watch.standing) for share in self.shares for watch in share.own.watches.values())

    @property
    def detail(self) -> str:
        """What it has."""
        told = f"{self._standing():,} alerts waiting on {len(self.symbols())} symbols, {self.triggered:,} triggered, {self.shares.detail}"
        return told + (f", {self.refused:,} messages refused" if self.refused else "")

    @property
    def queue(self) -> int:
        """Messages waiting."""
        return self.shares.depth


def _over(firing: Firing) -> Change:
    return Change(firing.alert, firing.revision, "triggered", 0, firing.number, firing)
