"""A stretch: quiet events, one after another, handed to their strategy in one call.

Most events do no more than move the clock and a price, and ask one strategy what it thinks. `step` hands such a run of them to `stretch`
instead of `process`: the run is looked over once, and then the strategy's own compiled loop (`take_bars`, `take_trades`) walks along it
until the strategy asks for something. Commands and state are the same bytes either way; `Engine(plan, stretches=False)` never comes here.

An event ends a stretch, and takes the ordinary way, when anything else could happen on it: an open order to work, a candle to build, a
second strategy to ask, equity or a timer or a slice that is due, another instrument, a defect, time or numbers that do not go on.
"""

from typing import Any

from openbell.engine.handlers import fault
from openbell.engine.orders import settle_intents
from openbell.model import enums
from openbell.model.events import EVENT_SIZE, bar_at, defect, event_at, trade_at
from openbell.model.jit import address_of, call, inline_kernel, kernel, prefetch
from openbell.model.state import word_at

#: Events looked over before any of them is taken: 6 kB, which stay in a core's first-level cache until they are.
SURVEY_MAX = 64
#: What memory is asked for ahead of its turn: forty events, as many as pass while it answers.
PREFETCH_BYTES = 4096


@inline_kernel
def stretch(engine: Any, events: int, count: int) -> int:
    """Take quiet events from the front of `count` events at an address; returns how many, 0 when the first is not quiet."""
    event = event_at(events, 0)
    if engine.calm_end < 0 or engine.slices_open > 0 or not 0 <= event.instrument < engine.instrument_count:
        return 0
    instrument = engine.instrument(event.instrument)
    if instrument.order_first >= 0 or instrument.builder_count > 0 or instrument.subscription_count != 1:
        return 0
    subscription = engine.subscription(instrument.subscription_first)
    handler = enums.ON_BAR if event.kind == enums.BAR else enums.ON_TRADE
    if (subscription.handler_mask >> handler) & 1 == 0 or subscription.handler_mask >> enums.ON_SLICE != 0:
        return 0
    if event.kind == enums.BAR and subscription.timeframe_ns != event.bar.timeframe_ns:
        return 0
    if event.ts_available < engine.now:
        return 0
    return take(engine, instrument, subscription, handler, events, count)


@kernel
def take(engine: Any, instrument: Any, subscription: Any, handler: int, events: int, count: int) -> int:
    """Hand the calm events, up to the time at which something falls due, to the handler."""
    first = event_at(events, 0)
    if events >= engine.calm_end:
        engine.calm_end = events + calm_events(events, min(count, SURVEY_MAX)) * EVENT_SIZE
    count = min(count, (engine.calm_end - events) // EVENT_SIZE)
    if count == 0:
        return 0
    count = earlier(events, count, min(engine.equity_next, engine.timer_next))
    if count == 0:
        return 0
    engine.leg = 0
    engine.strategy = subscription.strategy
    table = word_at(engine.handlers_address, subscription.strategy * enums.HANDLER_SLOTS + handler)
    if handler == enums.ON_BAR:
        arrive_bar(engine, instrument, first.bar)
    else:
        arrive_trade(engine, instrument, first.trade)
    failed = call(table.value, address_of(engine) + subscription.state_offset, events, count, address_of(engine))
    if failed != 0:
        fault(engine, subscription.strategy)
    if engine.intent_count > 0:
        settle_intents(engine)
    return engine.seq - first.seq + 1


@kernel
def earlier(events: int, count: int, wake: int) -> int:
    """How many of the events, which are in order of time, are before `wake`; as a rule all of them."""
    if event_at(events, count - 1).ts_available < wake:
        return count
    low, high = 0, count - 1
    while low < high:
        middle = (low + high) // 2
        if event_at(events, middle).ts_available < wake:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def calm_events(events: int, count: int) -> int:
    """How many events from the front are bars, or trades, of one instrument, without defect, with numbers and times that go on."""
    first = event_at(events, 0)
    if first.kind != enums.BAR and first.kind != enums.TRADE:
        return 0
    before = first
    for index in range(count):
        event = event_at(events, index)
        alike = (event.kind == first.kind) & (event.instrument == first.instrument) & (event.seq == first.seq + index)
        going_on = (event.ts_available >= before.ts_available) & (event.ts_event >= before.ts_event)
        if not (alike & going_on) or defect(event) != enums.NONE:
            return index
        if event.kind == enums.BAR and event.bar.timeframe_ns != first.bar.timeframe_ns:
            return index
        before = event
    return count


@inline_kernel
def ask_ahead(event: Any) -> None:
    """Ask memory for the event that comes `PREFETCH_BYTES` later, so that it is there by then; an event touches two cache lines."""
    prefetch(address_of(event) + PREFETCH_BYTES)
    prefetch(address_of(event) + PREFETCH_BYTES + 64)


@inline_kernel
def arrive_bar(engine: Any, instrument: Any, bar: Any) -> None:
    """What `process` does for a quiet bar before its strategy sees it."""
    ask_ahead(bar)
    engine.seq = bar.seq
    engine.now = bar.ts_available
    engine.bars += 1
    instrument.last_price = bar.close
    instrument.ts_price = bar.ts_available


@inline_kernel
def arrive_trade(engine: Any, instrument: Any, trade: Any) -> None:
    """What `process` does for a quiet trade before its strategy sees it."""
    ask_ahead(trade)
    engine.seq = trade.seq
    engine.now = trade.ts_available
    engine.trades += 1
    instrument.trades += 1
    if trade.ts_event > instrument.watermark:
        instrument.watermark = trade.ts_event
    instrument.last_price = trade.price
    instrument.last_quantity = trade.quantity
    instrument.ts_price = trade.ts_available


@inline_kernel
def take_bars(state: Any, events: int, count: int, engine: Any) -> None:
    """`on_bar` for a bar that has arrived, and for the `count` - 1 quiet ones after it until the strategy wants something."""
    bar = bar_at(events, 0)
    instrument = engine.instrument(bar.instrument)
    left = count
    while True:
        state.on_bar(bar, engine)
        left -= 1
        if left <= 0 or engine.intent_count > 0:
            return
        bar = bar_at(address_of(bar) + EVENT_SIZE, 0)
        arrive_bar(engine, instrument, bar)


@inline_kernel
def take_trades(state: Any, events: int, count: int, engine: Any) -> None:
    """`on_trade` for a trade that has arrived, and for the `count` - 1 quiet ones after it until the strategy wants something."""
    trade = trade_at(events, 0)
    instrument = engine.instrument(trade.instrument)
    left = count
    while True:
        state.on_trade(trade, engine)
        left -= 1
        if left <= 0 or engine.intent_count > 0:
            return
        trade = trade_at(address_of(trade) + EVENT_SIZE, 0)
        arrive_trade(engine, instrument, trade)


#: The loop of each handler that can take a stretch.
LOOPS = {enums.ON_BAR: take_bars, enums.ON_TRADE: take_trades}
