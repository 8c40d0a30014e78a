"""A topic of Kafka that was removed and made anew: its offsets begin again, and no reader takes them for those that it knows."""

import asyncio
import contextlib
import uuid

import pytest
from confluent_kafka.admin import AdminClient

from openbell.adapters.buses.base import Overflow, Topic
from openbell.adapters.stores.database import open_database
from openbell.adapters.stores.progress import move, read_progress
from openbell.errors import BusError
from openbell.model.plan import Listing
from openbell.services.topics.shares import Shares
from openbell.services.topics.topic_feed import Cursor, TopicFeed, decoded
from tests.contracts.buses import SECONDS, kafka
from tests.servers import settings

pytestmark = pytest.mark.services


@pytest.fixture
async def connect():
    """Makes connections; what they make on the server is removed afterwards."""
    async with kafka(f"test-{uuid.uuid4().hex[:12]}-") as made:
        yield made


@pytest.fixture
def topic():
    return Topic(f"test-{uuid.uuid4().hex[:12]}-anew", Overflow.BLOCK, 100)


async def filled(connect, topic, *payloads):
    """A connection that has just published these."""
    bus = connect()
    bus.declare(topic)
    for payload in payloads:
        await bus.send(topic.name, payload)
    await bus.flush()
    return bus


async def remove(topic):
    """Remove a topic as an operator does, and wait until the server knows of none."""
    admin = AdminClient({"bootstrap.servers": settings("kafka").kafka.servers})
    await asyncio.wrap_future(admin.delete_topics([topic.name])[topic.name])
    while topic.name in admin.list_topics(timeout=SECONDS).topics:
        await asyncio.sleep(0.05)


async def read(bus, topic, database, count):
    """What a member of the group sees until it has stored so many messages."""
    seen = []

    async def begin(partition):
        return await asyncio.to_thread(read_progress, database, topic.name, partition), None

    async def take(messages):
        async for _, message in shares.fresh(messages):
            seen.append(bytes(message.payload))

    async def keep():
        for share in shares.unstored():
            await shares.store(share, b"", lambda advance: database.run(lambda sql: move(sql, advance)))
        if len(seen) >= count:
            done.set()

    shares, done = Shares(bus, topic.name, topic.name, begin), asyncio.Event()
    reading = asyncio.create_task(shares.run(take, keep))
    async with asyncio.timeout(SECONDS):
        await done.wait()
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    return seen


async def test_those_who_share_it_begin_anew(connect, topic, tmp_path):
    """Its messages are read from the first one, and how far they were taken is stored again; without a change nothing is read twice."""
    with contextlib.closing(open_database(tmp_path / "platform.db")) as database:
        bus = await filled(connect, topic, b"1", b"2", b"3")
        assert await read(bus, topic, database, 3) == [b"1", b"2", b"3"]
        await bus.close()
        again = await filled(connect, topic, b"4")
        assert await read(again, topic, database, 1) == [b"4"]
        await again.close()
        await remove(topic)
        anew = await filled(connect, topic, b"5", b"6")
        assert await read(anew, topic, database, 2) == [b"5", b"6"]
        assert read_progress(database, topic.name, 0).position == 2


async def test_a_feed_is_refused(connect, topic):
    """A run that has read the old one is told to begin anew; a new run reads."""
    tick = b'{"symbol": "AAPL", "price": 231.07, "quantity": 1, "ts": 1700000000000}'
    bus = await filled(connect, topic, tick)
    feed = TopicFeed(bus, topic.name, (Listing("AAPL", 0.01, 1.0, "USD"),), "oldest")
    cursor = (await anext(feed.stream(b""))).cursor
    assert decoded(cursor) == Cursor({0: 1}, {0: 1}, {}, await bus.identity(topic.name))
    await bus.close()
    await remove(topic)
    anew = await filled(connect, topic, tick, tick)
    with pytest.raises(BusError, match="was removed and made anew"):
        await anext(TopicFeed(anew, topic.name, (Listing("AAPL", 0.01, 1.0, "USD"),)).stream(cursor))
