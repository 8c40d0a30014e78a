"""The market processor: ticks of the market-data topic into candles and latest prices, shared with others by partition.

    topic -> candles (one kernel a symbol) -> topic of candles, store -> acknowledged
          -> latest prices and open candles -> speed layer, displays

What closes is published first, then written together with how far the partition has been taken, and only then acknowledged. So after a
crash, or when a partition moves, nothing is missing and nothing is doubled: the store is asked where it stands, and what comes again from
before that is passed over. Who has lost a partition without noticing finds that the store has moved on, and lets go.
"""

import asyncio
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import structlog

from openbell.adapters.buses.base import Bus, LogSubscription, Message
from openbell.adapters.messages.market import encode_candles
from openbell.adapters.messages.ticks import Part, decode_ticks
from openbell.adapters.stores.candles_base import CandleStore, Row
from openbell.adapters.stores.progress import Progress
from openbell.adapters.stores.speed_layer import Price, SpeedStore
from openbell.errors import DataError, FencedError, JournalError, StorageError
from openbell.model.jit import join
from openbell.services.candle_maker import CandleMaker, Kept
from openbell.services.intake import EventArray
from openbell.services.names import Names
from openbell.services.paced import Paced
from openbell.services.service import Service
from openbell.services.speed_layer import SpeedLayer

#: Messages looked at before their effect is stored, at most, and how long (seconds) it may wait for more.
MESSAGES_MAX = 512
STORE_EVERY_S = 0.2
#: How often (seconds) the server is asked how far the topic goes.
LOOK_EVERY_S = 0.5

log = structlog.get_logger("market")


@dataclass(slots=True)
class Share:
    """One partition while it is this process's: its makers by symbol, and what was taken since it was stored."""

    stored: Progress
    offset: int
    times_given: int
    makers: dict[str, CandleMaker] = field(default_factory=dict)
    closed: list[EventArray] = field(default_factory=list)


class MarketService(Service):
    """Processes the partitions of `topic` that the group gives it."""

    name = "processor"

    def __init__(self, market: Bus, topic: str, candles_topic: str, names: Names, store: CandleStore, speed: SpeedStore) -> None:
        super().__init__()
        self.layer = SpeedLayer(names)
        self.refused = 0
        self.fenced = 0
        self._market = market
        self._topic = topic
        self._candles_topic = candles_topic
        self._names = names
        self._store = store
        self._speed = speed
        self._shares: dict[int, Share] = {}
        self._subscription: Any = None
        self._behind = -1
        self._looks = 0

    async def run(self) -> None:
        """Until cancelled."""
        subscription: Any = self._market.subscribe(self._topic, "processor")
        self._subscription = subscription
        paced = Paced(subscription, STORE_EVERY_S, MESSAGES_MAX)
        looking = asyncio.create_task(self._look_ahead())
        try:
            await subscription.ready()
            while (messages := await paced.take()) is not None:
                await self._take(subscription, messages)
                if not messages:
                    await self._keep()
                    paced.ack()
                if looking.done():
                    looking.result()
        finally:
            looking.cancel()
            paced.stop()
            subscription.close()

    async def _take(self, subscription: LogSubscription, messages: Sequence[Message]) -> None:
        """Take messages into candles and latest prices."""
        ticks: list[EventArray] = []
        positions: dict[str, int] = {}
        for message in messages:
            share = await self._share(message.partition, subscription)
            if 0 <= message.offset < share.offset:
                continue
            share.offset = (message.offset if message.offset >= 0 else share.offset) + 1  # without offsets it counts
            try:
                part = decode_ticks(message.payload, self._names.instruments, self._names.plan.listings)
            except DataError as error:
                self.refused += 1
                log.warning("message refused", partition=message.partition, offset=message.offset, error=str(error))
                continue
            made = [events for events in self._make(share, part) if len(events)]
            positions |= {self._names.symbols[int(events["instrument"][0])]: message.offset for events in made if message.offset >= 0}
            ticks += made
        if ticks:
            events = ticks[0] if len(ticks) == 1 else join(ticks)
            self.processed += len(events)
            symbols, candles = self.layer.take(events)
            prices = {symbol: self.layer.prices[symbol] for symbol in symbols}
            await self._speed.update(prices | await self._kept(positions.keys() - prices.keys()), candles, positions=positions)

    async def _kept(self, symbols: Set[str]) -> dict[str, Price]:
        """The prices that an earlier process left of symbols whose ticks since then were of no use: they are the latest still."""
        if not symbols:
            return {}
        try:
            return await self._speed.get_prices(symbols)
        except StorageError as error:
            log.warning("earlier prices cannot be read", symbols=len(symbols), error=str(error))
            return {}

    def _make(self, share: Share, part: Any) -> list[EventArray]:
        """Take one message into candles; returns its ticks that are new."""
        if isinstance(part, Part) and not part.symbol:
            for maker in share.makers.values():
                share.closed.append(maker.take(maker.fresh(part)))
            return []
        found = []
        for symbol, events in [(part.symbol, part.events)] if isinstance(part, Part) else _by_symbol(part.events, self._names):
            if not symbol or symbol not in self._names.instruments:
                continue
            maker = self._maker(share, symbol)
            events = maker.fresh(part) if isinstance(part, Part) else events
            if len(events):
                share.closed.append(maker.take(events))
                found.append(events)
        return found

    def _maker(self, share: Share, symbol: str) -> CandleMaker:
        if symbol not in share.makers:
            instrument = self._names.instruments[symbol]
            share.makers[symbol] = CandleMaker(self._names.plan.listings[instrument], instrument, tuple(self._names.timeframes))
        return share.makers[symbol]

    async def _share(self, partition: int, subscription: LogSubscription) -> Share:
        """The share of a partition, as the store has it when it is new, or was away."""
        times = subscription.held.get((self._topic, partition), 0) if self._market.KEEPS_HISTORY else 0
        share = self._shares.get(partition)
        if share is None or share.times_given != times:
            stored = await asyncio.to_thread(self._store.progress, f"processor {self._topic}", partition)
            share = self._shares[partition] = Share(stored, stored.position, times)
            for symbol, kept in (msgspec.msgpack.decode(stored.state, type=dict[str, Kept]) if stored.state else {}).items():
                if symbol not in self._names.instruments:
                    continue
                try:
                    self._maker(share, symbol).restore(kept)
                except JournalError as error:
                    log.warning("open candles begin anew", symbol=symbol, error=str(error))
                    del share.makers[symbol]
                    continue
                self.layer.begin(symbol, [self._names.open_candle(bar) for bar in share.makers[symbol].open_bars()])
        return share

    async def _keep(self) -> None:
        """Publish what closed, then store it with how far each partition has been taken."""
        for share in self._shares.values():
            for bars in share.closed:
                if len(bars):
                    listing = self._names.plan.listings[int(bars["instrument"][0])]
                    await self._market.send(self._candles_topic, encode_candles(listing.symbol, listing.lot_size, bars), listing.symbol)
        await self._market.flush()
        for partition, share in list(self._shares.items()):
            if share.offset == share.stored.position:
                continue
            rows = [self._row(bar) for bars in share.closed for bar in bars["bar"]]
            state = msgspec.msgpack.encode({symbol: maker.kept() for symbol, maker in share.makers.items()})
            advance = share.stored.advance(share.offset, state=state)
            try:
                await asyncio.to_thread(self._store.add, rows, advance)
            except FencedError as error:
                self.fenced += 1
                log.warning("partition was taken over", partition=partition, error=str(error))
                del self._shares[partition]
                continue
            share.stored, share.closed = advance.after, []

    async def _look_ahead(self) -> None:
        """See now and then how much there is in our partitions that is not stored yet. Nothing waits for this."""
        market: Any = self._market
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            behind = self._subscription.depth
            if self._market.KEEPS_HISTORY:
                ends: dict[int, int] = await market.ends(self._topic)
                held = [partition for topic, partition in self._subscription.held if topic == self._topic]
                stored = {partition: share.stored.position for partition, share in self._shares.items()}
                behind = sum(max(ends.get(partition, 0) - stored.get(partition, 0), 0) for partition in held)
            self._behind, self._looks = behind, self._looks + 1

    def _row(self, bar: Any) -> Row:
        c = self._names.candle(bar)
        return c.symbol, c.timeframe, c.ts, c.open, c.high, c.low, c.close, c.volume, c.vwap, c.trades

    async def stop(self) -> None:
        """Store what is left."""
        if self._shares:
            await self._keep()
            self._subscription.ack()

    def progress(self) -> dict[str, int]:
        """The offset stored by partition; how many messages there were behind them (-1: not known) when it was looked, and how often."""
        stored = {f"partition {number}": share.stored.position for number, share in sorted(self._shares.items())}
        return {**stored, "behind": self._behind, "looks": self._looks}

    @property
    def detail(self) -> str:
        """What it has."""
        told = f"{len(self.layer.prices)} symbols, partitions {', '.join(map(str, sorted(self._shares))) or 'none yet'}"
        return told + (f", {self.refused:,} messages refused" if self.refused else "")

    @property
    def queue(self) -> int:
        """Messages waiting."""
        return self._subscription.depth if self._subscription is not None else 0


def _by_symbol(events: EventArray, names: Names) -> list[tuple[str, EventArray]]:
    """Events that have no place in a source's order, by symbol."""
    instruments = np.unique(events["instrument"])
    if len(instruments) == 1:
        return [(names.symbols[int(instruments[0])], events)]
    plain = events.view(f"V{events.dtype.itemsize}")
    return [(names.symbols[int(index)], plain[events["instrument"] == index].view(events.dtype)) for index in instruments]
