"""The life of an order: from a strategy's intent through the risk checks to the venue, its fills, and the end."""

from typing import Any

from openbell.execution.matching import NO_PRICE, has_arrived, liquidity, match_price
from openbell.execution.models import affordable, arrival, fee, notional_of, slip
from openbell.engine.handlers import notify_fill
from openbell.model import enums
from openbell.model.jit import kernel
from openbell.model.money import is_price, round_half_up, snap
from openbell.model.orders import is_legal
from openbell.model.time import day_end
from openbell.portfolio.accounting import apply_fill
from openbell.risk.checks import check


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
    """Signal, check, and either deny the intent or put an order on its way."""
    instrument = engine.instrument(intent.instrument)
    account = engine.account(intent.strategy)
    holding = engine.holding(intent.strategy, intent.instrument)
    _emit_intent(engine, enums.SIGNAL, intent, instrument.reference_price, 0)
    engine.signals += 1
    account.signals += 1
    reason = check(account, holding, instrument, intent, engine.now, engine.fee_taker / 10_000.0)
    if reason == enums.NONE and engine.order_free < 0:
        reason = enums.ORDER_TABLE_FULL
    if reason != enums.NONE:
        engine.denials += 1
        account.denials += 1
        _emit_intent(engine, enums.ORDER, intent, intent.limit_price, reason)
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
    order.reserved = 0
    _link(engine, instrument, slot)
    reserve(engine, account, holding, instrument, order)
    engine.open_orders += 1
    account.open_orders += 1
    engine.orders += 1
    account.orders += 1
    engine.emit_order(enums.SUBMIT, order)


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
def _link(engine: Any, instrument: Any, slot: int) -> None:
    """Append a slot to the open orders of its instrument: first come, first served."""
    order = engine.order(slot)
    order.next = -1
    order.previous = instrument.order_last
    if instrument.order_last >= 0:
        engine.order(instrument.order_last).next = slot
    else:
        instrument.order_first = slot
    instrument.order_last = slot


@kernel
def reserve(engine: Any, account: Any, holding: Any, instrument: Any, order: Any) -> None:
    """Hold back what the order may cost, and count its lots as pending."""
    lots = pending_lots(order)
    if order.side > 0:
        holding.buying += lots
        if order.size_kind == enums.BY_CASH:
            order.reserved = int(account.free_cash * order.size)
        elif order.size_kind == enums.BY_NOTIONAL:
            order.reserved = int(order.size)
        else:
            price = order.limit_price if order.limit_price > 0.0 else max(instrument.reference_price, order.stop_price)
            order.reserved = round_half_up(price * instrument.money_per_point * lots * (1.0 + engine.fee_taker / 10_000.0))
        account.reserved += order.reserved
    else:
        holding.selling += lots


@kernel
def release(account: Any, holding: Any, order: Any) -> None:
    """Undo `reserve`."""
    lots = pending_lots(order)
    if order.side > 0:
        holding.buying -= lots
        account.reserved -= order.reserved
        order.reserved = 0
    else:
        holding.selling -= lots


@kernel
def pending_lots(order: Any) -> int:
    """Lots an open order may still trade; one while its size is still money."""
    if order.quantity == 0:
        return 1
    return order.remaining


@kernel
def finish(engine: Any, slot: int, status: int, reason: int, tell: bool) -> None:
    """End an order: status, reservation, links, and its slot is free again."""
    order = engine.order(slot)
    assert is_legal(order.status, status)
    instrument = engine.instrument(order.instrument)
    account = engine.account(order.strategy)
    release(account, engine.holding(order.strategy, order.instrument), order)
    order.status = status
    order.reason = reason
    if order.previous >= 0:
        engine.order(order.previous).next = order.next
    else:
        instrument.order_first = order.next
    if order.next >= 0:
        engine.order(order.next).previous = order.previous
    else:
        instrument.order_last = order.previous
    account.open_orders -= 1
    engine.open_orders -= 1
    if tell:
        engine.emit_order(enums.ORDER, order)
    order.next = engine.order_free
    engine.order_free = slot


@kernel
def work_orders(engine: Any, instrument: Any, event: Any) -> None:
    """Let the event meet the instrument's open orders, oldest first."""
    left_buy = liquidity(event, enums.BUY, engine.participation)
    left_sell = liquidity(event, enums.SELL, engine.participation)
    slot = instrument.order_first
    while slot >= 0:
        order = engine.order(slot)
        following = order.next
        if order.ts_expiry != 0 and engine.now >= order.ts_expiry:
            finish(engine, slot, enums.EXPIRED, enums.END_OF_DAY, True)
        elif engine.fill_model != enums.FILL_OUTSIDE and has_arrived(order, event):
            if order.side > 0:
                left_buy -= work_order(engine, slot, instrument, event, left_buy)
            else:
                left_sell -= work_order(engine, slot, instrument, event, left_sell)
        slot = following


@kernel
def work_order(engine: Any, slot: int, instrument: Any, event: Any, available: int) -> int:
    """Let the event meet one order at the venue; returns the lots it took."""
    order = engine.order(slot)
    price = match_price(order, instrument, event, engine.fill_model)
    lots = 0
    at_once = order.time_in_force == enums.IOC or order.time_in_force == enums.FOK
    if price != NO_PRICE:
        is_maker = order.resting == 1
        if not is_maker:
            slipped = slip(engine, instrument, order.side, price)
            price = slipped if order.limit_price <= 0.0 or order.side * (order.limit_price - slipped) >= 0.0 else order.limit_price
        size_order(engine, instrument, order, price)
        lots = min(order.remaining, available)
        if order.time_in_force == enums.FOK and lots < order.remaining:
            lots = 0
        if lots > 0 and order.side > 0:
            lots = afford(engine, instrument, order, price, lots)
            if lots == 0:
                finish(engine, slot, enums.REJECTED if order.filled == 0 and order.status == enums.SUBMITTED else enums.CANCELED,
                       enums.INSUFFICIENT_CASH, True)
                return 0
        if lots > 0:
            notional = notional_of(instrument, price, lots)
            charge = fee(engine, instrument, lots, notional, is_maker)
            done = book_fill(engine, slot, lots, price, notional, charge, is_maker, event.ts_event)
            if done:
                return lots
    if at_once:
        finish(engine, slot, enums.CANCELED, enums.NOT_FILLED_AT_ONCE, True)
    elif order.status == enums.SUBMITTED:
        order.status = enums.ACCEPTED
        engine.emit_order(enums.ORDER, order)
    return lots


@kernel
def size_order(engine: Any, instrument: Any, order: Any, price: float) -> None:
    """Turn an order sized by money into lots, at the price of its first fill."""
    if order.quantity != 0:
        return
    account = engine.account(order.strategy)
    holding = engine.holding(order.strategy, order.instrument)
    if order.size_kind == enums.BY_CASH:
        lots = affordable(engine, instrument, price, int((account.free_cash + order.reserved) * order.size))
    else:
        lots = int(order.size / (price * instrument.money_per_point))
    lots = min(lots, instrument.quantity_max)
    order.quantity = lots
    if order.side > 0:
        holding.buying += lots - 1
    else:
        if engine.account(order.strategy).short_allowed != 1:
            order.quantity = min(lots, max(holding.quantity - holding.selling + 1, 0))
        holding.selling += order.quantity - 1


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
    if order.side > 0:
        holding.buying -= lots
        account.reserved -= share
        order.reserved -= share
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
    else:
        order.status = enums.PARTIALLY_FILLED
    notify_fill(engine, fill)
    return done


@kernel
def find_order(engine: Any, strategy: int, order_id: int) -> int:
    """The slot of an open order of a strategy (-1: of any), or -1. Open orders are few, by the limit on them."""
    for slot in range(engine.order_capacity):
        order = engine.order(slot)
        if order.order_id == order_id and enums.SUBMITTED <= order.status <= enums.UNKNOWN and (strategy < 0 or order.strategy == strategy):
            return slot
    return -1


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
    for slot in range(engine.order_capacity):
        order = engine.order(slot)
        if order.strategy == strategy and order.order_id != 0 and enums.SUBMITTED <= order.status <= enums.UNKNOWN:
            cancel_order(engine, slot, reason)


@kernel
def request_modify(engine: Any, intent: Any) -> None:
    """Change an open order, after the same checks as a new one. It keeps its id and loses its place in time."""
    slot = find_order(engine, intent.strategy, intent.order_id)
    if slot < 0:
        _emit_intent(engine, enums.REFUSED, intent, 0.0, enums.UNKNOWN_ORDER)
        return
    order = engine.order(slot)
    instrument = engine.instrument(order.instrument)
    account = engine.account(order.strategy)
    holding = engine.holding(order.strategy, order.instrument)
    lots = round_half_up(intent.size / instrument.lot_size) if intent.size > 0.0 else order.quantity
    limit = snap(intent.limit_price, instrument.price_increment) if is_price(intent.limit_price) else order.limit_price
    stop = snap(intent.stop_price, instrument.price_increment) if is_price(intent.stop_price) else order.stop_price
    release(account, holding, order)
    intent.side = order.side
    intent.order_type = order.order_type
    intent.time_in_force = order.time_in_force
    intent.instrument = order.instrument
    intent.size_kind = order.size_kind
    intent.quantity = lots - order.filled
    intent.size = order.size
    intent.limit_price = limit
    intent.stop_price = stop
    if order.order_type >= enums.STOP and order.stop_price <= 0.0:
        intent.order_type = order.order_type - 2  # triggered: a stop is a market order now, a stop-limit a limit order
    account.open_orders -= 1
    reason = check(account, holding, instrument, intent, engine.now, engine.fee_taker / 10_000.0)
    account.open_orders += 1
    if reason == enums.NONE and not is_legal(order.status, enums.PENDING_MODIFY):
        reason = enums.ILLEGAL_TRANSITION
    if reason == enums.NONE:
        if order.quantity != 0:
            order.quantity = lots
        order.limit_price = intent.limit_price
        order.stop_price = intent.stop_price
        order.ts_arrival = arrival(engine, order.order_id)
        order.resting = 0
        if engine.fill_model == enums.FILL_OUTSIDE:
            order.status = enums.PENDING_MODIFY
        engine.emit_order(enums.MODIFY, order)
    else:
        _emit_intent(engine, enums.REFUSED, intent, limit, reason)
    reserve(engine, account, holding, instrument, order)
