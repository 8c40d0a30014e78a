"""Average directional index."""

import math
from typing import Any

from openbell.indicators.indicator import MAGNITUDE_MAX, Indicator, check_length

#: Sums that have faded below this are no movement: near the lower end of float64 they lose their digits.
NO_MOVEMENT = 1e-290


class Adx(Indicator):
    """Average directional index: how strong a trend is, 0 to 100, whichever way it goes.

    The fields `plus_di` and `minus_di` are the directional indicators behind it: the parts of the true range by which
    highs rose and lows fell, 0 to 100, NaN until `length` + 1 bars were seen.

    >>> adx = Adx(2)
    >>> bars = (9.0, 8.0, 8.5), (9.5, 8.0, 9.0), (11.0, 9.0, 10.0), (12.0, 10.0, 12.0)
    >>> [float(adx.update(*bar)) for bar in bars]
    [nan, nan, nan, 100.0]
    >>> float(adx.plus_di), float(adx.minus_di)
    (55.55555555555556, 0.0)

    Source: TA-Lib `ADX`, `PLUS_DI`, `MINUS_DI`; Wilder (1978), New Concepts in Technical Trading Systems.
    """

    inputs = ("high", "low", "close")

    def __new__(cls, length: int = 14) -> "Adx":
        """A new index over `length` bars (2 or more)."""
        indicators = [(name, "f8") for name in ("value", "plus_di", "minus_di")]
        sums = [(name, "f8") for name in ("share", "high", "low", "close", "plus", "minus", "movement")]
        return cls.allocate([*indicators, *sums, ("length", "i8"), ("count", "i8"), ("ready", "i8")])

    def __init__(self, length: int = 14) -> None:
        self.length = check_length("Adx", length, 2)
        self.share = 1.0 / self.length
        self.plus_di = self.minus_di = math.nan
        self.plus = self.minus = self.movement = 0.0
        self.high = self.low = self.close = 0.0

    def update(self, high: Any, low: Any, close: Any) -> Any:
        """Take the newest bar; returns the index, NaN until 2 * `length` bars were seen."""
        if not (abs(high) < MAGNITUDE_MAX and abs(low) < MAGNITUDE_MAX and abs(close) < MAGNITUDE_MAX):
            return math.nan
        if self.count > 0:
            up = high - self.high
            down = self.low - low
            # Wilder's sums: plain over the first length - 1 movements, then each update drops one part of `length`.
            kept = 1.0 - self.share if self.count >= self.length else 1.0
            self.plus = self.plus * kept + (up if up > 0.0 and up > down else 0.0)
            self.minus = self.minus * kept + (down if down > 0.0 and down > up else 0.0)
            self.movement = self.movement * kept + (max(high, self.close) - min(low, self.close))
        self.high = high
        self.low = low
        self.close = close
        self.count += 1
        if self.count <= self.length:
            return math.nan
        self.average()
        if self.count < 2 * self.length:
            return math.nan
        self.ready = 1
        return self.value

    def average(self) -> None:
        """Bring the directional indicators up to date, and with them the average of their relative difference."""
        moved = self.movement > NO_MOVEMENT
        self.plus_di = 100.0 * self.plus / self.movement if moved else 0.0
        self.minus_di = 100.0 * self.minus / self.movement if moved else 0.0
        both = self.plus_di + self.minus_di
        directed = both > NO_MOVEMENT
        # A bar without any direction counts as 0 while the first mean builds up, and not at all afterwards.
        if directed or self.count <= 2 * self.length:
            index = 100.0 * abs(self.plus_di - self.minus_di) / both if directed else 0.0
            weight = self.share if self.count > 2 * self.length else 1.0 / (self.count - self.length)
            self.value += weight * (index - self.value)
