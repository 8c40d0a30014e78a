"""What stands on the server: exchanges and queues, their names and arguments.

* `openbell.TOPIC`: a durable direct exchange. The routing key is the partition: the key's CRC-32 modulo the topic's partitions.
* `openbell.TOPIC.GROUP`, with `.0`, `.1` ... when there are several partitions: a durable queue with a single active consumer, so that
  the messages of a key stay with one member, in order, and the next takes over, where that one stopped, when it leaves.
* the same with `.retry`: what members handed back, waiting to become due. Its messages are kept by whoever reads the queue, not by a
  time to live with a dead-letter exchange, because a server drops a message that comes back to a full queue.
* `openbell.dead-letters`: what nobody could deal with.
* `openbell.TOPIC.private.ID`: of a subscription without a group; gone when that is. Of a BLOCK topic it outlives a broken connection.
* `openbell-partitions.TOPIC`: always empty; its maximal length is the topic's number of partitions, so that a process that believes in
  another number is refused instead of losing messages.

Queues are classic and durable: with publisher confirms a message is on disk before it counts as published, at half the work of a quorum
queue, and what a member hands back goes where it was. `queue_type="quorum"` replicates the queues of groups over a cluster.
"""

from dataclasses import dataclass, field
from zlib import crc32

import structlog
from aiormq import ChannelPreconditionFailed
from aiormq.abc import AbstractConnection, ArgumentsType

from openbell.adapters.buses.base import Overflow, Topic
from openbell.adapters.buses.rabbitmq.server import ANSWER_SECONDS, on_the_wire
from openbell.errors import BusError

#: How long the queue of a subscription without a group waits for its owner to come back.
PRIVATE_SECONDS = 600
#: Quorum queues give a message up after so many deliveries unless told otherwise; here `reject` does that, with a reason.
DELIVERIES_MAX = 1_000_000

log = structlog.get_logger("bus")


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue, and what is bound to it."""

    name: str
    exchange: str = ""
    keys: tuple[str, ...] = ()
    arguments: ArgumentsType = field(default_factory=dict)
    exclusive: bool = False


@dataclass(frozen=True, slots=True)
class Topology:
    """Names and arguments. `queue_max`: the messages a group's queue holds before the server refuses more."""

    prefix: str = "openbell"
    queue_max: int = 1_000_000
    queue_type: str = "classic"

    def exchange(self, topic: Topic) -> str:
        """The exchange of a topic."""
        return f"{self.prefix}.{topic.name}"

    def partitions(self, topic: Topic) -> Queue:
        """The empty queue that says how many partitions a topic has."""
        return Queue(f"{self.prefix}-partitions.{topic.name}", arguments={"x-queue-type": "classic", "x-max-length": topic.partitions})

    def group(self, topic: Topic, group: str, partition: int) -> Queue:
        """The queue of one partition for a group."""
        name = f"{self.prefix}.{topic.name}.{group}" + (f".{partition}" if topic.partitions > 1 else "")
        arguments = {**self._kind(), **self._bound(topic), "x-single-active-consumer": True}
        return Queue(name, self.exchange(topic), (str(partition),), arguments)

    def shelf(self, queue: str) -> Queue:
        """Where messages of a group's queue wait for another attempt."""
        return Queue(f"{queue}.retry", arguments={**self._kind(), "x-single-active-consumer": True})

    def private(self, topic: Topic, owner: str) -> Queue:
        """The queue of a subscription without a group."""
        name, keys = f"{self.prefix}.{topic.name}.private.{owner}", tuple(map(str, range(topic.partitions)))
        if topic.overflow is not Overflow.BLOCK:
            return Queue("", self.exchange(topic), keys, {"x-queue-type": "classic", **self._bound(topic)}, exclusive=True)
        lasting: ArgumentsType = {"x-queue-type": "classic", "x-single-active-consumer": True, "x-expires": PRIVATE_SECONDS * 1000}
        return Queue(name, self.exchange(topic), keys, {**lasting, **self._bound(topic)})

    @property
    def dead_letters(self) -> Queue:
        """Where rejected messages wait for a person: looking at them puts them back, which only a classic queue does not count."""
        return Queue(f"{self.prefix}.dead-letters", arguments={"x-queue-type": "classic"})

    @property
    def members(self) -> str:
        """The exchange over which the members of groups hear of each other."""
        return f"{self.prefix}-members"

    def _kind(self) -> ArgumentsType:
        return {"x-queue-type": self.queue_type, **({"x-delivery-limit": DELIVERIES_MAX} if self.queue_type == "quorum" else {})}

    def _bound(self, topic: Topic) -> ArgumentsType:
        if topic.overflow is Overflow.BLOCK:
            return {"x-max-length": self.queue_max, "x-overflow": "reject-publish"}
        return {"x-max-length": max(topic.buffer, 1), "x-overflow": "drop-head"}


def partition_of(topic: Topic, key: str) -> int:
    """The partition of a key: the same in every process."""
    return crc32(key.encode()) % topic.partitions if topic.partitions > 1 else 0


async def declare_topic(connection: AbstractConnection, topology: Topology, topic: Topic) -> None:
    """Make a topic's exchange; BusError when the server knows it with another number of partitions."""
    marker = topology.partitions(topic)
    with on_the_wire():
        channel = await connection.channel(publisher_confirms=False, timeout=ANSWER_SECONDS)
        await channel.exchange_declare(topology.exchange(topic), exchange_type="direct", durable=True)
        try:
            await channel.queue_declare(marker.name, durable=True, arguments=marker.arguments)
        except ChannelPreconditionFailed as error:
            found = str(error).rpartition("current is ")[2].strip("'\" ") or "another number"
            raise BusError(
                f"topic {topic.name} has {found} partitions on the server",
                f"{topic.partitions}",
                f"set OPENBELL_BUS__PARTITIONS={found}, or delete {marker.name} and the topic's queues when nothing waits in them",
            ) from None
        await channel.close()


async def declare_queue(connection: AbstractConnection, queue: Queue) -> str:
    """Make a queue and what is bound to it; returns its name. A queue that is there keeps the bounds it was made with."""
    with on_the_wire():
        channel = await connection.channel(publisher_confirms=False, timeout=ANSWER_SECONDS)
        try:
            made = await channel.queue_declare(
                queue.name, durable=not queue.exclusive, exclusive=queue.exclusive, auto_delete=queue.exclusive, arguments=queue.arguments
            )
        except ChannelPreconditionFailed as error:
            log.warning("bus queue kept as it is", queue=queue.name, reason=str(error))
            channel = await connection.channel(publisher_confirms=False, timeout=ANSWER_SECONDS)
            made = await channel.queue_declare(queue.name, passive=True)
        name = made.queue or queue.name
        for key in queue.keys:
            await channel.queue_bind(name, queue.exchange, key)
        await channel.close()
    return name
