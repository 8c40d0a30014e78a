"""The latest price of every symbol, from the market-data topic: what a venue of paper trades at."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from openbell.adapters.feeds.base import EventArray
from openbell.model import enums
from openbell.services.service import Service
from openbell.services.topic_feed import TopicFeed


class LatestPrices(Service):
    """Prices of trades and candles; where there are only quotes, the middle of them. `on_price` hears of those that orders may meet."""

    name = "prices"

    def __init__(self, feed: TopicFeed, symbols: Sequence[str]) -> None:
        super().__init__()
        self._feed = feed
        self._symbols = tuple(symbols)
        self._traded: set[int] = set()
        self.latest: dict[str, float] = {}
        self.on_price: Callable[[str, float], None] = lambda symbol, price: None

    async def run(self) -> None:
        """Until cancelled. Nothing is missed that matters: a price is old by the next one."""
        async for ticks in self._feed.stream(b""):
            self.take(ticks.events)
            self._feed.settle(ticks.cursor)

    def take(self, events: EventArray) -> None:
        """Note the prices of some events, and tell of the lowest, the highest and the latest of each symbol."""
        for instrument, prices in self._prices(events):
            symbol = self._symbols[instrument]
            latest = float(prices[-1])
            self.latest[symbol] = latest
            for price in dict.fromkeys((float(prices.min()), float(prices.max()), latest)):
                self.on_price(symbol, price)
        self.processed += len(events)

    def _prices(self, events: EventArray) -> list[tuple[int, np.ndarray[Any, Any]]]:
        kinds, instruments = events["kind"], events["instrument"]
        found = []
        for instrument in np.unique(instruments[kinds != enums.TIMER]).tolist():
            own = events[instruments == instrument]
            trades, bars = own[own["kind"] == enums.TRADE]["trade"]["price"], own[own["kind"] == enums.BAR]["bar"]["close"]
            prices = trades if len(trades) else bars
            if len(prices):
                self._traded.add(instrument)
            elif instrument not in self._traded:
                quotes = own[own["kind"] == enums.QUOTE]["quote"]
                prices = (quotes["bid_price"] + quotes["ask_price"]) / 2
            prices = prices[(prices > 0.0) & (prices < 1e15)]
            if len(prices):
                found.append((instrument, prices))
        return found

    @property
    def detail(self) -> str:
        """How many it knows."""
        return f"{len(self.latest)} symbols"
