"""The supervisor: order of start and stop, and what happens when a service fails."""

import asyncio

import pytest

from openbell.adapters.buses.inprocess import InProcessBus
from openbell.errors import StorageError
from openbell.services.service import Service
from openbell.services.supervisor import Supervisor
from openbell.services.topics.names import COMMANDS, REQUESTS, TICKS, topics


class Reader(Service):
    """Takes everything of a topic, and passes it on."""

    def __init__(self, bus, name, source, target="", fails_at=0):
        super().__init__()
        self.name, self.bus, self.target, self.fails_at = name, bus, target, fails_at
        self.inbox = bus.subscribe(source)
        self.seen, self.closed = [], False

    async def run(self):
        while messages := await self.inbox.take(1):
            self.seen.append(messages[0].payload)
            if len(self.seen) == self.fails_at:
                raise StorageError("the disk is full")
            if self.target:
                await self.bus.send(self.target, messages[0].payload)

    async def stop(self):
        self.closed = True


class Source(Service):
    """Publishes numbers until it is stopped."""

    name = "feed"

    def __init__(self, bus):
        super().__init__()
        self.bus, self.sent = bus, 0

    async def run(self):
        while True:
            await self.bus.send(TICKS, self.sent)
            self.sent += 1
            await asyncio.sleep(0)


def platform(**options):
    bus = InProcessBus()
    bus.declare(*topics(10))
    portfolio = Reader(bus, "portfolio", COMMANDS)
    trader = Reader(bus, "trader", (REQUESTS, TICKS), COMMANDS, **options)
    feed = Source(bus)
    return Supervisor(bus, [portfolio, trader, feed]), portfolio, trader, feed


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)


async def test_stopping_drains_stage_by_stage():
    """What the feed had published is in the portfolio when everything has stopped, and everything was closed."""
    supervisor, portfolio, trader, feed = platform()
    await supervisor.start()
    await until(lambda: len(portfolio.seen) > 100)
    await supervisor.stop()
    assert portfolio.seen == trader.seen == list(range(feed.sent))
    assert portfolio.closed
    assert trader.closed
    assert [service.state for service in supervisor.services] == ["stopped"] * 3


async def test_a_failure_stops_market_data_and_nothing_is_restarted():
    """The failed service says why, the feed stops and says because of whom, the others go on."""
    supervisor, portfolio, trader, feed = platform(fails_at=20)
    await supervisor.start()
    await asyncio.wait_for(supervisor.failed.wait(), 10)
    await asyncio.wait({supervisor.finished("feed")}, timeout=10)
    assert (trader.state, trader.failure) == ("failed", "the disk is full.")
    assert (feed.state, feed.view().detail) == ("stopped", "stopped because trader failed")
    assert portfolio.state == "running"
    assert isinstance(supervisor.cause, StorageError)
    await supervisor.stop()
    assert trader.state == "failed"


async def test_a_service_that_cannot_start_takes_the_others_down():
    """Its error is raised, and what had started is closed."""
    supervisor, portfolio, trader, _ = platform()

    async def refuse():
        raise StorageError("no folder")

    trader.start = refuse
    with pytest.raises(StorageError):
        await supervisor.start()
    assert portfolio.closed
