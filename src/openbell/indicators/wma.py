"""Weighted moving average."""

import math
from typing import Any

from openbell.indicators.indicator import BLOCKS, MAGNITUDE_MAX, Indicator, capacity, check_length


class Wma(Indicator):
    """Moving average with weights that rise evenly: 1 for the oldest of `length` values, `length` for the newest.

    >>> wma = Wma(3)
    >>> [float(wma.update(value)) for value in (1.0, 4.0, 4.0, 10.0)]
    [nan, nan, 3.5, 7.0]

    Source: TA-Lib `WMA`. Two blocks: `openbell.indicators.indicator`; distances are from a value inside the window.
    """

    def __new__(cls, length: int) -> "Wma":
        """A new average over `length` values (1 or more)."""
        slots = capacity(check_length("Wma", length))
        numbers = [(name, "f8") for name in ("pivot", "share", "sum", "missing")]
        return cls.allocate([*numbers, *BLOCKS, ("tail", "f8", (slots,))])

    def __init__(self, length: int) -> None:
        self.length = length
        self.share = 2.0 / (length * (length + 1.0))

    def update(self, value: Any) -> Any:
        """Take the newest value; returns the average, NaN until `length` values were seen."""
        if not abs(value) < MAGNITUDE_MAX:
            return math.nan
        if self.count == 0:
            self.pivot = value
        self.count += 1
        # The newest weighs `length`; with every update the others of the head come to miss one more of it.
        self.missing += self.sum
        self.sum += value - self.pivot
        self.tail[self.place] = value
        self.place += 1
        if self.place == self.length:
            self.turn()
        if self.count < self.length:
            return math.nan
        self.ready = 1
        head = self.length * self.sum - self.missing
        return self.pivot + (head + self.tail[self.place]) * self.share

    def turn(self) -> None:
        """The block is full: weigh its tails around its newest value and begin the next block."""
        place = self.length - 1
        pivot = self.tail[place]
        total = 0.0
        weighted = 0.0
        while place >= 0:
            total += self.tail[place] - pivot
            weighted += total
            self.tail[place] = weighted
            place -= 1
        self.pivot = pivot
        self.sum = 0.0
        self.missing = 0.0
        self.place = 0
