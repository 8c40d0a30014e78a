"""Rate of change."""

import math
from typing import Any

from openbell.indicators.indicator import MAGNITUDE_MAX, Indicator, capacity, check_length


class RateOfChange(Indicator):
    """Change over the last `length` values in percent of the value then; 0 where that value was 0.

    >>> change = RateOfChange(2)
    >>> [float(change.update(value)) for value in (10.0, 11.0, 15.0, 5.5)]
    [nan, nan, 50.0, -50.0]

    Source: TA-Lib `ROC`.
    """

    def __new__(cls, length: int = 10) -> "RateOfChange":
        """A new rate over `length` changes (1 or more)."""
        whole = [(name, "i8") for name in ("length", "newest", "count", "ready")]
        window = ("window", "f8", (capacity(check_length("RateOfChange", length)),))
        return cls.allocate([*whole, window])

    def __init__(self, length: int = 10) -> None:
        self.length = length
        self.newest = 0

    def update(self, value: Any) -> Any:
        """Take the newest value; returns the change in percent, NaN until `length` + 1 values were seen."""
        if not abs(value) < MAGNITUDE_MAX:
            return math.nan
        mask = len(self.window) - 1
        self.newest = (self.newest + 1) & mask
        before = self.window[(self.newest - self.length) & mask]
        self.window[self.newest] = value
        self.count += 1
        if self.count <= self.length:
            return math.nan
        self.ready = 1
        return (value / before - 1.0) * 100.0 if before != 0.0 else 0.0
