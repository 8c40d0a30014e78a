"""The bus over Apache Kafka: topics kept in partitions, read by offset, alone or shared by a group.

See `openbell.adapters.buses.base` for the contract. What is special here:

* A topic is made at its first use, with the declared partitions and the cluster's own replication. One that is there stays as it is.
* A key is in the partition where Kafka's clients in other languages put it too, so that all publishers of a symbol agree on its order.
* A group begins with the oldest message, whatever `start` says but offsets: what is published while it has no member waits for it.
* `close` of a topic is for this process: its subscriptions go on to what was there at that moment, and end.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar

import structlog

from openbell.adapters.buses.base import Start, Topic, TopicCount
from openbell.adapters.buses.kafka.connection import Cluster
from openbell.adapters.buses.kafka.producer import KafkaProducer, Outbox
from openbell.adapters.buses.kafka.subscription import KafkaSubscription
from openbell.errors import BusError, UnknownNameError

log = structlog.get_logger("kafka")

#: How long the server may take to hear that we leave, and how far we got.
LEAVE_SECONDS = 5.0


class KafkaBus:
    """A connection to a cluster, made at the first use; `client` names this process in the server's logs."""

    KEEPS_HISTORY: ClassVar[bool] = True
    HAS_RETRY: ClassVar[bool] = False

    def __init__(self, cluster: Cluster, client: str) -> None:
        self._cluster = cluster
        self._client = client
        self._outboxes: dict[str, Outbox] = {}
        self._subscriptions: list[KafkaSubscription] = []
        self._closed: set[str] = set()
        self._is_closed = False
        self._connected: KafkaProducer | None = None

    def declare(self, *topics: Topic) -> None:
        """Make topics known; the server hears of one at its first use."""
        for topic in topics:
            known = self._outboxes.setdefault(topic.name, Outbox(topic)).topic
            if known != topic:
                raise BusError(f"topic {topic.name} is declared twice", str(known))

    def publish(self, topic: str, payload: Any, key: str = "") -> bool:
        """Offer a message of bytes; False when the policy is BLOCK and as many as the buffer holds are not confirmed."""
        outbox = self._outbox(topic)
        if self._is_closed or topic in self._closed:
            raise BusError(f"nothing can be published to {topic}: it is closed")
        assert isinstance(payload, bytes), "over a network, messages are bytes"
        return self._producer().publish(outbox, payload, key)

    async def send(self, topic: str, payload: Any, key: str = "") -> None:
        """Publish, waiting for room. BusError for what waiting cannot mend, also of an earlier message that was refused."""
        if self._connected is not None:
            self._connected.check()
        while not self.publish(topic, payload, key):
            await self._producer().room()

    async def flush(self) -> None:
        """Wait until the server has confirmed everything published so far; BusError for what it refused since the last time."""
        if self._connected is not None:
            await self._connected.flush()

    def subscribe(self, topics: str | Sequence[str], group: str = "", start: Start = "new") -> KafkaSubscription:
        """Get the messages from `start`, or as a member of a group. Needs a running event loop."""
        wanted = [self._outbox(name).topic for name in ((topics,) if isinstance(topics, str) else topics)]
        if self._is_closed:
            raise BusError("nothing can be read: the bus is closed")
        for gone in [one for one in self._subscriptions if one.is_gone]:
            self._subscriptions.remove(gone)
            for name, known in self._outboxes.items():
                known.count.dropped += gone.dropped(name)
        subscription = KafkaSubscription(self._cluster, self._client, wanted, group, start, self._producer().topics)
        self._subscriptions.append(subscription)
        return subscription

    def has_subscribers(self, topic: str) -> bool:
        """True for any topic that is known: nobody can know who listens."""
        return self._outbox(topic) is not None

    def count(self, topic: str) -> TopicCount:
        """What became of the messages that this process published, and of those its subscriptions gave up."""
        count = self._outbox(topic).count
        dropped = sum(subscription.dropped(topic) for subscription in self._subscriptions)
        return TopicCount(count.published, count.refused, count.dropped + dropped)

    async def ends(self, topic: str) -> dict[int, int]:
        """By partition, the offset that the next message will get. The difference to an offset read is how far one is behind."""
        bounds = await self._producer().topics.bounds(self._outbox(topic).topic)
        return {partition: end for partition, (_, end) in bounds.items()}

    async def identity(self, topic: str) -> str:
        """The id that the server gave the topic when it was made."""
        return await self._producer().topics.identity(self._outbox(topic).topic)

    async def close(self, *topics: str) -> None:
        """No more messages to these topics, or to any. Without topics: flush and disconnect; what has arrived can be taken."""
        if topics:
            await self._close_topics({self._outbox(name).topic.name for name in topics} - self._closed)
        elif not self._is_closed:
            self._is_closed = True
            if self._connected is not None:
                self._connected.wake()
                try:
                    await self._connected.close()
                finally:
                    left = await asyncio.gather(*(subscription.disconnect(LEAVE_SECONDS) for subscription in self._subscriptions))
                    if not all(left):
                        log.warning("left without a word", client=self._client, seconds=LEAVE_SECONDS)

    async def _close_topics(self, names: set[str]) -> None:
        self._closed |= names
        if self._connected is not None:
            self._connected.wake()
            await self._connected.flush()
        for name in sorted(names):
            readers = [subscription for subscription in self._subscriptions if subscription.reads(name)]
            ends = await self.ends(name) if readers else {}
            for subscription in readers:
                subscription.end_at(name, ends)

    def _producer(self) -> KafkaProducer:
        if self._connected is None:
            self._connected = KafkaProducer(self._cluster, self._client)
        return self._connected

    def _outbox(self, name: str) -> Outbox:
        if name not in self._outboxes:
            raise UnknownNameError.of("topic", name, self._outboxes)
        return self._outboxes[name]
