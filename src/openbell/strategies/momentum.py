"""A portfolio: hold the strongest instruments, equally weighted."""

from typing import Any

import numpy as np

from openbell.indicators.rate_of_change import RateOfChange
from openbell.strategies.strategy import Strategy, param


class Momentum(Strategy):
    """Every `every` slices, hold the `top` instruments with the largest rise over `lookback` bars, each at the same weight.

    What has left the list is sold first; purchases use the cash that is there, so the proceeds of a sale are invested at the next slice.
    """

    lookback = param(60, 1, 1000)
    top = param(5, 1, 500)
    every = param(21, 1, 1000)

    def setup(self) -> None:
        """One rate of change and one score for each instrument."""
        self.rise = [RateOfChange(self.lookback) for _ in range(self.instruments)]
        self.score = np.full(self.instruments, np.nan)
        self.held = np.zeros(self.instruments, np.int64)
        self.slices = 0

    def on_slice(self, bars: Any, broker: Any) -> None:
        """Rank at each rebalance; between them, invest what has become free."""
        for index in range(bars.count):
            if bars.has(index):
                self.score[index] = self.rise[index].update(bars.bar(index).close)
        if self.slices % self.every == 0:
            self.choose(bars)
            for index in range(bars.count):
                if bars.has(index) and self.held[index] == 0:
                    broker.close(bars.bar(index).instrument)
        self.slices += 1
        weight = 1.0 / self.top
        for index in range(bars.count):
            if bars.has(index) and self.held[index] == 1:
                instrument = bars.bar(index).instrument
                missing = weight * broker.worth - broker.position(instrument) * broker.price(instrument)
                if broker.pending(instrument) == 0 and missing > 0.1 * weight * broker.worth and missing < broker.cash:
                    broker.buy(instrument, broker.notional(0.99 * missing))

    def choose(self, bars: Any) -> None:
        """Mark the `top` highest scores; an instrument without a score is not chosen."""
        self.held[:] = 0
        for _ in range(self.top):
            best = -1
            for index in range(bars.count):
                if self.held[index] == 0 and self.score[index] > 0.0 and (best < 0 or self.score[index] > self.score[best]):
                    best = index
            if best >= 0:
                self.held[best] = 1
