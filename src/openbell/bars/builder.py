"""Candles from trades, or from shorter candles: open, high, low, close, volume, traded value and number of trades.

Candles start at whole multiples of their timeframe since 1970 UTC, so they need no time zone. A quiet stretch makes no candle. A trade out
of order enters the candle of its own time as long as that candle is open: it may take its open or close, by time. A candle closes when the
latest trade seen (the watermark) is `lateness_ns` past its end; a trade that comes after that is late, and the caller counts it.
"""

from typing import Any

from openbell.model.candles import NEVER, OPEN_BARS
from openbell.model.enums import BAR
from openbell.model.events import bar_at
from openbell.model.jit import address_of, inline_kernel, kernel

_RING = OPEN_BARS - 1
_BARS_OFFSET = 48 + OPEN_BARS * 16


@kernel
def open_bar(builder: Any, slot: int) -> Any:
    """The candle in a slot of the builder's ring."""
    return bar_at(address_of(builder) + _BARS_OFFSET, slot)


@inline_kernel
def add_trade(builder: Any, ts: int, price: float, quantity: int, watermark: int) -> bool:
    """Put a trade into its candle; False when that candle has closed. `watermark` is the time up to which candles have closed."""
    if builder.start <= ts < builder.end:
        slot = builder.slot
    else:
        number = ts // builder.timeframe_ns
        start = number * builder.timeframe_ns
        if start + builder.timeframe_ns <= watermark:
            return False
        slot = number & _RING
        if open_bar(builder, slot).ts_event != start or builder.first_ts[slot] == NEVER or builder.due == NEVER:
            _begin(builder, slot, start, ts, price)
    bar = open_bar(builder, slot)
    if price > bar.high:
        bar.high = price
    if price < bar.low:
        bar.low = price
    if ts >= builder.last_ts[slot]:
        builder.last_ts[slot] = ts
        bar.close = price
    elif ts < builder.first_ts[slot]:
        builder.first_ts[slot] = ts
        bar.open = price
    bar.volume += quantity
    bar.notional += price * quantity
    bar.trades += 1
    return True


@kernel
def add_bar(builder: Any, source: Any, watermark: int) -> bool:
    """Put a shorter candle into the longer one that it is part of; False when that one has closed."""
    number = source.ts_event // builder.timeframe_ns
    start = number * builder.timeframe_ns
    if start + builder.timeframe_ns <= watermark:
        return False
    slot = number & _RING
    if open_bar(builder, slot).ts_event != start or builder.first_ts[slot] == NEVER or builder.due == NEVER:
        _begin(builder, slot, start, source.ts_event, source.open)
    bar = open_bar(builder, slot)
    if source.high > bar.high:
        bar.high = source.high
    if source.low < bar.low:
        bar.low = source.low
    if source.ts_event >= builder.last_ts[slot]:
        builder.last_ts[slot] = source.ts_event
        bar.close = source.close
    elif source.ts_event < builder.first_ts[slot]:
        builder.first_ts[slot] = source.ts_event
        bar.open = source.open
    bar.volume += source.volume
    bar.notional += source.notional
    bar.trades += source.trades
    return True


@kernel
def _begin(builder: Any, slot: int, start: int, ts: int, price: float) -> None:
    bar = open_bar(builder, slot)
    bar.kind = BAR
    bar.instrument = builder.instrument
    bar.timeframe_ns = builder.timeframe_ns
    bar.ts_event = start
    bar.open = price
    bar.high = price
    bar.low = price
    bar.close = price
    bar.volume = 0
    bar.notional = 0.0
    bar.trades = 0
    builder.first_ts[slot] = ts
    builder.last_ts[slot] = ts
    end = start + builder.timeframe_ns
    if end < builder.due:
        builder.due = end
    if end > builder.end:
        builder.start = start
        builder.end = end
        builder.slot = slot


@kernel
def close_oldest(builder: Any) -> int:
    """Close the oldest open candle and return its slot; `due` moves on to the next open one."""
    oldest, builder.due = builder.due, NEVER
    slot = 0
    for place in range(OPEN_BARS):
        if builder.first_ts[place] != NEVER:
            end = open_bar(builder, place).ts_event + builder.timeframe_ns
            if end == oldest:
                slot = place
            elif end < builder.due:
                builder.due = end
    builder.first_ts[slot] = NEVER
    builder.closed += 1
    if slot == builder.slot:
        builder.start = 0
        builder.end = 0
    return slot
