"""The records of alerts that stand: a board of books (one a symbol), their streams of values, and the heaps of targets beside each stream.

Every table is an array of its own that may be made anew when it is full; the board holds where each one is. A value is compared as a whole
number that orders as the float does, so that "less than the target" is "at most the number before it".
"""

from openbell.model.candles import BUILDER_RECORD
from openbell.model.jit import Record, layout, pointer

#: Parts of a window: it is as long as said, to one of them.
PARTS = 50
#: No row of a table.
NOBODY = -1
#: An alert that is not in the list of those that changed.
UNCHANGED = -2
#: A time that has not been.
BEFORE = -(1 << 62)

#: What a stream is made of.
PRICE, MOVE, VOLUME, DISTANCE, FED = 1, 2, 3, 4, 5
#: What a node is for: its alert waits for a value from below, for one from above, or its time is over.
UP, DOWN, TIMER = 1, 2, 3
#: The heap that a node is in.
NOWHERE, IN_UP, IN_DOWN, IN_TIME = 0, 1, 2, 3
#: What a side of an alert waits for: to be on the other side of the target at all; the target; to have gone back from it far enough.
FRESH, ARMED, SPENT = 0, 1, 2
#: It came and may come again; it came and stands no more; its time was over.
CAME, LAST, EXPIRED = 0, 1, 2
#: Why events were not taken to the end: a candle has to be closed first; there is no room for firings; a schedule has to be looked up.
DONE, CLOSE, FULL, ASK = 0, 1, 2, 3


class Alert(Record):
    """An alert that stands. Its sides and its timer are nodes."""


ALERT_RECORD = layout(
    Alert,
    96,
    [
        ("id", "i8"),  # 0 when the row is free
        ("revision", "i8"),
        ("target", "f8"),
        ("band", "f8"),  # how far the value has to go back before it counts again, in its own unit
        ("cooldown_ns", "i8"),
        ("fired_ts", "i8"),  # ns, the latest time it came; BEFORE when it has not
        ("fired", "i8"),  # how often
        ("expires", "i8"),  # ns; NEVER
        ("stream", "i4"),
        ("up", "i4"),  # nodes, or NOBODY; the next free row when the row is free
        ("down", "i4"),
        ("timer", "i4"),
        ("schedule", "i4"),  # or NOBODY
        ("changed", "i4"),  # the next alert that changed, NOBODY at the end, UNCHANGED when it is not in the list
        ("is_repeated", "u1"),
        ("is_level", "u1"),  # it holds while the value is beyond the target, not only when it comes there
        ("up_state", "u1"),  # FRESH, ARMED, SPENT
        ("down_state", "u1"),
        ("_pad", "u1", (4,)),
    ],
)


class Node(Record):
    """A member of a pairing heap: the least key is at the root, every child is at or above its parent."""


NODE_RECORD = layout(
    Node,
    32,
    [
        ("key", "i8"),  # of a value as it orders, negative where the greatest comes first, or a time
        ("alert", "i4"),
        ("child", "i4"),  # the first, or NOBODY
        ("next", "i4"),  # sibling, or NOBODY; the next free row when the row is free
        ("previous", "i4"),  # sibling, or the parent of a first child; NOBODY at a root
        ("role", "u1"),  # UP, DOWN, TIMER
        ("place", "u1"),  # NOWHERE, IN_UP, IN_DOWN, IN_TIME
        ("_pad", "u1", (6,)),
    ],
)


class Stream(Record):
    """One value of one book that alerts are compared with."""


STREAM_RECORD = layout(
    Stream,
    72,
    [
        ("last", "f8"),  # the latest value, NaN before the first
        ("level", "f8"),  # of a distance: what the price is compared with, NaN while it is not known
        ("up_key", "i8"),  # the least key above which something waits
        ("down_key", "i8"),  # the greatest key below which something waits
        ("ready_ts", "i8"),  # ns, before which the value is known to be too low; 0
        ("up_root", "i4"),  # nodes, or NOBODY
        ("down_root", "i4"),
        ("book", "i4"),
        ("next", "i4"),  # stream of the book that ticks move, or NOBODY
        ("window", "i4"),  # row of its window, or NOBODY
        ("alerts", "i4"),  # that are compared with it
        ("kind", "i8"),  # PRICE, MOVE, VOLUME, DISTANCE, FED; 0 when the row is free
    ],
)


class Book(Record):
    """One symbol: its price, its time, and where its streams and candles begin."""


BOOK_RECORD = layout(
    Book,
    64,
    [
        ("price", "f8"),  # the latest, NaN before the first
        ("lot_size", "f8"),  # units in a lot
        ("now", "i8"),  # ns, the latest time seen; BEFORE the first
        ("lateness_ns", "i8"),  # how long candles wait for late trades
        ("due", "i8"),  # ns, end of the candle that ends first; NEVER
        ("wake", "i8"),  # ns, of the root of its times; NEVER
        ("streams", "i4"),  # the first that ticks move, or NOBODY
        ("candles", "i4"),  # the first of its candles, or NOBODY
        ("times", "i4"),  # root of the heap of times, or NOBODY
        ("is_open", "u1"),  # 1 when its ticks are taken here
        ("has_traded", "u1"),  # 1 when the price is that of trades
        ("_pad", "u1", (2,)),
    ],
)


class Window(Record):
    """The last so many parts of a stretch of time: prices, or lots traded."""


WINDOW_RECORD = layout(
    Window,
    24 + (2 * PARTS + 1) * 8,
    [
        ("step_ns", "i8"),  # of a part
        ("part", "i8"),  # number of the newest; BEFORE the first
        ("total", "i8"),  # lots in all parts
        ("prices", "f8", (PARTS + 1,)),  # the last of each part, and of the one before the window
        ("lots", "i8", (PARTS,)),
    ],
)


class Candles(Record):
    """The builder of one timeframe of a book."""


CANDLES_RECORD = layout(
    Candles,
    8 + BUILDER_RECORD.itemsize,
    [
        ("next", "i4"),  # candles of the same book, or NOBODY
        ("book", "i4"),
        ("builder", BUILDER_RECORD),
    ],
)


class Hours(Record):
    """One schedule around some time: closed from the first time to the second, open from there to the third."""


HOURS_RECORD = layout(Hours, 24, [("closed", "i8"), ("open", "i8"), ("end", "i8")])


class Fired(Record):
    """An alert came, or its time was over."""


FIRED_RECORD = layout(
    Fired,
    64,
    [
        ("order", "i8"),  # of the tick among all that were compared
        ("id", "i8"),
        ("revision", "i8"),
        ("number", "i8"),  # how often it came
        ("ts", "i8"),  # ns
        ("value", "f8"),  # that was compared
        ("price", "f8"),  # of the book, NaN without one
        ("fate", "i8"),  # CAME, LAST, EXPIRED
    ],
)


class Entry(Record):
    """Where the alert of an id is."""


ENTRY_RECORD = layout(Entry, 16, [("id", "i8"), ("alert", "i4"), ("_pad", "u1", (4,))])


class Board(Record):
    """The head: where the tables are, and how far they are filled."""


BOARD_RECORD = layout(
    Board,
    168,
    [
        ("alerts", "i8"),  # addresses of the tables
        ("nodes", "i8"),
        ("streams", "i8"),
        ("books", "i8"),
        ("windows", "i8"),
        ("candles", "i8"),
        ("hours", "i8"),
        ("fired", "i8"),
        ("entries", "i8"),
        ("entry_mask", "i8"),  # entries, less one
        ("standing", "i8"),  # alerts
        ("alerts_left", "i8"),  # free rows
        ("nodes_left", "i8"),
        ("fired_count", "i8"),
        ("fired_max", "i8"),
        ("order", "i8"),  # ticks compared
        ("asked_ts", "i8"),  # ns, for which a schedule has to be looked up
        ("row", "i8"),  # of the event that was not taken to its end
        ("book_count", "i4"),
        ("free_alert", "i4"),  # the first, or NOBODY
        ("free_node", "i4"),
        ("changed", "i4"),  # the first alert whose state changed, or NOBODY
        ("asked", "i4"),  # schedule
        ("is_applied", "i4"),  # 1 when that event has moved the values already, and they are still to be compared
    ],
)

alert_at = pointer(ALERT_RECORD)
node_at = pointer(NODE_RECORD)
stream_at = pointer(STREAM_RECORD)
book_at = pointer(BOOK_RECORD)
window_at = pointer(WINDOW_RECORD)
candles_at = pointer(CANDLES_RECORD)
hours_at = pointer(HOURS_RECORD)
fired_at = pointer(FIRED_RECORD)
entry_at = pointer(ENTRY_RECORD)
board_at = pointer(BOARD_RECORD)
