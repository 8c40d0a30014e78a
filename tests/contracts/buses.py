"""The buses that the contract suite examines, and how it waits for them.

A maker opens a bus for one test: `async with maker.open(prefix) as connect`, and each `connect()` is a connection as a process of its own
would have it. At the end the maker closes them all and removes whatever the server keeps under names that begin with the prefix.
A new bus joins by its maker in MAKERS, with the mark `services` when it needs a server.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import pytest

from openbell.adapters.buses.base import Bus, Message, Subscription
from openbell.adapters.buses.inprocess import InProcessBus
from tests.servers import settings

#: How long anything may take to come over a network.
SECONDS = 20.0

Connect = Callable[[], Bus]


@dataclass(frozen=True)
class Maker:
    """One kind of bus, and the chapters of the contract that it takes part in."""

    open: Callable[[str], AbstractAsyncContextManager[Connect]]
    over_network: bool = True  # a server between the processes
    keeps_history: bool = False
    has_groups: bool = True


@asynccontextmanager
async def in_process(prefix: str) -> AsyncIterator[Connect]:
    """One bus, whoever asks."""
    bus = InProcessBus()
    yield lambda: bus
    await bus.close()


@asynccontextmanager
async def kafka(prefix: str) -> AsyncIterator[Connect]:
    """The Kafka of the environment; topics and groups of the test are deleted afterwards."""
    from openbell.adapters.buses.kafka import KafkaBus
    from tests.kafka import remove

    cluster = settings("kafka").kafka
    made: list[KafkaBus] = []

    def connect() -> Bus:
        made.append(KafkaBus(cluster, f"{prefix}{len(made)}"))
        return made[-1]

    try:
        yield connect
    finally:
        for bus in made:
            await bus.close()
        await remove(cluster.servers, prefix)


@asynccontextmanager
async def redis_streams(prefix: str) -> AsyncIterator[Connect]:
    """The Redis of the environment; keys of the test are deleted afterwards."""
    from openbell.adapters.buses.redis import RedisStreamBus
    from openbell.adapters.redis_server import RedisServer

    server = RedisServer.at(settings("redis").redis)
    made: list[Bus] = []

    def connect() -> Bus:
        made.append(RedisStreamBus(server, f"{prefix}{len(made)}", prefix=prefix))
        return made[-1]

    try:
        yield connect
    finally:
        for bus in made:
            await bus.close()
        async with server.client() as client:
            async for key in client.scan_iter(f"{prefix}*", 1000):
                await client.delete(key)


@asynccontextmanager
async def redis_channels(prefix: str) -> AsyncIterator[Connect]:
    """The Redis of the environment; channels leave nothing behind."""
    from openbell.adapters.buses.redis import RedisPubSubBus

    server = settings("redis").redis
    made: list[Bus] = []

    def connect() -> Bus:
        made.append(RedisPubSubBus(server, f"{prefix}{len(made)}"))
        return made[-1]

    try:
        yield connect
    finally:
        for bus in made:
            await bus.close()


@asynccontextmanager
async def rabbitmq(prefix: str) -> AsyncIterator[Connect]:
    """The RabbitMQ of the environment; queues and exchanges of the test are deleted afterwards."""
    from tests.rabbitmq import OwnBus, remove

    server = settings("rabbitmq").rabbitmq
    made: list[OwnBus] = []

    def connect() -> Bus:
        made.append(OwnBus(server, f"{prefix}{len(made)}", prefix.rstrip("-")))
        return made[-1]

    try:
        yield connect
    finally:
        for bus in made:
            await bus.close()
        await remove(server, *made)


MAKERS = [
    pytest.param(Maker(in_process, over_network=False), id="in-process"),
    pytest.param(Maker(kafka, keeps_history=True), id="kafka", marks=pytest.mark.services),
    pytest.param(Maker(rabbitmq), id="rabbitmq", marks=pytest.mark.services),
    pytest.param(Maker(redis_streams, keeps_history=True), id="redis-streams", marks=pytest.mark.services),
    pytest.param(Maker(redis_channels, has_groups=False), id="redis-channels", marks=pytest.mark.services),
]


def only(**flags: bool) -> pytest.MarkDecorator:
    """The mark for tests of the fixture `opened` that are for some of the buses."""
    chosen = [maker for maker in MAKERS if all(getattr(maker.values[0], name) == flag for name, flag in flags.items())]
    return pytest.mark.parametrize("opened", chosen, indirect=True)


async def comes(condition: Callable[[], object], what: str = "") -> None:
    """Wait until the answer is true; fails at the deadline."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited {SECONDS} s for {what or condition}"
        await asyncio.sleep(0.01)  # between two looks; the deadline decides


async def gather(subscription: Subscription, number: int) -> list[Message]:
    """Take so many messages, and not one more."""
    taken: list[Message] = []
    async with asyncio.timeout(SECONDS):
        while len(taken) < number:
            taken += await subscription.take(number - len(taken))
    return taken


async def gather_all(members: list[Subscription], number: int) -> list[list[Message]]:
    """Take so many messages from the members of a group together, each acknowledged at once; returns each member's share."""
    shares: list[list[Message]] = [[] for _ in members]

    def take() -> bool:
        for member, share in zip(members, shares, strict=True):
            share += member.take_now()
            member.ack()
        return sum(map(len, shares)) >= number

    await comes(take, f"{number} messages")
    return shares


async def settled(members: list[Subscription], partitions: int) -> None:
    """Wait until a group has shared the partitions out, where the bus tells; every member has one."""
    for member in members:
        await member.ready()
    held = [getattr(member, "held", None) for member in members]
    if None not in held:
        await comes(lambda: all(member.held for member in members) and sum(len(member.held) for member in members) == partitions, "shares")
