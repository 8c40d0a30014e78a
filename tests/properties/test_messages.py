"""Messages: whatever goes in comes out to the last bit, and whatever comes in is understood or refused with a DataError."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbell.adapters.messages import alerts, control, decisions, market, orders, ticks
from openbell.errors import DataError
from openbell.model import enums
from openbell.model.events import BAR_RECORD, EVENT, QUOTE_RECORD, TRADE_RECORD
from openbell.model.plan import Listing
from openbell.proto.v1.market_pb2 import TickBatch
from tests.contracts.messages import kind_of, written
from tests.properties.market import EXAMPLES

LISTINGS = tuple(Listing(f"S{number}", 0.01 * number, 10.0**-number) for number in range(6))
INSTRUMENTS = {listing.symbol: index for index, listing in enumerate(LISTINGS)}
#: Where the fields of a kind end; the bytes behind them mean nothing and do not travel.
ENDS = {enums.TRADE: TRADE_RECORD.itemsize, enums.QUOTE: QUOTE_RECORD.itemsize, enums.BAR: BAR_RECORD.itemsize, enums.TIMER: 32}


@st.composite
def batches(draw, most=60):
    """Market events of several instruments with any bits in their fields: prices are NaN, negative, infinite; times fall."""
    names = draw(st.lists(st.tuples(st.sampled_from(sorted(ENDS)), st.integers(0, len(LISTINGS) - 1)), min_size=1, max_size=most))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    raw = random.integers(0, 256, (len(names), EVENT.itemsize), np.uint8)
    raw[random.random(len(raw)) < 0.2] = 0
    events = raw.reshape(-1).view(EVENT)
    for row, (kind, instrument) in enumerate(names):
        raw[row, :8] = raw[row, 18:20] = 0
        raw[row, ENDS[kind] :] = 0
        events["kind"][row] = kind
        events["instrument"][row] = -1 if kind == enums.TIMER and instrument == 0 else instrument
    return events


def encoded(events, first=0):
    return ticks.encode_chunk(events, LISTINGS, source="recorded", epoch=3, first=first, cursor=b"c%d" % (first + len(events)))


@EXAMPLES
@given(batches(), st.data())
def test_any_cut_of_any_events_comes_back_to_the_last_bit(events, data):
    """Events cut into chunks anywhere, each sent as a message a symbol and received in any order, are the same bytes in the same order."""
    cuts = sorted(data.draw(st.sets(st.integers(1, len(events) - 1)))) if len(events) > 1 else []
    found = []
    for begin, end in zip([0, *cuts], [*cuts, len(events)], strict=True):
        messages = data.draw(st.permutations(encoded(events[begin:end], begin)))
        parts = [ticks.decode_ticks(message, INSTRUMENTS, LISTINGS) for _, message in messages]
        assert [part.symbol for part in parts] == [symbol for symbol, _ in messages]
        assert {(part.first, part.count, part.cursor) for part in parts} == {(begin, end - begin, b"c%d" % end)}
        found.append(ticks.join_parts(parts).tobytes())
    assert b"".join(found) == events.tobytes()


@EXAMPLES
@given(batches(), st.sets(st.integers(0, len(LISTINGS) - 1)))
def test_symbols_that_are_not_listed_are_left_out_and_counted(events, missing):
    """A reader of some of the symbols gets their events in the feed's order, and every message counts for its chunk."""
    listed = [listing for index, listing in enumerate(LISTINGS) if index not in missing]
    instruments = {listing.symbol: index for index, listing in enumerate(listed)}
    parts = [ticks.decode_ticks(message, instruments, listed) for _, message in encoded(events)]
    assert sum(part.size for part in parts) == len(events)
    wanted = events[~np.isin(events["instrument"], list(missing))].view("V96").view(EVENT).copy()
    for row in range(len(wanted)):
        if wanted["instrument"][row] >= 0:
            wanted["instrument"][row] = instruments[LISTINGS[wanted["instrument"][row]].symbol]
    assert ticks.join_parts(parts).tobytes() == wanted.tobytes()


@EXAMPLES
@given(batches(20), st.data())
def test_a_tick_batch_with_wrong_fields_is_refused_or_makes_sense(events, data):
    """Numbers and columns changed at will: a DataError, or a part whose numbers agree with each other."""
    message = TickBatch.FromString(data.draw(st.sampled_from(encoded(events)))[1])
    for _ in range(data.draw(st.integers(1, 3))):
        within = [getattr(message, field.name) for field, _ in message.ListFields() if field.message_type]
        target = data.draw(st.sampled_from([message, *within]))
        field = data.draw(st.sampled_from([field for field in target.DESCRIPTOR.fields if not field.message_type]))
        kinds = {
            3: st.integers(-(2**63), 2**63 - 1),
            13: st.integers(0, 2**32 - 1) | st.integers(0, 5),
            9: st.text(max_size=3),
            1: st.floats(),
        }
        value = data.draw(kinds[field.type]) if field.type in kinds else changed(data, getattr(target, field.name))
        setattr(target, field.name, value)
    understood_or_refused(message.SerializeToString())


def changed(data, column):
    """A column cut short, made longer, or with other bytes in it."""
    if data.draw(st.booleans()):
        return column[: data.draw(st.integers(0, len(column)))] + data.draw(st.binary(max_size=9))
    place = data.draw(st.integers(0, max(len(column) - 1, 0)))
    return column[:place] + data.draw(st.binary(min_size=1, max_size=4)) + column[place + 4 :]


def understood_or_refused(payload):
    try:
        part = ticks.decode_ticks(payload, INSTRUMENTS, LISTINGS)
    except DataError:
        return
    if isinstance(part, ticks.JsonTicks):
        return
    assert 1 <= part.parts <= part.count <= ticks.COUNT_MAX
    assert len(part.events) <= part.size <= part.count
    if part.index is None:
        assert len(part.events) == part.count
    else:
        assert len(part.index) == len(part.events)
        assert (np.diff(part.index.astype(np.int64)) > 0).all()
        assert (part.index < part.count).all()


DECODERS = {
    "ticks": understood_or_refused, "candle": market.decode_candle, "candles": market.decode_candles, "signal": market.decode_signal,
    "order": orders.decode_order, "execution": orders.decode_execution, "decisions": decisions.decode_decisions, "control": control.decode,
    "alert": alerts.decode_alert,
}  # fmt: skip
WRITTEN = written()


@pytest.mark.parametrize("kind", DECODERS)
@EXAMPLES
@given(
    payload=st.binary(max_size=80) | st.binary(max_size=40).map(b"{".__add__) | st.text(max_size=40).map(lambda text: f"[{text}".encode())
)
def test_bytes_of_anything_are_refused_with_a_data_error(kind, payload):
    """No codec falls over what it is handed."""
    with suppress(DataError):
        DECODERS[kind](payload)


@pytest.mark.parametrize("name", WRITTEN)
@EXAMPLES
@given(data=st.data())
def test_damaged_messages_are_refused_or_understood(name, data):
    """A true message with some bytes changed, cut out or put in: a DataError, or a message."""
    payload = WRITTEN[name]
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(payload)))
        payload = payload[:place] + data.draw(st.binary(max_size=3)) + payload[place + data.draw(st.integers(0, 3)) :]
    with suppress(DataError):
        DECODERS[name.split(".")[0].split("-")[0]](payload)


@EXAMPLES
@given(data=st.data())
def test_protobuf_with_any_numbers_is_refused_with_a_data_error(data):
    """Well-formed protobuf whose values are anything: infinite quantities, times out of range, words that are none."""
    name = data.draw(st.sampled_from([name for name in WRITTEN if name.endswith(".bin") and not name.startswith("ticks")]))
    message = kind_of(name).FromString(WRITTEN[name])
    numbers = {
        1: st.floats(),
        3: st.integers(-(2**63), 2**63 - 1),
        13: st.integers(0, 2**32 - 1),
        14: st.integers(-5, 30),
        9: st.text(max_size=3),
    }
    fields = [field for field in message.DESCRIPTOR.fields if field.type in numbers]
    for field in data.draw(st.lists(st.sampled_from(fields), min_size=1, max_size=3)):
        setattr(message, field.name, data.draw(numbers[field.type]))
    with suppress(DataError):
        DECODERS[name.split(".")[0].split("-")[0]](message.SerializeToString())
