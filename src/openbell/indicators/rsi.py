"""Relative strength index."""

import math
from typing import Any

from openbell.indicators.indicator import MAGNITUDE_MAX, Indicator, check_length

#: Averages that have faded below this are no movement: near the lower end of float64 they lose their digits.
NO_MOVEMENT = 1e-290


class Rsi(Indicator):
    """Relative strength index: the part of the movement that went up, 0 to 100, averaged in Wilder's way.

    The average of gains and that of losses start with the mean of the first `length` changes, then each change weighs
    1 / length. Without any movement the index is 0.

    >>> rsi = Rsi(2)
    >>> [float(rsi.update(value)) for value in (1.0, 2.0, 1.0, 4.0)]
    [nan, nan, 50.0, 87.5]

    Source: TA-Lib `RSI`; Wilder (1978), New Concepts in Technical Trading Systems.
    """

    def __new__(cls, length: int = 14) -> "Rsi":
        """A new index over `length` changes (1 or more)."""
        numbers = [(name, "f8") for name in ("share", "previous", "gain", "loss")]
        return cls.allocate([*numbers, ("length", "i8"), ("count", "i8"), ("ready", "i8")])

    def __init__(self, length: int = 14) -> None:
        self.length = check_length("Rsi", length)
        self.share = 1.0 / self.length
        self.previous = 0.0

    def update(self, value: Any) -> Any:
        """Take the newest value; returns the index, NaN until `length` + 1 values were seen."""
        if not abs(value) < MAGNITUDE_MAX:
            return math.nan
        change = value - self.previous if self.count > 0 else 0.0
        self.previous = value
        weight = self.share if self.count > self.length else 1.0 / max(self.count, 1)
        self.count += 1
        self.gain += weight * ((change if change > 0.0 else 0.0) - self.gain)
        self.loss += weight * ((-change if change < 0.0 else 0.0) - self.loss)
        if self.count <= self.length:
            return math.nan
        self.ready = 1
        movement = self.gain + self.loss
        return 100.0 * self.gain / movement if movement > NO_MOVEMENT else 0.0
