"""The processor service: ticks into the speed layer, closed candles into the store, both onto the bus for whoever watches."""

import asyncio
from typing import Any

from openbell.adapters.buses.base import Bus
from openbell.adapters.feeds.base import EventArray
from openbell.adapters.stores.candles_base import CandleStore
from openbell.model import enums
from openbell.services.names import Names
from openbell.services.processor.archive import CandleArchive
from openbell.services.processor.speed_layer import SpeedLayer
from openbell.services.service import Service
from openbell.services.topics.names import COMMANDS, OPEN_CANDLES, PRICES, TICKS, VIEWS
from openbell.services.trader.intake import concatenated
from openbell.services.trader.service import Decided
from openbell.services.views import Candle

#: How long closed candles may wait to be written together, in seconds, and how many.
WRITE_AFTER_S = 0.25
WAITING_MAX = 2_000


class ProcessorService(Service):
    """Keeps the speed layer and the store of candles. The store is used in a thread of its own."""

    name = "processor"
    reads = (COMMANDS, TICKS)

    def __init__(self, bus: Bus, names: Names, store: CandleStore, run: str) -> None:
        super().__init__()
        self.speed_layer = SpeedLayer(names)
        self.archive = CandleArchive(store, self.speed_layer, self.flush)
        self._bus = bus
        self._names = names
        self._inbox = bus.subscribe((COMMANDS, TICKS))
        self._waiting: list[Candle] = []
        self._progress = store.progress(run)
        self._covered = self._progress.position
        self._is_new_run = self._covered == 0
        self._writing: asyncio.Task[None] | None = None

    def catch_up(self, first: int, commands: Any) -> None:
        """Take commands from the journal that the store had not heard of, before the service runs."""
        self._waiting += self._candles(first, commands)
        if len(self._waiting) >= WAITING_MAX:
            self._write(*self._taken())

    async def start(self) -> None:
        """Write what the journal had in addition."""
        await self.flush()

    async def run(self) -> None:
        """Until ticks and commands are closed and drained."""
        while messages := await self._inbox.take():
            ticks = [message.payload.events for message in messages if message.topic == TICKS]
            if ticks:
                self._take(concatenated(ticks))
            for message in messages:
                if message.topic == COMMANDS:
                    await self._close(message.payload)
            if self._waiting and (self._writing is None or self._writing.done()):
                self._writing = asyncio.create_task(self._write_soon())
            if len(self._waiting) >= WAITING_MAX:
                await self.flush()
            if self._writing is not None and self._writing.done():
                self._writing.result()

    def _take(self, events: EventArray) -> None:
        self.processed += len(events)
        symbols, candles = self.speed_layer.take(events)
        if self._bus.has_subscribers(PRICES):
            for symbol in symbols:
                self._bus.publish(PRICES, self.speed_layer.prices[symbol], symbol)
            for candle in candles:
                self._bus.publish(OPEN_CANDLES, candle, f"{candle.symbol} {candle.timeframe}")

    async def _close(self, decided: Decided) -> None:
        closed = self._candles(decided.first, decided.commands)
        self._waiting += closed
        if self._bus.has_subscribers(VIEWS):
            for candle in closed:
                await self._bus.send(VIEWS, ("candles", candle), "candles")

    def _candles(self, first: int, commands: Any) -> list[Candle]:
        """The candles among commands that were not covered yet."""
        fresh = commands[max(self._covered - first, 0) :]
        self._covered = max(self._covered, first + len(commands))
        return [self._names.candle(bar) for bar in fresh["bar"][fresh["kind"] == enums.CANDLE]]

    # The store.

    async def flush(self) -> None:
        """Write the candles that wait."""
        await self.archive.in_thread(self._write, *self._taken())

    async def _write_soon(self) -> None:
        await asyncio.sleep(WRITE_AFTER_S)
        await self.flush()

    def _taken(self) -> tuple[list[Candle], int]:
        waiting, self._waiting = self._waiting, []
        return waiting, self._covered

    def _write(self, candles: list[Candle], covered: int) -> None:
        if not candles:
            return
        if self._is_new_run:
            self.archive.store.forget(self._names.symbols, min(candle.ts for candle in candles))
            self._is_new_run = False
        advance = self._progress.advance(covered)
        self.archive.store.add(
            [(c.symbol, c.timeframe, c.ts, c.open, c.high, c.low, c.close, c.volume, c.vwap, c.trades) for c in candles], advance
        )
        self._progress = advance.after

    async def stop(self) -> None:
        """Write what waits and close the store."""
        if self._writing is not None:
            self._writing.cancel()
        await self.flush()
        self.archive.close()

    @property
    def detail(self) -> str:
        """What it keeps."""
        return f"{len(self.speed_layer.prices)} symbols, {len(self._names.timeframes)} timeframes"

    @property
    def queue(self) -> int:
        """Messages waiting."""
        return self._inbox.depth
