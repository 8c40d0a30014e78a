"""The order table: open orders in a list for each instrument, first come, first served; ended ones in a list of free slots.

An order holds back lots and money while it is open. What `hold` takes, `release` gives back to the last unit.
"""

from typing import Any

from openbell.model import enums
from openbell.model.jit import kernel
from openbell.model.orders import is_legal


@kernel
def link(engine: Any, instrument: Any, slot: int) -> None:
    """Append a slot to the open orders of its instrument."""
    order = engine.order(slot)
    order.next = -1
    order.previous = instrument.order_last
    if instrument.order_last >= 0:
        engine.order(instrument.order_last).next = slot
    else:
        instrument.order_first = slot
    instrument.order_last = slot


@kernel
def unlink(engine: Any, instrument: Any, slot: int) -> None:
    """Take a slot out of the open orders of its instrument."""
    order = engine.order(slot)
    if order.previous >= 0:
        engine.order(order.previous).next = order.next
    else:
        instrument.order_first = order.next
    if order.next >= 0:
        engine.order(order.next).previous = order.previous
    else:
        instrument.order_last = order.previous


@kernel
def pending_lots(order: Any) -> int:
    """Lots an open order may still trade; one while its size is still money."""
    if order.quantity == 0:
        return 1
    return order.remaining


@kernel
def hold(account: Any, holding: Any, order: Any, money: int) -> None:
    """Hold back the money an order may cost, and count its lots as pending."""
    if order.side > 0:
        holding.buying += pending_lots(order)
    else:
        holding.selling += pending_lots(order)
    order.reserved = money
    account.reserved += money


@kernel
def release(account: Any, holding: Any, order: Any) -> None:
    """Undo `hold`."""
    if order.side > 0:
        holding.buying -= pending_lots(order)
    else:
        holding.selling -= pending_lots(order)
    account.reserved -= order.reserved
    order.reserved = 0


@kernel
def finish(engine: Any, slot: int, status: int, reason: int, tell: bool) -> None:
    """End an order: status, reservation, links, and its slot is free again."""
    order = engine.order(slot)
    assert is_legal(order.status, status)
    account = engine.account(order.strategy)
    release(account, engine.holding(order.strategy, order.instrument), order)
    order.status = status
    order.reason = reason
    unlink(engine, engine.instrument(order.instrument), slot)
    account.open_orders -= 1
    engine.open_orders -= 1
    if tell:
        engine.emit_order(enums.ORDER, order)
    order.next = engine.order_free
    engine.order_free = slot


@kernel
def is_open(order: Any) -> bool:
    """Whether the slot holds an order that may still trade."""
    return enums.SUBMITTED <= order.status <= enums.UNKNOWN


@kernel
def find_order(engine: Any, strategy: int, order_id: int) -> int:
    """The slot of an open order of a strategy (-1: of any), or -1. Low slots fill first, so the search ends with the last open order."""
    slot, left = 0, engine.open_orders
    while left > 0:
        order = engine.order(slot)
        if is_open(order):
            if order.order_id == order_id and (strategy < 0 or order.strategy == strategy):
                return slot
            left -= 1
        slot += 1
    return -1
