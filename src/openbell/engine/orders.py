"""What strategies and users ask for: new orders, changes and cancellations, through the risk checks and on their way."""

from typing import Any

from openbell.engine.order_table import find_order, finish, hold, is_open, link, release, unlink
from openbell.engine.venue import size_order
from openbell.execution.models import arrival, fee, notional_of
from openbell.model import enums
from openbell.model.jit import kernel
from openbell.model.money import round_half_up, to_lots, whole
from openbell.model.orders import is_legal
from openbell.model.time import day_end
from openbell.risk.checks import check, check_holdings, price_of


@kernel
def settle_intents(engine: Any) -> None:
    """Turn what the handlers asked for into orders, changes and cancellations, in the order they asked."""
    for index in range(engine.intent_count):
        intent = engine.intent(index)
        if intent.action == enums.SUBMIT:
            submit(engine, intent)
        elif intent.action == enums.CANCEL:
            request_cancel(engine, intent)
        elif intent.action == enums.MODIFY:
            request_modify(engine, intent)
    engine.intent_count = 0


@kernel
def submit(engine: Any, intent: Any) -> None:
    """Signal, check, and either deny the intent or put an order on its way. A venue outside takes lots: money is counted in them here."""
    instrument = engine.instrument(intent.instrument)
    account = engine.account(intent.strategy)
    holding = engine.holding(intent.strategy, intent.instrument)
    _emit_intent(engine, enums.SIGNAL, intent, instrument.reference_price, 0)
    engine.signals += 1
    account.signals += 1
    reason = judge(engine, account, holding, instrument, intent)
    if reason == enums.NONE and engine.order_free < 0:
        reason = enums.ORDER_TABLE_FULL
    if reason != enums.NONE:
        deny(engine, account, intent, reason)
        return
    slot = engine.order_free
    order = engine.order(slot)
    engine.order_free = order.next
    order.order_id = intent.order_id
    order.ts_created = engine.now
    order.ts_arrival = arrival(engine, intent.order_id)
    order.ts_expiry = 0
    if intent.time_in_force == enums.DAY:
        order.ts_expiry = day_end(engine.now, instrument.day_offset_ns)
    order.instrument = intent.instrument
    order.strategy = intent.strategy
    order.side = intent.side
    order.order_type = intent.order_type
    order.time_in_force = intent.time_in_force
    order.status = enums.SUBMITTED
    order.size_kind = intent.size_kind
    order.reason = enums.NONE
    order.resting = 0
    order.quantity = intent.quantity
    order.filled = 0
    order.size = intent.size
    order.limit_price = intent.limit_price
    order.stop_price = intent.stop_price
    order.arrival_price = instrument.reference_price
    order.filled_notional = 0.0
    hold(account, holding, order, cost_of(engine, account, instrument, intent))
    if engine.fill_model == enums.FILL_OUTSIDE:
        reason = size_order(engine, instrument, order, price_of(instrument, intent))
        if reason != enums.NONE:
            release(account, holding, order)
            order.status = enums.DENIED
            order.next = engine.order_free
            engine.order_free = slot
            deny(engine, account, intent, reason)
            return
    link(engine, instrument, slot)
    engine.open_orders += 1
    account.open_orders += 1
    engine.orders += 1
    account.orders += 1
    engine.emit_order(enums.SUBMIT, order)


@kernel
def deny(engine: Any, account: Any, intent: Any, reason: int) -> None:
    """The intent does not become an order."""
    engine.denials += 1
    account.denials += 1
    _emit_intent(engine, enums.ORDER, intent, intent.limit_price, reason)


@kernel
def judge(engine: Any, account: Any, holding: Any, instrument: Any, intent: Any) -> int:
    """The reason to deny the intent, or NONE: every check, then position and cash at the price it left the checks with."""
    reason = check(account, holding, instrument, intent, engine.now)
    if reason == enums.NONE:
        reason = check_holdings(account, holding, instrument, intent, cost_of(engine, account, instrument, intent))
    return reason


@kernel
def cost_of(engine: Any, account: Any, instrument: Any, intent: Any) -> int:
    """Money to hold back for an intent that passed the checks: what a purchase may cost, fee included; nothing for a sale."""
    if intent.side < 0:
        return 0
    if intent.size_kind == enums.BY_CASH:
        return int(account.free_cash * intent.size)
    price = price_of(instrument, intent)
    if intent.size_kind == enums.BY_NOTIONAL:
        notional = round_half_up(intent.size)
        return notional + fee(engine, instrument, whole(intent.size / (price * instrument.money_per_point)), notional, False)
    notional = notional_of(instrument, price, intent.quantity)
    return notional + fee(engine, instrument, intent.quantity, notional, False)


@kernel
def _emit_intent(engine: Any, kind: int, intent: Any, price: float, reason: int) -> None:
    command = engine.emit(kind)
    command.side = intent.side
    command.order_type = intent.order_type
    command.time_in_force = intent.time_in_force
    command.instrument = intent.instrument
    command.strategy = intent.strategy
    command.status = enums.DENIED if reason != enums.NONE else 0
    command.reason = reason
    command.size_kind = intent.size_kind
    command.order_id = intent.order_id
    command.quantity = intent.quantity
    command.price = price
    command.stop_price = intent.stop_price
    command.size = intent.size


@kernel
def request_cancel(engine: Any, intent: Any) -> None:
    """Cancel an open order: at once at the simulated venue, by a command and a reply at one outside."""
    slot = find_order(engine, intent.strategy, intent.order_id)
    if slot < 0:
        _emit_intent(engine, enums.REFUSED, intent, 0.0, enums.UNKNOWN_ORDER)
        return
    cancel_order(engine, slot, intent.reason)


@kernel
def cancel_order(engine: Any, slot: int, reason: int) -> None:
    """Cancel the open order in a slot."""
    order = engine.order(slot)
    if engine.fill_model != enums.FILL_OUTSIDE:
        finish(engine, slot, enums.CANCELED, reason, True)
    elif is_legal(order.status, enums.PENDING_CANCEL):
        order.status = enums.PENDING_CANCEL
        order.reason = reason
        engine.emit_order(enums.CANCEL, order)


@kernel
def cancel_all(engine: Any, strategy: int, reason: int) -> None:
    """Cancel every open order of a strategy."""
    slot, left = 0, engine.open_orders
    while left > 0:
        order = engine.order(slot)
        if is_open(order):
            left -= 1
            if order.strategy == strategy:
                cancel_order(engine, slot, reason)
        slot += 1


@kernel
def request_modify(engine: Any, intent: Any) -> None:
    """Change an open order, after the checks of a new one. It keeps its id and loses its place in time; refused, it stays as it was."""
    slot = find_order(engine, intent.strategy, intent.order_id)
    if slot < 0:
        _emit_intent(engine, enums.REFUSED, intent, 0.0, enums.UNKNOWN_ORDER)
        return
    order = engine.order(slot)
    instrument = engine.instrument(order.instrument)
    account = engine.account(order.strategy)
    holding = engine.holding(order.strategy, order.instrument)
    reserved = order.reserved
    lots = fill_in(instrument, order, intent)
    release(account, holding, order)
    account.open_orders -= 1
    reason = judge(engine, account, holding, instrument, intent)
    account.open_orders += 1
    if reason == enums.NONE and not is_legal(order.status, enums.PENDING_MODIFY):
        reason = enums.ILLEGAL_TRANSITION
    if reason != enums.NONE:
        hold(account, holding, order, reserved)
        _emit_intent(engine, enums.REFUSED, intent, intent.limit_price, reason)
        return
    order.quantity = lots
    order.limit_price = intent.limit_price
    order.stop_price = intent.stop_price
    order.ts_arrival = arrival(engine, order.order_id)
    order.resting = 0
    hold(account, holding, order, cost_of(engine, account, instrument, intent))
    unlink(engine, instrument, slot)
    link(engine, instrument, slot)
    if engine.fill_model == enums.FILL_OUTSIDE:
        order.status = enums.PENDING_MODIFY
    engine.emit_order(enums.MODIFY, order)


@kernel
def fill_in(instrument: Any, order: Any, intent: Any) -> int:
    """Complete a change with what it leaves as it is, so that it reads like a new order for the rest; returns the lots in all."""
    lots = order.quantity
    if intent.quantity != 0:
        lots = intent.quantity
    elif intent.size != 0.0:
        lots = to_lots(intent.size, instrument.lot_size)
    is_by_money = order.quantity == 0 and intent.quantity == 0 and intent.size == 0.0
    intent.size_kind = order.size_kind if is_by_money else enums.BY_QUANTITY
    intent.quantity = lots - order.filled
    intent.size = order.size
    intent.side = order.side
    intent.time_in_force = order.time_in_force
    intent.instrument = order.instrument
    if intent.limit_price == 0.0:
        intent.limit_price = order.limit_price
    if intent.stop_price == 0.0:
        intent.stop_price = order.stop_price
    intent.order_type = order.order_type
    if order.order_type >= enums.STOP and order.stop_price <= 0.0:  # triggered
        intent.order_type = enums.LIMIT if order.limit_price > 0.0 else enums.MARKET
    return lots
