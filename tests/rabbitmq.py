"""A RabbitMQ bus for one test: it remembers what it made on the server, and `removed` takes that away again."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from aiormq import Connection

from openbell.adapters.buses.base import Topic
from openbell.adapters.buses.rabbitmq import RabbitBus
from openbell.adapters.buses.rabbitmq.server import Server, connect, disconnect
from openbell.adapters.buses.rabbitmq.topology import Queue, Topology

#: The prefix of a real platform: what all of its topics share is not deleted.
EVERYBODYS = "openbell"


class OwnBus(RabbitBus):
    """The bus, with names of a test's own on the server."""

    def __init__(self, server: Server, client: str, prefix: str, **options: Any) -> None:
        super().__init__(server, client, prefix=prefix, **options)
        self.server, self.prefix = server, prefix
        self.known: dict[str, Topic] = {}
        self.groups: set[tuple[str, str]] = set()

    def declare(self, *topics: Topic) -> None:
        super().declare(*topics)
        self.known.update((topic.name, topic) for topic in topics)

    def subscribe(self, topics: Any, group: str = "", **options: Any) -> Any:
        made = super().subscribe(topics, group, **options)
        self.groups.update((topic, group) for topic in ([topics] if isinstance(topics, str) else topics) if group)
        return made

    def queues(self) -> list[Queue]:
        """The queues that outlive the test and are its own."""
        topology = Topology(self.prefix)
        groups = [
            topology.group(self.known[topic], group, partition)
            for topic, group in self.groups
            for partition in range(self.known[topic].partitions)
        ]
        markers = [topology.partitions(topic) for topic in self.known.values()]
        shared = [] if self.prefix == EVERYBODYS else [topology.dead_letters]
        return [*groups, *(topology.shelf(queue.name) for queue in groups), *markers, *shared]

    def exchanges(self) -> list[str]:
        """The exchanges that outlive the test and are its own."""
        topology = Topology(self.prefix)
        shared = [] if self.prefix == EVERYBODYS else [topology.members]
        return [*(topology.exchange(topic) for topic in self.known.values()), *shared]


@contextlib.asynccontextmanager
async def connected(server: Server) -> AsyncIterator[Connection]:
    """A connection of the test itself."""
    connection = await connect(server, "test")
    try:
        yield connection
    finally:
        await disconnect(connection)


async def remove(server: Server, *buses: OwnBus) -> None:
    """Delete what the buses made."""
    async with connected(server) as connection:
        channel = await connection.channel(publisher_confirms=False)
        for bus in buses:
            for queue in bus.queues():
                await channel.queue_delete(queue.name)
            for exchange in bus.exchanges():
                await channel.exchange_delete(exchange)
