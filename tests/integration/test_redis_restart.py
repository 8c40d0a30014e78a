"""Redis is stopped or killed in mid-stream, and comes back with all that it had, or without its last second: a server of a test's own."""

import asyncio
import dataclasses
import math
import random
import time
from collections import Counter

import pytest
import uvloop

from openbell.adapters.buses.base import Overflow, Topic
from openbell.adapters.buses.redis import RedisPubSubBus
from openbell.adapters.stores.redis_speed_layer import RedisSpeedLayer
from openbell.adapters.stores.speed_layer import Price
from openbell.errors import BusError, StorageError
from tests.contracts.buses import comes, gather
from tests.redis import OwnRedis
from tests.simulation.proxy import Proxy

pytestmark = [pytest.mark.services, pytest.mark.slow]

SECONDS = 60.0
RESTARTS = 20
CONTROL = Topic("control", Overflow.DROP_OLDEST, 1000)
ORDERS = Topic("orders", Overflow.BLOCK, 1000)
TICKS = Topic("ticks", Overflow.BLOCK, 200, 4)


@pytest.fixture
async def own(tmp_path):
    made = OwnRedis(tmp_path).start()
    yield made
    await made.end()


def numbers(messages):
    return [int(message.payload) for message in messages]


async def publish(bus, topic, *wanted):
    for number in range(*wanted):
        await bus.send(topic, b"%d" % number)
    await bus.flush()


async def take(subscription):
    async with asyncio.timeout(SECONDS):
        return await subscription.take()


# --- stopped, and nothing lost


async def test_nothing_is_lost_or_doubled_when_redis_is_restarted(own):
    """Publishers wait within their bound and send again what was not confirmed, and the server knows what it has of that: a reader by
    offset gets every message once, a group as well while it keeps its partitions, and a key's in order."""
    publisher, bus = own.streams(TICKS), own.streams(TICKS)
    reader, member = bus.subscribe("ticks"), bus.subscribe("ticks", "workers")
    await reader.ready()
    await member.ready()
    published, is_over, total = 0, False, math.inf

    async def produce():
        nonlocal published, total
        while not is_over:
            await publisher.send("ticks", b"%d" % published, f"key{published % 40}")
            published += 1
        await publisher.flush()
        total = published

    by_offset, by_group = [], []

    async def read(subscription, taken):
        while len(taken) < total:
            try:
                async with asyncio.timeout(0.2):
                    taken += await subscription.take()
            except TimeoutError:
                continue
            subscription.ack()

    async def disturb():
        nonlocal is_over
        dice = random.Random(4)
        for _ in range(RESTARTS):
            before = min(len(by_offset), len(by_group))
            await comes(lambda before=before: min(len(by_offset), len(by_group)) > before + 50, "messages after the restart")
            await asyncio.sleep(dice.uniform(0.0, 0.05))  # at any moment
            await asyncio.to_thread(own.stop)
            await asyncio.to_thread(own.start)
        is_over = True

    async with asyncio.timeout(SECONDS + RESTARTS):
        await asyncio.gather(produce(), read(reader, by_offset), read(member, by_group), disturb())
    for taken, times_given in ((by_offset, 1), (by_group, max(member.held.values()))):
        found = Counter(numbers(taken))
        assert found.keys() == set(range(published))
        assert (
            max(found.values()) <= times_given
        )  # who was away for too long loses its partitions, and what it had not yet acknowledged comes again
        for key in range(40):
            share = list(dict.fromkeys(int(message.payload) for message in taken if message.key == f"key{key}"))
            assert share == sorted(share)
    print(f"{published} messages through {RESTARTS} restarts")


async def test_subscribers_of_channels_come_back(own):
    """What is published while Redis is away is not heard; then it goes on, without anybody's doing."""
    bus, other = own.channels(ORDERS), own.channels(ORDERS)
    subscription = bus.subscribe("orders")
    await subscription.ready()
    await publish(other, "orders", 3)
    assert numbers(await gather(subscription, 3)) == [0, 1, 2]
    own.kill()
    own.start()

    async def heard():
        await other.send("orders", b"7")
        await asyncio.sleep(0.01)  # between two attempts; the deadline decides
        return subscription.depth

    async with asyncio.timeout(SECONDS):
        while not await heard():
            pass
    assert set(numbers(await take(subscription))) == {7}


async def test_the_speed_layer_goes_on(own):
    """While Redis is away questions fail within seconds, and the newest of each key waits."""
    layer = RedisSpeedLayer(own.server)
    first, last = Price(1.0, None, None, None, 1), Price(9.0, None, None, None, 9)
    await layer.update({"AAPL": first})
    await layer.flush()
    own.kill()
    for step in range(2, 10):
        await layer.update({"AAPL": Price(float(step), None, None, None, step), "MSFT": last})
    asked = time.monotonic()
    with pytest.raises(StorageError, match="does not answer"):
        await layer.get_price("AAPL")
    assert time.monotonic() - asked < 10.0
    own.start()
    async with asyncio.timeout(SECONDS):
        await layer.flush()
    assert await layer.get_prices(["AAPL", "MSFT"]) == {"AAPL": last, "MSFT": last}
    await layer.close()


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_connection_that_was_reset_while_nobody_used_it_is_made_again(tmp_path, loop_factory):
    """Whatever the event loop says when something is written to it then: the next message goes over a new one."""

    async def work(own, proxy):
        server = dataclasses.replace(own.server, port=proxy.port)
        publisher, subscriber = RedisPubSubBus(server, "test"), own.channels(CONTROL)
        publisher.declare(CONTROL)
        subscription = subscriber.subscribe("control")
        await subscription.ready()
        for number in range(5):
            publisher.publish("control", b"%d" % number)
            await publisher.flush()
            assert numbers(await take(subscription)) == [number]
            proxy.cut()
            await asyncio.sleep(0.05)  # the event loop hears of it, and nobody else does
            proxy.resume()
        await publisher.close()
        await own.end()

    own = OwnRedis(tmp_path).start()
    try:
        with Proxy("127.0.0.1", own.port) as proxy, asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(work(own, proxy))
    finally:
        own.kill()


async def test_leaving_while_redis_is_away_takes_a_bounded_time(own):
    """Closing gives up after a while, says what was not confirmed, and what had arrived can still be taken."""
    bus = own.streams(ORDERS)
    reader, member = bus.subscribe("orders"), bus.subscribe("orders", "workers")
    await reader.ready()
    await publish(bus, "orders", 10)
    await comes(lambda: (reader.depth, member.depth) == (10, 10), "ten messages")
    own.kill()
    await gather(member, 5)
    member.ack()
    bus.publish("orders", b"late")
    begin = time.monotonic()
    with pytest.raises(BusError, match="1 messages were not confirmed"):
        await bus.close()
    assert time.monotonic() - begin < 30
    assert numbers(await take(reader)) == list(range(10))
    assert await take(reader) == await take(member) == []


# --- killed, and the last second is lost


async def lose(own, bus, kept, lost):
    """Publish so many messages, confirm all, and have the server come back with the first ones only."""
    await publish(bus, "orders", kept)
    size = own.kept()
    await publish(bus, "orders", kept, kept + lost)
    own.kill()
    own.cut(size)


async def test_a_reader_is_told_what_it_read_and_is_lost(own):
    """As soon as the server is back, before anything new is written; and it may go on from the offset that is named."""
    publisher, bus = own.streams(ORDERS), own.streams(ORDERS)
    reader = bus.subscribe("orders")
    await reader.ready()
    await lose(own, publisher, 100, 20)
    assert numbers(await gather(reader, 120)) == list(range(120))
    own.start()
    with pytest.raises(BusError, match=r"messages 100 to 119 of orders, partition 0 were read and are lost.*from offset 100"):
        await take(reader)
    assert await bus.ends("orders") == {0: 100}
    again = bus.subscribe("orders", start={0: 100})
    await again.ready()
    with pytest.raises(BusError, match=r"20 messages to orders, partition 0, were confirmed and are lost"):
        await publish(publisher, "orders", 100, 120)
    with pytest.raises(BusError, match=r"20 messages to orders.*Connect anew, and publish again"):
        publisher.publish("orders", b"100")
    await publish(own.streams(ORDERS), "orders", 100, 120)
    assert numbers(await gather(again, 20)) == list(range(100, 120))


async def test_a_reader_that_comes_back_late_is_told_too(own):
    """Others have written more than was lost before it looks: the offsets fit, the epochs do not."""
    bus = own.streams(Topic("orders", Overflow.BLOCK, 10))
    reader = bus.subscribe("orders")
    await reader.ready()
    publisher = own.streams(ORDERS)
    await publish(publisher, "orders", 100)
    size = own.kept()
    taken = await gather(reader, 100)
    await publish(publisher, "orders", 100, 120)
    taken += await gather(reader, 5)
    await comes(lambda: reader.depth == 10, "a full buffer, so that it does not look")
    own.kill()
    own.cut(size)
    own.start()
    await publish(own.streams(ORDERS), "orders", 1000, 1100)
    assert numbers(taken + await gather(reader, 10)) == list(range(115))
    with pytest.raises(BusError, match=r"messages 100 to 114 of orders, partition 0 were read and are lost"):
        await take(reader)
    again = bus.subscribe("orders", start={0: 100})
    assert numbers(await gather(again, 100)) == list(range(1000, 1100))


async def test_a_group_is_told_and_goes_on_where_the_server_is(own):
    """What the group had acknowledged is lost together with the messages, so the next member begins behind what is left."""
    publisher, bus = own.streams(ORDERS), own.streams(ORDERS)
    member = bus.subscribe("orders", "workers")
    await publish(publisher, "orders", 100)
    await gather(member, 100)
    member.ack()
    await comes(lambda: b"100" in own.get("openbell:orders:group:workers:offsets", "0"), "the acknowledgement")
    size = own.kept()
    await publish(publisher, "orders", 100, 120)
    await gather(member, 20)
    member.ack()
    await comes(lambda: b"120" in own.get("openbell:orders:group:workers:offsets", "0"), "the acknowledgement")
    own.kill()
    own.cut(size)
    own.start()
    with pytest.raises(BusError, match=r"messages 100 to 119 of orders, partition 0 were read and are lost"):
        await take(member)
    member.close()
    heir = bus.subscribe("orders", "workers")
    await publish(own.streams(ORDERS), "orders", 100, 110)
    assert numbers(await gather(heir, 10)) == list(range(100, 110))


async def test_a_server_without_a_file_loses_everything_and_says_so(tmp_path):
    """Redis as it comes, without the append-only file: the same errors."""
    own = OwnRedis(tmp_path, "--appendonly", "no").start()
    try:
        bus = own.streams(ORDERS)
        reader = bus.subscribe("orders")
        await reader.ready()
        await publish(bus, "orders", 10)
        await gather(reader, 10)
        own.kill()
        own.start()
        with pytest.raises(BusError, match=r"messages 0 to 9 of orders, partition 0 were read and are lost"):
            await take(reader)
        with pytest.raises(BusError, match=r"10 messages to orders, partition 0, were confirmed and are lost"):
            await publish(bus, "orders", 1)
    finally:
        await own.end()


async def test_an_outbox_loses_nothing_whatever_is_cut_off(own):
    """The end of the file is cut anywhere, again and again. A producer that keeps what has no effect yet, and a consumer that stores its
    effect with a number of the producer's, end with every effect once, in order."""
    dice, effects, told, total = random.Random(5), [], [], 2000

    async def produce():
        bus, next_number = own.streams(ORDERS), 0
        while len(effects) < total:
            try:
                next_number = max(next_number, len(effects))
                while next_number < total and next_number < len(effects) + 200:  # the outbox
                    await bus.send("orders", b"%d" % next_number)
                    next_number += 1
                await bus.flush()
                await asyncio.sleep(0.001)
            except BusError as error:
                told.append(str(error))
                bus, next_number = own.streams(ORDERS), len(effects)  # what has no effect yet is published again

    async def consume():
        bus = own.streams(ORDERS)
        start = "oldest"
        while len(effects) < total:
            reader = bus.subscribe("orders", start=start)
            try:
                while len(effects) < total:
                    async with asyncio.timeout(SECONDS):
                        messages = await reader.take(50)
                    for message in messages:
                        if int(message.payload) == len(effects):
                            effects.append(int(message.payload))
                        assert int(message.payload) <= len(effects)  # never a gap
            except BusError as error:
                told.append(str(error))
                reader.close()
                start = "oldest"

    async def disturb():
        while len(effects) < total:
            before = len(effects)
            await comes(lambda before=before: len(effects) >= min(total, before + 100), "more effects")
            size = own.kept()
            own.kill()
            own.cut(max(size - dice.randrange(4000), 0))
            await asyncio.to_thread(own.start)

    async with asyncio.timeout(SECONDS):
        await asyncio.gather(produce(), consume(), disturb())
    assert effects == list(range(total))
    assert told
    assert all("lost: Redis was restarted" in text for text in told)
