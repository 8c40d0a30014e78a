"""The analytics service: every tick of the market-data topic into the tapes of its symbol, shared with others by partition.

    topic -> tapes -> once a second, what is new of readings and closes -> speed layer
                   -> now and then, everything with how far the topic was taken -> store -> acknowledged

What a tape says after a crash is what it would have said without: from the store it goes on with the tick after the last that it has (see
`openbell.services.topics.shares`). On a bus that keeps no history (RabbitMQ) messages are acknowledged once they are taken, so that they do
not pile up there; a crash then loses what came since everything was stored.
"""

import asyncio
from collections.abc import Sequence
from functools import partial

import structlog

from openbell.adapters.buses.base import Bus, Message
from openbell.adapters.messages.ticks import JsonTicks, decode_ticks
from openbell.adapters.stores.candles_base import CandleStore
from openbell.adapters.stores.progress import Progress
from openbell.adapters.stores.speed_layer import Entry, SpeedStore
from openbell.analytics.board import Array
from openbell.errors import DataError, StorageError
from openbell.model.analytics import BEFORE, PARTS, WINDOW_NAMES, WINDOWS
from openbell.model.plan import Listing
from openbell.model.time import MILLISECOND
from openbell.services.analytics.calendar import Calendar
from openbell.services.analytics.source import CLOSES, READINGS
from openbell.services.analytics.tapes import Tapes, changed
from openbell.services.service import Service
from openbell.services.topics.shares import Shares

#: How often (seconds) the speed layer gets what is new, and everything is stored; and after how many messages that is due at once.
BEAT_S, STORE_S = 1.0, 20.0
MESSAGES_MAX = 50_000

log = structlog.get_logger("analytics")


class AnalyticsService(Service):
    """Computes the partitions of `topic` that the group gives it."""

    name = "analytics"

    def __init__(
        self, market: Bus, topic: str, listings: Sequence[Listing], store: CandleStore, speed: SpeedStore, calendar: Calendar
    ) -> None:
        super().__init__()
        self.refused = 0
        self.beats = 0
        self.shares = Shares(market, topic, "analytics", self._begin)
        self._market = market
        self._topic = topic
        self._listings = tuple(listings)
        self._store = store
        self._speed = speed
        self._calendar = calendar
        self._told: dict[str, dict[str, bytes]] = {}
        self._parts = [0] * len(WINDOWS)
        self._beat_at = self._store_at = 0.0
        self._taken = 0

    async def run(self) -> None:
        """Until cancelled."""
        self._store_at = asyncio.get_running_loop().time() + STORE_S
        await self.shares.run(self.take, self.keep)

    async def take(self, messages: Sequence[Message]) -> None:
        """Take the ticks of messages onto their tapes."""
        async for share, message in self.shares.fresh(messages):
            try:
                part = decode_ticks(message.payload, share.own.instruments, self._listings)
            except DataError as error:
                self.refused += 1
                log.warning("message refused", partition=message.partition, offset=message.offset, error=str(error))
                continue
            if isinstance(part, JsonTicks):
                share.own.wait_for_all(part.events)
            else:
                share.own.wait(part)
        for share in self.shares:
            self.processed += share.own.compute()
        self._taken += len(messages)

    async def keep(self, at_once: bool = False) -> bool:
        """Bring what is new to whoever asks, and store everything when it is due; False when it was not, and has to be."""
        now = asyncio.get_running_loop().time()
        if at_once or now >= self._beat_at:
            self._beat_at = now + BEAT_S
            await self.beat()
        if not (at_once or now >= self._store_at or self._taken >= MESSAGES_MAX):
            return not self._market.KEEPS_HISTORY or not self.shares.unstored()
        for share in self.shares.unstored():
            state = await asyncio.to_thread(share.own.kept)
            await self.shares.store(share, state, partial(self._store.add, ()))
        self._store_at, self._taken = asyncio.get_running_loop().time() + STORE_S, 0
        return True

    async def beat(self) -> None:
        """Put what is new into the speed layer, in one write; of the closes of a window when one of its parts is over."""
        now = max((share.own.board.now for share in self.shares), default=BEFORE)
        if now == BEFORE:
            return
        tables: dict[str, dict[str, Entry]] = {READINGS: {}}
        for share in self.shares:
            self._note(tables[READINGS], READINGS, *share.own.readings(now), now, share.offset)
        for window in range(1, len(WINDOWS)):
            part = now // (WINDOWS[window] // PARTS)
            if part != self._parts[window]:
                self._parts[window] = part
                name = CLOSES.format(WINDOW_NAMES[window])
                found = tables.setdefault(name, {})
                for share in self.shares:
                    self._note(found, name, *share.own.closes(window, now), now, share.offset)
        try:
            for name, entries in tables.items():
                if entries:
                    await self._speed.put(name, entries)
        except StorageError as error:
            log.warning("the speed layer is away", error=str(error))
        self.beats += 1

    def _note(self, found: dict[str, Entry], table: str, symbols: list[str], rows: Array, now: int, offset: int) -> None:
        for symbol, body in changed(self._told.setdefault(table, {}), symbols, rows).items():
            found[symbol] = Entry(now // MILLISECOND, body, max(offset - 1, 0) if self._market.KEEPS_HISTORY else None)

    async def _begin(self, partition: int) -> tuple[Progress, Tapes]:
        """A partition as the store has it. Whoever takes it up tells everything anew."""
        stored = await asyncio.to_thread(self._store.progress, f"analytics {self._topic}", partition)
        own = Tapes(self._listings, self._calendar)
        if stored.state:
            await asyncio.to_thread(own.restore, stored.state)
        self._told, self._parts = {}, [0] * len(WINDOWS)
        return stored, own

    async def stop(self) -> None:
        """Store what is left."""
        await self.shares.stop(partial(self.keep, at_once=True))

    def progress(self) -> dict[str, int]:
        """The offset stored by partition; how far they are behind; beats so far, and ticks that were computed."""
        return {**self.shares.progress(), "beats": self.beats, "ticks": self.processed}

    @property
    def detail(self) -> str:
        """What it has."""
        symbols = sum(len(share.own.places) for share in self.shares)
        told = f"{symbols:,} symbols, {self.shares.detail}"
        return told + (f", {self.refused:,} messages refused" if self.refused else "")

    @property
    def queue(self) -> int:
        """Messages waiting."""
        return self.shares.depth
