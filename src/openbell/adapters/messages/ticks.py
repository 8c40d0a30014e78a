"""Ticks on the wire: a chunk of a feed as one protobuf message a symbol, and back to the last bit; JSON for who writes by hand.

A feed's events have one order. A bus keeps order by key only, so a chunk is cut by symbol, and every message says which events of the whole
order the chunk is, and where in the chunk its own events stand. A reader puts the feed's order together again, drops what comes twice and
notices what is missing. A message that begins with `{` or `[` is JSON: no TickBatch does.

An instrument's index is known within one process only; on the wire stands its symbol, with the units of its prices and lots.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from google.protobuf.unknown_fields import UnknownFieldSet

from openbell.adapters.messages.columns import KINDS, WORDS, Kind, length, names_of, pack, unpack, words_of
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


@dataclass(frozen=True, slots=True, eq=False)
class Part:
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
    for words, index in _groups(words_of(events)):
        kind, instrument = KINDS[int(words[0, 2]) & 0xFF], int(words[0, 2]) >> 32
        assert 0 <= instrument < len(listings) or (instrument == -1 and kind.field == "timers"), f"{kind.field} of instrument {instrument}"
        listing = listings[instrument] if instrument >= 0 else NOTHING
        message = messages.get(listing.symbol)
        if message is None:
            message = messages[listing.symbol] = TickBatch(
                source=source, epoch=epoch, first=first, count=count, cursor=cursor,
                symbol=listing.symbol, lot_size=listing.lot_size, price_increment=listing.price_increment,
            )  # fmt: skip
        columns = getattr(message, kind.field)
        columns.index = index
        pack(kind, words, columns)
        message.size += len(words)
    for message in messages.values():
        message.parts = len(messages)
    return [(symbol, message.SerializeToString()) for symbol, message in messages.items()]


def _groups(words: Array) -> list[tuple[Array, bytes]]:
    """The events of each instrument and kind with their places, in the order in which they appear; one group needs no places."""
    kinds, instruments = names_of(words)
    key = instruments.astype(np.int64) * 8 + kinds
    if len(words) < 2 or (key == key[0]).all():
        return [(words, b"")] if len(words) else []
    if key.min() >= -8 and key.max() < 1 << 15:
        key = key.astype(np.int16)  # sorted in linear time
    order = np.argsort(key, kind="stable")
    key = key[order]
    cuts = [0, *(np.flatnonzero(key[1:] != key[:-1]) + 1).tolist(), len(words)]
    words = words.view(PLAIN).take(order).view(np.int64).reshape(-1, WORDS)
    places = order.astype("<u4")
    groups = [(words[begin:end], places[begin:end]) for begin, end in pairwise(cuts)]
    return [(group, index.tobytes()) for group, index in sorted(groups, key=lambda group: int(group[1][0]))]


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
    groups = [(kind, getattr(message, kind.field)) for kind in KINDS.values() if message.HasField(kind.field)]
    counts = [length(kind, columns) for kind, columns in groups]
    index = _index(message, groups, counts)
    if not wanted:
        index, counts, groups = np.zeros(0, "<u4"), [], []
    elif not message.symbol and any(kind.field != "timers" for kind, _ in groups):
        raise DataError(f"a message from {message.source} has prices and no symbol", "only timers without one")
    words = np.zeros((sum(counts), WORDS), np.int64)
    begin = 0
    for (kind, columns), count in zip(groups, counts, strict=True):
        unpack(kind, columns, instrument, words[begin : begin + count])
        begin += count
    events = words.view(PLAIN)[:, 0]
    if len(groups) > 1 and index is not None:
        order = np.argsort(index, kind="stable")
        index, events = index[order], events.take(order)
        if (index[1:] == index[:-1]).any():
            raise DataError(f"a message of {message.symbol} has two events at one place", "each place in the chunk once")
    if index is not None and len(index) == message.count:
        index = None
    return Part(
        message.source, message.epoch, message.first, message.count, message.parts, message.cursor, message.symbol, message.size,
        index, events.view(EVENT),
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
    count, where = message.count, f"a message of {message.symbol!r} from {message.source!r}"
    if not 1 <= count <= COUNT_MAX:
        raise DataError(f"{where} is of a chunk of {count} events", f"from 1 to {COUNT_MAX}")
    if not 1 <= message.parts <= count:
        raise DataError(f"{where} is of a chunk of {message.parts} messages and {count} events", "at least one event a message")
    if not 0 <= message.first < (1 << 63) - count:
        raise DataError(f"{where} begins at the place {message.first}", "0 or more, within 64 bits")
    if not 1 <= message.size <= count or (message.parts == 1) != (message.size == count):
        raise DataError(f"{where} has {message.size} of {count} events in {message.parts} messages", "all events if it is the only one")


def _check_units(message: TickBatch, listing: Listing) -> None:
    """That prices and lots mean the same here."""
    for name, what in (("lot_size", "lots"), ("price_increment", "price steps")):
        there, here = getattr(message, name), getattr(listing, name)
        if there != here:
            raise DataError(
                f"{message.symbol} has {what} of {there!r} in a message from {message.source!r} and of {here!r} here", "the same listing",
                f"give {message.symbol} one {name} wherever it is listed",
            )  # fmt: skip


def _index(message: TickBatch, groups: Sequence[tuple[Kind, Any]], counts: Sequence[int]) -> Array | None:
    """The places (uint32) of the events of all groups; None when they are the whole chunk and in order."""
    where = f"a message of {message.symbol!r} from {message.source!r}"
    known = sum(counts)
    if known > message.size or (known < message.size and not UnknownFieldSet(message)):
        raise DataError(f"{where} has {known} events", f"the {message.size} that it says it has")
    if len(groups) == 1 and known == message.count and not groups[0][1].index:
        return None
    places = []
    for (kind, columns), count in zip(groups, counts, strict=True):
        if len(columns.index) != 4 * count:
            raise DataError(f"the column {kind.field}.index of {where} has {len(columns.index)} bytes", f"{4 * count}, four for each event")
        index = np.frombuffer(columns.index, "<u4")
        if index[-1] >= message.count or not (index[1:] > index[:-1]).all():
            raise DataError(f"the column {kind.field}.index of {where} does not rise", f"places below {message.count}, each once, in order")
        places.append(index)
    return np.concatenate(places) if places else np.zeros(0, "<u4")
