"""Buying weakness: the relative strength index."""

from typing import Any

from openbell.indicators.rsi import Rsi
from openbell.strategies.strategy import Strategy, param


class RsiReversion(Strategy):
    """Long when the index falls below `oversold`, out when it rises above `overbought`."""

    period = param(14, 2, 200)
    oversold = param(30.0, 1.0, 50.0)
    overbought = param(70.0, 50.0, 99.0)

    def setup(self) -> None:
        """One index."""
        self.index = Rsi(self.period)

    def on_bar(self, bar: Any, broker: Any) -> None:
        """Compare the index at the close with its two levels."""
        value = self.index.update(bar.close)
        held = broker.position(bar.instrument)
        if value < self.oversold and held == 0 and broker.pending(bar.instrument) == 0:
            broker.buy(bar.instrument, broker.all_in(bar))
        elif value > self.overbought and held > 0:
            broker.close(bar.instrument)
