"""Candles for whoever asks: the closed ones from the store, the open one from the speed layer."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from openbell.adapters.stores.candles_base import CandleStore
from openbell.services.processor.speed_layer import SpeedLayer
from openbell.services.views import Candle

T = TypeVar("T")


class CandleArchive:
    """Reads one store, in a thread of its own. `flush` brings what waits to be written into the store, where this process writes it."""

    def __init__(self, store: CandleStore, speed_layer: SpeedLayer, flush: Callable[[], Awaitable[None]] | None = None) -> None:
        self.store = store
        self.speed_layer = speed_layer
        self._flush = flush
        self._thread = ThreadPoolExecutor(1, "candles")

    async def in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        """Use the store in its thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    async def ask(self, work: Callable[..., T], *arguments: Any) -> T:
        """Use the store in its thread, with everything in it that is known."""
        if self._flush is not None:
            await self._flush()
        return await self.in_thread(work, *arguments)

    async def candles(self, symbol: str, timeframe: str, start: int, end: int, limit: int) -> list[Candle]:
        """The newest `limit` candles that start in the range (ms) and not after the session's time, oldest first, the open one included."""
        end = min(end, self.speed_layer.now + 1)
        found = [Candle(*row, True) for row in await self.ask(self.store.read, symbol, timeframe, start, end, limit)]
        newest = self.speed_layer.open.get((symbol, timeframe))
        if newest is not None and start <= newest.ts < end and (not found or found[-1].ts < newest.ts):
            found.append(newest)
        return found[-limit:]

    def close(self) -> None:
        """Let go of the store."""
        self._thread.shutdown()
        self.store.close()
