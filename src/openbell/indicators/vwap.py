"""Volume-weighted average price."""

import math
from typing import Any

from openbell.indicators.indicator import MAGNITUDE_MAX, Indicator, check_length
from openbell.indicators.rolling_sum import RollingSum


class Vwap(Indicator):
    """Volume-weighted average price: of the session since `reset()`, or of the last `length` values when one is given.

    Feed it trades, or bars with their own VWAP, typical price or close. NaN while nothing was traded. A negative volume is
    ignored like NaN.

    >>> vwap = Vwap()
    >>> [float(vwap.update(price, volume)) for price, volume in ((10.0, 0.0), (10.0, 1.0), (13.0, 2.0))]
    [nan, 10.0, 12.0]
    >>> vwap.reset()
    >>> float(vwap.update(13.0, 5.0))
    13.0

    Source: Berkowitz, Logue, Noser (1988), The Total Cost of Transactions on the NYSE, Journal of Finance 43:
    sum of price times volume, divided by the sum of volume.
    """

    inputs = ("price", "volume")

    def __new__(cls, length: int = 0) -> "Vwap":
        """A new average; `length` 0 for the session."""
        sums = RollingSum(check_length("Vwap", length, 0)).dtype
        return cls.allocate([("turnover", sums), ("volume", sums), ("count", "i8"), ("ready", "i8")])

    def __init__(self, length: int = 0) -> None:
        self.turnover = RollingSum(length)
        self.volume = RollingSum(length)

    def update(self, price: Any, volume: Any) -> Any:
        """Take the newest price and its volume (0 or more); returns the average, NaN until ready."""
        if not (abs(price) < MAGNITUDE_MAX and 0.0 <= volume < MAGNITUDE_MAX):
            return math.nan
        if not abs(price * volume) < MAGNITUDE_MAX:
            return math.nan
        self.count += 1
        turnover = self.turnover.update(price * volume)
        total = self.volume.update(volume)
        self.ready = 1 if total > 0.0 else 0
        return turnover / total if total > 0.0 else math.nan

    def reset(self) -> None:
        """Begin a new session."""
        self.turnover.reset()
        self.volume.reset()
        self.count = 0
        self.ready = 0
