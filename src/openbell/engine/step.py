"""The kernel: `step(state, events) -> commands`, the same for a backtest, for paper trading and for live trading.

The body of `process` is the whole pipeline; read it top to bottom. Everything is an address because one compiled kernel serves every
strategy, every number of instruments and every state: what differs lies in the buffers. Nothing is allocated, nothing reads a clock.
"""

from typing import Any

from openbell.bars.builder import add_bar, add_trade
from openbell.engine.handlers import call_open_slices, close_candles, fire_timers, notify, notify_bar, refuse
from openbell.engine.orders import settle_intents
from openbell.engine.outside import on_reply, on_request
from openbell.engine.venue import expire_orders, work_orders
from openbell.model import enums
from openbell.model.events import EVENT_SIZE, event_at
from openbell.model.jit import inline_kernel, kernel
from openbell.model.money import is_price
from openbell.model.state import engine_at


@kernel
def step(state: int, events: int, count: int, commands: int, capacity: int, reserve: int, handlers: int) -> tuple[int, int]:
    """Feed `count` events at an address to the state at an address; returns (events consumed, commands written).

    Stops early, between two events, when fewer than `reserve` commands would fit.
    """
    engine = engine_at(state, 0)
    engine.commands_address = commands
    engine.commands_written = 0
    engine.handlers_address = handlers
    done = 0
    while done < count and engine.commands_written + reserve <= capacity:
        process(engine, event_at(events, done))
        done += 1
    written = engine.commands_written
    engine.commands_address = 0
    engine.commands_written = 0
    engine.handlers_address = 0
    engine.strategy = 0
    engine.leg = 0
    return done, written


@inline_kernel
def process(engine: Any, event: Any) -> None:
    """One event through the whole pipeline."""
    engine.seq = event.seq
    engine.leg = 0
    if event.ts_available > engine.now:
        if engine.now >= engine.equity_next or engine.slices_open > 0 or engine.timer_next <= event.ts_available:
            pass_time(engine, event.ts_available)
        engine.now = event.ts_available
    kind = event.kind
    if kind == enums.TIMER:
        on_timer(engine, event)
    elif kind == enums.REPLY:
        on_reply(engine, event.reply)
    elif kind == enums.REQUEST:
        on_request(engine, event.request)
    else:
        on_market(engine, event)
    if engine.intent_count > 0:
        settle_intents(engine)


@inline_kernel
def on_market(engine: Any, event: Any) -> None:
    """A trade, a quote or a bar: orders meet it, prices take it, candles close, strategies see it."""
    reason = enums.UNKNOWN_INSTRUMENT
    if 0 <= event.instrument < engine.instrument_count:
        reason = defect(event)
    if reason != enums.NONE:
        refuse(engine, event, reason)
        return
    instrument = engine.instrument(event.instrument)
    if instrument.order_first >= 0:
        work_orders(engine, instrument, event)
        if engine.intent_count > 0:
            settle_intents(engine)
    if event.kind == enums.BAR:
        on_bar(engine, instrument, event.bar)
    elif event.kind == enums.TRADE:
        on_trade(engine, instrument, event.trade)
    else:
        on_quote(engine, instrument, event.quote)


@inline_kernel
def on_trade(engine: Any, instrument: Any, trade: Any) -> None:
    """A trade: candles that ended before it close, it enters its own candle, and strategies see it."""
    engine.trades += 1
    instrument.trades += 1
    if trade.ts_event > instrument.watermark:
        instrument.watermark = trade.ts_event
        if instrument.builder_count > 0:
            close_candles(engine, instrument, trade.ts_event - instrument.lateness_ns)
    instrument.last_price = trade.price
    instrument.last_quantity = trade.quantity
    instrument.ts_price = engine.now
    late = False
    for index in range(instrument.builder_first, instrument.builder_first + instrument.builder_count):
        if not add_trade(engine.builder(index), trade.ts_event, trade.price, trade.quantity, instrument.watermark - instrument.lateness_ns):
            late = True
    if late:
        instrument.late += 1
        engine.late += 1
        refuse(engine, trade, enums.LATE)
    notify(engine, instrument, enums.ON_TRADE, trade)


@inline_kernel
def on_quote(engine: Any, instrument: Any, quote: Any) -> None:
    """A change of the best bid or offer."""
    engine.quotes += 1
    if quote.ts_event > instrument.watermark:
        instrument.watermark = quote.ts_event
        if instrument.builder_count > 0:
            close_candles(engine, instrument, quote.ts_event - instrument.lateness_ns)
    instrument.bid_price = quote.bid_price
    instrument.ask_price = quote.ask_price
    instrument.bid_quantity = quote.bid_quantity
    instrument.ask_quantity = quote.ask_quantity
    instrument.has_quotes = 1
    instrument.ts_price = engine.now
    if instrument.last_price <= 0.0:
        instrument.last_price = (quote.bid_price + quote.ask_price) / 2.0
    notify(engine, instrument, enums.ON_QUOTE, quote)


@inline_kernel
def on_bar(engine: Any, instrument: Any, bar: Any) -> None:
    """A finished candle from history: strategies of its timeframe see it, and longer candles are built from it."""
    if instrument.builder_count > 0:
        move_watermark(engine, instrument, bar.ts_event)
    instrument.last_price = bar.close
    instrument.ts_price = engine.now
    notify_bar(engine, instrument, bar)
    if instrument.builder_count > 0:
        late = False
        for index in range(instrument.builder_first, instrument.builder_first + instrument.builder_count):
            builder = engine.builder(index)
            if builder.timeframe_ns > bar.timeframe_ns and not add_bar(builder, bar, instrument.watermark - instrument.lateness_ns):
                late = True
        if late:
            instrument.late += 1
            engine.late += 1
            refuse(engine, bar, enums.LATE)
        move_watermark(engine, instrument, bar.ts_event + bar.timeframe_ns)


@kernel
def on_timer(engine: Any, event: Any) -> None:
    """Time passed at the venues: DAY orders of quiet instruments end, and their candles close."""
    for index in range(engine.instrument_count):
        instrument = engine.instrument(index)
        expire_orders(engine, instrument)
        move_watermark(engine, instrument, event.ts_event)


@kernel
def move_watermark(engine: Any, instrument: Any, ts: int) -> None:
    """Time has come to `ts` at the instrument's venue: candles that ended `lateness_ns` before that close."""
    if ts > instrument.watermark:
        instrument.watermark = ts
        close_candles(engine, instrument, ts - instrument.lateness_ns)


@kernel
def pass_time(engine: Any, now: int) -> None:
    """Everything that falls due between the latest event and the time of the next: equity, slices, timers."""
    if engine.now >= engine.equity_next:
        tell_equity(engine)
    if engine.slices_open > 0:
        call_open_slices(engine)
        if engine.intent_count > 0:
            settle_intents(engine)
    while engine.timer_next <= now:
        engine.now = max(engine.now, engine.timer_next)
        fire_timers(engine, now)
        if engine.intent_count > 0:
            settle_intents(engine)


@kernel
def tell_equity(engine: Any) -> None:
    """The worth of all accounts, once an interval."""
    command = engine.emit(enums.EQUITY)
    cash = 0
    for strategy in range(engine.strategy_count):
        cash += engine.account(strategy).cash
    command.amount = engine.equity()
    command.realised = cash
    engine.equity_next = (engine.now // engine.equity_interval_ns + 1) * engine.equity_interval_ns


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
        if not (inside & is_price(bar.low) & is_price(bar.high)):
            return enums.BAD_PRICE
        if bar.volume < 0:
            return enums.BAD_QUANTITY
    return enums.NONE


@kernel
def step_many(
    states: int, stride: int, count: int, events: int, event_count: int, commands: int, capacity: int, reserve: int, handlers: int
) -> int:
    """Feed the same events to `count` states that lie `stride` bytes apart; their commands are overwritten. Returns commands written."""
    total = 0
    for index in range(count):
        done = 0
        while done < event_count:
            consumed, written = step(
                states + index * stride, events + done * EVENT_SIZE, event_count - done, commands, capacity, reserve, handlers
            )
            done += consumed
            total += written
    return total
