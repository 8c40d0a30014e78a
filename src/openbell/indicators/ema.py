"""Exponential moving average."""

import math
from typing import Any

from openbell.indicators.indicator import MAGNITUDE_MAX, Indicator, check_length


class Ema(Indicator):
    """Exponential moving average with smoothing 2 / (length + 1), started with the mean of the first `length` values.

    >>> ema = Ema(3)
    >>> [float(ema.update(value)) for value in (1.0, 2.0, 6.0, 5.0)]
    [nan, nan, 3.0, 4.0]

    Source: TA-Lib `EMA` (ta_EMA.c), whose default start is the simple average of the first period.
    """

    def __new__(cls, length: int) -> "Ema":
        """A new average over `length` values (1 or more)."""
        return cls.allocate([("alpha", "f8"), ("value", "f8"), ("length", "i8"), ("count", "i8"), ("ready", "i8")])

    def __init__(self, length: int) -> None:
        self.length = check_length("Ema", length)
        self.alpha = 2.0 / (self.length + 1.0)

    def update(self, value: Any) -> Any:
        """Take the newest value; returns the average, NaN until `length` values were seen."""
        if not abs(value) < MAGNITUDE_MAX:
            return math.nan
        self.count += 1
        if self.count > self.length:
            weight = self.alpha
        else:
            weight = 1.0 / self.count
        self.value += weight * (value - self.value)
        if self.count < self.length:
            return math.nan
        self.ready = 1
        return self.value
