"""Ticks onto tapes, each in constant time: it enters the second that is open, and is held against the limits of its part."""

from typing import Any

import numpy as np

from openbell.analytics.hours import is_covered, session_at
from openbell.analytics.passing import pass_time
from openbell.analytics.usual import check_price, check_volume
from openbell.model import enums
from openbell.model.analytics import (
    ASK,
    BEFORE,
    DONE,
    FORGET_NS,
    SECOND_NS,
    WINDOW_COUNT,
    head_at,
    hours_at,
    row_at,
    span_at,
    tape_at,
)
from openbell.model.candles import NEVER
from openbell.model.events import defect, event_at
from openbell.model.jit import inline_kernel, kernel


@kernel
def take(head_address: int, events: int, first: int, count: int) -> int:
    """Take the events (EVENT) from `first` to `count`: trades and quotes of instruments that have a tape, and timers.

    DONE; or ASK: the sessions around `asked_ts` have to be told before the event `row`.
    """
    head = head_at(head_address, 0)
    for row in range(first, count):
        event = event_at(events, row)
        if event.kind == enums.TIMER:
            head.now = max(head.now, event.ts_event)
        if event.kind > enums.QUOTE or not 0 <= event.instrument < head.instruments:
            continue
        index = row_at(head.rows, event.instrument).tape
        if index < 0 or defect(event) != enums.NONE:
            continue
        tape = tape_at(head.tapes, index)
        ts = max(event.ts_event, tape.now)
        if not is_covered(head, ts):
            head.row, head.asked_ts = row, ts
            return ASK
        if ts - FORGET_NS > tape.now:
            begin(head, tape, index, ts)
        elif ts > tape.now:
            pass_time(head, tape, index, ts, True)
        head.now = max(head.now, ts)
        if ts >= tape.session_until:
            begin_session(head, tape, ts)
        tape.ticks += 1
        tape.last_ts = ts
        if event.kind == enums.TRADE:
            trade(tape, ts, event.trade.price, event.trade.quantity)
        else:
            quote(tape, ts, event.quote.bid_price, event.quote.ask_price)
    return DONE


@inline_kernel
def trade(tape: Any, ts: int, price: float, lots: int) -> None:
    """A trade, whose price is the price from now on."""
    tape.has_traded = 1
    tape.last_trade_ts = ts
    tape.lots += lots
    tape.notional += price * lots
    tape.trades += 1
    tape.session_lots += lots
    tape.session_trades += 1
    term = price * lots - tape.session_rest
    total = tape.session_notional + term
    tape.session_rest = (total - tape.session_notional) - term
    tape.session_notional = total
    tape.part_lots += lots
    move(tape, ts, price)
    if tape.part_lots > tape.burst_limit:
        check_volume(tape, ts)


@inline_kernel
def quote(tape: Any, ts: int, bid: float, ask: float) -> None:
    """A quote, whose middle is the price before the first trade."""
    middle = (bid + ask) / 2.0
    tape.bid, tape.ask, tape.spread = bid, ask, 10_000.0 * (ask - bid) / middle
    if tape.has_traded == 0:
        move(tape, ts, middle)


@inline_kernel
def move(tape: Any, ts: int, price: float) -> None:
    """The price is another."""
    tape.price = price
    if tape.first_price != tape.first_price:
        tape.first_price = price
    if tape.session_price != tape.session_price:
        tape.session_price = price
    if price > tape.jump_high or price < tape.jump_low:
        check_price(tape, ts)


@kernel
def begin(head: Any, tape: Any, index: int, ts: int) -> None:
    """The first tick of a symbol for a long time."""
    tape.now, tape.second_end = ts, ts // SECOND_NS * SECOND_NS + SECOND_NS
    tape.lots, tape.notional, tape.trades, tape.ticks, tape.spread_sum, tape.quoted_ns = 0, 0.0, 0, 0, 0.0, 0
    tape.price, tape.bid, tape.ask, tape.spread, tape.first_price = np.nan, np.nan, np.nan, np.nan, np.nan
    tape.jump_low, tape.jump_high, tape.jump_usual, tape.jump_from = np.nan, np.nan, np.nan, np.nan
    tape.burst_limit, tape.burst_usual, tape.spread_limit, tape.spread_usual = np.nan, np.nan, np.nan, np.nan
    tape.session_until, tape.has_traded, tape.part_lots, tape.last_trade_ts = BEFORE, 0, 0, BEFORE
    for window in range(WINDOW_COUNT):
        span = span_at(head.spans, index * WINDOW_COUNT + window)
        span.part, span.known, span.returns, span.ema, span.ewma = ts // span.step_ns, 0, 0, np.nan, np.nan
        span.lots, span.notional, span.trades, span.ticks, span.spread_sum, span.quoted_ns = 0, 0.0, 0, 0, 0.0, 0


@kernel
def begin_session(head: Any, tape: Any, ts: int) -> None:
    """The session that `ts` (ns) is in, or after, begins for a symbol; its price before that is what it is compared with."""
    row = session_at(head, ts)
    hours = hours_at(head.hours, row)
    tape.session_from, tape.session_closes = hours.opens, hours.closes
    tape.session_until = hours_at(head.hours, row + 1).opens if row + 1 < head.hours_count else NEVER
    tape.session_price = tape.price
    tape.session_notional, tape.session_rest, tape.session_lots, tape.session_trades = 0.0, 0.0, 0, 0
