"""The simulated venue at work: market events meet open orders, and fills are booked."""

from typing import Any

from openbell.engine.handlers import notify_fill
from openbell.engine.order_table import finish
from openbell.execution.matching import NO_PRICE, has_arrived, has_expired, is_at_once, liquidity, match_price
from openbell.execution.models import affordable, fee, notional_of, slip
from openbell.model import enums
from openbell.model.jit import kernel
from openbell.model.money import round_half_up, whole
from openbell.portfolio.accounting import apply_fill


@kernel
def work_orders(engine: Any, instrument: Any, event: Any) -> None:
    """Let the event meet the instrument's open orders, oldest first. A venue outside works its own, and ends their day itself."""
    if engine.fill_model == enums.FILL_OUTSIDE:
        return
    left_buy = liquidity(event, enums.BUY, engine.participation)
    left_sell = liquidity(event, enums.SELL, engine.participation)
    slot = instrument.order_first
    while slot >= 0:
        order = engine.order(slot)
        following = order.next
        if has_expired(order, event):
            finish(engine, slot, enums.EXPIRED, enums.END_OF_DAY, True)
        elif has_arrived(order, event):
            if order.side > 0:
                left_buy -= work_order(engine, slot, instrument, event, left_buy)
            else:
                left_sell -= work_order(engine, slot, instrument, event, left_sell)
        slot = following


@kernel
def expire_orders(engine: Any, instrument: Any) -> None:
    """End the DAY orders of a quiet instrument whose day is over."""
    slot = instrument.order_first
    while slot >= 0 and engine.fill_model != enums.FILL_OUTSIDE:
        order = engine.order(slot)
        following = order.next
        if order.ts_expiry != 0 and engine.now >= order.ts_expiry:
            finish(engine, slot, enums.EXPIRED, enums.END_OF_DAY, True)
        slot = following


@kernel
def work_order(engine: Any, slot: int, instrument: Any, event: Any, available: int) -> int:
    """Let the event meet one order at the venue; returns the lots it took."""
    order = engine.order(slot)
    price = match_price(order, instrument, event, engine.fill_model)
    lots = 0
    if price != NO_PRICE:
        is_maker = order.resting == 1
        if not is_maker:
            slipped = slip(engine, instrument, order.side, price)
            price = slipped if order.limit_price <= 0.0 or order.side * (order.limit_price - slipped) >= 0.0 else order.limit_price
        reason = size_order(engine, instrument, order, price)
        lots = min(order.remaining, available)
        if reason == enums.NONE and lots > 0 and order.side > 0:
            lots = afford(engine, instrument, order, price, lots)
            if lots == 0:
                reason = enums.INSUFFICIENT_CASH
        if reason != enums.NONE:
            finish(engine, slot, enums.REJECTED if order.status == enums.SUBMITTED else enums.CANCELED, reason, True)
            return 0
        if order.time_in_force == enums.FOK and lots < order.remaining:
            lots = 0
        if lots > 0:
            notional = notional_of(instrument, price, lots)
            charge = fee(engine, instrument, lots, notional, is_maker)
            if book_fill(engine, slot, lots, price, notional, charge, is_maker, event.ts_event):
                return lots
    if is_at_once(order):
        finish(engine, slot, enums.CANCELED, enums.NOT_FILLED_AT_ONCE, True)
    elif order.status == enums.SUBMITTED:
        order.status = enums.ACCEPTED
        engine.emit_order(enums.ORDER, order)
    return lots


@kernel
def size_order(engine: Any, instrument: Any, order: Any, price: float) -> int:
    """Turn an order sized by money into lots, at the price of its first fill and within the limits; the reason when no lot is left."""
    if order.quantity != 0:
        return enums.NONE
    account = engine.account(order.strategy)
    holding = engine.holding(order.strategy, order.instrument)
    if order.size_kind == enums.BY_CASH:
        lots = affordable(engine, instrument, price, int((account.free_cash + order.reserved) * order.size))
    else:
        lots = whole(order.size / (price * instrument.money_per_point))
    if lots == 0:
        return enums.INSUFFICIENT_CASH
    if order.side > 0:
        room = account.position_max - holding.quantity - holding.buying + 1
    else:
        room = (account.position_max if account.short_allowed == 1 else 0) + holding.quantity - holding.selling + 1
    lots = min(lots, room, account.order_quantity_max, instrument.quantity_max)
    if lots <= 0:
        return enums.POSITION_LIMIT
    order.quantity = lots
    if order.side > 0:
        holding.buying += lots - 1
    else:
        holding.selling += lots - 1
    return enums.NONE


@kernel
def afford(engine: Any, instrument: Any, order: Any, price: float, lots: int) -> int:
    """The lots of a purchase that the account can pay for; covering a short is always allowed."""
    account = engine.account(order.strategy)
    short = max(-engine.holding(order.strategy, order.instrument).quantity, 0)
    if lots <= short:
        return lots
    notional = notional_of(instrument, price, lots)
    budget = account.free_cash + order.reserved
    if notional + fee(engine, instrument, lots, notional, False) <= budget:
        return lots
    return min(lots, max(affordable(engine, instrument, price, budget), short))


@kernel
def book_fill(engine: Any, slot: int, lots: int, price: float, notional: int, charge: int, is_maker: bool, ts_event: int) -> bool:
    """Book an execution: order, account, position, the command, the strategy's on_fill. True when the order is complete."""
    order = engine.order(slot)
    account = engine.account(order.strategy)
    holding = engine.holding(order.strategy, order.instrument)
    fill = engine.fill()
    fill.order_id = order.order_id
    fill.ts_event = ts_event
    fill.instrument = order.instrument
    fill.strategy = order.strategy
    fill.side = order.side
    fill.is_maker = 1 if is_maker else 0
    fill.quantity = lots
    fill.price = price
    fill.notional = notional
    fill.fee = charge
    apply_fill(account, holding, fill)
    share = order.reserved if lots >= order.remaining else round_half_up(order.reserved * (lots / order.remaining))
    account.reserved -= share
    order.reserved -= share
    if order.side > 0:
        holding.buying -= lots
    else:
        holding.selling -= lots
    order.filled += lots
    order.filled_notional += price * lots
    engine.fills += 1
    done = order.filled >= order.quantity
    command = engine.emit(enums.FILL)
    command.side = order.side
    command.order_type = order.order_type
    command.time_in_force = order.time_in_force
    command.instrument = order.instrument
    command.strategy = order.strategy
    command.status = enums.FILLED if done else enums.PARTIALLY_FILLED
    command.is_maker = fill.is_maker
    command.order_id = order.order_id
    command.quantity = lots
    command.filled = order.filled
    command.price = price
    command.ts_event = ts_event
    command.amount = charge
    command.realised = fill.realised
    command.size = order.filled_notional / order.filled
    if done:
        finish(engine, slot, enums.FILLED, enums.NONE, False)
    elif order.status != enums.PENDING_CANCEL and order.status != enums.PENDING_MODIFY:
        order.status = enums.PARTIALLY_FILLED
    notify_fill(engine, fill)
    return done
