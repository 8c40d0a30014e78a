"""Events: everything that can change a decision, as 96-byte records in one total order.

An event is a C union. All members share the first 32 bytes, so `event.kind` says which member holds: `event.trade`, `event.quote`,
`event.bar`, `event.reply`, `event.request` (a timer is the header alone). Times are int64 nanoseconds since 1970 UTC.
"""

from typing import Any

import numpy as np

from openbell.model import enums
from openbell.model.jit import Record, inline_kernel, layout, pointer, union
from openbell.model.money import is_price

EVENT_SIZE = 96


def header(*detail: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """The first 32 bytes of every event; `detail` names its bytes 18 and 19."""
    return [
        ("seq", "i8"),  # position in the total order, 1, 2, 3, ... without a gap
        ("ts_available", "i8"),  # ns, when we could first know it; never falls as seq rises
        ("kind", "u1"),  # TRADE, QUOTE, BAR, TIMER, REPLY, REQUEST
        ("side", "i1"),  # trade: aggressor; reply and request: of the order; else 0
        *(detail or [("_pad", "u1", (2,))]),
        ("instrument", "i4"),  # index in the instrument table
        ("ts_event", "i8"),  # ns, the venue's time; for a bar its start
    ]


class Trade(Record):
    """One trade of the venue."""


TRADE_RECORD = layout(
    Trade,
    56,
    [
        *header(),
        ("price", "f8"),
        ("quantity", "i8"),  # lots
        ("trade_id", "i8"),  # the venue's, 0 when it gives none
    ],
)


class Quote(Record):
    """The best bid and offer after a change."""


QUOTE_RECORD = layout(
    Quote,
    64,
    [
        *header(),
        ("bid_price", "f8"),
        ("ask_price", "f8"),
        ("bid_quantity", "i8"),  # lots
        ("ask_quantity", "i8"),  # lots
    ],
)


class Bar(Record):
    """One candle: `ts_event` is its start, `ts_available` its end, when it closed."""

    @property
    def vwap(self) -> Any:
        """Volume-weighted average price; NaN for a bar without volume."""
        if self.volume > 0:
            return self.notional / self.volume
        return np.nan


BAR_RECORD = layout(
    Bar,
    96,
    [
        *header(),
        ("timeframe_ns", "i8"),
        ("open", "f8"),
        ("high", "f8"),
        ("low", "f8"),
        ("close", "f8"),
        ("volume", "i8"),  # lots
        ("notional", "f8"),  # sum of price * lots
        ("trades", "i8"),  # number of trades, 0 when history does not tell
    ],
)


class Reply(Record):
    """What a broker outside answered about an order: a new status, or a fill."""


REPLY_RECORD = layout(
    Reply,
    72,
    [
        *header(("status", "u1"), ("reason", "u1")),
        ("order_id", "i8"),
        ("quantity", "i8"),  # lots filled by this reply, 0 when it only changes the status
        ("price", "f8"),  # of this fill
        ("fee", "i8"),  # money
        ("execution_id", "i8"),  # the venue's id of the fill
    ],
)


class Request(Record):
    """What a user asked for."""


REQUEST_RECORD = layout(
    Request,
    72,
    [
        *header(("action", "u1"), ("order_type", "u1")),
        ("strategy", "i4"),  # index of the strategy (account) it concerns
        ("time_in_force", "u1"),
        ("size_kind", "u1"),  # BY_QUANTITY, BY_NOTIONAL, BY_CASH
        ("_pad", "u1", (2,)),
        ("order_id", "i8"),  # for a cancellation or modification
        ("quantity", "i8"),  # lots, or money for BY_NOTIONAL
        ("limit_price", "f8"),
        ("stop_price", "f8"),
    ],
)


class Event(Record):
    """Any event."""


EVENT = union(
    Event,
    EVENT_SIZE,
    [
        ("seq", "i8", 0),
        ("ts_available", "i8", 8),
        ("kind", "u1", 16),
        ("side", "i1", 17),
        ("instrument", "i4", 20),
        ("ts_event", "i8", 24),
        ("trade", TRADE_RECORD, 0),
        ("quote", QUOTE_RECORD, 0),
        ("bar", BAR_RECORD, 0),
        ("reply", REPLY_RECORD, 0),
        ("request", REQUEST_RECORD, 0),
    ],
)

event_at = pointer(EVENT)
bar_at = pointer(BAR_RECORD)
trade_at = pointer(TRADE_RECORD)


@inline_kernel
def copy_candle(source: Any, target: Any) -> None:
    """Copy what a candle says of the market: instrument, time, timeframe, prices and volumes; not when it was known, nor its place."""
    target.instrument = source.instrument
    target.ts_event = source.ts_event
    target.timeframe_ns = source.timeframe_ns
    target.open = source.open
    target.high = source.high
    target.low = source.low
    target.close = source.close
    target.volume = source.volume
    target.notional = source.notional
    target.trades = source.trades


@inline_kernel
def defect(event: Any) -> int:
    """Why a market event cannot be used, or NONE. Comparisons say what is right, so that NaN is wrong."""
    if event.kind == enums.TRADE:
        if not is_price(event.trade.price):
            return enums.BAD_PRICE
        if event.trade.quantity < 0:
            return enums.BAD_QUANTITY
    elif event.kind == enums.QUOTE:
        if not (is_price(event.quote.bid_price) and is_price(event.quote.ask_price)):
            return enums.BAD_PRICE
        if event.quote.bid_price > event.quote.ask_price:
            return enums.CROSSED_QUOTE
    elif event.kind != enums.BAR:
        return enums.NOT_WELL_FORMED
    else:
        bar = event.bar
        inside = (bar.low <= bar.open) & (bar.open <= bar.high) & (bar.low <= bar.close) & (bar.close <= bar.high)
        if not (inside & (bar.low > 0.0) & is_price(bar.high)):
            return enums.BAD_PRICE
        if bar.volume < 0:
            return enums.BAD_QUANTITY
    return enums.NONE
