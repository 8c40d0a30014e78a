"""The market processor: ticks of the market-data topic into candles and latest prices, shared with others by partition.

    topic -> candles (one kernel a symbol) -> topic of candles, store -> acknowledged
          -> latest prices and open candles -> speed layer, displays

What closes is published first, then written together with how far the partition has been taken, and only then acknowledged: see
`openbell.services.topics.shares`.
"""

import asyncio
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec
import structlog

from openbell.adapters.buses.base import Bus, Message
from openbell.adapters.messages.market import encode_candles
from openbell.adapters.messages.ticks import Part, decode_ticks
from openbell.adapters.stores.candles_base import CandleStore, Row
from openbell.adapters.stores.progress import Progress
from openbell.adapters.stores.speed_layer import Price, SpeedStore
from openbell.errors import DataError, JournalError, StorageError
from openbell.model.jit import join
from openbell.services.names import Names
from openbell.services.processor.candle_maker import CandleMaker, Kept
from openbell.services.processor.speed_layer import SpeedLayer
from openbell.services.service import Service
from openbell.services.topics.shares import Shares
from openbell.services.trader.intake import EventArray, by_symbol

log = structlog.get_logger("market")


@dataclass(slots=True)
class Made:
    """Of one partition: its makers by symbol, and what closed since it was stored."""

    makers: dict[str, CandleMaker] = field(default_factory=dict)
    closed: list[EventArray] = field(default_factory=list)


class MarketService(Service):
    """Processes the partitions of `topic` that the group gives it."""

    name = "processor"

    def __init__(self, market: Bus, topic: str, candles_topic: str, names: Names, store: CandleStore, speed: SpeedStore) -> None:
        super().__init__()
        self.layer = SpeedLayer(names)
        self.refused = 0
        self._market = market
        self._topic = topic
        self._candles_topic = candles_topic
        self._names = names
        self._store = store
        self._speed = speed
        self._shares = Shares(market, topic, "processor", self._begin)

    async def run(self) -> None:
        """Until cancelled."""
        await self._shares.run(self._take, self._keep)

    async def _take(self, messages: Sequence[Message]) -> None:
        """Take messages into candles and latest prices."""
        ticks: list[EventArray] = []
        positions: dict[str, int] = {}
        async for share, message in self._shares.fresh(messages):
            try:
                part = decode_ticks(message.payload, self._names.instruments, self._names.plan.listings)
            except DataError as error:
                self.refused += 1
                log.warning("message refused", partition=message.partition, offset=message.offset, error=str(error))
                continue
            made = [events for events in self._make(share.own, part) if len(events)]
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

    def _make(self, own: Made, part: Any) -> list[EventArray]:
        """Take one message into candles; returns its ticks that are new."""
        if isinstance(part, Part) and not part.symbol:
            for maker in own.makers.values():  # the message comes once for every symbol of the partition
                events = maker.fresh(part)
                if len(events):
                    own.closed.append(maker.take(events))
            return []
        found = []
        for symbol, events in [(part.symbol, part.events)] if isinstance(part, Part) else by_symbol(part.events, self._names.symbols):
            if not symbol or symbol not in self._names.instruments:
                continue
            maker = self._maker(own, symbol)
            events = maker.fresh(part) if isinstance(part, Part) else events
            if len(events):
                own.closed.append(maker.take(events))
                found.append(events)
        return found

    def _maker(self, own: Made, symbol: str) -> CandleMaker:
        if symbol not in own.makers:
            instrument = self._names.instruments[symbol]
            own.makers[symbol] = CandleMaker(self._names.plan.listings[instrument], instrument, tuple(self._names.timeframes))
        return own.makers[symbol]

    async def _begin(self, partition: int) -> tuple[Progress, Made]:
        """A partition as the store has it."""
        own = Made()
        stored = await asyncio.to_thread(self._store.progress, f"processor {self._topic}", partition)
        for symbol, kept in (msgspec.msgpack.decode(stored.state, type=dict[str, Kept]) if stored.state else {}).items():
            if symbol not in self._names.instruments:
                continue
            try:
                self._maker(own, symbol).restore(kept)
            except JournalError as error:
                log.warning("open candles begin anew", symbol=symbol, error=str(error))
                del own.makers[symbol]
                continue
            self.layer.begin(symbol, [self._names.open_candle(bar) for bar in own.makers[symbol].open_bars()])
        return stored, own

    async def _keep(self) -> None:
        """Publish what closed, then store it with how far each partition has been taken."""
        for share in self._shares:
            for bars in share.own.closed:
                if len(bars):
                    listing = self._names.plan.listings[int(bars["instrument"][0])]
                    await self._market.send(self._candles_topic, encode_candles(listing.symbol, listing.lot_size, bars), listing.symbol)
        await self._market.flush()
        for share in self._shares.unstored():
            own = share.own
            rows = [self._row(bar) for bars in own.closed for bar in bars["bar"]]
            state = msgspec.msgpack.encode({symbol: maker.kept() for symbol, maker in own.makers.items()})
            if await self._shares.store(share, state, partial(self._store.add, rows)):
                own.closed = []

    def _row(self, bar: Any) -> Row:
        c = self._names.candle(bar)
        return c.symbol, c.timeframe, c.ts, c.open, c.high, c.low, c.close, c.volume, c.vwap, c.trades

    async def stop(self) -> None:
        """Store what is left."""
        await self._shares.stop(self._keep)

    def progress(self) -> dict[str, int]:
        """The offset stored by partition; how many messages there were behind them (-1: not known) when it was looked, and how often."""
        return self._shares.progress()

    @property
    def detail(self) -> str:
        """What it has."""
        told = f"{len(self.layer.prices)} symbols, {self._shares.detail}"
        return told + (f", {self.refused:,} messages refused" if self.refused else "")

    @property
    def queue(self) -> int:
        """Messages waiting."""
        return self._shares.depth
