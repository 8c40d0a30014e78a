"""The latest prices, from messages of the market-data topic."""

import asyncio

import numpy as np
import pytest

from openbell.adapters.buses.base import Topic
from openbell.adapters.buses.inprocess import InProcessBus
from openbell.adapters.messages.ticks import encode_chunk
from openbell.model import enums
from openbell.model.events import EVENT
from openbell.model.plan import Listing
from openbell.services.processor.latest_prices import LatestPrices
from tests.contracts.buses import comes

LISTINGS = (Listing("A", 0.01, 1.0), Listing("B", 0.01, 1.0))


def events_of(*told):
    """Events from (kind, instrument, field values)."""
    events = np.zeros(len(told), EVENT)
    for row, (kind, instrument, fields) in enumerate(told):
        events[row]["kind"], events[row]["instrument"] = kind, instrument
        events[row]["ts_available"] = events[row]["ts_event"] = 10**18 + row
        for name, value in fields.items():
            events[row][enums.EVENT_NAMES[kind]][name] = value
    return events


def trade(instrument, price):
    return enums.TRADE, instrument, {"price": price, "quantity": 1}


def quote(instrument, bid, ask):
    return enums.QUOTE, instrument, {"bid_price": bid, "ask_price": ask}


@pytest.fixture
def prices():
    made = LatestPrices(InProcessBus(), "ticks", LISTINGS)
    made.heard = []
    made.on_price = lambda symbol, price: made.heard.append((symbol, price))
    return made


def test_the_lowest_the_highest_and_the_latest_are_told(prices):
    """Of several trades at once; a quote counts only where there was no trade yet."""
    prices.take(events_of(trade(0, 10.0), quote(1, 4.0, 6.0), trade(0, 12.0), trade(0, 9.0), trade(0, 11.0), quote(0, 1.0, 2.0)))
    assert prices.heard == [("A", 9.0), ("A", 12.0), ("A", 11.0), ("B", 5.0)]
    assert prices.latest == {"A": 11.0, "B": 5.0}
    prices.take(events_of(quote(0, 1.0, 2.0), trade(1, 7.0), (enums.TIMER, -1, {})))
    assert prices.latest == {"A": 11.0, "B": 7.0}


def test_candles_have_prices_too_and_nonsense_has_none(prices):
    """The close; NaN, zero and infinity are passed over."""
    prices.take(
        events_of((enums.BAR, 0, {"close": 3.0, "timeframe_ns": 10**9}), trade(1, float("nan")), trade(1, 0.0), trade(1, float("inf")))
    )
    assert prices.latest == {"A": 3.0}


async def test_it_follows_from_the_middle_of_a_source(prices):
    """A reader that begins late misses the beginning of the source and nothing else; messages that are none do not stop it."""
    bus = InProcessBus()
    bus.declare(Topic("ticks"))
    prices._market = bus
    running = asyncio.create_task(prices.run())
    await comes(lambda: bus.has_subscribers("ticks"))
    bus.publish("ticks", b"\xff nonsense")
    for symbol, payload in encode_chunk(events_of(trade(0, 8.0), trade(1, 9.0)), LISTINGS, source="s", epoch=3, first=4711, cursor=b""):
        bus.publish("ticks", payload, symbol)
    await comes(lambda: prices.latest == {"A": 8.0, "B": 9.0})
    running.cancel()
    await asyncio.wait({running})
    assert prices.processed == 2
