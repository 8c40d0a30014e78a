"""The marked tick: every service takes it in, and it changes nothing."""

import asyncio

import numpy as np
import pytest

from openbell.adapters.buses.base import Topic
from openbell.adapters.buses.inprocess import InProcessBus
from openbell.adapters.messages.ticks import decode_ticks
from openbell.adapters.stores.database import open_database
from openbell.engine.engine import Engine
from openbell.model import enums
from openbell.model.events import EVENT
from openbell.services.names import Names
from openbell.services.processor.candle_maker import CandleMaker
from openbell.services.processor.speed_layer import SpeedLayer
from openbell.services.topics.topic_feed import TopicFeed, decoded
from openbell.services.trader.intake import numbered
from openbell.services.verify.mark import SOURCES, claim_epoch, marked_tick, new_marker
from tests.unit.services.sessions import LISTINGS, SYMBOLS, a_plan, market, session

INSTRUMENTS = {symbol: index for index, symbol in enumerate(SYMBOLS)}


def the_mark(symbol="ETHUSDT", marker=7, epoch=1):
    """The event of a marked tick, as a reader of the topic gets it."""
    return decode_ticks(marked_tick(LISTINGS, symbol, 2_680.0, marker, epoch), INSTRUMENTS, LISTINGS)


def told(commands):
    """The bytes of commands without their `seq`, and without the id of their order, which is made of it."""
    plain = commands.tobytes()
    rows = [plain[at : at + commands.dtype.itemsize] for at in range(0, len(plain), commands.dtype.itemsize)]
    kinds = commands["kind"].tolist()
    return [row[8:] if kind == enums.CANDLE else row[8:32] + row[40:] for row, kind in zip(rows, kinds, strict=True)]


def test_a_marked_tick_changes_no_decision():
    """A session with marked ticks in many places has the same orders, fills, candles and equity; each mark is refused, and that is all."""
    _, expected, events = session()
    places = np.sort(np.random.default_rng(3).integers(0, len(events) + 1, 40))
    marks = np.concatenate([the_mark(SYMBOLS[number % 2], number + 1).events.view("V96") for number in range(len(places))])
    mixed = np.insert(events.view("V96"), places, marks).view(EVENT)
    batch, raised = numbered(mixed, 0, 0)
    assert raised == 0, "a time of 0 is the session's own"
    commands = Engine(a_plan()).run(batch)
    refused = commands["kind"] == enums.REFUSED
    assert sorted(told(commands[~refused])) == sorted(told(expected[expected["kind"] != enums.REFUSED]))
    assert told(commands[~refused]) == told(expected[expected["kind"] != enums.REFUSED])
    own = commands[refused & (commands["reason"] == enums.BAD_QUANTITY)]
    marked = batch[(batch["kind"] == enums.TRADE) & (batch["trade"]["quantity"] < 0)]
    assert own["seq"].tolist() == marked["seq"].tolist()
    assert marked["trade"]["trade_id"].tolist() == list(range(1, 41))


def test_a_marked_tick_changes_nothing_that_is_shown():
    """Neither the candles of a processor, nor its prices and open candles."""
    ticks = market(2)
    maker, layer = CandleMaker(LISTINGS[1], 1, ("1s", "1m")), SpeedLayer(Names(a_plan()))
    own = ticks[0][ticks[0]["instrument"] == 1]
    maker.take(own)
    layer.take(ticks[0])
    bars, prices, opened = maker.open_bars().tobytes(), dict(layer.prices), dict(layer.open)
    before = str(prices), str(opened), layer.now
    part = the_mark()
    assert len(maker.fresh(part)) == 1
    assert len(maker.take(part.events)) == 0
    assert layer.take(part.events) == (["ETHUSDT"], [])
    assert maker.open_bars().tobytes() == bars
    assert (str(layer.prices), str(layer.open), layer.now) == before
    assert len(maker.fresh(part)) == 0, "it comes again"
    assert all(len(maker.fresh(the_mark(epoch=epoch))) == 1 for epoch in range(2, 3 * SOURCES)), "those after it are new"
    assert len(maker.kept().places) == SOURCES


async def test_readers_remember_the_newest_marks_only():
    """However many ticks are marked, a reader's cursor does not grow, and each of them is handed out, also when two are out of order."""
    bus = InProcessBus()
    bus.declare(Topic("stock-prices"))
    feed = TopicFeed(bus, "stock-prices", LISTINGS)
    stream = feed.stream(b"")
    first = asyncio.ensure_future(anext(stream))
    await feed.is_ready.wait()
    epochs = [2, 1, *range(3, 41)]
    for epoch in epochs:
        bus.publish("stock-prices", marked_tick(LISTINGS, SYMBOLS[epoch % 2], 1.0, epoch, epoch), SYMBOLS[epoch % 2])
    ticks = await first
    found = ticks.events["trade"]["trade_id"].tolist()
    while len(found) < len(epochs):
        feed.settle(ticks.cursor)
        ticks = await anext(stream)
        found += ticks.events["trade"]["trade_id"].tolist()
    await stream.aclose()
    assert sorted(found) == sorted(epochs)
    assert decoded(ticks.cursor).sources == {f"verify-{epoch % SOURCES}": (epoch, 1) for epoch in range(33, 41)}


def test_an_epoch_is_claimed_once(tmp_path):
    """Two that verify at once, each with a connection of its own, never get the same; another topic counts by itself."""
    first, second = open_database(tmp_path / "a.db"), open_database(tmp_path / "a.db")
    claimed = [claim_epoch(database, "stock-prices") for database in (first, second, first, first, second)]
    assert claimed == [1, 2, 3, 4, 5]
    assert claim_epoch(second, "other.stock-prices") == 1
    first.close()
    second.close()


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_what_travels(symbol):
    """One trade of its symbol, -1 lot at the latest price, whose id is the marker; the time is the session's own."""
    marker = new_marker()
    assert 0 < marker < 1 << 62
    part = the_mark(symbol, marker, 9)
    trade = part.events["trade"][0]
    assert (part.source, part.epoch, part.first, part.count, part.symbol) == ("verify-1", 9, 0, 1, symbol)
    assert (trade["price"], trade["quantity"], trade["trade_id"], trade["ts_available"]) == (2_680.0, -1, marker, 0)
