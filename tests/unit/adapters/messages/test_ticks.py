"""Ticks on the wire: what the columns hold, what a reader is told, and what it refuses."""

import struct

import numpy as np
import pytest

from openbell.adapters.messages.ticks import COUNT_MAX, Part, decode_ticks, encode_chunk, join_parts
from openbell.errors import DataError
from openbell.model import enums
from openbell.model.events import EVENT
from openbell.model.plan import Listing
from openbell.proto.v1.market_pb2 import TickBatch
from tests.contracts.messages import INSTRUMENTS, LISTINGS, TS, chunk, event


def encode(events, **changes):
    return encode_chunk(events, LISTINGS, **{"source": "recorded", "epoch": 2, "first": 1_000, "cursor": b"3.250", **changes})


def decode(message):
    payload = message if isinstance(message, bytes) else message.SerializeToString()
    return decode_ticks(payload, INSTRUMENTS, LISTINGS)


def message_of(events, symbol="BTCUSDT"):
    return TickBatch.FromString(dict(encode(events))[symbol])


def trades(count):
    return np.concatenate([event(enums.TRADE, 1, each, price=100.0 + each, quantity=each).view(np.uint8) for each in range(count)]).view(
        EVENT
    )


def test_the_columns_are_packed_little_endian_numbers():
    """A reader without this code finds the numbers where the contract says."""
    message = message_of(chunk())
    assert struct.unpack("<2I", message.trades.index) == (0, 3)
    assert struct.unpack("<2q", message.trades.ts_available) == (TS, TS + 9)
    assert struct.unpack("<2q", message.trades.ts_event) == (TS - 7, TS + 2)
    assert struct.unpack("<2b", message.trades.side) == (1, -1)
    assert struct.unpack("<2d", message.trades.price) == (42_000.13, 41_999.99)
    assert struct.unpack("<2q", message.trades.quantity) == (1_200, 55)
    assert struct.unpack("<2q", message.trades.trade_id) == (81, 82)
    assert struct.unpack("<2d", message.quotes.bid_price + message.quotes.ask_price) == (42_000.12, 42_000.13)
    assert struct.unpack("<2q", message.quotes.bid_quantity + message.quotes.ask_quantity) == (7, 9_000)
    bars = message_of(chunk(), "AAPL").bars
    assert struct.unpack("<q4d", bars.timeframe_ns + bars.open + bars.high + bars.low + bars.close) == (
        60 * 10**9,
        150.0,
        150.5,
        149.9,
        150.25,
    )
    assert struct.unpack("<qdq", bars.volume + bars.notional + bars.trades) == (1_200, 180_240.0, 31)


def test_a_message_says_what_its_chunk_is():
    """Source, epoch, place, count, parts, cursor, and the units of the symbol."""
    message = message_of(chunk())
    assert (message.source, message.epoch, message.first, message.count, message.parts) == ("recorded", 2, 1_000, 6, 3)
    assert (message.cursor, message.symbol, message.lot_size, message.price_increment, message.size) == (b"3.250", "BTCUSDT", 1e-5, 0.01, 3)


def test_symbols_come_in_the_order_in_which_they_appear():
    """One message a symbol; timers of no instrument have an empty one."""
    assert [symbol for symbol, _ in encode(chunk())] == ["BTCUSDT", "AAPL", ""]


def test_no_events_make_no_message():
    """An empty array is no chunk."""
    assert encode(np.zeros(0, EVENT)) == []


def test_a_column_of_zeros_is_left_out_where_the_contract_says_so():
    """A source without trade ids or aggressors does not pay for them, and nothing else may be missing."""
    message = message_of(trades(3))
    assert (message.trades.side, message.trades.trade_id, message.trades.index) == (b"", b"", b"")
    assert len(message.trades.quantity) == 24


def test_a_chunk_of_one_kind_and_symbol_needs_no_places():
    """The part is the whole chunk, in order."""
    part = decode(encode(trades(5))[0][1])
    assert part.index is None
    assert join_parts([part]) is part.events


def test_events_may_be_any_part_of_a_larger_array():
    """A slice, also one with steps, is sent as it reads."""
    events = trades(9)
    for cut in (events[2:7], events[::2], events[::-3]):
        assert decode(encode(cut)[0][1]).events["trade"]["price"].tolist() == cut["trade"]["price"].tolist()


def test_an_index_beyond_sixteen_bits_is_sorted_as_well():
    """A listing of thousands of symbols works like a short one."""
    listings = [Listing(f"S{number}") for number in range(9_000)]
    events = np.concatenate([event(enums.TRADE, each, 0, price=1.0).view(np.uint8) for each in (8_999, 3, 8_999, 4_096, 0)]).view(EVENT)
    messages = encode_chunk(events, listings, source="s", epoch=0, first=0, cursor=b"")
    assert [symbol for symbol, _ in messages] == ["S8999", "S3", "S4096", "S0"]
    parts = [decode_ticks(payload, {item.symbol: index for index, item in enumerate(listings)}, listings) for _, payload in messages]
    assert join_parts(parts[::-1]).tobytes() == events.tobytes()


@pytest.mark.parametrize("kind", [enums.REPLY, enums.REQUEST, 0])
def test_replies_and_requests_do_not_travel_as_ticks(kind):
    """They have topics of their own; a feed that has one is a mistake of ours."""
    events = trades(3)
    events["kind"][1] = kind
    with pytest.raises(AssertionError, match=f"an event of kind {kind}: only trades, quotes, bars and timers travel here"):
        encode(events)


def test_an_event_of_no_listing_is_a_mistake_of_ours():
    """An instrument is the index of a listing."""
    with pytest.raises(AssertionError, match="trades of instrument 7"):
        encode(event(enums.TRADE, 7, 0, price=1.0))


@pytest.mark.parametrize(("name", "value"), [("lot_size", 0.001), ("price_increment", 0.05)])
def test_other_units_are_refused_and_both_are_named(name, value):
    """Lots and price steps of another size would be other quantities and prices."""
    message = message_of(chunk())
    setattr(message, name, value)
    with pytest.raises(DataError) as refused:
        decode(message)
    assert f"of {value!r} in a message from 'recorded' and of {getattr(LISTINGS[1], name)!r} here" in str(refused.value)
    assert "BTCUSDT" in str(refused.value)


def test_a_symbol_that_is_not_listed_counts_without_its_events():
    """Who trades AAPL alone still knows when a chunk is whole, whatever units others have."""
    parts = [decode_ticks(payload, {"AAPL": 0}, LISTINGS[:1]) for _, payload in encode(chunk())]
    assert [(part.symbol, part.size, len(part.events), len(part.index)) for part in parts] == [
        ("BTCUSDT", 3, 0, 0),
        ("AAPL", 2, 2, 2),
        ("", 1, 1, 1),
    ]
    assert join_parts(parts)["kind"].tolist() == [enums.TRADE, enums.BAR, enums.TIMER]


def broken(change):
    message = message_of(chunk())
    change(message)
    return message


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda message: setattr(message, "count", 0), "a chunk of 0 events"),
        (lambda message: setattr(message, "count", 2**32 - 1), f"a chunk of 4294967295 events; expected from 1 to {COUNT_MAX}"),
        (lambda message: setattr(message, "parts", 0), "a chunk of 0 messages"),
        (lambda message: setattr(message, "parts", 7), "a chunk of 7 messages and 6 events"),
        (lambda message: setattr(message, "parts", 1), "has 3 of 6 events in 1 messages"),
        (lambda message: setattr(message, "first", -1), "begins at the place -1"),
        (lambda message: setattr(message, "first", 2**63 - 2), "begins at the place 9223372036854775806"),
        (lambda message: setattr(message, "size", 0), "has 0 of 6 events"),
        (lambda message: setattr(message, "size", 2), "has 3 events; expected the 2 that it says it has"),
        (lambda message: setattr(message, "size", 4), "has 3 events; expected the 4 that it says it has"),
        (lambda message: message.ClearField("quotes"), "has 2 events; expected the 3"),
        (lambda message: setattr(message, "symbol", ""), "has prices and no symbol"),
        (lambda message: setattr(message.trades, "ts_available", b""), "the column trades.ts_available has 0 bytes"),
        (lambda message: setattr(message.trades, "ts_available", b"\0" * 15), "the column trades.ts_available has 15 bytes"),
        (lambda message: setattr(message.trades, "price", b"\0" * 8), "the column trades.price has 8 bytes; expected 16"),
        (lambda message: setattr(message.trades, "price", b""), "the column trades.price has 0 bytes; expected 16"),
        (lambda message: setattr(message.trades, "trade_id", b"\0" * 24), "the column trades.trade_id has 24 bytes; expected 16"),
        (lambda message: setattr(message.trades, "side", b"\0"), "the column trades.side has 1 bytes; expected 2"),
        (
            lambda message: setattr(message.trades, "index", b""),
            "the column trades.index of a message of 'BTCUSDT' from 'recorded' has 0 bytes",
        ),
        (lambda message: setattr(message.trades, "index", struct.pack("<2I", 3, 3)), "does not rise"),
        (lambda message: setattr(message.trades, "index", struct.pack("<2I", 3, 0)), "does not rise"),
        (lambda message: setattr(message.trades, "index", struct.pack("<2I", 0, 6)), "places below 6"),
        (lambda message: setattr(message.quotes, "index", struct.pack("<I", 3)), "has two events at one place"),
    ],
)
def test_a_message_that_contradicts_itself_is_refused(change, told):
    """Nothing is allocated for what a message only claims, and nothing is guessed."""
    with pytest.raises(DataError) as refused:
        decode(broken(change))
    assert told in str(refused.value)


def parts_of(events, **changes):
    return [decode(payload) for _, payload in encode(events, **changes)]


def test_parts_of_several_chunks_are_not_joined():
    """Nor are those of one place that was cut otherwise a second time."""
    mixed = [*parts_of(chunk())[:2], parts_of(chunk(), first=1_006)[2]]
    with pytest.raises(DataError, match="messages of several chunks, one of them chunk 1000 of recorded; expected messages of one chunk"):
        join_parts(mixed)


@pytest.mark.parametrize(
    "choose", [lambda parts: parts[:2], lambda parts: [*parts, parts[0]], lambda parts: [parts[0], parts[0], parts[1]]]
)
def test_parts_that_are_missing_or_twice_are_not_joined(choose):
    """A chunk is all of its messages, each once."""
    with pytest.raises(DataError, match="expected 3 messages with 6 events"):
        join_parts(choose(parts_of(chunk())))


def test_parts_that_claim_one_place_are_not_joined():
    """Two senders that take themselves for the only one are found out."""
    first, second, third = parts_of(chunk())
    clash = Part(*(getattr(third, name) for name in Part.__struct_fields__[:-2]), first.index[:1], third.events)
    with pytest.raises(DataError, match="has two events at one place"):
        join_parts([first, second, clash])
