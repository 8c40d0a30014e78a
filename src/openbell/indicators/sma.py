"""Simple moving average, exact for decimal prices."""

import math
from typing import Any

from openbell.indicators.indicator import MAGNITUDE_MAX, Indicator, capacity, check_length
from openbell.model.jit import kernel

#: Sums stay below 2**53, where every integer is a float64.
SUM_MAX = 9.0e15
#: Each value stays below an eighth of that, where a decimal times its unit still rounds to the right integer.
SHARES_MIN = 8


@kernel
def decimal_scale(magnitude: float, length: int) -> float:
    """The largest power of ten, at most 1e18, at which values eight times `magnitude` add up to less than 2**53."""
    scale = 1.0
    room = SUM_MAX / (max(length, SHARES_MIN) * 8.0 * magnitude)
    while scale * 10.0 <= room and scale < 1e18:
        scale *= 10.0
    while scale > room:
        scale /= 10.0
    return scale


class Sma(Indicator):
    """Simple moving average.

    The window holds each value as a whole number of a decimal unit fine enough for 13 digits, and the sum is kept in
    integers: it cannot drift, and two averages of decimal prices that are equal on paper compare equal, so a tie never
    looks like a cross.

    >>> sma = Sma(3)
    >>> [float(sma.update(value)) for value in (1.0, 2.0, 6.0, 5.2)]
    [nan, nan, 3.0, 4.4]

    Source: TA-Lib `SMA`.
    """

    def __new__(cls, length: int) -> "Sma":
        """A new average over `length` values (1 or more)."""
        slots = capacity(check_length("Sma", length))
        numbers = [(name, "f8") for name in ("scale", "divisor", "limit")]
        whole = [(name, "i8") for name in ("sum", "length", "count", "ready", "newest")]
        return cls.allocate([*numbers, *whole, ("window", "i8", (slots,))])

    def __init__(self, length: int) -> None:
        self.length = length
        self.limit = -1.0  # the first value, 0 included, chooses the unit
        self.scale = self.divisor = 1.0
        self.sum = self.newest = 0

    def update(self, value: Any) -> Any:
        """Take the newest value; returns the average, NaN until `length` values were seen."""
        if not abs(value) <= self.limit:
            if not abs(value) < MAGNITUDE_MAX:
                return math.nan
            self.rescale(abs(value))
        mask = len(self.window) - 1
        unit = math.floor(value * self.scale + 0.5)
        total = self.sum + unit
        newest = (self.newest + 1) & mask
        ready = self.ready
        if ready == 1:
            total -= self.window[(newest - self.length) & mask]
        else:
            ready = self.warm_up()
        self.window[newest] = unit
        self.newest = newest
        self.sum = total
        if newest == 0 and abs(total) < self.limit * self.scale / 8000.0 * self.count:
            self.refine()
            total = self.sum
        if ready == 0:
            return math.nan
        return total / self.divisor

    def warm_up(self) -> Any:
        """Count a value; 1 when the window is full."""
        self.count += 1
        if self.count == self.length:
            self.ready = 1
        return self.ready

    def rescale(self, magnitude: Any) -> None:
        """Choose the decimal unit for values of this magnitude and restate the window in it; rare, as it leaves room."""
        before = self.scale
        self.scale = decimal_scale(max(magnitude, 1e-9), self.length)
        self.divisor = self.length * self.scale
        self.limit = SUM_MAX / (max(self.length, SHARES_MIN) * self.scale)
        self.sum = 0
        mask = len(self.window) - 1
        for back in range(self.count):
            place = (self.newest - back) & mask
            self.window[place] = math.floor(self.window[place] / before * self.scale + 0.5)
            self.sum += self.window[place]

    def refine(self) -> None:
        """Once a window, see whether the values have become 1000 times smaller than their unit was made for."""
        mask = len(self.window) - 1
        peak = 0
        for back in range(self.count):
            peak = max(peak, abs(self.window[(self.newest - back) & mask]))
        if self.count == self.length and peak < self.limit * self.scale / 8000.0:
            self.rescale(peak / self.scale)
