"""Ticks into books: time passes, the price moves every value that follows from it, and each value is compared with what waits for it."""

import math
from typing import Any

from openbell.alerts.compare import compare, wake
from openbell.bars.builder import add_trade, close_oldest
from openbell.model import enums
from openbell.model.alerts import (
    BEFORE,
    CLOSE,
    DISTANCE,
    DONE,
    MOVE,
    PARTS,
    PRICE,
    VOLUME,
    board_at,
    book_at,
    candles_at,
    stream_at,
    window_at,
)
from openbell.model.candles import NEVER
from openbell.model.events import defect, event_at
from openbell.model.jit import inline_kernel, kernel


@kernel
def take(board_address: int, events: int, first: int, count: int) -> int:
    """Take the events (EVENT) from `first` to `count`, those of instruments whose book is open. The row of a book is its instrument.

    DONE; or what has to be done before the event `board.row`, from which it is to go on.
    """
    board = board_at(board_address, 0)
    is_applied = board.is_applied == 1
    board.is_applied = 0
    for row in range(first, count):
        event = event_at(events, row)
        if not 0 <= event.instrument < board.book_count:
            continue
        book = book_at(board.books, event.instrument)
        if book.is_open == 0 or event.kind > enums.QUOTE or defect(event) != enums.NONE:
            continue
        ts = event.ts_event
        why = DONE
        if not is_applied:
            why = pass_time(board, book, ts)
            if why == DONE:
                if event.kind == enums.TRADE:
                    trade(board, book, ts, event.trade.price, event.trade.quantity)
                elif book.has_traded == 1:
                    continue
                else:
                    move(board, book, ts, (event.quote.bid_price + event.quote.ask_price) / 2.0, 0)
                board.order += 1
                is_applied = True
        if why == DONE:
            why = compare_all(board, book, ts)
        if why != DONE:
            board.row = row
            board.is_applied = 1 if is_applied else 0
            return why
        is_applied = False
    return DONE


@inline_kernel
def pass_time(board: Any, book: Any, ts: int) -> int:
    """It is `ts` (ns) in a book, unless a candle has to be closed before."""
    if ts > book.now:
        if ts - book.lateness_ns >= book.due:
            return CLOSE
        book.now = ts
    if book.now >= book.wake:
        return wake(board, book)
    return DONE


@inline_kernel
def trade(board: Any, book: Any, ts: int, price: float, lots: int) -> None:
    """A trade moves the price, the volumes, and the candles."""
    book.has_traded = 1
    index = book.candles
    while index >= 0:
        candles = candles_at(board.candles, index)
        builder = candles.builder
        add_trade(builder, ts, price, lots, book.now - book.lateness_ns)
        book.due = min(book.due, builder.due)
        index = candles.next
    move(board, book, ts, price, lots)


@inline_kernel
def move(board: Any, book: Any, ts: int, price: float, lots: int) -> None:
    """The price moves the streams that follow from it."""
    book.price = price
    index = book.streams
    while index >= 0:
        stream = stream_at(board.streams, index)
        if stream.kind == PRICE:
            stream.last = price
        elif stream.kind == MOVE:
            stream.last = moved(window_at(board.windows, stream.window), ts, price)
        elif stream.kind == VOLUME:
            window = window_at(board.windows, stream.window)
            if window.part == BEFORE:
                stream.ready_ts = ts + PARTS * window.step_ns
            stream.last = traded(window, ts, lots) * book.lot_size
        elif stream.kind == DISTANCE:
            stream.last = distance(price, stream.level)
        index = stream.next


@inline_kernel
def compare_all(board: Any, book: Any, ts: int) -> int:
    """Compare what the price moved."""
    index = book.streams
    while index >= 0:
        stream = stream_at(board.streams, index)
        why = compare(board, stream, ts)
        if why != DONE:
            return why
        index = stream.next
    return DONE


@kernel
def moved(window: Any, ts: int, price: float) -> float:
    """By how much (per cent) the price differs from the one before the window, or from the first as long as that is within it."""
    part = max(ts // window.step_ns, window.part)
    if window.part == BEFORE:
        window.part = part
        for place in range(PARTS + 1):
            window.prices[place] = price
    last = window.prices[window.part % (PARTS + 1)]
    for passed in range(max(window.part + 1, part - PARTS), part + 1):
        window.prices[passed % (PARTS + 1)] = last
    window.part = part
    window.prices[part % (PARTS + 1)] = price
    return 100.0 * (price / window.prices[(part + 1) % (PARTS + 1)] - 1.0)


@kernel
def traded(window: Any, ts: int, lots: int) -> int:
    """The lots that were traded within the window."""
    part = max(ts // window.step_ns, window.part)
    if window.part == BEFORE:
        window.part = part
    for passed in range(max(window.part + 1, part - PARTS + 1), part + 1):
        window.total -= window.lots[passed % PARTS]
        window.lots[passed % PARTS] = 0
    window.part = part
    window.lots[part % PARTS] += lots
    window.total += lots
    return window.total


@kernel
def distance(value: float, level: float) -> float:
    """How far (per cent) a value is above a level; NaN when either is not known."""
    if level == 0.0:
        return value if value == 0.0 or value != value else math.copysign(1e300, value)
    return 100.0 * (value - level) / abs(level)


@kernel
def feed(board_address: int, index: int, ts: int, value: float) -> int:
    """A stream has a new value at `ts` (ns). DONE; else do what it says, and feed it again."""
    board = board_at(board_address, 0)
    stream = stream_at(board.streams, index)
    stream.last = value
    return compare(board, stream, ts)


@kernel
def advance(board_address: int, index: int, ts: int) -> int:
    """It is `ts` (ns) in a book, at the least. DONE; else do what it says, and advance again."""
    board = board_at(board_address, 0)
    return pass_time(board, book_at(board.books, index), ts)


@kernel
def close_next(board_address: int, index: int) -> int:
    """Close the candle of a book that ends first. Returns 4 times the row of its candles, and its slot there."""
    board = board_at(board_address, 0)
    book = book_at(board.books, index)
    found, due = book.candles, NEVER
    row = book.candles
    while row >= 0:
        candles = candles_at(board.candles, row)
        if candles.builder.due < due:
            found, due = row, candles.builder.due
        row = candles.next
    slot = close_oldest(candles_at(board.candles, found).builder)
    book.due = NEVER
    row = book.candles
    while row >= 0:
        candles = candles_at(board.candles, row)
        book.due = min(book.due, candles.builder.due)
        row = candles.next
    return 4 * found + slot
