"""From events to the strategies' handlers, by the addresses in the handler table."""

from typing import Any

from openbell.bars.builder import close_oldest, open_bar
from openbell.model import enums
from openbell.model.candles import NEVER, slice_at
from openbell.model.events import copy_candle
from openbell.model.jit import address_of, call, inline_kernel, kernel
from openbell.model.state import word_at


@inline_kernel
def invoke(engine: Any, strategy: int, handler: int, state: int, event: int) -> None:
    """Run one handler of one strategy on the record at `state`; a handler that raises takes its strategy out of trading."""
    engine.strategy = strategy
    table = word_at(engine.handlers_address, strategy * enums.HANDLER_SLOTS + handler)
    failed = call(table.value, state, event, 1, address_of(engine))
    if failed != 0:
        fault(engine, strategy)


@kernel
def fault(engine: Any, strategy: int) -> None:
    """Take a strategy out of trading because a handler raised: none of its handlers runs until it is started again."""
    account = engine.account(strategy)
    set_handlers(engine, strategy, 0)
    account.faults += 1
    account.trading_state = enums.FAULTED
    tell_state(engine, strategy, enums.STRATEGY_FAULT)


@kernel
def set_handlers(engine: Any, strategy: int, mask: int) -> None:
    """Let only these handlers of a strategy run."""
    for index in range(engine.subscription_count):
        subscription = engine.subscription(index)
        if subscription.strategy == strategy:
            subscription.handler_mask = mask


@kernel
def tell_state(engine: Any, strategy: int, reason: int) -> None:
    """Tell the outside the trading state of a strategy."""
    command = engine.emit(enums.STATE)
    command.strategy = strategy
    command.status = engine.account(strategy).trading_state
    command.reason = reason


@kernel
def refuse(engine: Any, event: Any, reason: int) -> None:
    """Count an event that was not used, and tell the outside why."""
    engine.refused += 1
    if 0 <= event.instrument < engine.instrument_count:
        engine.instrument(event.instrument).refused += 1
    command = engine.emit(enums.REFUSED)
    command.instrument = event.instrument
    command.reason = reason


@inline_kernel
def notify(engine: Any, instrument: Any, handler: int, event: Any) -> None:
    """Call `handler` (on_trade, on_quote) of every strategy that follows the instrument and has it."""
    if (instrument.handler_mask >> handler) & 1 == 0:
        return
    first = instrument.subscription_first
    for index in range(first, first + instrument.subscription_count):
        subscription = engine.subscription(index)
        if (subscription.handler_mask >> handler) & 1 == 1:
            invoke(engine, subscription.strategy, handler, address_of(engine) + subscription.state_offset, address_of(event))


@inline_kernel
def notify_bar(engine: Any, instrument: Any, bar: Any) -> None:
    """A candle closed: strategies that follow it see it, and portfolios collect it into their slice."""
    engine.bars += 1
    first = instrument.subscription_first
    for index in range(first, first + instrument.subscription_count):
        subscription = engine.subscription(index)
        if subscription.timeframe_ns == bar.timeframe_ns:
            if (subscription.handler_mask >> enums.ON_BAR) & 1 == 1:
                invoke(engine, subscription.strategy, enums.ON_BAR, address_of(engine) + subscription.state_offset, address_of(bar))
            if (subscription.handler_mask >> enums.ON_SLICE) & 1 == 1:
                collect(engine, subscription, bar)


@kernel
def notify_fill(engine: Any, fill: Any) -> None:
    """Tell the strategy that its order traded."""
    if (engine.account(fill.strategy).handler_mask >> enums.ON_FILL) & 1 == 0:
        return
    instrument = engine.instrument(fill.instrument)
    first = instrument.subscription_first
    for index in range(first, first + instrument.subscription_count):
        subscription = engine.subscription(index)
        if subscription.strategy == fill.strategy and (subscription.handler_mask >> enums.ON_FILL) & 1 == 1:
            invoke(engine, fill.strategy, enums.ON_FILL, address_of(engine) + subscription.state_offset, address_of(fill))
            return


@kernel
def close_candles(engine: Any, instrument: Any, watermark: int) -> None:
    """Close every candle of the instrument that ended at or before the watermark, oldest timeframe order as declared."""
    first = instrument.builder_first
    for index in range(first, first + instrument.builder_count):
        builder = engine.builder(index)
        while builder.due <= watermark:
            bar = open_bar(builder, close_oldest(builder))
            bar.seq = engine.seq
            bar.ts_available = engine.now
            if engine.publish_candles == 1:
                publish_candle(engine, bar)
            notify_bar(engine, instrument, bar)


@kernel
def publish_candle(engine: Any, bar: Any) -> None:
    """The candle as a command."""
    target = engine.next_command().bar
    target.seq = engine.seq
    target.ts_available = engine.now
    target.kind = enums.CANDLE
    target.side = 0
    target._pad[0] = 0
    target._pad[1] = 0
    copy_candle(bar, target)


@kernel
def collect(engine: Any, subscription: Any, bar: Any) -> None:
    """Put a bar into the slice of its portfolio strategy; a complete slice is called at once."""
    account = engine.account(subscription.strategy)
    record = slice_at(address_of(engine) + account.slice_offset, 0)
    end = bar.ts_event + bar.timeframe_ns
    if record.is_open == 1 and record.ts_end != end:
        call_slice(engine, subscription.strategy, record)
    if record.is_open == 0:
        record.is_open = 1
        record.ts_end = end
        record.present = 0
        engine.slices_open += 1
    target = record.bar(subscription.slice_index)
    target.seq = bar.seq
    target.ts_available = bar.ts_available
    target.kind = bar.kind
    copy_candle(bar, target)
    record.present += 1
    if record.present == record.count:
        call_slice(engine, subscription.strategy, record)


@kernel
def call_slice(engine: Any, strategy: int, record: Any) -> None:
    """Hand a slice to its strategy."""
    record.is_open = 0
    engine.slices_open -= 1
    if engine.account(strategy).trading_state != enums.FAULTED:
        invoke(engine, strategy, enums.ON_SLICE, address_of(engine) + engine.account(strategy).state_offset, address_of(record))


@kernel
def call_open_slices(engine: Any) -> None:
    """Hand over the slices that time has overtaken, bars missing or not."""
    for strategy in range(engine.strategy_count):
        account = engine.account(strategy)
        if account.slice_offset != 0:
            record = slice_at(address_of(engine) + account.slice_offset, 0)
            if record.is_open == 1:
                call_slice(engine, strategy, record)


@kernel
def fire_timers(engine: Any, until: int) -> None:
    """Call on_timer of every strategy whose timer is due at `engine.now`, for each instrument it follows.

    Its next time is after `until`: what fell due more than once in a quiet stretch fires once. The first event starts the clock.
    """
    engine.timer_next = NEVER
    for strategy in range(engine.strategy_count):
        account = engine.account(strategy)
        if account.timer_ns > 0:
            if account.timer_next <= engine.now:
                has_started = account.timer_next > 0
                account.timer_next = (until // account.timer_ns + 1) * account.timer_ns
                for index in range(engine.subscription_count if has_started else 0):
                    subscription = engine.subscription(index)
                    if subscription.strategy == strategy and (subscription.handler_mask >> enums.ON_TIMER) & 1 == 1:
                        invoke(engine, strategy, enums.ON_TIMER, address_of(engine) + subscription.state_offset, address_of(engine))
            if account.timer_next < engine.timer_next:
                engine.timer_next = account.timer_next
