"""Bollinger bands."""

import math
from typing import Any

from openbell.indicators.indicator import Indicator, check_factor, check_length
from openbell.indicators.standard_deviation import StandardDeviation


class Bollinger(Indicator):
    """The mean of the last `length` values, and a band `width` population standard deviations to each side of it.

    >>> bands = Bollinger(4, width=2.0)
    >>> [float(bands.update(value)[1]) for value in (1.0, 1.0, 3.0)]
    [nan, nan, nan]
    >>> lower, middle, upper = bands.update(3.0)
    >>> float(lower), float(middle), float(upper)
    (0.0, 2.0, 4.0)

    Source: TA-Lib `BBANDS` with a simple average; Bollinger (2001), Bollinger on Bollinger Bands.
    """

    outputs = ("lower", "middle", "upper")

    def __new__(cls, length: int = 20, width: float = 2.0) -> "Bollinger":
        """New bands over `length` values (1 or more)."""
        deviation = StandardDeviation(check_length("Bollinger", length)).dtype
        return cls.allocate([("width", "f8"), ("count", "i8"), ("ready", "i8"), ("deviation", deviation)])

    def __init__(self, length: int = 20, width: float = 2.0) -> None:
        self.width = check_factor("Bollinger: width", width)
        self.deviation = StandardDeviation(length)

    def update(self, value: Any) -> Any:
        """Take the newest value; returns (lower, middle, upper), NaN until `length` values were seen."""
        reach = self.width * self.deviation.update(value)
        self.count = self.deviation.count
        self.ready = self.deviation.ready
        # A value that was ignored, or one before the window is full, makes `reach` NaN and with it all three.
        middle = self.deviation.mean if reach >= 0.0 else math.nan
        return middle - reach, middle, middle + reach
