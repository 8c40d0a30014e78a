"""Ticks on the wire: a chunk of a feed as one protobuf message a symbol, and back to the last bit; JSON for who writes by hand.

A feed's events have one order. A bus keeps order by key only, so a chunk is cut by symbol, and every message says which events of the whole
order the chunk is, and where in the chunk its own events stand. A reader puts the feed's order together again, drops what comes twice and
notices what is missing. A message that begins with `{` or `[` is JSON: no TickBatch does.

An instrument's index is known within one process only; on the wire stands its symbol, with the units of its prices and lots.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
from google.protobuf.unknown_fields import UnknownFieldSet

from openbell.adapters.messages.columns import KINDS, NAMES, WORDS, Kind, block_of, checked, pack, unpack, words_of
from openbell.adapters.messages.json_ticks import JsonTicks, decode_json
from openbell.adapters.messages.parsing import parsed
from openbell.errors import DataError
from openbell.model.events import EVENT, EVENT_SIZE
from openbell.model.plan import Listing
from openbell.proto.v1.market_pb2 import TickBatch

__all__ = ["COUNT_MAX", "JsonTicks", "Part", "decode_ticks", "encode_chunk", "join_parts"]

Array = np.ndarray[Any, Any]

#: Events in a chunk at most.
COUNT_MAX = 1 << 18
#: Events as bytes without fields: numpy copies these 20 times quicker than a union.
PLAIN = f"V{EVENT_SIZE}"
#: What a timer without an instrument is listed as.
NOTHING = Listing("", 0.0, 0.0)
#: The events of one kind in a message: kind, column of places, count, other columns.
_Group = tuple[Kind, bytes, int, list[bytes]]


class Part(msgspec.Struct, frozen=True, eq=False):
    """One message of a chunk: the events of one symbol."""

    source: str
    epoch: int  # which counting of the source's events `first` belongs to
    first: int  # place of the chunk's first event in the source's order, from 0
    count: int  # events in the whole chunk
    parts: int  # messages of the chunk
    cursor: bytes  # of the feed, after the chunk
    symbol: str  # empty for timers without an instrument
    size: int  # events in the message, with those left out: of a symbol that is not listed, of a kind that a newer version has
    index: Array | None  # uint32, rising: places of `events` in the chunk; None when they are the whole chunk
    events: Array  # dtype EVENT, `seq` 0


def encode_chunk(
    events: Array, listings: Sequence[Listing], *, source: str, epoch: int, first: int, cursor: bytes
) -> list[tuple[str, bytes]]:
    """The messages of a chunk, each with its symbol, in the order in which the symbols appear.

    `events` (dtype EVENT, at most COUNT_MAX) are trades, quotes, bars and timers; their `instrument` is the index of a listing, or -1 for
    a timer without one, whose symbol is empty.

    >>> trade = np.zeros(1, EVENT)
    >>> trade["kind"], trade["ts_available"], trade["trade"]["price"], trade["trade"]["quantity"] = 1, 1_700_000_000_000_000_000, 150.25, 3
    >>> listings = [Listing("AAPL", 0.01, 1.0)]
    >>> [(symbol, message)] = encode_chunk(trade, listings, source="recorded", epoch=1, first=0, cursor=b"0.1")
    >>> part = decode_ticks(message, {"AAPL": 0}, listings)
    >>> symbol, part.first, part.count, part.cursor, part.events.tobytes() == trade.tobytes()
    ('AAPL', 0, 1, b'0.1', True)
    """
    count = len(events)
    assert count <= COUNT_MAX, f"a chunk of {count} events, at most {COUNT_MAX}"
    messages: dict[str, TickBatch] = {}
    for block, index in _groups(words_of(events)):
        names = int(block[NAMES, 0])
        kind, instrument = _kind_of(names), names >> 32
        assert 0 <= instrument < len(listings) or (instrument == -1 and kind.field == "timers"), f"{kind.field} of instrument {instrument}"
        listing = listings[instrument] if instrument >= 0 else NOTHING
        message = messages.get(listing.symbol)
        if message is None:
            message = messages[listing.symbol] = TickBatch(
                source=source, epoch=epoch, first=first, count=count, cursor=cursor,
                symbol=listing.symbol, lot_size=listing.lot_size, price_increment=listing.price_increment,
            )  # fmt: skip
        columns = getattr(message, kind.field)
        if index:
            columns.index = index
        pack(kind, block, columns)
        message.size += block.shape[1]
    for message in messages.values():
        message.parts = len(messages)
    return [(symbol, message.SerializeToString()) for symbol, message in messages.items()]


def _groups(words: Array) -> list[tuple[Array, bytes]]:
    """The block of the events of each instrument and kind, with their places, in the order in which they appear; one needs no places."""
    if not len(words):
        return []
    names = words[:, NAMES + 1] & ~0xFF00  # without the side
    if len(words) == 1 or (names == names[0]).all():
        return [(block_of(words, len(_kind_of(int(names[0])).columns)), b"")]
    key = names >> 29 | names & 0xFF  # eight times the instrument, and the kind
    if key.max() < 1 << 15:
        key = key.astype(np.int16)  # sorted in linear time
    order = np.argsort(key, kind="stable")
    key = key[order]
    cuts = [0, *(np.flatnonzero(key[1:] != key[:-1]) + 1).tolist(), len(words)]
    rows = max(len(_kind_of(first).columns) for first in names[order[cuts[:-1]]].tolist())
    block = block_of(words, rows).take(order, axis=1)
    places = order.astype("<u4")
    groups = [(block[:, begin:end], places[begin:end]) for begin, end in pairwise(cuts)]
    return [(group, index.tobytes()) for group, index in sorted(groups, key=lambda group: int(group[1][0]))]


def _kind_of(names: int) -> Kind:
    assert names & 0xFF in KINDS, f"an event of kind {names & 0xFF}: only trades, quotes, bars and timers travel here"
    return KINDS[names & 0xFF]


def decode_ticks(payload: bytes, instruments: Mapping[str, int], listings: Sequence[Listing]) -> Part | JsonTicks:
    """What a message of the market-data topic says. DataError when it cannot be used.

    `instruments` are the indices of the symbols that are wanted here; the events of others are left out, though the message counts for its
    chunk. The lot size and price increment of a wanted symbol have to be those of its listing.

    >>> ticks = decode_ticks(b'{"symbol":"AAPL","price":150.25,"quantity":3,"ts":1700000000000}', {"AAPL": 0}, [Listing("AAPL", 0.01, 1.0)])
    >>> ticks.events["trade"]["price"].tolist(), ticks.events["trade"]["quantity"].tolist()
    ([150.25], [3])
    """
    if payload[:1] in (b"{", b"["):
        return decode_json(payload, instruments, listings)
    message: Any = parsed(TickBatch, payload)
    _check(message)
    instrument = instruments.get(message.symbol, -1)
    wanted = instrument >= 0 or not message.symbol
    if instrument >= 0:
        _check_units(message, listings[instrument])
    groups: list[_Group] = []
    for kind in KINDS.values():
        if message.HasField(kind.field):
            columns = getattr(message, kind.field)
            groups.append((kind, columns.index, *checked(kind, columns)))
    index = _index(message, groups)
    if not wanted:
        index, groups = np.zeros(0, "<u4"), []
    elif not message.symbol and any(kind.field != "timers" for kind, *_ in groups):
        raise DataError(f"a message from {message.source!r} has prices and no symbol", "only timers without one")
    words = np.zeros((sum(count for _, _, count, _ in groups), WORDS), np.int64)
    begin = 0
    for kind, _, count, columns in groups:
        unpack(kind, columns, instrument, words[begin : begin + count])
        begin += count
    if len(groups) > 1 and index is not None:
        order = np.argsort(index, kind="stable")
        index, words = index[order], words.take(order, axis=0)
        if (index[1:] == index[:-1]).any():
            raise DataError(f"{_where(message)} has two events at one place", "each place in the chunk once")
    if index is not None and len(index) == message.count:
        index = None
    return Part(
        message.source, message.epoch, message.first, message.count, message.parts, message.cursor, message.symbol, message.size,
        index, np.frombuffer(words, EVENT),
    )  # fmt: skip


def join_parts(parts: Sequence[Part]) -> Array:
    """The events of a chunk (dtype EVENT) in the feed's order, from its messages in any order, without those that were left out.

    DataError unless they are all the messages of one chunk, each once.
    """
    head = parts[0]
    if len(parts) == head.parts == 1 and head.index is None:
        return head.events
    chunk = f"chunk {head.first} of {head.source}"
    if len({(part.source, part.epoch, part.first, part.count, part.parts, part.cursor) for part in parts}) > 1:
        raise DataError(f"messages of several chunks, one of them {chunk}", "messages of one chunk")
    if not len(parts) == head.parts == len({part.symbol for part in parts}) or sum(part.size for part in parts) != head.count:
        found = ", ".join(f"{part.size} of {part.symbol or 'no symbol'}" for part in parts)
        raise DataError(f"{chunk} came as {len(parts)} messages with events: {found}", f"{head.parts} messages with {head.count} events")
    events, there = np.zeros(head.count, PLAIN), np.zeros(head.count, bool)
    for part in parts:
        places = slice(None) if part.index is None else part.index
        events[places] = part.events.view(PLAIN)
        there[places] = True
    known = int(there.sum())
    if known != sum(len(part.events) for part in parts):
        raise DataError(f"{chunk} has two events at one place", "each place once")
    return (events if known == head.count else events[there]).view(EVENT)


def _check(message: TickBatch) -> None:
    """That the numbers of the chunk can be true."""
    count = message.count
    if not 1 <= count <= COUNT_MAX:
        raise DataError(f"{_where(message)} is of a chunk of {count} events", f"from 1 to {COUNT_MAX}")
    if not 1 <= message.parts <= count:
        raise DataError(f"{_where(message)} is of a chunk of {message.parts} messages and {count} events", "at least one event a message")
    if not 0 <= message.first < (1 << 63) - count:
        raise DataError(f"{_where(message)} begins at the place {message.first}", "0 or more, within 64 bits")
    if not 1 <= message.size <= count or (message.parts == 1) != (message.size == count):
        raise DataError(
            f"{_where(message)} has {message.size} of {count} events in {message.parts} messages", "all events if it is the only one"
        )


def _check_units(message: TickBatch, listing: Listing) -> None:
    """That prices and lots mean the same here."""
    for name, what in (("lot_size", "lots"), ("price_increment", "price steps")):
        there, here = getattr(message, name), getattr(listing, name)
        if there != here:
            raise DataError(
                f"{message.symbol} has {what} of {there!r} in a message from {message.source!r} and of {here!r} here", "the same listing",
                f"give {message.symbol} one {name} wherever it is listed",
            )  # fmt: skip


def _index(message: Any, groups: Sequence[_Group]) -> Array | None:
    """The places (uint32) of the events of all groups; None when they are the whole chunk and in order."""
    known = sum(count for _, _, count, _ in groups)
    if known > message.size or (known < message.size and not UnknownFieldSet(message)):
        raise DataError(f"{_where(message)} has {known} events", f"the {message.size} that it says it has")
    if len(groups) == 1 and known == message.count and not groups[0][1]:
        return None
    places = []
    for kind, column, count, _ in groups:
        if len(column) != 4 * count:
            found = f"the column {kind.field}.index of {_where(message)} has {len(column)} bytes"
            raise DataError(found, f"{4 * count}, four for each event")
        index = np.frombuffer(column, "<u4")
        if index[-1] >= message.count or not (index[1:] > index[:-1]).all():
            found = f"the column {kind.field}.index of {_where(message)} does not rise"
            raise DataError(found, f"places below {message.count}, each once, in order")
        places.append(index)
    return np.concatenate(places) if places else np.zeros(0, "<u4")


def _where(message: Any) -> str:
    return f"a message of {message.symbol!r} from {message.source!r}"
