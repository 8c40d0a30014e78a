"""Orders, fills, and what a strategy asks for before it becomes an order."""

from openbell.model import enums
from openbell.model.jit import Record, kernel, layout, pointer

#: Intents of one event at most: an order id keeps ten bits for the place among them.
INTENTS_MAX = 1023

_FROM = {
    enums.SUBMITTED: (
        enums.ACCEPTED, enums.PARTIALLY_FILLED, enums.FILLED, enums.CANCELED, enums.EXPIRED, enums.REJECTED, enums.UNKNOWN,
        enums.PENDING_CANCEL, enums.PENDING_MODIFY,
    ),
    enums.ACCEPTED: (
        enums.PARTIALLY_FILLED, enums.FILLED, enums.CANCELED, enums.EXPIRED, enums.PENDING_CANCEL, enums.PENDING_MODIFY, enums.UNKNOWN,
    ),
    enums.PARTIALLY_FILLED: (
        enums.PARTIALLY_FILLED, enums.FILLED, enums.CANCELED, enums.EXPIRED, enums.PENDING_CANCEL, enums.PENDING_MODIFY, enums.UNKNOWN,
    ),
    enums.PENDING_CANCEL: (
        enums.ACCEPTED, enums.PARTIALLY_FILLED, enums.FILLED, enums.CANCELED, enums.EXPIRED, enums.REJECTED, enums.UNKNOWN,
    ),
    enums.PENDING_MODIFY: (
        enums.ACCEPTED, enums.PARTIALLY_FILLED, enums.FILLED, enums.CANCELED, enums.EXPIRED, enums.REJECTED, enums.PENDING_CANCEL,
        enums.UNKNOWN,
    ),
    enums.UNKNOWN: (
        enums.ACCEPTED, enums.PARTIALLY_FILLED, enums.FILLED, enums.CANCELED, enums.EXPIRED, enums.REJECTED, enums.PENDING_CANCEL,
    ),
}  # fmt: skip

#: Bit `b` of entry `a` is set where an order may go from status `a` to status `b`. Terminal statuses have no bits.
TRANSITIONS = tuple(sum(1 << after for after in _FROM.get(before, ())) for before in range(enums.DENIED + 1))


@kernel
def is_legal(before: int, after: int) -> bool:
    """Whether an order may go from one status to another; a number that is no status is not legal."""
    return 0 < after <= enums.DENIED and (TRANSITIONS[before] >> after) & 1 == 1


class Order(Record):
    """One order in the order table. A terminal order's slot is used again; its history is in the commands."""

    @property
    def remaining(self) -> int:
        """Lots still to trade."""
        return self.quantity - self.filled


ORDER_RECORD = layout(
    Order,
    120,
    [
        ("order_id", "i8"),  # (seq of the deciding event << 10) + position among its orders
        ("ts_created", "i8"),  # ns, when the decision was made
        ("ts_arrival", "i8"),  # ns, when it reaches the simulated venue
        ("ts_expiry", "i8"),  # ns, end of its day for DAY orders, else 0
        ("instrument", "i4"),
        ("strategy", "i4"),
        ("side", "i1"),  # BUY or SELL
        ("order_type", "u1"),
        ("time_in_force", "u1"),
        ("status", "u1"),
        ("size_kind", "u1"),  # what size it was stated in
        ("reason", "u1"),
        ("resting", "u1"),  # 1 once the venue has seen it without filling it
        ("_pad", "u1"),
        ("quantity", "i8"),  # lots; 0 until the fill when sized by money
        ("filled", "i8"),  # lots
        ("size", "f8"),  # money for BY_NOTIONAL, fraction for BY_CASH
        ("limit_price", "f8"),  # 0 when there is none
        ("stop_price", "f8"),  # 0 when there is none; cleared once triggered
        ("arrival_price", "f8"),  # the price that stood when it was sent
        ("filled_notional", "f8"),  # sum of price * lots of its fills
        ("reserved", "i8"),  # money held back for it
        ("next", "i4"),  # next open order of the instrument, or next free slot; -1 ends
        ("previous", "i4"),
    ],
)


class Intent(Record):
    """What a strategy or a user asks for, before the risk checks."""


INTENT_RECORD = layout(
    Intent,
    56,
    [
        ("action", "u1"),  # SUBMIT, MODIFY, CANCEL
        ("side", "i1"),
        ("order_type", "u1"),
        ("time_in_force", "u1"),
        ("size_kind", "u1"),
        ("reason", "u1"),  # of a cancellation
        ("_pad", "u1", (2,)),
        ("strategy", "i4"),
        ("instrument", "i4"),
        ("order_id", "i8"),
        ("quantity", "i8"),  # lots
        ("size", "f8"),  # money or fraction
        ("limit_price", "f8"),
        ("stop_price", "f8"),
    ],
)


class Fill(Record):
    """One execution of an order."""


FILL_RECORD = layout(
    Fill,
    72,
    [
        ("order_id", "i8"),
        ("ts_event", "i8"),  # ns, the venue's time of the event it traded on
        ("instrument", "i4"),
        ("strategy", "i4"),
        ("side", "i1"),
        ("is_maker", "u1"),  # 1 when it rested in the book
        ("_pad", "u1", (6,)),
        ("quantity", "i8"),  # lots
        ("price", "f8"),
        ("notional", "i8"),  # money
        ("fee", "i8"),  # money
        ("realised", "i8"),  # money gained by the part that closed a position, before fees
    ],
)

order_at = pointer(ORDER_RECORD)
intent_at = pointer(INTENT_RECORD)
fill_at = pointer(FILL_RECORD)
