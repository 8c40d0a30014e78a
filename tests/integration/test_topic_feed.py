"""The market-data topic as a feed, over buses that keep history."""

import asyncio
import uuid

import pytest

from openbell.adapters.buses.base import Overflow, Topic
from openbell.services.topics.topic_feed import TopicFeed, decoded
from tests.contracts.buses import MAKERS, SECONDS
from tests.unit.services.test_topic_feed import LISTINGS, events_of, messages_of

KEEPING = [maker for maker in MAKERS if maker.values[0].keeps_history]


@pytest.mark.parametrize("maker", KEEPING)
async def test_a_new_epoch_does_not_wait_for_partitions_where_nothing_comes(maker):
    """A run that begins at the ends of a topic goes on with a source's next epochs, though in other partitions is only what was before."""
    prefix = f"test-{uuid.uuid4().hex[:12]}-"
    topic = Topic(f"{prefix}ticks", Overflow.BLOCK, 1000, 4)
    async with maker.open(prefix) as connect, asyncio.timeout(3 * SECONDS):
        publisher, reader = connect(), connect()
        publisher.declare(topic)
        reader.declare(topic)
        for key in "abcdefghijkl":  # into every partition
            await publisher.send(topic.name, b"before", key)
        await publisher.flush()
        starts = await reader.ends(topic.name)
        assert sum(end > 0 for end in starts.values()) > 1
        feed = TopicFeed(reader, topic.name, LISTINGS, starts)
        stream = feed.stream(b"")
        found = []
        for epoch in (1, 2, 3):
            own = events_of(40)
            own = own[own["instrument"] == 0]
            for symbol, payload in messages_of(own, [], epoch=epoch):
                await publisher.send(topic.name, payload, symbol)
            await publisher.flush()
            ticks = await anext(stream)
            found.append(ticks.events["trade"]["price"].tolist())
        await stream.aclose()
        assert found == [own["trade"]["price"].tolist()] * 3
        assert decoded(ticks.cursor).sources == {"test": (3, len(own))}
        assert set(decoded(ticks.cursor).taken) == set(starts), "what was not read is behind us, after a restart too"
