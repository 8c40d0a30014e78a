"""Buying below the lower Bollinger band."""

from typing import Any

from openbell.indicators.bollinger import Bollinger
from openbell.strategies.strategy import Strategy, param


class BollingerReversion(Strategy):
    """Long when a close falls below the lower band, out when one rises above the middle."""

    period = param(20, 2, 500)
    deviations = param(2.0, 0.1, 6.0)

    def setup(self) -> None:
        """One pair of bands."""
        self.bands = Bollinger(self.period, self.deviations)

    def on_bar(self, bar: Any, broker: Any) -> None:
        """Compare the close with the bands."""
        lower, middle, _upper = self.bands.update(bar.close)
        held = broker.position(bar.instrument)
        if bar.close < lower and held == 0 and broker.pending(bar.instrument) == 0:
            broker.buy(bar.instrument, broker.all_in(bar))
        elif bar.close > middle and held > 0:
            broker.close(bar.instrument)
