"""The table of alerts that stand: one in, one out, and which row an id has."""

from typing import Any

from openbell.alerts.waiting import begin, end, wait_until
from openbell.model.alerts import DOWN, NOBODY, TIMER, UNCHANGED, UP, alert_at, board_at, book_at, entry_at, node_at, stream_at
from openbell.model.candles import NEVER
from openbell.model.jit import kernel

#: 2**32 divided by the golden ratio: ids that follow each other are spread over the entries (Knuth, volume 3, 6.4).
SPREAD = 2654435769


@kernel
def home(board: Any, id: int) -> int:
    """Where the entry of an id would best be."""
    return (((id & 0x7FFFFFFF) * SPREAD) >> 12) & board.entry_mask


@kernel
def place_of(board: Any, id: int) -> int:
    """Where the entry of an id is, or the free one where it would be."""
    place = home(board, id)
    while entry_at(board.entries, place).id != 0 and entry_at(board.entries, place).id != id:
        place = (place + 1) & board.entry_mask
    return place


@kernel
def forget(board: Any, place: int) -> None:
    """Free an entry; those behind it that would be missed move up."""
    after = (place + 1) & board.entry_mask
    while entry_at(board.entries, after).id != 0:
        entry = entry_at(board.entries, after)
        wanted = home(board, entry.id)
        if (after - wanted) & board.entry_mask >= (after - place) & board.entry_mask:
            entry_at(board.entries, place).id = entry.id
            entry_at(board.entries, place).alert = entry.alert
            place = after
        after = (after + 1) & board.entry_mask
    entry_at(board.entries, place).id = 0


@kernel
def release(board: Any, index: int) -> None:
    """An alert stands no more. Its row is free, unless it is in the list of those that changed."""
    alert = alert_at(board.alerts, index)
    stream_at(board.streams, alert.stream).alerts -= 1
    forget(board, place_of(board, alert.id))
    end(board, alert, alert.up)
    end(board, alert, alert.down)
    end(board, alert, alert.timer)
    alert.id = 0
    board.standing -= 1
    if alert.changed == UNCHANGED:
        free(board, index)


@kernel
def free(board: Any, index: int) -> None:
    """Give back a row."""
    alert_at(board.alerts, index).up = board.free_alert
    board.free_alert = index
    board.alerts_left += 1


@kernel
def add(board_address: int, rows: int, count: int) -> None:
    """Let `count` alerts stand, for which there is room; of an id that stands already the new one stays.

    In `rows` (ALERT) `up` and `down` are NOBODY for a side that it does not have, and the states say what each waited for; FRESH: see.
    """
    board = board_at(board_address, 0)
    for row in range(count):
        new = alert_at(rows, row)
        drop(board, new.id)
        index = board.free_alert
        alert = alert_at(board.alerts, index)
        board.free_alert = alert.up
        board.alerts_left -= 1
        alert.id, alert.revision, alert.stream, alert.schedule = new.id, new.revision, new.stream, new.schedule
        alert.target, alert.band, alert.cooldown_ns, alert.expires = new.target, new.band, new.cooldown_ns, new.expires
        alert.fired, alert.fired_ts, alert.is_repeated, alert.is_level = new.fired, new.fired_ts, new.is_repeated, new.is_level
        alert.changed = UNCHANGED
        alert.up, alert.down, alert.timer, alert.up_state, alert.down_state = NOBODY, NOBODY, NOBODY, 0, 0
        entry = entry_at(board.entries, place_of(board, alert.id))
        entry.id, entry.alert = alert.id, index
        board.standing += 1
        stream_at(board.streams, alert.stream).alerts += 1
        if new.up >= 0:
            alert.up = new_node(board, index, UP)
            begin(board, alert, alert.up, new.up_state)
        if new.down >= 0:
            alert.down = new_node(board, index, DOWN)
            begin(board, alert, alert.down, new.down_state)
        if alert.expires < NEVER:
            alert.timer = new_node(board, index, TIMER)
            wait_until(board, book_at(board.books, stream_at(board.streams, alert.stream).book), alert.timer, alert.expires)


@kernel
def new_node(board: Any, index: int, role: int) -> int:
    """A node of an alert that waits for nothing."""
    place = board.free_node
    node = node_at(board.nodes, place)
    board.free_node = node.next
    board.nodes_left -= 1
    node.alert, node.role, node.place = index, role, 0
    node.child, node.next, node.previous = NOBODY, NOBODY, NOBODY
    return place


@kernel
def drop(board: Any, id: int) -> bool:
    """Have an alert stand no more, if it does."""
    entry = entry_at(board.entries, place_of(board, id))
    if entry.id == 0:
        return False
    release(board, entry.alert)
    return True


@kernel
def remove(board_address: int, ids: Any) -> None:
    """Have alerts (int64 ids) stand no more, if they do."""
    board = board_at(board_address, 0)
    for row in range(len(ids)):
        drop(board, ids[row])


@kernel
def enter(board_address: int, rows: int) -> None:
    """Make the entries, which are all free, anew from the first `rows` rows of the table."""
    board = board_at(board_address, 0)
    for index in range(rows):
        alert = alert_at(board.alerts, index)
        if alert.id != 0:
            entry = entry_at(board.entries, place_of(board, alert.id))
            entry.id, entry.alert = alert.id, index


@kernel
def changed(board_address: int, out: Any) -> int:
    """Write (id, revision, state of the sides, how often it came) of alerts whose state changed, as many as fit; returns how many."""
    board = board_at(board_address, 0)
    count = 0
    while board.changed >= 0 and count < len(out):
        index = board.changed
        alert = alert_at(board.alerts, index)
        board.changed = alert.changed
        alert.changed = UNCHANGED
        if alert.id == 0:
            free(board, index)
        else:
            out[count, 0], out[count, 1], out[count, 3] = alert.id, alert.revision, alert.fired
            out[count, 2] = alert.up_state + 4 * alert.down_state
            count += 1
    return count
