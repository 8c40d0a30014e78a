"""The marked tick: a trade that every service takes in and none acts on.

It has a quantity of -1 lot. The kernel refuses such a trade before anything else: no order meets it, no candle takes it, no strategy sees
it; only its REFUSED command says that it was there, and that is how the kernel is known to have stepped it. Displays pass it over too. Its
time is 0, which means the session's own, so the clock of a trader stands still however old or new the market's data are. What stays is one
event of 96 bytes and one command in the journal, and 1 in the counts of refused events. A replay steps it again like any other.

It goes under sources of its own, `verify-0` to `verify-7` by turns, one epoch a tick: readers remember the newest epoch of a source only,
so however often a platform is verified, nothing grows, and ticks that are marked at the same time are not in each other's way. Epochs are
counted in the database, where two that are claimed at once stay two.
"""

import secrets
from collections.abc import Sequence

import numpy as np

from openbell.adapters.messages.ticks import encode_chunk
from openbell.adapters.stores.database import Database
from openbell.adapters.stores.progress import move, read_progress
from openbell.errors import FencedError
from openbell.model import enums
from openbell.model.events import EVENT
from openbell.model.plan import Listing

SOURCE = "verify"
#: So many may be on their way at once.
SOURCES = 8
QUANTITY = -1
#: How often an epoch is claimed again that others had taken.
_ATTEMPTS = 20


def new_marker() -> int:
    """The id of a marked trade: 62 random bits, never 0."""
    return secrets.randbits(62) | 1


def marked_tick(listings: Sequence[Listing], symbol: str, price: float, marker: int, epoch: int) -> bytes:
    """The message (a TickBatch) with the one trade, whose `trade_id` is the marker."""
    event = np.zeros(1, EVENT)
    trade = event["trade"]
    trade["kind"], trade["instrument"] = enums.TRADE, [listing.symbol for listing in listings].index(symbol)
    trade["price"], trade["quantity"], trade["trade_id"] = price, QUANTITY, marker
    ((_, payload),) = encode_chunk(event, listings, source=f"{SOURCE}-{epoch % SOURCES}", epoch=epoch, first=0, cursor=b"")
    return payload


def claim_epoch(database: Database, topic: str) -> int:
    """An epoch that nobody has used on the topic."""
    reader = f"{SOURCE} {topic}"
    for _ in range(_ATTEMPTS - 1):
        try:
            return _claim(database, reader)
        except FencedError:
            continue
    return _claim(database, reader)


def _claim(database: Database, reader: str) -> int:
    known = database.run(lambda sql: read_progress(sql, reader, 0))
    advance = known.advance(known.position + 1)
    database.run(lambda sql: move(sql, advance))
    return advance.after.position
