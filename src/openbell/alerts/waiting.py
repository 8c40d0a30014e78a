"""What the sides of an alert wait for: where their nodes stand, and how they come there."""

from typing import Any

import numpy as np

from openbell.alerts.heap import meld, without
from openbell.model.alerts import (
    ARMED,
    FRESH,
    IN_DOWN,
    IN_TIME,
    IN_UP,
    NOBODY,
    NOWHERE,
    SPENT,
    UP,
    book_at,
    node_at,
    stream_at,
)
from openbell.model.candles import NEVER
from openbell.model.jit import inline_kernel, kernel

#: A key that no value reaches, for a stream where nothing waits above; its negative for one where nothing waits below.
FAR = (1 << 63) - 1


@inline_kernel
def key_of(value: float) -> int:
    """A whole number that orders as the value does (which is not NaN): the next float has the next number."""
    bits: Any = np.float64(value + 0.0).view(np.int64)  # the sum makes of -0.0 what is equal to it
    if bits < 0:
        return bits ^ FAR
    return bits


@kernel
def wait_above(board: Any, stream: Any, index: int, key: int) -> None:
    """A node waits for a value with this key or a greater one."""
    node = node_at(board.nodes, index)
    node.key = key
    node.place = IN_UP
    stream.up_root = meld(board.nodes, stream.up_root, index)
    stream.up_key = node_at(board.nodes, stream.up_root).key


@kernel
def wait_below(board: Any, stream: Any, index: int, key: int) -> None:
    """A node waits for a value with this key or a smaller one."""
    node = node_at(board.nodes, index)
    node.key = -key
    node.place = IN_DOWN
    stream.down_root = meld(board.nodes, stream.down_root, index)
    stream.down_key = -node_at(board.nodes, stream.down_root).key


@kernel
def wait_until(board: Any, book: Any, index: int, ts: int) -> None:
    """A node waits for a time (ns)."""
    node = node_at(board.nodes, index)
    node.key = ts
    node.place = IN_TIME
    book.times = meld(board.nodes, book.times, index)
    book.wake = node_at(board.nodes, book.times).key


@kernel
def take_out(board: Any, alert: Any, index: int) -> None:
    """A node waits for nothing."""
    node = node_at(board.nodes, index)
    stream = stream_at(board.streams, alert.stream)
    if node.place == IN_UP:
        stream.up_root = without(board.nodes, stream.up_root, index)
        stream.up_key = FAR if stream.up_root < 0 else node_at(board.nodes, stream.up_root).key
    elif node.place == IN_DOWN:
        stream.down_root = without(board.nodes, stream.down_root, index)
        stream.down_key = -FAR if stream.down_root < 0 else -node_at(board.nodes, stream.down_root).key
    elif node.place == IN_TIME:
        book = book_at(board.books, stream.book)
        book.times = without(board.nodes, book.times, index)
        book.wake = NEVER if book.times < 0 else node_at(board.nodes, book.times).key
    node.place = NOWHERE


@kernel
def arm(board: Any, alert: Any, index: int) -> None:
    """A side, which waits for nothing, waits for the target."""
    stream = stream_at(board.streams, alert.stream)
    if node_at(board.nodes, index).role == UP:
        alert.up_state = ARMED
        wait_above(board, stream, index, key_of(alert.target))
    else:
        alert.down_state = ARMED
        wait_below(board, stream, index, key_of(alert.target))


@kernel
def disarm(board: Any, alert: Any, index: int, state: int) -> None:
    """A side, which waits for nothing, waits for the value to be on the other side: at all (FRESH), or as far as it should (SPENT)."""
    stream = stream_at(board.streams, alert.stream)
    band = alert.band if state == SPENT else 0.0
    if node_at(board.nodes, index).role == UP:
        alert.up_state = state
        wait_below(board, stream, index, min(key_of(alert.target - band), key_of(alert.target) - 1))
    else:
        alert.down_state = state
        wait_above(board, stream, index, max(key_of(alert.target + band), key_of(alert.target) + 1))


@kernel
def begin(board: Any, alert: Any, index: int, state: int) -> None:
    """A side of a new alert: as it was (SPENT, ARMED), or, FRESH, as the latest value has it."""
    is_up = node_at(board.nodes, index).role == UP
    stream = stream_at(board.streams, alert.stream)
    is_below = stream.last < alert.target and book_at(board.books, stream.book).now >= stream.ready_ts
    if state == FRESH and (alert.is_level == 1 or (is_up and is_below) or (not is_up and stream.last > alert.target)):
        state = ARMED
    if state == ARMED:
        arm(board, alert, index)
    else:
        disarm(board, alert, index, state)


@kernel
def end(board: Any, alert: Any, index: int) -> None:
    """The node is of no use any more; NOBODY is none."""
    if index >= 0:
        take_out(board, alert, index)
        node = node_at(board.nodes, index)
        node.alert = NOBODY
        node.next = board.free_node
        board.free_node = index
        board.nodes_left += 1
