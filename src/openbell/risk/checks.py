"""The checks every order passes before it may leave, in order, each with its reason code.

All are hard blocks. A limit that is 0 denies; one that is meant to be absent says UNLIMITED. A price that is missing or not finite denies.
Sources: SEC Rule 15c3-5, MiFID II RTS 6 Article 15, FIX RiskLimitType(1530).
"""

from typing import Any

import numpy as np

from openbell.model import enums
from openbell.model.jit import kernel
from openbell.model.money import is_price, snap

#: Decimal prices are not exact in binary: a billionth more lets one that is exactly at its limit pass.
_ROUNDING = 1.0 + 1e-9


@kernel
def check(account: Any, position: Any, instrument: Any, intent: Any, now: int) -> int:
    """The reason to deny the intent, or NONE. May snap its prices, and give a market order its protective limit."""
    if account.trading_state != enums.ACTIVE and not (account.trading_state == enums.REDUCING and reduces(position, intent)):
        return enums.TRADING_STATE
    if account.is_authorised != 1:
        return enums.UNAUTHORISED
    if position.is_permitted != 1:
        return enums.INSTRUMENT_NOT_PERMITTED
    if not is_well_formed(instrument, intent):
        return enums.NOT_WELL_FORMED
    reference = instrument.reference_price
    if not is_price(reference):
        return enums.STALE_PRICE
    price = price_of(instrument, intent)
    value = value_of(account, instrument, intent, price)
    lots = lots_of(instrument, intent, price, value)
    if not lots >= 1.0:
        return enums.INSUFFICIENT_CASH if intent.size_kind == enums.BY_CASH else enums.NOT_WELL_FORMED
    if not lots <= min(account.order_quantity_max, instrument.quantity_max):
        return enums.MAX_ORDER_QUANTITY
    if not value <= min(account.order_value_max, enums.UNLIMITED - account.cash):
        return enums.MAX_ORDER_VALUE
    anchor = intent.stop_price if intent.stop_price > 0.0 else reference
    if not is_within(intent.limit_price if intent.limit_price > 0.0 else anchor, anchor, account.collar_bps):
        return enums.PRICE_COLLAR
    if not has_not_drifted(account, position, price, now):
        return enums.PRICE_COLLAR_OVER_TIME
    if intent.order_type == enums.MARKET and account.market_protection_bps < enums.UNLIMITED_BPS:
        limit = snap(reference * (1.0 + intent.side * account.market_protection_bps / 10_000.0), instrument.price_increment)
        if not (account.market_protection_bps > 0.0 and is_price(limit)):
            return enums.MARKET_PROTECTION
        intent.order_type = enums.LIMIT
        intent.limit_price = limit
    if not (account.price_age_max_ns > 0 and now - instrument.ts_price <= account.price_age_max_ns):
        return enums.STALE_PRICE
    if not account.open_orders < account.open_orders_max:
        return enums.MAX_OPEN_ORDERS
    return enums.NONE


@kernel
def check_holdings(account: Any, position: Any, instrument: Any, intent: Any, cost: int) -> int:
    """Position limit and free cash: nothing is sold that is not held (unless shorts are allowed), nothing bought beyond the cash.

    `cost` is the money a purchase may need, fee included; the part of it that covers a short needs no free cash.
    """
    price = price_of(instrument, intent)
    lots = lots_of(instrument, intent, price, value_of(account, instrument, intent, price))
    if intent.side == enums.SELL:
        short_max = account.position_max if account.short_allowed == 1 else 0
        return enums.NONE if position.quantity - position.selling - lots >= -short_max else enums.POSITION_LIMIT
    if not position.quantity + position.buying + lots <= account.position_max:
        return enums.POSITION_LIMIT
    covering = min(max(-position.quantity - position.buying, 0), lots)
    if not cost * (1.0 - covering / lots) <= max(account.free_cash, 0):
        return enums.INSUFFICIENT_CASH
    return enums.NONE


@kernel
def reduces(position: Any, intent: Any) -> bool:
    """Whether the order only makes the position smaller, whatever open orders do."""
    open_lots = position.quantity - position.selling if intent.side == enums.SELL else -position.quantity - position.buying
    return intent.size_kind == enums.BY_QUANTITY and intent.quantity <= open_lots


@kernel
def is_well_formed(instrument: Any, intent: Any) -> bool:
    """Whether side, type, time in force, size and prices make an order this instrument can have. Snaps prices to its increment."""
    if intent.side != enums.BUY and intent.side != enums.SELL:
        return False
    if not enums.MARKET <= intent.order_type <= enums.STOP_LIMIT or not enums.GTC <= intent.time_in_force <= enums.FOK:
        return False
    if not enums.BY_QUANTITY <= intent.size_kind <= enums.BY_CASH:
        return False
    if intent.size_kind == enums.BY_QUANTITY:
        if intent.quantity <= 0:
            return False
    elif not 0.0 < intent.size < 1e18 or (intent.size_kind == enums.BY_CASH and (intent.size > 1.0 or intent.side != enums.BUY)):
        return False
    wants_limit = intent.order_type == enums.LIMIT or intent.order_type == enums.STOP_LIMIT
    wants_stop = intent.order_type == enums.STOP or intent.order_type == enums.STOP_LIMIT
    if wants_limit != (intent.limit_price != 0.0) or wants_stop != (intent.stop_price != 0.0):
        return False
    intent.limit_price = snap(intent.limit_price, instrument.price_increment)
    intent.stop_price = snap(intent.stop_price, instrument.price_increment)
    return wants_limit == is_price(intent.limit_price) and wants_stop == is_price(intent.stop_price)


@kernel
def price_of(instrument: Any, intent: Any) -> float:
    """The price an order is valued at: its limit, else the reference price or the stop, whichever is higher."""
    if intent.limit_price > 0.0:
        return float(intent.limit_price)
    return float(max(instrument.reference_price, intent.stop_price))


@kernel
def value_of(account: Any, instrument: Any, intent: Any, price: float) -> float:
    """Money the order is worth at `price`, in whole minor units; a float, because an absurd one fits no integer."""
    if intent.size_kind == enums.BY_QUANTITY:
        return float(np.floor(price * instrument.money_per_point * intent.quantity + 0.5))
    if intent.size_kind == enums.BY_NOTIONAL:
        return float(intent.size)
    return float(account.free_cash * intent.size)


@kernel
def lots_of(instrument: Any, intent: Any, price: float, value: float) -> float:
    """Whole lots of the order, at `price` where it is sized by money."""
    if intent.size_kind == enums.BY_QUANTITY:
        return float(intent.quantity)
    return float(np.floor(value / (price * instrument.money_per_point)))


@kernel
def is_within(price: float, anchor: float, bps: float) -> bool:
    """Whether a price is at most so many basis points from another; 0 denies, and so does NaN."""
    return bps > 0.0 and abs(price - anchor) * 10_000.0 <= bps * anchor * _ROUNDING


@kernel
def has_not_drifted(account: Any, position: Any, price: float, now: int) -> bool:
    """Whether the price is within the collar of the first order price of the window; a new window starts when the old one has passed."""
    if position.drift_price <= 0.0 or now - position.drift_start > account.drift_window_ns:
        position.drift_start = now
        position.drift_price = price
    return is_within(price, position.drift_price, account.drift_bps)
