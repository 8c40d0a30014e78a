"""Money, prices and quantities: exact integers at rest, floats only while a price is multiplied.

Money is int64 in a currency's minor unit, whose exponent belongs to the currency. openbell keeps six decimals for currencies of the size
of a dollar, so that a fee on the smallest crypto trade is not rounded away; the largest amount is then 9.2e12.
"""

import math

from openbell.model.jit import inline_kernel, kernel

#: Decimals kept of one unit of a currency.
EXPONENTS = {"USD": 6, "USDT": 6, "EUR": 6, "GBP": 6, "INR": 6, "JPY": 4, "BTC": 10}
EXPONENT_DEFAULT = 6


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
    """The nearest integer, halves upwards; the same interpreted and compiled."""
    return int(math.floor(value + 0.5))


@kernel
def snap(price: float, increment: float) -> float:
    """The multiple of `increment` nearest to `price`; `price` itself where the increment is 0."""
    if increment <= 0.0:
        return price
    return round_half_up(price / increment) * increment


@inline_kernel
def is_price(price: float) -> bool:
    """Whether a price is finite and positive. NaN is not."""
    return (price > 0.0) & (price < 1e15)
