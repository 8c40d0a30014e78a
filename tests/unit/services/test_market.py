"""The market processor: what comes out of messages of the market-data topic."""

import asyncio
import contextlib

import numpy as np

from openbell.adapters.buses.base import Topic
from openbell.adapters.buses.inprocess import InProcessBus
from openbell.adapters.messages.ticks import encode_chunk
from openbell.adapters.stores.candles import open_candles
from openbell.adapters.stores.speed_layer import MemorySpeedLayer
from openbell.engine.plan import Plan
from openbell.model import enums, history
from openbell.model.events import EVENT
from openbell.model.plan import Listing
from openbell.model.time import MINUTE, SECOND
from openbell.services.names import Names
from openbell.services.processor.market import MarketService

LISTINGS = (Listing("A", 0.01, 1.0), Listing("B", 0.01, 1.0))
START = 1_700_000_040 * SECOND  # the start of a minute


async def processed(folder, *messages):
    """(The candles stored of each listing, the service) once these messages have had their effect."""
    bus = InProcessBus()
    bus.declare(Topic("ticks"), Topic("candles"))
    with contextlib.closing(open_candles(folder / "candles.db")) as store:
        service = MarketService(bus, "ticks", "candles", Names(Plan(LISTINGS, (), candles=("1m",))), store, MemorySpeedLayer())
        running = asyncio.create_task(service.run())
        async with asyncio.timeout(60):
            while not bus.has_subscribers("ticks"):
                await asyncio.sleep(0)
            for symbol, payload in messages:
                bus.publish("ticks", payload, symbol)
            await bus.close("ticks")
            await running
        await service.stop()
        rows = {listing.symbol: store.read(listing.symbol, "1m", 0, 1 << 62, 100) for listing in LISTINGS}
        return rows, service


async def test_a_timer_closes_every_candle_once(tmp_path):
    """A timer goes to the key of each symbol, and may come to a partition as often as it has symbols."""
    trades = history.trades(START + np.arange(4), [0, 1, 0, 1], [10.0, 20.0, 11.0, 21.0], [1, 2, 3, 4])
    timer = np.zeros(1, EVENT)
    timer["kind"], timer["instrument"], timer["ts_available"], timer["ts_event"] = enums.TIMER, -1, START + MINUTE, START + MINUTE
    ticks = encode_chunk(trades, LISTINGS, source="s", epoch=0, first=0, cursor=b"")
    [(_, closing)] = encode_chunk(timer, LISTINGS, source="s", epoch=0, first=4, cursor=b"")
    rows, service = await processed(tmp_path, *ticks, ("A", closing), ("B", closing))
    assert service.refused == 0
    assert {symbol: [row[3:8] for row in found] for symbol, found in rows.items()} == {
        "A": [(10.0, 11.0, 10.0, 11.0, 4.0)],
        "B": [(20.0, 21.0, 20.0, 21.0, 6.0)],
    }
