"""Realised volatility."""

import math
from typing import Any

from openbell.indicators.indicator import MAGNITUDE_MAX, Indicator, check_factor, check_length
from openbell.indicators.rolling_sum import RollingSum


class RealisedVolatility(Indicator):
    """Root of the mean squared log return of the last `length` returns, stated for a period of `periods` returns.

    With daily prices, `periods=252` gives the volatility of a year; 1, the default, that of a single return. A fraction:
    0.2 is 20 percent. Prices are above 0; others are ignored like NaN.

    >>> volatility = RealisedVolatility(2, periods=252)
    >>> [round(float(volatility.update(price)), 6) for price in (100.0, 101.0, 100.0)]
    [nan, nan, 0.157957]

    Source: Andersen, Bollerslev, Diebold, Labys (2003), Modeling and Forecasting Realized Volatility, Econometrica 71:
    the sum of squared log returns, here scaled to `periods`. TA-Lib has none.
    """

    def __new__(cls, length: int = 20, periods: float = 1.0) -> "RealisedVolatility":
        """A new volatility over `length` returns (1 or more)."""
        squares = RollingSum(check_length("RealisedVolatility", length)).dtype
        return cls.allocate([("squares", squares), ("scale", "f8"), ("previous", "f8"), ("count", "i8"), ("ready", "i8")])

    def __init__(self, length: int = 20, periods: float = 1.0) -> None:
        self.squares = RollingSum(length)
        self.scale = check_factor("RealisedVolatility: periods", periods) / length

    def update(self, price: Any) -> Any:
        """Take the newest price; returns the volatility, NaN until `length` + 1 prices were seen."""
        if not 1.0 / MAGNITUDE_MAX < price < MAGNITUDE_MAX:
            return math.nan
        self.count += 1
        if self.count == 1:
            self.previous = price
            return math.nan
        change = math.log(price / self.previous)
        self.previous = price
        squares = self.squares.update(change * change)
        self.ready = self.squares.ready
        return math.sqrt(squares * self.scale)
