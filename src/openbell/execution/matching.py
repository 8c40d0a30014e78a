"""What one market event does to one resting order of the simulated venue.

The conditions, in words:

* An order takes part from the first event that begins at or after its arrival, and a DAY order until one begins at or after the end of its
  day, or a TIMER says that it is over. A bar begins at its start, so only bars whose whole span is after the arrival count; anything else
  when it became available.
* A market order trades at the event's opposite side: the offer or bid of a quote, the price of a trade (the standing offer or bid where the
  instrument has quotes), the open of a bar. With FILL_PREVAILING an order that arrives meets the price that stood before the event instead.
* A limit order that could trade when it arrives does so as a taker, at that price. Otherwise it rests, and trades at its limit as a maker
  when the market touches it; a bar that opens beyond it gives the better open.
* A stop triggers when the market touches it, and then is a market (or limit) order within the same event; within a bar it trades at the
  stop, or at the open when the bar opened beyond it.
* IOC and FOK orders meet one event: of a bar its open only. What does not trade then is canceled. A stop waits for its trigger first.
"""

from typing import Any

from openbell.model import enums
from openbell.model.jit import kernel

#: `match_price` found no trade.
NO_PRICE = 0.0


@kernel
def begins(event: Any) -> int:
    """When (ns) the event begins: a bar at its start, anything else when it became available."""
    return int(event.ts_event) if event.kind == enums.BAR else int(event.ts_available)


@kernel
def has_arrived(order: Any, event: Any) -> bool:
    """Whether the venue has the order when this event happens."""
    return begins(event) >= order.ts_arrival


@kernel
def has_expired(order: Any, event: Any) -> bool:
    """Whether the order's day is over when this event happens."""
    return order.ts_expiry != 0 and begins(event) >= order.ts_expiry


@kernel
def is_at_once(order: Any) -> bool:
    """Whether the order trades at the first event it may trade on, or never."""
    return (order.time_in_force == enums.IOC or order.time_in_force == enums.FOK) and order.stop_price <= 0.0


@kernel
def taker_price(instrument: Any, event: Any, side: int, fill_model: int) -> float:
    """The price a market order of this side gets on this event, before slippage."""
    if fill_model == enums.FILL_PREVAILING:
        return instrument.buy_price if side > 0 else instrument.sell_price
    if event.kind == enums.BAR:
        return event.bar.open
    if event.kind == enums.QUOTE:
        return event.quote.ask_price if side > 0 else event.quote.bid_price
    if instrument.has_quotes:
        return instrument.ask_price if side > 0 else instrument.bid_price
    return event.trade.price


@kernel
def touch_price(event: Any, side: int, towards: int) -> float:
    """The event's extreme for an order of this side: the one nearest to a limit (`towards` -1) or to a stop (`towards` +1)."""
    if event.kind == enums.BAR:
        return event.bar.high if side * towards > 0 else event.bar.low
    if event.kind == enums.QUOTE:
        return event.quote.ask_price if side > 0 else event.quote.bid_price
    return event.trade.price


@kernel
def match_price(order: Any, instrument: Any, event: Any, fill_model: int) -> float:
    """The price at which the order trades on this event, NO_PRICE when it does not. Clears a stop that triggers; marks what rests."""
    if order.stop_price > 0.0:
        return stop_price(order, instrument, event)
    side, limit = order.side, order.limit_price
    if order.resting == 0:
        price = taker_price(instrument, event, side, fill_model)
        if limit <= 0.0 or side * (limit - price) >= 0.0:
            return price
        order.resting = 1
        if event.kind != enums.BAR or is_at_once(order):
            return NO_PRICE
    if side * (limit - touch_price(event, side, -1)) < 0.0:
        return NO_PRICE
    if event.kind == enums.BAR and side * (limit - event.bar.open) > 0.0:
        return event.bar.open
    return limit


@kernel
def stop_price(order: Any, instrument: Any, event: Any) -> float:
    """The price at which a stop triggers and trades on this event; NO_PRICE when it does not, or waits at its limit from then on."""
    side = order.side
    if side * (touch_price(event, side, 1) - order.stop_price) < 0.0:
        return NO_PRICE
    price = taker_price(instrument, event, side, enums.FILL_NEXT)
    if event.kind == enums.BAR and side * (price - order.stop_price) < 0.0:
        price = order.stop_price
    order.stop_price = 0.0
    if order.limit_price > 0.0 and side * (order.limit_price - price) < 0.0:
        order.resting = 1
        return NO_PRICE
    return price


@kernel
def liquidity(event: Any, side: int, participation: float) -> int:
    """Lots that orders of this side may take from the event; no bound where `participation` is 0."""
    if participation <= 0.0:
        return enums.UNLIMITED
    if event.kind == enums.BAR:
        shown = event.bar.volume
    elif event.kind == enums.QUOTE:
        shown = event.quote.ask_quantity if side > 0 else event.quote.bid_quantity
    else:
        shown = event.trade.quantity
    return int(shown * participation)
