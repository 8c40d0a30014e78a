"""The speed layer in memory: the latest price and quote of every symbol, and the candle that is open in every timeframe.

Whole arrays of ticks come in, so that most of the cost is by array and symbol, not by tick. It is for display: the candles that count are
closed by the kernel and come back as commands.
"""

from typing import Any

import numpy as np

from openbell.adapters.feeds.base import EventArray
from openbell.adapters.stores.speed_layer import MemorySpeedLayer
from openbell.model import enums
from openbell.model.time import MILLISECOND, parse_timeframe
from openbell.services.names import Names
from openbell.services.trader.intake import by_instrument
from openbell.services.views import Candle, Price

Column = np.ndarray[Any, Any]


class SpeedLayer(MemorySpeedLayer):
    """Latest prices and open candles of one plan's instruments."""

    def __init__(self, names: Names) -> None:
        super().__init__()
        self.now = 0  # ms, the session's time
        self._names = names
        self._timeframes = [(text, parse_timeframe(text)) for text in names.timeframes]

    def last_price(self, symbol: str) -> float | None:
        """The price of the latest trade, or the middle of the quote before the first one."""
        price = self.prices.get(symbol)
        return None if price is None else price.price

    def take(self, events: EventArray) -> tuple[list[str], list[Candle]]:
        """Take ticks in order of time; returns the symbols that had some and have a price, and the open candles that changed.

        What the kernel refuses (a price that is none, a quantity below 0) changes nothing here either.
        """
        changed, candles = [], []
        self.now = max(self.now, int(events["ts_available"].max()) // MILLISECOND)
        for instrument, own in by_instrument(events):
            if not 0 <= instrument < len(self._names.symbols):
                continue
            kinds = own["kind"]
            quotes, trades = np.flatnonzero(kinds == enums.QUOTE), np.flatnonzero(kinds == enums.TRADE)
            if not len(quotes) and not len(trades):
                continue
            prices, lots = own["trade"]["price"][trades], own["trade"]["quantity"][trades]
            good = np.isfinite(prices) & (prices > 0.0) & (lots >= 0)
            symbol = self._names.symbols[instrument]
            if len(quotes):
                self._quote(symbol, own[quotes[-1]])
            if good.any():
                trades = trades[good]
                self._trade(symbol, instrument, own[trades[-1]])
                candles += self._candles(symbol, instrument, own["ts_event"][trades], prices[good], lots[good])
            if symbol in self.prices:
                changed.append(symbol)
        return changed, candles

    def begin(self, symbol: str, candles: list[Candle]) -> None:
        """Go on with the candles that are open."""
        for candle in candles:
            self.open[symbol, candle.timeframe] = candle

    def restore(self, symbol: str, price: Price, candles: list[Candle]) -> None:
        """Start from what the kernel knows after a restart."""
        self.prices[symbol] = price
        self.now = max(self.now, price.ts)
        self.begin(symbol, candles)

    def _quote(self, symbol: str, event: Any) -> None:
        bid, ask, ts = float(event["quote"]["bid_price"]), float(event["quote"]["ask_price"]), int(event["ts_event"]) // MILLISECOND
        if not 0.0 < bid <= ask:
            return
        price = self.prices.get(symbol)
        if price is None:
            self.prices[symbol] = Price((bid + ask) / 2.0, bid, ask, None, ts)
        else:
            price.bid, price.ask, price.ts = bid, ask, ts
            if price.quantity is None:  # there was no trade yet
                price.price = (bid + ask) / 2.0

    def _trade(self, symbol: str, instrument: int, event: Any) -> None:
        value, ts = float(event["trade"]["price"]), int(event["ts_event"]) // MILLISECOND
        quantity = self._names.units(instrument, int(event["trade"]["quantity"]))
        price = self.prices.get(symbol)
        if price is None:
            self.prices[symbol] = Price(value, None, None, quantity, ts)
        else:
            price.price, price.quantity, price.ts = value, quantity, max(ts, price.ts)

    def _candles(self, symbol: str, instrument: int, times: Column, prices: Column, lots: Column) -> list[Candle]:
        """Put trades (in order of time) into the open candle of each timeframe."""
        found = []
        for text, timeframe in self._timeframes:
            start = int(times[-1]) // timeframe * timeframe
            rows = slice(int(np.searchsorted(times, start)), None)
            values, volume = prices[rows], self._names.units(instrument, int(lots[rows].sum()))
            candle = self.open.get((symbol, text))
            if candle is None or candle.ts != start // MILLISECOND:
                first = float(values[0])
                candle = Candle(symbol, text, start // MILLISECOND, first, first, first, first, 0.0, None, 0, False)
                self.open[symbol, text] = candle
            candle.high, candle.low = max(candle.high, float(values.max())), min(candle.low, float(values.min()))
            candle.close, candle.trades = float(values[-1]), candle.trades + len(values)
            traded = (candle.vwap or 0.0) * candle.volume + float((values * lots[rows]).sum()) * self._names.lot_sizes[instrument]
            candle.volume = round(candle.volume + volume, 10)
            candle.vwap = traded / candle.volume if candle.volume else None
            found.append(candle)
        return found
