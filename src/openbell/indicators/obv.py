"""On-balance volume."""

import math
from typing import Any

from openbell.indicators.indicator import MAGNITUDE_MAX, Indicator
from openbell.indicators.rolling_sum import RollingSum


class Obv(Indicator):
    """On-balance volume: the volume of rising closes minus that of falling ones, begun with the first bar's volume.

    >>> obv = Obv()
    >>> [float(obv.update(close, volume)) for close, volume in ((10.0, 5.0), (11.0, 2.0), (9.0, 4.0), (9.0, 8.0))]
    [5.0, 7.0, 3.0, 3.0]

    Source: TA-Lib `OBV`; Granville (1963), New Key to Stock Market Profits.
    """

    inputs = ("close", "volume")

    def __new__(cls) -> "Obv":
        """A new balance; ready with the first bar."""
        total = RollingSum(0).dtype
        return cls.allocate([("total", total), ("close", "f8"), ("count", "i8"), ("ready", "i8")])

    def __init__(self) -> None:
        self.close = 0.0

    def update(self, close: Any, volume: Any) -> Any:
        """Take the newest bar; returns the balance, in units of volume."""
        if not (abs(close) < MAGNITUDE_MAX and abs(volume) < MAGNITUDE_MAX):
            return math.nan
        if self.count == 0 or close > self.close:
            signed = 1.0 * volume
        elif close < self.close:
            signed = -1.0 * volume
        else:
            signed = 0.0
        self.close = close
        self.count += 1
        self.ready = 1
        return self.total.update(signed)
