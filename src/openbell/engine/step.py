"""The kernel: `step(state, events) -> commands`, the same for a backtest, for paper trading and for live trading.

The body of `process` is the whole pipeline; read it top to bottom. Everything is an address because one compiled kernel serves every
strategy, every number of instruments and every state: what differs lies in the buffers. Nothing is allocated, nothing reads a clock.
"""

from typing import Any

from openbell.bars.builder import add_bar, add_trade
from openbell.engine.handlers import call_open_slices, close_candles, fire_timers, notify, notify_bar, refuse
from openbell.engine.orders import settle_intents
from openbell.engine.outside import on_reply, on_request
from openbell.engine.stretch import calm_events, stretch
from openbell.engine.venue import expire_orders, work_orders
from openbell.model import enums
from openbell.model.commands import COMMAND_SIZE
from openbell.model.events import EVENT_SIZE, defect, event_at
from openbell.model.jit import inline_kernel, kernel
from openbell.model.state import engine_at


@kernel
def step(state: int, events: int, count: int, commands: int, capacity: int, reserve: int, handlers: int, calm: int) -> tuple[int, int]:
    """Feed `count` events at an address to the state at an address; returns (events consumed, commands written).

    Stops early, between two events, when fewer than `reserve` commands would fit; with a `capacity` of 0 commands are not kept, and none
    is counted. The first `calm` events are known to be calm (see `stretch`); -1 sends every event through `process`.
    """
    engine = engine_at(state, 0)
    engine.commands_address = commands
    engine.commands_stride = COMMAND_SIZE if capacity > 0 else 0
    engine.handlers_address = handlers
    engine.calm_end = events + calm * EVENT_SIZE if calm >= 0 else -1
    last = commands + (capacity - reserve) * engine.commands_stride
    done = 0
    while done < count and engine.commands_address <= last:
        quiet = stretch(engine, events + done * EVENT_SIZE, count - done)
        if quiet == 0:
            process(engine, event_at(events, done))
            quiet = 1
        done += quiet
    written = (engine.commands_address - commands) // COMMAND_SIZE
    engine.commands_address = 0
    engine.commands_stride = 0
    engine.handlers_address = 0
    engine.calm_end = 0
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


@kernel
def step_many(states: int, stride: int, count: int, events: int, event_count: int, command: int, handlers: int) -> None:
    """Feed the same events to `count` states that lie `stride` bytes apart; their commands are not kept (`command` has room for one)."""
    calm = calm_events(events, event_count) if event_count > 0 else 0
    for index in range(count):
        step(states + index * stride, events, event_count, command, 0, 0, handlers, calm)
