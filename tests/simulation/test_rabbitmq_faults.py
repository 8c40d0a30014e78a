"""A RabbitMQ bus in a network that fails at random: seeded cuts and stalls for publisher and members, while members come and go."""

import asyncio
import contextlib
import random
import time
import uuid

import msgspec
import pytest

from openbell.adapters.buses.base import Overflow, Topic
from openbell.errors import BusError
from tests.rabbitmq import OwnBus, remove
from tests.servers import settings
from tests.simulation.proxy import Proxy

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.timeout(300)]

SHARED = Topic("shared", Overflow.BLOCK, 400, partitions=4)
SECONDS = 90.0
MESSAGES = 12_000
KEYS = 20


class Member:
    """A member of the group in a network of its own; it acknowledges what it has seen now and then, and hands some of it back."""

    def __init__(self, server, prefix, seen, dice):
        self.proxy = Proxy(server.host, server.port)
        self.proxy.__enter__()
        self.bus = OwnBus(msgspec.structs.replace(server, host=self.proxy.host, port=self.proxy.port), "member", prefix, delays=(0.05,) * 9)
        self.bus.declare(SHARED)
        self._subscription = self.bus.subscribe("shared", "workers")
        self._seen, self._dice = seen, dice
        self.task = asyncio.create_task(self._work())

    async def _work(self):
        while messages := await self._subscription.take(50):
            for message in messages:
                number = int(message.payload)
                if message.attempt == 1 and number % 97 == 0:
                    await self._subscription.retry(message, "once more")
                else:
                    self._seen.append((number, message.key, message.attempt))
            if self._dice.random() < 0.9:
                self._subscription.ack()

    async def leave(self):
        self._subscription.close()
        await asyncio.wait_for(self.task, SECONDS)
        self.proxy.resume()
        with contextlib.suppress(BusError):
            await self.bus.close()
        self.proxy.__exit__(None, None, None)


async def disturb(proxy, dice):
    """One fault, for a moment."""
    act = dice.choice([proxy.cut, proxy.stall, lambda: proxy.stall("answers"), lambda: proxy.stall("requests")])
    act()
    await asyncio.sleep(dice.uniform(0.0, 0.4))
    if dice.random() < 0.5:
        proxy.cut()
    proxy.resume()


@pytest.mark.parametrize("seed", range(3))
async def test_nothing_is_lost_whatever_the_network_does(seed):
    """Every message that was accepted is seen, each key's in order, whichever members were there and whichever connection broke."""
    dice = random.Random(seed)
    server, prefix, seen = settings("rabbitmq").rabbitmq, f"test-{uuid.uuid4().hex[:12]}", []
    with Proxy(server.host, server.port) as proxy:
        publisher = OwnBus(msgspec.structs.replace(server, host=proxy.host, port=proxy.port), "publisher", prefix)
        publisher.declare(SHARED)
        members = [Member(server, prefix, seen, dice) for _ in range(2)]
        await asyncio.gather(*(each._subscription.ready() for each in members))

        async def publish():
            for number in range(MESSAGES):
                await publisher.send("shared", b"%d" % number, f"key{number % KEYS}")
                if number % 20 == 0:
                    await asyncio.sleep(0.02)  # so that faults fall between
            await publisher.flush()

        publishing = asyncio.create_task(publish())
        while not publishing.done():
            fault = dice.random()
            if fault < 0.8:
                await disturb(dice.choice([proxy, *(each.proxy for each in members)]), dice)
            elif len(members) < 3:
                members.append(Member(server, prefix, seen, dice))
            else:
                await members.pop(dice.randrange(3)).leave()
            await asyncio.sleep(dice.uniform(0.05, 0.3))
        await publishing
        deadline = time.monotonic() + SECONDS
        while len({number for number, _, _ in seen}) < MESSAGES:
            assert time.monotonic() < deadline, f"missing: {sorted(set(range(MESSAGES)) - {number for number, _, _ in seen})[:20]}"
            assert not any(each.task.done() for each in members)
            await asyncio.sleep(0.05)
        for each in tuple(members):
            await each.leave()
        await publisher.close()
    for key in range(KEYS):
        own = list(dict.fromkeys(number for number, name, attempt in seen if name == f"key{key}" and attempt == 1))
        assert own == sorted(own)
    await remove(server, publisher, *(each.bus for each in members))
