"""Money, prices and quantities: exact integers at rest, floats only while a price is multiplied.

Money is int64 in a currency's minor unit, whose exponent belongs to the currency. openbell keeps six decimals for currencies of the size
of a dollar, so that a fee on the smallest crypto trade is not rounded away; the largest amount is then 9.2e12.
"""

import math

import numpy as np

from openbell.model.jit import inline_kernel, kernel

#: Decimals kept of one unit of a currency.
EXPONENTS = {"USD": 6, "USDT": 6, "EUR": 6, "GBP": 6, "INR": 6, "JPY": 4, "BTC": 10}
EXPONENT_DEFAULT = 6
#: Conversions to whole numbers stop here: no such amount is meant, and the sum of two still fits an int64.
AMOUNT_MAX = 2.0**62


def exponent(currency: str) -> int:
    """Decimals kept of `currency`."""
    return EXPONENTS.get(currency, EXPONENT_DEFAULT)


def to_minor(amount: float, currency: str) -> int:
    """An amount of money as int64 minor units: `to_minor(1.5, "USD") == 1_500_000`."""
    return round(amount * 10.0 ** exponent(currency))


def from_minor(minor: int, currency: str) -> float:
    """Minor units as an amount: `from_minor(1_500_000, "USD") == 1.5`."""
    return int(minor) / 10.0 ** exponent(currency)


@kernel
def round_half_up(value: float) -> int:
    """The nearest integer, halves upwards, within AMOUNT_MAX; the same interpreted and compiled."""
    if -AMOUNT_MAX < value < AMOUNT_MAX:
        return math.floor(value + 0.5)
    return int(AMOUNT_MAX) if value > 0.0 else -int(AMOUNT_MAX)


@kernel
def whole(value: float) -> int:
    """The whole part of a number above 0, within AMOUNT_MAX; 0 for any other and for NaN."""
    if value >= AMOUNT_MAX:
        return int(AMOUNT_MAX)
    return int(value) if value > 0.0 else 0


@kernel
def to_lots(units: float, lot_size: float) -> int:
    """The whole lots in so many units, 0 for what is no quantity; 0.3 units are 3 lots of 0.1, whatever binary makes of them."""
    return whole(units / lot_size * (1.0 + 1e-12) + 1e-6)


@kernel
def snap(price: float, increment: float) -> float:
    """The multiple of `increment` nearest to `price`; `price` itself where the increment is 0."""
    if increment <= 0.0:
        return price
    return float(np.floor(price / increment + 0.5) * increment)


@inline_kernel
def is_price(price: float) -> bool:
    """Whether a price is finite and positive. NaN is not."""
    return (price > 0.0) & (price < 1e15)
