"""Time passes on a tape: seconds go into the parts of each window, and parts that are over into its ring."""

import math
from typing import Any

from openbell.analytics.hours import is_open, open_parts
from openbell.analytics.usual import check_spread, measure
from openbell.model.analytics import (
    DECAY,
    RING,
    SECOND_NS,
    SMOOTHING,
    USUAL,
    WINDOW_COUNT,
    ring_at,
    span_at,
)
from openbell.model.jit import inline_kernel, kernel


@inline_kernel
def pass_time(head: Any, tape: Any, index: int, ts: int, is_kept: bool) -> None:
    """It is `ts` (ns), which is after the time of the tape. Not `is_kept`: only to be read."""
    if ts >= tape.second_end:
        roll(head, tape, index, ts, is_kept)
    if tape.spread == tape.spread:
        tape.spread_sum += tape.spread * (ts - tape.now)
        tape.quoted_ns += ts - tape.now
    tape.now = ts


@kernel
def roll(head: Any, tape: Any, index: int, ts: int, is_kept: bool) -> None:
    """The second that was open is over, and maybe others: the one that `ts` is in begins."""
    if tape.spread == tape.spread:
        tape.spread_sum += tape.spread * (tape.second_end - tape.now)
        tape.quoted_ns += tape.second_end - tape.now
    second = ts // SECOND_NS * SECOND_NS
    is_new = False
    for window in range(WINDOW_COUNT):
        row = index * WINDOW_COUNT + window
        span, ring = span_at(head.spans, row), ring_at(head.rings, row)
        span.lots += tape.lots
        span.notional += tape.notional
        span.trades += tape.trades
        span.ticks += tape.ticks
        span.spread_sum += tape.spread_sum
        span.quoted_ns += tape.quoted_ns
        is_over = advance(head, tape, span, ring, second, window == USUAL)
        if is_over and window == USUAL:
            is_new = True
    tape.lots, tape.notional, tape.trades, tape.ticks, tape.spread_sum, tape.quoted_ns = 0, 0.0, 0, 0, 0.0, 0
    tape.now, tape.second_end = second, second + SECOND_NS
    if is_new and is_kept:
        row = index * WINDOW_COUNT + USUAL
        measure(head, tape, span_at(head.spans, row), ring_at(head.rings, row))


@kernel
def advance(head: Any, tape: Any, span: Any, ring: Any, ts: int, is_usual: bool) -> Any:
    """Nothing came from the second's end to `ts`, the start of another one. Returns whether a part is over."""
    begin, part = tape.second_end, ts // span.step_ns
    is_over = part != span.part
    while part != span.part:
        quote(tape, span, (span.part + 1) * span.step_ns - begin)
        close(head, tape, span, ring, is_usual)
        if part - span.part > RING:
            skip(head, tape, span, ring, part - RING)
        begin = span.part * span.step_ns
    quote(tape, span, ts - begin)
    return is_over


@inline_kernel
def quote(tape: Any, span: Any, length_ns: int) -> None:
    """The quote stood for so long."""
    if tape.spread == tape.spread:
        span.spread_sum += tape.spread * length_ns
        span.quoted_ns += length_ns


@kernel
def close(head: Any, tape: Any, span: Any, ring: Any, is_usual: bool) -> None:
    """The part that is open is over."""
    price, slot = tape.price, span.part & (RING - 1)
    previous = ring.close[(span.part - 1) & (RING - 1)]
    start = span.part * span.step_ns
    opened = is_open(head, start, start + span.step_ns)
    ring.close[slot], ring.lots[slot], ring.notional[slot] = price, span.lots, span.notional
    ring.spread_sum[slot], ring.quoted_ns[slot] = span.spread_sum, span.quoted_ns
    ring.trades[slot], ring.ticks[slot], ring.is_open[slot] = span.trades, span.ticks, 1 if opened else 0
    if span.known == 0:
        span.ema = price
    else:
        span.ema += SMOOTHING * (price - span.ema)
        if opened:
            change = 0.0 if price == previous else math.log(price / previous)
            span.ewma = change * change if span.returns == 0 else DECAY * span.ewma + (1.0 - DECAY) * change * change
            span.returns += 1
    if is_usual:
        check_spread(tape, span, opened)
    span.known += 1
    span.part += 1
    span.lots, span.notional, span.trades, span.ticks, span.spread_sum, span.quoted_ns = 0, 0.0, 0, 0, 0.0, 0


@kernel
def skip(head: Any, tape: Any, span: Any, ring: Any, part: int) -> None:
    """Nothing came in the parts before `part`, and nobody will ask for any of them: only what follows from them counts."""
    count = part - span.part
    opened = open_parts(head, span.part, part, span.step_ns)
    span.ema = tape.price + (span.ema - tape.price) * math.pow(1.0 - SMOOTHING, float(count))
    if opened > 0:
        span.ewma = 0.0 if span.returns == 0 else span.ewma * math.pow(DECAY, float(opened))
        span.returns += opened
    span.known += count
    span.part = part
    ring.close[(part - 1) & (RING - 1)] = tape.price
