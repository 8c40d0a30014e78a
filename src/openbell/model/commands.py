"""Commands: what the kernel tells the outside, as 96-byte records in the order they were decided.

All but a candle use the fields below; a candle is `command.bar`, whose header has the same `seq`, `kind` and `instrument`.
"""

from hashlib import blake2b

from openbell.model.events import BAR_RECORD, EVENT
from openbell.model.jit import Record, pointer, signature, union


class Command(Record):
    """Any command."""


COMMAND_SIZE = 96
COMMAND = union(
    Command,
    COMMAND_SIZE,
    [
        ("seq", "i8", 0),  # of the event that caused it
        ("ts", "i8", 8),  # ns, `ts_available` of that event
        ("kind", "u1", 16),  # SUBMIT, MODIFY, CANCEL, ORDER, FILL, SIGNAL, CANDLE, EQUITY, REFUSED, STATE
        ("side", "i1", 17),
        ("order_type", "u1", 18),
        ("time_in_force", "u1", 19),
        ("instrument", "i4", 20),
        ("strategy", "i4", 24),
        ("status", "u1", 28),  # order status, or trading state for STATE
        ("reason", "u1", 29),
        ("size_kind", "u1", 30),
        ("is_maker", "u1", 31),
        ("order_id", "i8", 32),
        ("quantity", "i8", 40),  # lots of the order, or of this fill
        ("filled", "i8", 48),  # lots of the order filled so far
        ("price", "f8", 56),  # limit price, fill price, or the price a signal was seen at
        ("stop_price", "f8", 64),
        ("ts_event", "i8", 64),  # ns, FILL: the venue's time of the event it traded on
        ("amount", "i8", 72),  # money: fee of a fill, equity
        ("realised", "i8", 80),  # money: realised by a fill; cash for EQUITY
        ("size", "f8", 88),  # money or fraction an order was sized by; average price for ORDER
        ("bar", BAR_RECORD, 0),
    ],
)

#: Says that two builds lay out events and commands alike: records of another layout cannot be read, in a journal or in a message.
LAYOUT = blake2b(repr((signature(EVENT), signature(COMMAND))).encode(), digest_size=8).hexdigest()

command_at = pointer(COMMAND)
