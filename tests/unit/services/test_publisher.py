"""The publisher of a feed: everything once and in order, in chunks that grow with the load."""

import asyncio
import contextlib

import numpy as np

from openbell.adapters.buses.base import Topic
from openbell.adapters.buses.inprocess import InProcessBus
from openbell.adapters.feeds.base import Ticks
from openbell.adapters.messages.ticks import decode_ticks
from openbell.adapters.stores.database import open_database
from openbell.model import history
from openbell.model.plan import Listing
from openbell.services.ingest import publisher
from openbell.services.topics.names import TICKS, topics

LISTING = Listing("A", 0.01, 1.0)
FRAMES = 50


class BusyBus(InProcessBus):
    """A bus whose server takes its time to confirm; within `confirming` it is at it."""

    def __init__(self):
        super().__init__()
        self.confirming = asyncio.Event()
        self.confirmed = asyncio.Event()

    async def flush(self):
        self.confirming.set()
        await self.confirmed.wait()


async def published(folder, monkeypatch, gather_s, confirm):
    """The chunks that come of FRAMES frames of two ticks which arrive while the bus is busy."""
    monkeypatch.setattr(publisher, "GATHER_S", gather_s)
    inside, market = InProcessBus(), BusyBus()
    inside.declare(*topics(1000))
    market.declare(Topic("ticks"))
    reader = market.subscribe("ticks")
    events = history.trades(np.arange(1, 2 * FRAMES + 1), 0, np.linspace(10.0, 20.0, 2 * FRAMES), np.arange(1, 2 * FRAMES + 1))
    with contextlib.closing(open_database(folder / "platform.db")) as database:
        service = publisher.PublisherService(inside, market, "ticks", "source", (LISTING,), database)
        service.take_up(lambda _: False, fresh=False)
        running = asyncio.create_task(service.run())
        async with asyncio.timeout(30):
            await inside.send(TICKS, Ticks(events[:2], b"0"))
            await market.confirming.wait()
            for number in range(1, FRAMES):
                await inside.send(TICKS, Ticks(events[2 * number : 2 * number + 2], b"%d" % number))
            if confirm:
                market.confirmed.set()
            messages = []
            while sum(part.count for part in messages) < 2 * FRAMES:
                messages += [decode_ticks(message.payload, {"A": 0}, (LISTING,)) for message in await reader.take()]
            market.confirmed.set()
            await inside.close()
            await running
    assert np.concatenate([part.events.view(np.uint8) for part in messages]).tobytes() == events.tobytes()
    assert [part.first for part in messages] == [0, *np.cumsum([part.count for part in messages])[:-1].tolist()]
    assert messages[-1].cursor == b"%d" % (FRAMES - 1)
    return messages


async def test_what_comes_while_the_bus_confirms_is_one_chunk(tmp_path, monkeypatch):
    """However small the frames are, under load the messages are few."""
    assert [part.count for part in await published(tmp_path, monkeypatch, 30.0, confirm=True)] == [2 * FRAMES]


async def test_a_bus_that_does_not_confirm_is_not_waited_for(tmp_path, monkeypatch):
    """After a moment ticks are published all the same: a bus may be slow to confirm and quick to deliver."""
    assert len(await published(tmp_path, monkeypatch, 0.0, confirm=False)) >= 1
