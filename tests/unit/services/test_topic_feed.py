"""The market-data topic as a feed: the order of the source, whatever the bus does to its messages."""

import asyncio
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openbell.adapters.buses.base import Topic
from openbell.adapters.buses.inprocess import InProcessBus
from openbell.adapters.messages.ticks import decode_ticks, encode_chunk
from openbell.errors import JournalError
from openbell.model import enums
from openbell.model.events import EVENT
from openbell.model.plan import Listing
from openbell.proto.v1.market_pb2 import TickBatch
from openbell.services.topics.chunks import Assembler
from openbell.services.topics.topic_feed import TopicFeed, decoded

LISTINGS = tuple(Listing(symbol, 0.01, 1.0) for symbol in ("AAPL", "MSFT", "NVDA"))
INSTRUMENTS = {listing.symbol: index for index, listing in enumerate(LISTINGS)}


def events_of(count, seed=0):
    """Trades of three symbols in one order; the price tells the place."""
    events = np.zeros(count, EVENT)
    trade = events["trade"]
    trade["kind"], trade["price"], trade["quantity"] = enums.TRADE, np.arange(count) + 1.0, 1
    trade["instrument"] = np.random.default_rng(seed).integers(0, 3, count)
    trade["ts_available"] = trade["ts_event"] = 10**18 + np.arange(count)
    return events


def messages_of(events, cuts, epoch=0, begin=0):
    """(Symbol, payload) of every chunk from an event on, the chunks cut where `cuts` says."""
    edges = sorted({begin, len(events), *(begin + cut % (len(events) - begin + 1) for cut in cuts)})
    found = []
    for first, end in itertools.pairwise(edges):
        found += encode_chunk(events[first:end], LISTINGS, source="test", epoch=epoch, first=first, cursor=b"%d" % end)
    return found


def parts_of(messages):
    return [decode_ticks(payload, INSTRUMENTS, LISTINGS) for _, payload in messages]


def interleaved(messages, generator):
    """The messages as a bus may hand them over: in order by symbol, in any order between symbols."""
    queues = {}
    for symbol, payload in messages:
        queues.setdefault(symbol, []).append((symbol, payload))
    found = []
    while queues:
        symbol = list(queues)[int(generator.integers(len(queues)))]
        found.append(queues[symbol].pop(0))
        if not queues[symbol]:
            del queues[symbol]
    return found


def handed_out(assembler, messages):
    """The prices of everything that is handed out, in order; at any time it is known where the first message stands that is held."""
    prices = []
    for number, part in enumerate(parts_of(messages)):
        events = assembler.add(part, (INSTRUMENTS[part.symbol] % 2, number))
        prices += [] if events is None else events["trade"]["price"].tolist()
        held = [place for source in assembler.sources.values() for parts in source.held.values() for _, place in parts.values()]
        held += [place for _, place in assembler.waiting]
        assert assembler.held == len(held)
        assert assembler.lowest() == {partition: min(offset for one, offset in held if one == partition) for partition, _ in held}
    return prices


cut_lists = st.lists(st.integers(0, 200), max_size=8)


@settings(max_examples=60, deadline=None)
@given(count=st.integers(1, 120), cuts=cut_lists, again=cut_lists, resent=st.integers(0, 120), seed=st.integers(0, 99))
def test_any_order_between_symbols_and_any_repetition_gives_the_order_of_the_source(count, cuts, again, resent, seed):
    """Messages in any order between symbols, some sent again and cut otherwise: every event once, in the order of the feed."""
    generator = np.random.default_rng(seed)
    events = events_of(count, seed)
    messages = interleaved(messages_of(events, cuts), generator)
    messages += interleaved(messages_of(events, again), generator)[: resent % (3 * count)]
    assembler = Assembler()
    assert handed_out(assembler, messages) == events["trade"]["price"].tolist()
    assert assembler.reached() == {"test": (0, count)}


@settings(max_examples=60, deadline=None)
@given(count=st.integers(2, 120), cuts=cut_lists, again=cut_lists, lost=st.integers(0, 10), begin=st.integers(0, 119))
def test_a_source_that_died_between_two_messages_says_them_again(count, cuts, again, lost, begin):
    """Some of the last messages never left; the source goes on from an earlier place, cut otherwise: nothing is missing or doubled."""
    events = events_of(count)
    first = messages_of(events, cuts)
    kept = [message for number, message in enumerate(first) if number < len(first) - lost or number % 2]
    sure = min((part.first for part in parts_of([message for message in first if message not in kept])), default=0)
    resumed = min(begin % count, sure)
    rest = messages_of(events, again, begin=resumed)
    assert handed_out(Assembler(), kept + rest) == events["trade"]["price"].tolist()


def test_a_new_epoch_goes_on_without_what_is_missing():
    """A live source that died: what is whole of its old epoch is handed out in order, the rest is counted as lost."""
    events = events_of(30)
    old = messages_of(events, [10, 20])
    missing = next(index for index, part in enumerate(parts_of(old)) if part.first == 10)
    new = messages_of(events[:5], [], epoch=1)
    assembler = Assembler()
    before = handed_out(assembler, old[:missing] + old[missing + 1 :])
    assert handed_out(assembler, new) == []
    after = np.concatenate(assembler.begin_epochs())["trade"]["price"].tolist()
    assert before == events["trade"]["price"][:10].tolist()
    assert after == [*events["trade"]["price"][20:].tolist(), *events["trade"]["price"][:5].tolist()]
    assert assembler.lost == 10
    assert assembler.reached() == {"test": (1, 5)}
    assert handed_out(assembler, old) == []


def test_a_chunk_that_contradicts_itself_is_put_away():
    """Two messages that make no chunk together are counted and forgotten; the same place may come again in order, and others go on."""
    events = events_of(12)
    truth, lie = messages_of(events, [6]), messages_of(events[:6], [])
    (name, payload), *others = lie
    told = TickBatch.FromString(payload)
    told.cursor = b"of another chunk"
    assembler = Assembler()
    assert handed_out(assembler, [(name, told.SerializeToString()), *others]) == []
    assert (assembler.refused, assembler.held) == (len(lie), 0)
    assert handed_out(assembler, truth) == events["trade"]["price"].tolist()


async def test_a_reader_goes_on_from_its_cursor():
    """A feed begun anew with a cursor hands out what comes after it, whatever of it the bus delivers again."""
    events = events_of(60)
    messages = messages_of(events, [7, 20, 33, 50])
    bus = InProcessBus()
    bus.declare(Topic("stock-prices"))
    feed = TopicFeed(bus, "stock-prices", LISTINGS)
    stream = feed.stream(b"")
    first = asyncio.ensure_future(anext(stream))
    await feed.is_ready.wait()
    for symbol, payload in messages[:7]:
        bus.publish("stock-prices", payload, symbol)
    ticks = await first
    await stream.aclose()
    prices = ticks.events["trade"]["price"].tolist()
    again = TopicFeed(bus, "stock-prices", LISTINGS)
    stream = again.stream(ticks.cursor)
    following = asyncio.ensure_future(anext(stream))
    await again.is_ready.wait()
    for symbol, payload in messages:
        bus.publish("stock-prices", payload, symbol)
    prices += (await following).events["trade"]["price"].tolist()
    assert prices == events["trade"]["price"].tolist()
    await stream.aclose()


async def test_json_and_nonsense_on_the_same_topic():
    """Ticks in JSON are handed out as they come; what cannot be used is counted and passed over."""
    bus = InProcessBus()
    bus.declare(Topic("stock-prices"))
    feed = TopicFeed(bus, "stock-prices", LISTINGS)
    stream = feed.stream(b"")
    first = asyncio.ensure_future(anext(stream))
    await feed.is_ready.wait()
    bus.publish("stock-prices", b"\xff\xffnonsense", "AAPL")
    bus.publish("stock-prices", b'{"symbol":"MSFT","price":415.5,"quantity":3,"ts":1700000000000}', "MSFT")
    bus.publish("stock-prices", b'{"symbol":"TSLA","price":200,"quantity":3,"ts":1700000000000}', "TSLA")
    ticks = await first
    assert ticks.events["trade"]["price"].tolist() == [415.5]
    assert (feed.refused, feed.foreign) == (1, 1)
    assert "1 refused" in feed.status().detail
    await stream.aclose()


def test_a_cursor_of_another_feed_is_refused():
    """The cursor of a replay is no offset of a topic."""
    with pytest.raises(JournalError, match="Start a new run"):
        decoded(b"3.250")
