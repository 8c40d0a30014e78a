"""The records of analytics: a tape (one a symbol), its spans (one a window: the part that is open), the rings of parts that are closed.

Every window has 60 parts of the same length, which begin at whole multiples of it since 1970 UTC. The board holds where the tables are.
"""

from openbell.model.jit import Record, layout, pointer
from openbell.model.time import DAY, HOUR, MINUTE, SECOND

#: Parts of a window, and those that a ring has room for: a power of two, with some before the window.
PARTS, RING = 60, 64
#: Lengths (ns) of the windows.
WINDOWS = (MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, DAY)
WINDOW_NAMES = ("1m", "5m", "15m", "1h", "1d")
WINDOW_COUNT = len(WINDOWS)
#: The window whose parts say what is usual.
USUAL = 2
USUAL_STEP = WINDOWS[USUAL] // PARTS
#: Returns, or parts, that are needed to say how much something varies, and what is usual.
RETURNS_MIN, USUAL_MIN = 20, 30
#: RiskMetrics: the weight of what was known before; and of the moving average that forgets as fast as a plain one over the window.
DECAY, SMOOTHING = 0.94, 2.0 / (PARTS + 1)
#: A time that has not been, no row.
BEFORE, NOBODY = -(1 << 62), -1
#: A symbol that nothing was heard of for so long begins anew.
FORGET_NS = 7 * DAY
#: What an anomaly is about; the last one is seen beside other symbols only.
JUMP, BURST, SPREAD, STALE = 0, 1, 2, 3
ANOMALIES = ("price_jump", "volume_burst", "spread_wide", "stale")
FLAG_COUNT = 3
#: Robust standard deviations from what is usual, and times what is usual, from which it is an anomaly.
JUMP_SCORE, BURST_SCORE, SPREAD_SCORE = 8.0, 10.0, 8.0
BURST_TIMES, SPREAD_TIMES = 5.0, 3.0
#: Why events were not taken to the end: nothing is left; the sessions around a time have to be told.
DONE, ASK = 0, 1
SECOND_NS = SECOND


class Flag(Record):
    """The latest anomaly of one kind."""


FLAG_RECORD = layout(
    Flag,
    32,
    [
        ("ts", "i8"),  # ns, when it began; 0 for none
        ("value", "f8"),
        ("usual", "f8"),
        ("limit", "f8"),  # beyond which it is one
    ],
)


class Tape(Record):
    """What is known of one symbol: prices, the second that is open, the session, what is usual."""


TAPE_RECORD = layout(
    Tape,
    384,
    [
        ("price", "f8"),  # of the latest trade; the middle of the quote before the first
        ("bid", "f8"),
        ("ask", "f8"),
        ("spread", "f8"),  # bps of the middle; NaN before the first quote
        ("now", "i8"),  # ns, up to which everything is counted; BEFORE the first tick
        ("second_end", "i8"),  # ns, end of the second that is open
        # The second that is open.
        ("lots", "i8"),
        ("notional", "f8"),  # sum of price * lots
        ("trades", "i8"),
        ("ticks", "i8"),  # trades and quotes
        ("spread_sum", "f8"),  # sum of bps * ns
        ("quoted_ns", "i8"),
        # The session.
        ("session_from", "i8"),  # ns
        ("session_closes", "i8"),  # ns
        ("session_until", "i8"),  # ns, start of the next one; BEFORE when it has to be looked up
        ("session_price", "f8"),  # before it; the first in it when there was none
        ("session_notional", "f8"),
        ("session_rest", "f8"),  # what rounding has taken from the sum
        ("session_lots", "i8"),
        ("session_trades", "i8"),
        # What is usual, for the part that is open of the window USUAL; NaN: no limit.
        ("jump_low", "f8"),  # price
        ("jump_high", "f8"),
        ("jump_usual", "f8"),  # log return
        ("jump_from", "f8"),  # price at the end of the part before
        ("burst_limit", "f8"),  # lots
        ("burst_usual", "f8"),
        ("spread_limit", "f8"),  # bps
        ("spread_usual", "f8"),
        ("part_lots", "i8"),  # in the part that is open
        ("first_price", "f8"),
        ("last_ts", "i8"),  # ns, of the latest tick
        ("last_trade_ts", "i8"),  # ns; BEFORE the first
        ("lot_size", "f8"),  # units
        ("price_increment", "f8"),
        ("instrument", "i4"),
        ("has_traded", "u1"),
        ("_pad", "u1", (3,)),
        ("flags", FLAG_RECORD, (FLAG_COUNT,)),
        ("_pad2", "i8"),
    ],
)


class Span(Record):
    """One window of a symbol: the part that is open, up to the second that is open, and what follows from all that are closed."""


SPAN_RECORD = layout(
    Span,
    96,
    [
        ("part", "i8"),  # number of the part that is open since 1970
        ("known", "i8"),  # parts that are closed
        ("step_ns", "i8"),
        ("lots", "i8"),
        ("notional", "f8"),
        ("trades", "i8"),
        ("ticks", "i8"),
        ("spread_sum", "f8"),
        ("quoted_ns", "i8"),
        ("ema", "f8"),  # of the prices at the ends of parts
        ("ewma", "f8"),  # variance of a part's log return
        ("returns", "i8"),  # it is made of
    ],
)


class Ring(Record):
    """The parts of a window that are closed, by their number modulo RING."""


RING_RECORD = layout(
    Ring,
    RING * 49,
    [
        ("close", "f8", (RING,)),  # price at its end
        ("lots", "i8", (RING,)),
        ("notional", "f8", (RING,)),
        ("spread_sum", "f8", (RING,)),
        ("quoted_ns", "i8", (RING,)),
        ("trades", "i4", (RING,)),
        ("ticks", "i4", (RING,)),
        ("is_open", "u1", (RING,)),  # whether the market was, for some of it
    ],
)


class Hours(Record):
    """One session of the market."""


HOURS_RECORD = layout(Hours, 16, [("opens", "i8"), ("closes", "i8")])  # ns


class WindowReading(Record):
    """One window of a symbol at a time. Its last part is still open; what varies is of the 60 parts before that."""


WINDOW_READING_RECORD = layout(
    WindowReading,
    96,
    [
        ("reference", "f8"),  # price before the window, or the first there was
        ("volume", "f8"),  # units
        ("notional", "f8"),  # money: sum of price * units
        ("trades", "i8"),
        ("vwap", "f8"),  # NaN without volume
        ("squares", "f8"),  # sum of squared log returns of parts
        ("returns", "i8"),  # how many they are
        ("ewma", "f8"),  # variance of a part's log return; NaN before the first
        ("sma", "f8"),  # of the prices at the ends of parts; NaN before the first
        ("ema", "f8"),
        ("spread", "f8"),  # bps, mean over time; NaN without a quote
        ("parts", "i8"),  # that are known, at most PARTS
    ],
)


class Reading(Record):
    """Everything about one symbol at a time."""


READING_RECORD = layout(
    Reading,
    672,
    [
        ("price", "f8"),
        ("bid", "f8"),  # NaN without a quote
        ("ask", "f8"),
        ("spread", "f8"),  # bps
        ("last_ts", "i8"),  # ns, of the latest tick
        ("usual_gap", "f8"),  # ns between ticks, as of the latest
        ("session_from", "i8"),  # ns
        ("session_price", "f8"),
        ("session_volume", "f8"),
        ("session_notional", "f8"),
        ("session_vwap", "f8"),  # NaN without volume
        ("session_trades", "i8"),
        ("flags", FLAG_RECORD, (FLAG_COUNT,)),
        ("windows", WINDOW_READING_RECORD, (WINDOW_COUNT,)),
    ],
)
#: Where they are in it, and in a tape.
READING_FLAGS, READING_WINDOWS, TAPE_FLAGS = 96, 192, 280


class Closes(Record):
    """Prices at the ends of parts, the oldest first; the last is that of `part`."""


CLOSES_RECORD = layout(
    Closes,
    16 + RING * 8,
    [
        ("part", "i8"),  # number of the latest that is closed
        ("known", "i8"),  # prices from the end that are known, at most RING - 1
        ("close", "f8", (RING,)),  # the first is none
    ],
)


class Row(Record):
    """The tape of an instrument."""


ROW_RECORD = layout(Row, 8, [("tape", "i8")])  # NOBODY


class Word(Record):
    """Eight bytes of anything."""


WORD_RECORD = layout(Word, 8, [("bits", "i8")])


class Number(Record):
    """A number of a list."""


NUMBER_RECORD = layout(Number, 8, [("value", "f8")])


class Head(Record):
    """The head of all tables: where each is."""


HEAD_RECORD = layout(
    Head,
    112,
    [
        ("tapes", "i8"),
        ("spans", "i8"),
        ("rings", "i8"),
        ("rows", "i8"),
        ("hours", "i8"),
        ("numbers", "i8"),  # two lists of RING numbers, for medians
        ("tape_count", "i8"),  # the tape after the last is for reading
        ("instruments", "i8"),
        ("hours_count", "i8"),
        ("covers_from", "i8"),  # ns, times whose sessions are known
        ("covers_until", "i8"),
        ("now", "i8"),  # ns, the latest time of all
        ("row", "i8"),  # event that comes next
        ("asked_ts", "i8"),
    ],
)

tape_at = pointer(TAPE_RECORD)
span_at = pointer(SPAN_RECORD)
ring_at = pointer(RING_RECORD)
hours_at = pointer(HOURS_RECORD)
row_at = pointer(ROW_RECORD)
word_at = pointer(WORD_RECORD)
number_at = pointer(NUMBER_RECORD)
reading_at = pointer(READING_RECORD)
closes_at = pointer(CLOSES_RECORD)
head_at = pointer(HEAD_RECORD)
flag_at = pointer(FLAG_RECORD)
window_reading_at = pointer(WINDOW_READING_RECORD)
