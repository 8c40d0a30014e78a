"""The checks every order passes before it may leave, in one function, in order, each with its reason code.

All are hard blocks. A limit that is 0 denies; one that is meant to be absent says UNLIMITED. A price that is missing or not finite denies.
Sources: SEC Rule 15c3-5, MiFID II RTS 6 Article 15, FIX RiskLimitType(1530).
"""

import math
from typing import Any

from openbell.model import enums
from openbell.model.jit import kernel
from openbell.model.money import is_price, snap


@kernel
def check(account: Any, position: Any, instrument: Any, intent: Any, now: int, fee_rate: float) -> int:
    """The reason to deny the intent, or NONE. May snap its prices, and give a market order its protective limit.

    `fee_rate` is the taker fee as a fraction, for the cash that a purchase needs.
    """
    reduces = position.quantity * intent.side < 0 and intent.quantity <= abs(position.quantity) and intent.size_kind == enums.BY_QUANTITY
    if account.trading_state != enums.ACTIVE and not (account.trading_state == enums.REDUCING and reduces):
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
    price = reference
    if intent.limit_price > 0.0:
        price = intent.limit_price
    elif intent.stop_price > 0.0:
        price = intent.stop_price
    value = estimated_value(account, instrument, intent, price)
    quantity = value / (price * instrument.money_per_point)
    if not quantity < min(account.order_quantity_max, instrument.quantity_max) + 0.5:
        return enums.MAX_ORDER_QUANTITY
    if not value <= account.order_value_max:
        return enums.MAX_ORDER_VALUE
    if not abs(price / reference - 1.0) * 10_000.0 <= account.collar_bps:
        return enums.PRICE_COLLAR
    if not has_not_drifted(account, position, price, now):
        return enums.PRICE_COLLAR_OVER_TIME
    if intent.order_type == enums.MARKET and account.market_protection_bps < enums.UNLIMITED_BPS:
        if not account.market_protection_bps > 0.0:
            return enums.MARKET_PROTECTION
        limit = reference * (1.0 + intent.side * account.market_protection_bps / 10_000.0)
        intent.order_type = enums.LIMIT
        intent.limit_price = snap(limit, instrument.price_increment)
    if not now - instrument.ts_price <= account.price_age_max_ns:
        return enums.STALE_PRICE
    if not account.open_orders < account.open_orders_max:
        return enums.MAX_OPEN_ORDERS
    return check_holdings(account, position, intent, value, quantity, fee_rate)


@kernel
def is_well_formed(instrument: Any, intent: Any) -> bool:
    """Whether side, type, time in force, size and prices make an order this instrument can have. Snaps prices to its increment."""
    if intent.side != enums.BUY and intent.side != enums.SELL:
        return False
    if not enums.MARKET <= intent.order_type <= enums.STOP_LIMIT or not enums.GTC <= intent.time_in_force <= enums.FOK:
        return False
    if intent.size_kind == enums.BY_QUANTITY:
        if intent.quantity <= 0:
            return False
    elif not 0.0 < intent.size < 1e18 or (intent.size_kind == enums.BY_CASH and (intent.size > 1.0 or intent.side != enums.BUY)):
        return False
    wants_limit = intent.order_type == enums.LIMIT or intent.order_type == enums.STOP_LIMIT
    wants_stop = intent.order_type == enums.STOP or intent.order_type == enums.STOP_LIMIT
    if wants_limit != is_price(intent.limit_price) or wants_stop != is_price(intent.stop_price):
        return False
    intent.limit_price = snap(intent.limit_price, instrument.price_increment)
    intent.stop_price = snap(intent.stop_price, instrument.price_increment)
    return True


@kernel
def estimated_value(account: Any, instrument: Any, intent: Any, price: float) -> float:
    """Money the order is worth at `price`; NaN when it cannot be told."""
    if intent.size_kind == enums.BY_QUANTITY:
        return price * instrument.money_per_point * intent.quantity
    if intent.size_kind == enums.BY_NOTIONAL:
        return intent.size
    if intent.size_kind == enums.BY_CASH:
        return account.free_cash * intent.size
    return math.nan


@kernel
def has_not_drifted(account: Any, position: Any, price: float, now: int) -> bool:
    """Whether the price is within the collar of the first order price of the window; a new window starts when the old one has passed."""
    if position.drift_price <= 0.0 or now - position.drift_start > account.drift_window_ns:
        position.drift_start = now
        position.drift_price = price
        return account.drift_bps > 0.0
    return abs(price / position.drift_price - 1.0) * 10_000.0 <= account.drift_bps


@kernel
def check_holdings(account: Any, position: Any, intent: Any, value: float, quantity: float, fee_rate: float) -> int:
    """Position limit and free cash: nothing is sold that is not held (unless shorts are allowed), nothing bought beyond the cash."""
    if intent.side == enums.SELL:
        after = position.quantity - position.selling - quantity
        if account.short_allowed != 1 and after < -0.5:
            return enums.POSITION_LIMIT
        if after < -account.position_max - 0.5:
            return enums.POSITION_LIMIT
        return enums.NONE
    if not position.quantity + position.buying + quantity <= account.position_max + 0.5:
        return enums.POSITION_LIMIT
    covering = min(max(-position.quantity - position.buying, 0), quantity)
    need = value * (1.0 - covering / max(quantity, 1e-9))
    if intent.size_kind == enums.BY_QUANTITY:
        need *= 1.0 + fee_rate
    if not need <= account.free_cash or (account.free_cash <= 0 and covering < quantity):
        return enums.INSUFFICIENT_CASH
    return enums.NONE
