"""The contract of feeds, applied to every implementation: see `openbell.adapters.feeds.base`."""

import math

import numpy as np
import pytest

from openbell.adapters.feeds.replay import ReplayFeed
from openbell.adapters.feeds.simulated import SimulatedMarket
from openbell.errors import JournalError
from openbell.model import enums
from openbell.model.events import EVENT
from openbell.model.plan import Listing
from openbell.services.ingest.recordings import shipped_session

LISTINGS = (Listing("BTCUSDT", 0.01, 1e-5, "USDT"), Listing("AAPL", 0.01, 1.0))


def recorded():
    return ReplayFeed(shipped_session()[0], math.inf)


def simulated():
    return ReplayFeed(SimulatedMarket(LISTINGS, (60_000.0, 220.0), seed=7), math.inf)


FEEDS = [recorded, simulated]


@pytest.fixture(params=FEEDS, ids=lambda make: make.__name__)
def make(request):
    return request.param


async def some(feed, cursor=b"", count=12_000):
    """The ticks after a cursor until so many events are there, or the feed ends."""
    found, total = [], 0
    async for ticks in feed.stream(cursor):
        found.append(ticks)
        total += len(ticks.events)
        if total >= count:
            break
    return found


def joined(parts):
    return b"".join(ticks.events.tobytes() for ticks in parts)


async def test_arrays_of_events_in_order_of_time(make):
    """Every array is EVENT, not empty, unnumbered, and time never falls, within or between arrays."""
    last = 0
    for ticks in await some(make()):
        assert ticks.events.dtype == EVENT
        assert len(ticks.events)
        assert (ticks.events["seq"] == 0).all()
        times = ticks.events["ts_available"]
        assert times[0] >= last
        assert (np.diff(times) >= 0).all()
        last = times[-1]


async def test_the_same_again(make):
    """Two feeds made alike give the same bytes."""
    assert joined(await some(make())) == joined(await some(make()))


@pytest.mark.parametrize("at", [0, 3, 11])
async def test_a_cursor_goes_on_right_after_it(make, at):
    """Begun anew with the cursor of an array, a feed gives what came after it: none twice, none left out."""
    whole = await some(make())
    rest = await some(make(), whole[at].cursor, sum(len(ticks.events) for ticks in whole[at + 1 :]))
    expected = joined(whole[at + 1 :])
    assert joined(rest)[: len(expected)] == expected


async def test_prices_and_quantities_make_sense(make):
    """Prices are finite and positive, quotes not crossed, quantities at least a lot."""
    for ticks in await some(make()):
        trades = ticks.events[ticks.events["kind"] == enums.TRADE]["trade"]
        quotes = ticks.events[ticks.events["kind"] == enums.QUOTE]["quote"]
        assert len(trades) + len(quotes) == len(ticks.events)
        assert (np.isfinite(trades["price"]) & (trades["price"] > 0) & (trades["quantity"] > 0)).all()
        assert ((quotes["bid_price"] > 0) & (quotes["bid_price"] < quotes["ask_price"])).all()


async def test_a_cursor_of_something_else_is_refused(make):
    """A cursor that the feed did not make is an error, not the beginning."""
    with pytest.raises(JournalError):
        await some(make(), b"nonsense")


async def test_the_recording_ends_with_a_timer():
    """The recorded session has its 107,593 ticks, and a last event that closes the last candles."""
    feed = recorded()
    parts = await some(feed, count=10**9)
    assert sum(len(ticks.events) for ticks in parts) == 107_593 + 1
    assert parts[-1].events["kind"][-1] == enums.TIMER
    assert feed.status().done
    assert feed.is_over(parts[-1].cursor)
    assert not feed.is_over(parts[-2].cursor)


def test_a_chunk_of_the_simulated_market_is_found_at_once():
    """A chunk far from the start is the same whether the chunks before it were made or not, and prices stay near where they began."""
    market = SimulatedMarket(LISTINGS, (60_000.0, 220.0), seed=7)
    far = 365 * 8640
    assert market.chunk(far).tobytes() == SimulatedMarket(LISTINGS, (60_000.0, 220.0), seed=7).chunk(far).tobytes()
    levels = np.array([market.price(1, number) for number in range(0, far, 20_011)])
    assert levels.min() > 220.0 * 0.7
    assert levels.max() < 220.0 / 0.7


def test_the_simulated_price_has_no_jump_between_chunks():
    """The last price of a chunk and the first of the next are neighbours."""
    market = SimulatedMarket(LISTINGS[:1], (60_000.0,), seed=3)
    for number in range(50):
        before, after = (market.chunk(number + step) for step in (0, 1))
        ends = [events[events["kind"] == enums.QUOTE]["quote"]["bid_price"] for events in (before, after)]
        assert abs(ends[1][0] / ends[0][-1] - 1.0) < 0.002


async def test_pace_follows_the_clock():
    """At 2x, half a second of the machine brings one second of the session; nothing comes before it is due."""
    seconds = 0.0

    def clock():
        nonlocal seconds
        seconds += 0.05  # every look at the clock finds it 50 ms later
        return seconds

    feed = ReplayFeed(SimulatedMarket(LISTINGS, (60_000.0, 220.0), seed=7), 2.0, clock)
    began = None
    async for ticks in feed.stream(b""):
        times = ticks.events["ts_available"]
        began = int(times[0]) if began is None else began
        assert (int(times[-1]) - began) / 1e9 <= 2.0 * seconds
        if seconds > 3.0:
            break
    assert (int(times[-1]) - began) / 1e9 > 0.5
