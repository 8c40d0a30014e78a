"""What comes from outside besides the market: replies of a broker, requests of a user."""

from typing import Any

from openbell.engine.handlers import refuse, set_handlers, tell_state
from openbell.engine.order_table import find_order, finish
from openbell.engine.orders import cancel_all
from openbell.engine.venue import book_fill
from openbell.execution.models import notional_of
from openbell.model import enums
from openbell.model.jit import kernel
from openbell.model.money import is_price
from openbell.model.orders import is_legal


@kernel
def on_reply(engine: Any, reply: Any) -> None:
    """What a broker outside answered: a fill is booked, a status is taken when it is a legal step."""
    slot = find_order(engine, -1, reply.order_id)
    if slot < 0:
        refuse(engine, reply, enums.UNKNOWN_ORDER)
        return
    order = engine.order(slot)
    is_fill = reply.status == enums.PARTIALLY_FILLED or reply.status == enums.FILLED
    if reply.quantity < 0 or (is_fill and reply.quantity == 0):
        refuse(engine, reply, enums.BAD_QUANTITY)
    elif reply.quantity > 0:
        if not is_price(reply.price):
            refuse(engine, reply, enums.BAD_PRICE)
            return
        if order.quantity == 0 or reply.quantity > order.remaining:
            grow(engine, order, order.filled + reply.quantity)
        notional = notional_of(engine.instrument(order.instrument), reply.price, reply.quantity)
        book_fill(engine, slot, reply.quantity, reply.price, notional, reply.fee, order.resting == 1, reply.ts_event)
    elif not is_legal(order.status, reply.status):
        refuse(engine, reply, enums.ILLEGAL_TRANSITION)
    elif reply.status >= enums.FILLED:
        finish(engine, slot, reply.status, reply.reason, True)
    else:
        order.status = enums.PARTIALLY_FILLED if reply.status == enums.ACCEPTED and order.filled > 0 else reply.status
        engine.emit_order(enums.ORDER, order)


@kernel
def grow(engine: Any, order: Any, quantity: int) -> None:
    """The venue filled more than was asked, or what was sized by money: its word is the truth, and the books follow."""
    holding = engine.holding(order.strategy, order.instrument)
    is_overfill = order.quantity != 0
    before = order.remaining if is_overfill else 1
    order.quantity = quantity
    if order.side > 0:
        holding.buying += order.remaining - before
    else:
        holding.selling += order.remaining - before
    if is_overfill:
        order.reason = enums.OVERFILL
        engine.emit_order(enums.ORDER, order)


@kernel
def on_request(engine: Any, request: Any) -> None:
    """What a user asked for: an order through the same checks, a cancellation, a pause, a start, a kill."""
    if not 0 <= request.strategy < engine.strategy_count:
        refuse(engine, request, enums.UNAUTHORISED)
        return
    strategy = request.strategy
    account = engine.account(strategy)
    if request.action == enums.REQUEST_START:
        account.trading_state = enums.ACTIVE
        set_handlers(engine, strategy, account.handler_mask)
        tell_state(engine, strategy, enums.BY_USER)
    elif request.action == enums.REQUEST_PAUSE:
        if account.trading_state == enums.ACTIVE:
            account.trading_state = enums.PAUSED
        tell_state(engine, strategy, enums.BY_USER)
    elif request.action == enums.REQUEST_KILL:
        account.trading_state = enums.HALTED
        tell_state(engine, strategy, enums.KILLED)
        cancel_all(engine, strategy, enums.KILLED)
    elif request.action == enums.REQUEST_CANCEL:
        note_request(engine, request, enums.CANCEL)
    elif request.action == enums.REQUEST_MODIFY:
        note_request(engine, request, enums.MODIFY)
    elif request.action != enums.REQUEST_SUBMIT:
        refuse(engine, request, enums.NOT_WELL_FORMED)
    elif not 0 <= request.instrument < engine.instrument_count:
        refuse(engine, request, enums.UNKNOWN_INSTRUMENT)
    else:
        note_request(engine, request, enums.SUBMIT)


@kernel
def note_request(engine: Any, request: Any, action: int) -> None:
    """Put a user's order, change or cancellation where strategies put theirs."""
    intent = engine.intent(engine.intent_count)
    engine.intent_count += 1
    intent.action = action
    intent.side = request.side
    intent.order_type = request.order_type
    intent.time_in_force = request.time_in_force
    intent.size_kind = request.size_kind
    intent.reason = enums.BY_USER
    intent.strategy = request.strategy
    intent.instrument = request.instrument
    intent.order_id = request.order_id
    intent.quantity = request.quantity
    intent.size = 0.0
    if action == enums.SUBMIT:
        engine.leg += 1
        intent.order_id = (engine.seq << 10) + engine.leg
        if request.size_kind != enums.BY_QUANTITY:
            intent.quantity = 0
            intent.size = float(request.quantity)
    intent.limit_price = request.limit_price
    intent.stop_price = request.stop_price
