"""Standard deviation over a window."""

import math
from typing import Any

from openbell.indicators.indicator import BLOCKS, MAGNITUDE_MAX, Indicator, capacity, check_length


class StandardDeviation(Indicator):
    """Population standard deviation of the last `length` values; the field `mean` is their mean.

    Sums are of distances from a value inside the window, so a flat window gives exactly 0 and a small spread around a
    large price keeps its digits.

    >>> deviation = StandardDeviation(4)
    >>> [float(deviation.update(value)) for value in (1.0, 1.0, 3.0, 3.0)]
    [nan, nan, nan, 1.0]

    Source: TA-Lib `STDDEV`. Two blocks: `openbell.indicators.indicator`; shifted sums: Chan, Golub, LeVeque (1983),
    Algorithms for Computing the Sample Variance, The American Statistician 37.
    """

    def __new__(cls, length: int) -> "StandardDeviation":
        """A new deviation over `length` values (1 or more)."""
        slots = capacity(check_length("StandardDeviation", length))
        numbers = [(name, "f8") for name in ("mean", "pivot", "share", "sum", "squares")]
        return cls.allocate([*numbers, *BLOCKS, ("tail", "f8", (slots,)), ("tail_squares", "f8", (slots,))])

    def __init__(self, length: int) -> None:
        self.length = length
        self.share = 1.0 / length
        self.place = 0

    def update(self, value: Any) -> Any:
        """Take the newest value; returns the deviation, NaN until `length` values were seen."""
        if not abs(value) < MAGNITUDE_MAX:
            return math.nan
        if self.count == 0:
            self.pivot = value
        place = self.place
        distance = value - self.pivot
        self.sum += distance
        self.squares += distance * distance
        self.tail[place] = value
        self.count += 1
        self.place = place + 1
        if self.place == self.length:
            self.turn()
        if self.count < self.length:
            return math.nan
        self.ready = 1
        place = self.place
        offset = (self.sum + self.tail[place]) * self.share
        variance = (self.squares + self.tail_squares[place]) * self.share - offset * offset
        self.mean = self.pivot + offset
        return math.sqrt(variance) if variance > 0.0 else 0.0

    def turn(self) -> None:
        """The block is full: sum its tails around its newest value and begin the next block."""
        place = self.length - 1
        pivot = self.tail[place]
        total = 0.0
        squares = 0.0
        while place >= 0:
            distance = self.tail[place] - pivot
            total += distance
            squares += distance * distance
            self.tail[place] = total
            self.tail_squares[place] = squares
            place -= 1
        self.pivot = pivot
        self.sum = 0.0
        self.squares = 0.0
        self.place = 0
