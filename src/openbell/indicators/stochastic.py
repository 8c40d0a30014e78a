"""Stochastic oscillator."""

import math
from typing import Any

from openbell.indicators.donchian import Donchian
from openbell.indicators.indicator import MAGNITUDE_MAX, Indicator, check_length
from openbell.indicators.sma import Sma


class Stochastic(Indicator):
    """Slow stochastic: where the close stands between the lowest low and the highest high, 0 to 100.

    `k` is its simple average over `smooth` bars, `d` the simple average of `k` over `signal` bars. Without any range it is 0.

    >>> stochastic = Stochastic(2, smooth=1, signal=2)
    >>> [float(stochastic.update(*bar)[0]) for bar in ((8.0, 6.0, 7.0), (10.0, 8.0, 9.0))]
    [nan, nan]
    >>> [float(number) for number in stochastic.update(12.0, 10.0, 12.0)]
    [100.0, 87.5]

    Source: TA-Lib `STOCH` with simple averages.
    """

    inputs = ("high", "low", "close")
    outputs = ("k", "d")

    def __new__(cls, length: int = 14, smooth: int = 3, signal: int = 3) -> "Stochastic":
        """A new oscillator; lengths in bars (1 or more)."""
        check_length("Stochastic, smooth", smooth)
        check_length("Stochastic, signal", signal)
        averages = [("smooth", Sma(smooth).dtype), ("signal", Sma(signal).dtype)]
        channel = ("channel", Donchian(check_length("Stochastic", length)).dtype)
        return cls.allocate([channel, *averages, ("count", "i8"), ("ready", "i8")])

    def __init__(self, length: int = 14, smooth: int = 3, signal: int = 3) -> None:
        self.channel = Donchian(length)
        self.smooth = Sma(smooth)
        self.signal = Sma(signal)

    def update(self, high: Any, low: Any, close: Any) -> Any:
        """Take the newest bar; returns (k, d), NaN until length + smooth + signal - 2 bars were seen."""
        if not (abs(high) < MAGNITUDE_MAX and abs(low) < MAGNITUDE_MAX and abs(close) < MAGNITUDE_MAX):
            return math.nan, math.nan
        self.count += 1
        lower, _, upper = self.channel.update(high, low)
        if self.channel.ready == 0:
            return math.nan, math.nan
        span = upper - lower
        k = self.smooth.update(100.0 * (close - lower) / span if span > 0.0 else 0.0)
        if self.smooth.ready == 0:
            return math.nan, math.nan
        d = self.signal.update(k)
        if self.signal.ready == 0:
            return math.nan, math.nan
        self.ready = 1
        return k, d
