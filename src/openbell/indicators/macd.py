"""Moving average convergence and divergence."""

import math
from typing import Any

from openbell.errors import StrategyError
from openbell.indicators.ema import Ema
from openbell.indicators.indicator import MAGNITUDE_MAX, Indicator, check_length


class Macd(Indicator):
    """A fast minus a slow exponential average (`macd`), its own average (`signal`), and their difference (`histogram`).

    The fast average starts late, with the values the slow one ends its first window with, so both begin together.

    >>> macd = Macd(fast=1, slow=2, signal=2)
    >>> [float(macd.update(value)[0]) for value in (1.0, 3.0)]
    [nan, nan]
    >>> [float(number) for number in macd.update(5.0)]
    [1.0, 1.0, 0.0]

    Source: TA-Lib `MACD`.
    """

    outputs = ("macd", "signal", "histogram")

    def __new__(cls, fast: int = 12, slow: int = 26, signal: int = 9) -> "Macd":
        """A new indicator; lengths in values, `fast` below `slow`."""
        ema = Ema(1).dtype
        averages = [("fast", ema), ("slow", ema), ("signal", ema)]
        return cls.allocate([*averages, ("late", "i8"), ("count", "i8"), ("ready", "i8")])

    def __init__(self, fast: int = 12, slow: int = 26, signal: int = 9) -> None:
        if not check_length("Macd, fast", fast) < check_length("Macd, slow", slow):
            raise StrategyError(f"Macd: fast is {fast} and slow is {slow}", "fast below slow")
        self.late = slow - fast
        self.fast = Ema(fast)
        self.slow = Ema(slow)
        self.signal = Ema(check_length("Macd, signal", signal))

    def update(self, value: Any) -> Any:
        """Take the newest value; returns (macd, signal, histogram), NaN until slow + signal - 1 values were seen."""
        if not abs(value) < MAGNITUDE_MAX:
            return math.nan, math.nan, math.nan
        self.count += 1
        if self.count > self.late:
            self.fast.update(value)
        self.slow.update(value)
        if self.slow.ready == 0:
            return math.nan, math.nan, math.nan
        macd = self.fast.value - self.slow.value
        signal = self.signal.update(macd)
        if self.signal.ready == 0:
            return math.nan, math.nan, math.nan
        self.ready = 1
        return macd, signal, macd - signal
