"""Reading tapes as they are at a time: on a copy, so that nothing that is read changes what comes later."""

import math
from typing import Any

import numpy as np

from openbell.analytics.passing import pass_time
from openbell.analytics.take import begin_session
from openbell.model.analytics import (
    BEFORE,
    CLOSES_RECORD,
    FLAG_COUNT,
    FORGET_NS,
    PARTS,
    READING_FLAGS,
    READING_WINDOWS,
    RING,
    RING_RECORD,
    SPAN_RECORD,
    TAPE_FLAGS,
    TAPE_RECORD,
    USUAL,
    WINDOW_COUNT,
    closes_at,
    flag_at,
    head_at,
    reading_at,
    ring_at,
    span_at,
    tape_at,
    window_reading_at,
    word_at,
)
from openbell.model.jit import address_of, kernel

_TAPE_WORDS, _SPAN_WORDS, _RING_WORDS = TAPE_RECORD.itemsize // 8, SPAN_RECORD.itemsize // 8, RING_RECORD.itemsize // 8
_CLOSES_WORDS = CLOSES_RECORD.itemsize // 8


@kernel
def read(head_address: int, now: int, out: int) -> None:
    """Write the reading (READING) of every tape at `now` (ns), or at its own time when that is later. Sessions are known."""
    head = head_at(head_address, 0)
    for index in range(head.tape_count):
        tape, reading = tape_at(head.tapes, index), reading_at(out, index)
        reading.last_ts = BEFORE
        if tape.now == BEFORE or now - FORGET_NS > tape.now:
            continue
        reading.usual_gap = usual_gap(head, tape, index)
        read_tape(head, at(head, index, now), reading)


@kernel
def read_closes(head_address: int, now: int, window: int, out: int) -> None:
    """Write the prices at the ends of parts (CLOSES) of every tape at `now` (ns); of a tape without any `known` is 0."""
    head = head_at(head_address, 0)
    for index in range(head.tape_count):
        found = closes_at(out, index)
        found.known = 0
        if tape_at(head.tapes, index).now == BEFORE or now - FORGET_NS > tape_at(head.tapes, index).now:
            continue
        at(head, index, now)
        row = head.tape_count * WINDOW_COUNT + window
        span, ring = span_at(head.spans, row), ring_at(head.rings, row)
        found.part, found.known = span.part - 1, min(span.known, RING - 1)
        for place in range(1, RING):
            found.close[place] = ring.close[(span.part - RING + place) & (RING - 1)] if place >= RING - found.known else np.nan
        found.close[0] = np.nan


@kernel
def at(head: Any, index: int, now: int) -> Any:
    """A copy of a tape, with its spans and rings, as it is at `now` (ns) if nothing comes until then."""
    copy = head.tape_count
    copy_words(head.tapes, _TAPE_WORDS * index, _TAPE_WORDS * copy, _TAPE_WORDS)
    index, rows = index * WINDOW_COUNT, copy * WINDOW_COUNT
    copy_words(head.spans, _SPAN_WORDS * index, _SPAN_WORDS * rows, _SPAN_WORDS * WINDOW_COUNT)
    copy_words(head.rings, _RING_WORDS * index, _RING_WORDS * rows, _RING_WORDS * WINDOW_COUNT)
    tape = tape_at(head.tapes, copy)
    if now > tape.now:
        pass_time(head, tape, copy, now, False)
    if tape.now >= tape.session_until:
        begin_session(head, tape, tape.now)
    return tape


@kernel
def copy_words(table: int, source: int, target: int, count: int) -> None:
    """Copy eight bytes so many times."""
    for place in range(count):
        word_at(table, target + place).bits = word_at(table, source + place).bits


@kernel
def usual_gap(head: Any, tape: Any, index: int) -> Any:
    """Nanoseconds between two ticks, in the fifteen minutes before the latest."""
    row = index * WINDOW_COUNT + USUAL
    span, ring = span_at(head.spans, row), ring_at(head.rings, row)
    known = min(span.known, PARTS - 1)
    ticks = span.ticks + tape.ticks
    for part in range(span.part - known, span.part):
        ticks += ring.ticks[part & (RING - 1)]
    return (tape.now - (span.part - known) * span.step_ns) / max(ticks, 1)


@kernel
def read_tape(head: Any, tape: Any, reading: Any) -> None:
    """Write the reading of the copy."""
    reading.price, reading.bid, reading.ask, reading.spread = tape.price, tape.bid, tape.ask, tape.spread
    reading.last_ts = tape.last_ts
    reading.session_from, reading.session_price = tape.session_from, tape.session_price
    reading.session_volume = tape.session_lots * tape.lot_size
    reading.session_notional = tape.session_notional * tape.lot_size
    reading.session_vwap = tape.session_notional / tape.session_lots if tape.session_lots > 0 else np.nan
    reading.session_trades = tape.session_trades
    for kind in range(FLAG_COUNT):
        source, target = flag_at(address_of(tape) + TAPE_FLAGS, kind), flag_at(address_of(reading) + READING_FLAGS, kind)
        target.ts, target.value, target.usual, target.limit = source.ts, source.value, source.usual, source.limit
    for window in range(WINDOW_COUNT):
        row = head.tape_count * WINDOW_COUNT + window
        read_window(
            tape, span_at(head.spans, row), ring_at(head.rings, row), window_reading_at(address_of(reading) + READING_WINDOWS, window)
        )


@kernel
def read_window(tape: Any, span: Any, ring: Any, reading: Any) -> None:
    """One window: its last part is open, and what varies is of the 60 before that."""
    lots, notional, trades = span.lots + tape.lots, span.notional + tape.notional, span.trades + tape.trades
    spread_sum, quoted_ns = span.spread_sum + tape.spread_sum, span.quoted_ns + tape.quoted_ns
    for part in range(span.part - min(span.known, PARTS - 1), span.part):
        slot = part & (RING - 1)
        lots += ring.lots[slot]
        notional += ring.notional[slot]
        trades += ring.trades[slot]
        spread_sum += ring.spread_sum[slot]
        quoted_ns += ring.quoted_ns[slot]
    reading.reference = ring.close[(span.part - PARTS) & (RING - 1)] if span.known >= PARTS else tape.first_price
    reading.volume, reading.notional, reading.trades = lots * tape.lot_size, notional * tape.lot_size, trades
    reading.vwap = notional / lots if lots > 0 else np.nan
    reading.spread = spread_sum / quoted_ns if quoted_ns > 0 else np.nan
    known = min(span.known, PARTS)
    squares, returns, total = 0.0, 0, 0.0
    for part in range(span.part - known, span.part):
        slot = part & (RING - 1)
        total += ring.close[slot]
        if ring.is_open[slot] == 1 and (part > span.part - known or span.known > known):
            change = ring.close[slot] / ring.close[(slot - 1) & (RING - 1)]
            change = 0.0 if change == 1.0 else math.log(change)
            squares += change * change
            returns += 1
    reading.squares, reading.returns, reading.ewma = squares, returns, span.ewma
    reading.sma, reading.ema, reading.parts = total / known if known > 0 else np.nan, span.ema, known
