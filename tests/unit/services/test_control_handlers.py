"""What a process answers on the control channel, and holding a feed."""

import asyncio

import numpy as np
import pytest

from openbell.adapters.buses.inprocess import InProcessBus
from openbell.adapters.feeds.base import FeedStatus, Ticks
from openbell.adapters.messages.control import IngestRequest, Pause, Resume, Status
from openbell.errors import UnknownNameError, UsageError
from openbell.model import enums
from openbell.model.events import EVENT
from openbell.services.control.channel import ControlChannel
from openbell.services.control.handlers import ControlService, answer_feed
from openbell.services.ingest.feed import FeedService
from openbell.services.service import Service
from openbell.services.topics.names import TICKS, control_topics, topics


class Endless:
    """A feed that hands over one trade at a time, as fast as it is asked."""

    handed_over = 0

    async def stream(self, cursor):
        while True:
            self.handed_over += 1
            event = np.zeros(1, EVENT)
            event["kind"], event["ts_available"] = enums.TRADE, self.handed_over
            yield Ticks(event, b"%d" % self.handed_over)
            await asyncio.sleep(0)

    def status(self):
        return FeedStatus("endless", 0.0, False)

    def positions(self):
        return {"endless": self.handed_over}


class Other(Service):
    """Another service of the process."""

    name = "other"


@pytest.fixture
async def scene():
    """A running feed, its process's end of the channel, and somebody who asks."""
    bus, control = InProcessBus(), InProcessBus()
    bus.declare(*topics(10))
    control.declare(*control_topics(1000))
    feed = FeedService(bus, Endless(), lambda: b"")
    channel, asking = ControlChannel(control, "ingest"), ControlChannel(control, "cli")
    services = [feed, Other()]
    service = ControlService(channel, lambda: services)
    answer_feed(channel, feed, "endless")
    await service.start()
    listening, running = asyncio.create_task(service.run()), asyncio.create_task(feed.run())
    feed.state = "running"
    inbox = bus.subscribe(TICKS)
    async with asking:
        yield feed, inbox, asking, channel
    for task in (running, listening):
        task.cancel()
    await asyncio.gather(running, listening, return_exceptions=True)
    await service.stop()


async def settled(feed):
    """Wait until the feed hands over nothing more."""
    async with asyncio.timeout(10):
        before = -1
        while before != feed.processed:
            before = feed.processed
            for _ in range(50):
                await asyncio.sleep(0)


async def test_status_is_one_answer_a_service(scene):
    """Of all, of the process by its name, or of one service; with what it has done and how far it is."""
    _, inbox, asking, _ = scene
    assert len(await inbox.take()) > 0
    replies = await asking.gather(Status(), 0.05)
    assert [(reply.service, reply.state) for reply in replies] == [("feed", "running"), ("other", "stopped")]
    assert replies[0].processed > 0
    assert replies[0].detail == "endless"
    assert [reply.service for reply in await asking.gather(Status(service="ingest"), 0.05)] == ["feed", "other"]
    assert [reply.service for reply in await asking.gather(Status(service="other"), 0.05)] == ["other"]
    assert await asking.gather(Status(service="trader"), 0.05) == []


@pytest.mark.parametrize("name", ["", "ingest", "feed"])
async def test_a_feed_is_held_and_goes_on(name, scene):
    """A paused feed publishes nothing and is not read ahead; nothing is lost when it goes on."""
    feed, inbox, asking, _ = scene
    numbers = [int(n) for message in await inbox.take() for n in message.payload.events["ts_available"]]
    reply = await asking.ask(Pause(service=name))
    assert (reply.service, reply.state, reply.detail) == ("feed", "paused", "paused, endless")
    await settled(feed)
    numbers += [int(n) for message in inbox.take_now() for n in message.payload.events["ts_available"]]
    await settled(feed)
    assert inbox.depth == 0
    assert feed._feed.handed_over <= numbers[-1] + 1
    reply = await asking.ask(Resume(service=name))
    assert reply.state == "running"
    numbers += [int(n) for message in await inbox.take() for n in message.payload.events["ts_available"]]
    assert numbers == list(range(1, len(numbers) + 1))
    assert feed.view().detail == "endless"


async def test_what_is_for_others_leaves_the_feed_alone(scene):
    """Pausing another service, a strategy or a session does not hold the feed."""
    feed, _, asking, _ = scene
    for message in (Pause(service="trader"), Pause(strategy="rsi"), Pause(session="s1")):
        assert await asking.gather(message, 0.05) == []
    assert not feed.paused


async def test_following_symbols(scene):
    """A feed with a fixed choice says so; one that can follow others does, or says why not; other sources are for others."""
    feed, _, asking, channel = scene
    with pytest.raises(UsageError, match="fixed choice"):
        await asking.ask(IngestRequest(action="subscribe", symbols=("AAPL",)))
    assert await asking.gather(IngestRequest(action="subscribe", symbols=("AAPL",), source="finnhub"), 0.05) == []
    followed = {"MSFT"}

    async def follow(subscribe, symbols):
        if "XXX" in symbols:
            raise UnknownNameError.of("symbol", "XXX", ["AAPL"])
        followed.update(symbols) if subscribe else followed.difference_update(symbols)

    answer_feed(channel, feed, "live", follow)
    reply = await asking.ask(IngestRequest(action="subscribe", symbols=("AAPL",), source="live"))
    assert (reply.service, followed) == ("feed", {"AAPL", "MSFT"})
    await asking.ask(IngestRequest(action="unsubscribe", symbols=("MSFT",), source="live"))
    assert followed == {"AAPL"}
    with pytest.raises(UnknownNameError):
        await asking.ask(IngestRequest(action="subscribe", symbols=("XXX",), source="live"))
