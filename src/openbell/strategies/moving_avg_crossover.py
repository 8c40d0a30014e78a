"""Moving-average crossover."""

from typing import Any

from openbell.indicators.sma import Sma
from openbell.strategies.strategy import Strategy, param


class MovingAverageCrossover(Strategy):
    """Long with everything while the short average is above the long one, out while it is below."""

    short_period = param(20, 2, 500)
    long_period = param(50, 3, 2000)

    def setup(self) -> None:
        """Two averages."""
        self.short_average = Sma(self.short_period)
        self.long_average = Sma(self.long_period)

    def on_bar(self, bar: Any, broker: Any) -> None:
        """Compare the averages at the close."""
        short = self.short_average.update(bar.close)
        long = self.long_average.update(bar.close)
        if short > long and broker.position(bar.instrument) == 0:
            broker.buy(bar.instrument, broker.all_in(bar))
        elif short < long and broker.position(bar.instrument) > 0:
            broker.close(bar.instrument)
