"""Sums of floats that do not drift: of the last values, or of all."""

import math
from typing import Any

from openbell.indicators.indicator import BLOCKS, MAGNITUDE_MAX, Indicator, capacity, check_length


class RollingSum(Indicator):
    """Sum of the last `length` values, or of all values when `length` is 0. Other indicators are made of it.

    >>> rolling, running = RollingSum(2), RollingSum(0)
    >>> [float(rolling.update(value)) for value in (1.0, 2.0, 4.0)]
    [nan, 3.0, 6.0]
    >>> float(running.over([0.1] * 1_000_000)[-1])
    100000.0

    Source: two blocks, `openbell.indicators.indicator`; the rounding error of each addition is kept and added again:
    Knuth, The Art of Computer Programming 2, section 4.2.2, theorem B.
    """

    def __new__(cls, length: int) -> "RollingSum":
        """A new sum over `length` values (0 or more)."""
        slots = capacity(check_length("RollingSum", length, 0))
        return cls.allocate([("head", "f8"), ("lost", "f8"), *BLOCKS, ("tail", "f8", (slots,))])

    def __init__(self, length: int) -> None:
        self.length = length
        self.reset()

    def reset(self) -> None:
        """Forget all values."""
        self.head = 0.0
        self.lost = 0.0
        self.place = 0
        self.count = 0
        self.ready = 0

    def update(self, value: Any) -> Any:
        """Take the newest value; returns the sum, NaN until `length` values were seen."""
        if not abs(value) < MAGNITUDE_MAX:
            return math.nan
        self.count += 1
        total = self.head + value
        added = total - self.head
        self.lost += (self.head - (total - added)) + (value - added)
        self.head = total
        if self.length == 0:
            self.ready = 1
            return self.head + self.lost
        self.tail[self.place] = value
        self.place += 1
        if self.place == self.length:
            self.turn()
        if self.count < self.length:
            return math.nan
        self.ready = 1
        return self.head + self.lost + self.tail[self.place]

    def turn(self) -> None:
        """The block is full: sum its tails and begin the next block."""
        total = 0.0
        place = self.length - 1
        while place >= 0:
            total += self.tail[place]
            self.tail[place] = total
            place -= 1
        self.head = 0.0
        self.lost = 0.0
        self.place = 0
