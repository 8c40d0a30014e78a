"""Average true range."""

import math
from typing import Any

from openbell.indicators.indicator import MAGNITUDE_MAX, Indicator, check_length


class Atr(Indicator):
    """Average true range: how far a bar moves, counted from the close before it, averaged in Wilder's way.

    It starts with the mean of the first `length` ranges, then each range weighs 1 / length.

    >>> atr = Atr(2)
    >>> [float(atr.update(*bar)) for bar in ((9.0, 7.0, 8.0), (9.0, 8.0, 9.0), (12.0, 10.0, 11.0), (11.0, 9.0, 10.0))]
    [nan, nan, 2.0, 2.0]

    Source: TA-Lib `ATR`; Wilder (1978), New Concepts in Technical Trading Systems.
    """

    inputs = ("high", "low", "close")

    def __new__(cls, length: int = 14) -> "Atr":
        """A new average over `length` ranges (1 or more)."""
        numbers = [(name, "f8") for name in ("share", "value", "close")]
        return cls.allocate([*numbers, ("length", "i8"), ("count", "i8"), ("ready", "i8")])

    def __init__(self, length: int = 14) -> None:
        self.length = check_length("Atr", length)
        self.share = 1.0 / self.length
        self.close = 0.0

    def update(self, high: Any, low: Any, close: Any) -> Any:
        """Take the newest bar; returns the average, NaN until `length` + 1 bars were seen."""
        if not (abs(high) < MAGNITUDE_MAX and abs(low) < MAGNITUDE_MAX and abs(close) < MAGNITUDE_MAX):
            return math.nan
        if self.count > 0:
            weight = self.share if self.count > self.length else 1.0 / self.count
            self.value += weight * (max(high, self.close) - min(low, self.close) - self.value)
        self.close = close
        self.count += 1
        if self.count <= self.length:
            return math.nan
        self.ready = 1
        return self.value
