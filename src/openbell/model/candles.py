"""Candle builders, subscriptions and slices: what turns ticks into bars and bars into decisions."""

from typing import Any

from openbell.model.events import BAR_RECORD, bar_at
from openbell.model.jit import Record, address_of, layout, pointer

#: Candles of one timeframe that may be open at once, so that lateness up to three timeframes can be waited for.
OPEN_BARS = 4
#: A time that does not come.
NEVER = (1 << 63) - 1


class Builder(Record):
    """Builds the candles of one timeframe of one instrument; its open candles live in a ring by start time."""


BUILDER_RECORD = layout(
    Builder,
    48 + OPEN_BARS * 16 + OPEN_BARS * 96,
    [
        ("timeframe_ns", "i8"),
        ("start", "i8"),  # ns, start of the newest candle
        ("end", "i8"),  # ns, its end; 0 before the first trade
        ("due", "i8"),  # ns, end of the oldest open candle; NEVER when none is open
        ("instrument", "i4"),
        ("slot", "i4"),  # of the newest candle in the ring
        ("closed", "i8"),  # candles closed since the start
        ("first_ts", "i8", (OPEN_BARS,)),  # ns, venue time of the candle's first trade
        ("last_ts", "i8", (OPEN_BARS,)),  # ns, venue time of its last trade
        ("bars", BAR_RECORD, (OPEN_BARS,)),
    ],
)


class Subscription(Record):
    """One strategy follows one instrument at one timeframe."""


SUBSCRIPTION_RECORD = layout(
    Subscription,
    32,
    [
        ("timeframe_ns", "i8"),  # of its bars; 0 when it takes none
        ("state_offset", "i8"),  # where the strategy's record for this instrument is
        ("strategy", "i4"),
        ("handler_mask", "u1"),  # bit per handler kind
        ("_pad", "u1", (3,)),
        ("slice_index", "i4"),  # position of the instrument in the strategy's slice
        ("_pad2", "u1", (4,)),
    ],
)


class Slice(Record):
    """All bars of one time at once; `on_slice` is called when every instrument has its bar, or when time moves on."""

    def has(self, index: int) -> Any:
        """Whether instrument `index` of the strategy's list has a bar at this time."""
        bar = self.bar(index)
        return bar.ts_event + bar.timeframe_ns == self.ts_end

    def bar(self, index: int) -> Any:
        """The latest bar of instrument `index` of the strategy's list; look at `has` first."""
        return bar_at(address_of(self) + SLICE_SIZE, index)


SLICE_SIZE = 32
SLICE_RECORD = layout(
    Slice,
    SLICE_SIZE,
    [
        ("ts_end", "i8"),  # ns, end of its bars
        ("timeframe_ns", "i8"),
        ("count", "i4"),  # instruments of the strategy
        ("present", "i4"),  # bars there at this time
        ("strategy", "i4"),
        ("is_open", "u1"),  # 1 while it is being collected
        ("_pad", "u1", (3,)),
    ],
)

builder_at = pointer(BUILDER_RECORD)
subscription_at = pointer(SUBSCRIPTION_RECORD)
slice_at = pointer(SLICE_RECORD)
