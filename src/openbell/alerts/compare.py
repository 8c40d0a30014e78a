"""One value of a stream against what waits there: who is armed, who comes, who waits for a time."""

import math
from typing import Any

from openbell.alerts.table import release
from openbell.alerts.waiting import arm, disarm, key_of, take_out, wait_until
from openbell.model.alerts import (
    ASK,
    BEFORE,
    CAME,
    DONE,
    DOWN,
    EXPIRED,
    FULL,
    LAST,
    SPENT,
    TIMER,
    UNCHANGED,
    UP,
    alert_at,
    book_at,
    fired_at,
    hours_at,
    node_at,
)
from openbell.model.jit import inline_kernel, kernel


@inline_kernel
def compare(board: Any, stream: Any, ts: int) -> int:
    """Compare the latest value, of the time `ts` (ns), with the nearest that waits. DONE; else do what it says, and compare again."""
    if not abs(stream.last) < 1e308:
        return DONE
    key = key_of(stream.last)
    if key < stream.up_key and key > stream.down_key:
        return DONE
    return settle(board, stream, ts, key)


@kernel
def settle(board: Any, stream: Any, ts: int, key: int) -> int:
    """Everything that waits for a value as high as this, then everything that waits for one as low. Comparing again changes nothing."""
    while key >= stream.up_key:
        why = reached(board, stream, stream.up_root, UP, ts)
        if why != DONE:
            return why
    while key <= stream.down_key and book_at(board.books, stream.book).now >= stream.ready_ts:
        why = reached(board, stream, stream.down_root, DOWN, ts)
        if why != DONE:
            return why
    return DONE


@kernel
def reached(board: Any, stream: Any, index: int, side: int, ts: int) -> int:
    """What a node waited for is there."""
    node = node_at(board.nodes, index)
    alert = alert_at(board.alerts, node.alert)
    if node.role != side:  # it waited to be on the other side of the target
        take_out(board, alert, index)
        arm(board, alert, index)
        note(board, node.alert)
        return DONE
    since = allowed_from(board, alert, ts)
    if since == BEFORE:
        return ASK
    if since > ts:
        take_out(board, alert, index)
        if alert.is_level == 1:
            wait_until(board, book_at(board.books, stream.book), index, since)
        else:
            disarm(board, alert, index, SPENT)
            note(board, node.alert)
        return DONE
    if board.fired_count == board.fired_max:
        return FULL
    alert.fired += 1
    alert.fired_ts = ts
    record(board, alert, ts, stream.last, book_at(board.books, stream.book).price, LAST if alert.is_repeated == 0 else CAME)
    if alert.is_repeated == 0:
        release(board, node.alert)
    else:
        take_out(board, alert, index)
        disarm(board, alert, index, SPENT)
        note(board, node.alert)
    return DONE


@kernel
def allowed_from(board: Any, alert: Any, ts: int) -> int:
    """The time (ns) from which an alert may come: `ts` or one after it; BEFORE when its schedule has to be looked up for it."""
    if alert.fired_ts != BEFORE and ts < alert.fired_ts + alert.cooldown_ns:
        ts = alert.fired_ts + alert.cooldown_ns
    if alert.schedule >= 0:
        hours = hours_at(board.hours, alert.schedule)
        if not hours.closed <= ts < hours.end:
            board.asked, board.asked_ts = alert.schedule, ts
            return BEFORE
        ts = max(ts, hours.open)
    return ts


@kernel
def record(board: Any, alert: Any, ts: int, value: float, price: float, fate: int) -> None:
    """An alert came, or its time was over."""
    fired = fired_at(board.fired, board.fired_count)
    board.fired_count += 1
    fired.order, fired.id, fired.revision, fired.number = board.order, alert.id, alert.revision, alert.fired
    fired.ts, fired.value, fired.price, fired.fate = ts, value, price, fate


@kernel
def note(board: Any, index: int) -> None:
    """The state of an alert changed in a way that its latest value does not tell."""
    alert = alert_at(board.alerts, index)
    if alert.is_repeated == 1 and alert.changed == UNCHANGED:
        alert.changed = board.changed
        board.changed = index


@kernel
def wake(board: Any, book: Any) -> int:
    """What waited for the time of a book: alerts whose time is over, and sides that may come again."""
    while book.wake <= book.now:
        index = book.times
        node = node_at(board.nodes, index)
        alert = alert_at(board.alerts, node.alert)
        if node.role == TIMER:
            if board.fired_count == board.fired_max:
                return FULL
            record(board, alert, book.wake, math.nan, book.price, EXPIRED)
            release(board, node.alert)
        else:
            take_out(board, alert, index)
            arm(board, alert, index)
    return DONE
