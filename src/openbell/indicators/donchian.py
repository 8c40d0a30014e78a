"""Donchian channel."""

import math
from typing import Any

from openbell.indicators.indicator import BLOCKS, MAGNITUDE_MAX, Indicator, capacity, check_length


class Donchian(Indicator):
    """The highest high and the lowest low of the last `length` bars, and the middle between them.

    >>> channel = Donchian(2)
    >>> [float(channel.update(*bar)[2]) for bar in ((9.0, 7.0), (8.0, 6.0), (7.0, 5.0))]
    [nan, 9.0, 8.0]

    Source: Donchian (1960), High Finance in Copper, Financial Analysts Journal 16; the lines are TA-Lib `MAX` of the
    highs and `MIN` of the lows. Two blocks: `openbell.indicators.indicator`.
    """

    inputs = ("high", "low")
    outputs = ("lower", "middle", "upper")

    def __new__(cls, length: int = 20) -> "Donchian":
        """A new channel over `length` bars (1 or more)."""
        slots = capacity(check_length("Donchian", length))
        tails = [("tail_high", "f8", (slots,)), ("tail_low", "f8", (slots,))]
        return cls.allocate([("highest", "f8"), ("lowest", "f8"), *BLOCKS, *tails])

    def __init__(self, length: int = 20) -> None:
        self.length = length
        self.highest = -math.inf
        self.lowest = math.inf

    def update(self, high: Any, low: Any) -> Any:
        """Take the newest bar; returns (lower, middle, upper), NaN until `length` bars were seen."""
        if not (abs(high) < MAGNITUDE_MAX and abs(low) < MAGNITUDE_MAX):
            return math.nan, math.nan, math.nan
        self.count += 1
        self.highest = max(self.highest, high)
        self.lowest = min(self.lowest, low)
        self.tail_high[self.place] = high
        self.tail_low[self.place] = low
        self.place += 1
        if self.place == self.length:
            self.turn()
        if self.count < self.length:
            return math.nan, math.nan, math.nan
        self.ready = 1
        upper = max(self.highest, self.tail_high[self.place])
        lower = min(self.lowest, self.tail_low[self.place])
        return lower, 0.5 * (lower + upper), upper

    def turn(self) -> None:
        """The block is full: find the extremes of its tails and begin the next block."""
        highest = -math.inf
        lowest = math.inf
        place = self.length - 1
        while place >= 0:
            highest = max(highest, self.tail_high[place])
            lowest = min(lowest, self.tail_low[place])
            self.tail_high[place] = highest
            self.tail_low[place] = lowest
            place -= 1
        self.highest = -math.inf
        self.lowest = math.inf
        self.place = 0
