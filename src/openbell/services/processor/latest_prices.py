"""The latest price of every symbol, from the market-data topic: what a venue of paper trades at."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import structlog

from openbell.adapters.buses.base import Bus
from openbell.adapters.feeds.base import EventArray
from openbell.adapters.messages.ticks import decode_ticks
from openbell.errors import DataError
from openbell.model import enums
from openbell.model.plan import Listing
from openbell.services.service import Service

#: Messages that are looked at together.
MESSAGES_MAX = 256

log = structlog.get_logger("prices")


class LatestPrices(Service):
    """Prices of trades and candles; where there are only quotes, the middle of them. `on_price` hears of those that orders may meet.

    It follows from now on, in the order of each symbol; what was before does not matter for a price.
    """

    name = "prices"

    def __init__(self, market: Bus, topic: str, listings: Sequence[Listing]) -> None:
        super().__init__()
        self._market = market
        self._topic = topic
        self._listings = tuple(listings)
        self._symbols = tuple(listing.symbol for listing in listings)
        self._instruments = {symbol: index for index, symbol in enumerate(self._symbols)}
        self._traded: set[int] = set()
        self.latest: dict[str, float] = {}
        self.on_price: Callable[[str, float], None] = lambda symbol, price: None

    async def run(self) -> None:
        """Until cancelled."""
        subscription = self._market.subscribe(self._topic)
        try:
            while messages := await subscription.take(MESSAGES_MAX):
                for message in messages:
                    try:
                        self.take(decode_ticks(message.payload, self._instruments, self._listings).events)
                    except DataError as error:
                        log.warning("message refused", partition=message.partition, offset=message.offset, error=str(error))
        finally:
            subscription.close()

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
