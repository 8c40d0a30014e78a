"""The bus over RabbitMQ: exchanges and durable queues, publisher confirms, acknowledgements, retries, dead letters.

One connection to publish and one to read: a server that is short of memory stops reading from those who publish, and acknowledgements
have to reach it then more than ever.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar

from aiormq import Connection

from openbell.adapters.buses.base import Start, Topic, TopicCount
from openbell.adapters.buses.rabbitmq.letters import RETRY_DELAYS, Deposit
from openbell.adapters.buses.rabbitmq.link import Link
from openbell.adapters.buses.rabbitmq.publisher import Publisher
from openbell.adapters.buses.rabbitmq.server import Server
from openbell.adapters.buses.rabbitmq.subscription import RabbitSubscription
from openbell.adapters.buses.rabbitmq.topology import Topology
from openbell.errors import BusError, UnknownNameError

#: How long a server may stay unreachable at the very first connection before its address counts as wrong.
PATIENCE_SECONDS = 5.0
#: How long `close` waits for what is not confirmed yet, and for subscriptions to get what was published.
CLOSE_SECONDS = 5.0


class RabbitBus:
    """See `openbell.adapters.buses.base` for the contract, and `topology` for what stands on the server.

    `client` names this process in the server's lists and in message ids. `queue_max`: messages that the queue of a group holds; a full
    one refuses more, and `publish` returns False when the messages that wait here for it fill the topic's buffer. `delays`: seconds
    before the second, third ... attempt of a message that was handed back; after the last it is rejected.
    """

    KEEPS_HISTORY: ClassVar[bool] = False
    HAS_RETRY: ClassVar[bool] = True

    def __init__(
        self, server: Server, client: str, *, prefix: str = "openbell", queue_max: int = 1_000_000, queue_type: str = "classic",
        delays: Sequence[float] = RETRY_DELAYS, patience: float = PATIENCE_SECONDS,
    ) -> None:  # fmt: skip
        self._client, self._delays = client, tuple(delays)
        self._topology = Topology(prefix, queue_max, queue_type)
        self._topics: dict[str, Topic] = {}
        self._closed: set[str] = set()
        self._is_closed = False
        self._error: BusError | None = None
        self._subscriptions: list[RabbitSubscription] = []
        self._given_up: Counter[str] = Counter()
        self._publisher = Publisher(self._topology, client, self._fail)
        self._deposit = Deposit()
        self._reading: Connection | None = None
        self._to_publish = Link(server, f"{client} publishing", self._publishing_up, self._publishing_down, self._fail, patience)
        self._to_read = Link(server, f"{client} reading", self._reading_up, self._reading_down, self._fail, patience)

    def declare(self, *topics: Topic) -> None:
        """Make topics known."""
        for topic in topics:
            if self._topics.setdefault(topic.name, topic) != topic:
                raise BusError(f"topic {topic.name} is declared twice", str(self._topics[topic.name]))
            self._publisher.add(topic)

    def publish(self, topic: str, payload: Any, key: str = "") -> bool:
        """Offer a message; False when a BLOCK topic has as many unconfirmed messages as its buffer holds."""
        self._topic(topic)
        if topic in self._closed:
            raise BusError(f"nothing can be published to {topic}: it is closed")
        if self._error is not None:
            raise self._error
        assert isinstance(payload, bytes), "over a network a message carries bytes"
        self._to_publish.start()
        return self._publisher.offer(topic, payload, key)

    async def send(self, topic: str, payload: Any, key: str = "") -> None:
        """Publish, waiting for room."""
        while not self.publish(topic, payload, key):
            await self._publisher.room()

    async def flush(self) -> None:
        """Wait until the server has everything published so far on disk."""
        if self._error is not None:
            raise self._error
        await self._publisher.flush()

    def subscribe(self, topics: str | Sequence[str], group: str = "", start: Start = "new") -> RabbitSubscription:
        """Get the messages published from now on: all of them, or a share of them as a member of a group."""
        assert start == "new", "this bus keeps no history"
        names = (topics,) if isinstance(topics, str) else tuple(topics)
        made = RabbitSubscription(self._topology, [self._topic(name) for name in names], group, self._client, self._deposit, self._delays)
        self._forget_those_that_left()
        self._subscriptions.append(made)
        if self._error is not None:
            made.fail(self._error)
        elif self._reading is not None:
            made.up(self._reading)
        if group:
            self._to_publish.start()
        self._to_read.start()
        return made

    def has_subscribers(self, topic: str) -> bool:
        """True: nobody knows who listens over a network."""
        return self._topic(topic).name in self._topics

    def count(self, topic: str) -> TopicCount:
        """What became of the messages that this process published, and of those its subscriptions gave up."""
        own = self._publisher.lanes[self._topic(topic).name].count
        given_up = self._given_up[topic] + sum(subscription.dropped(topic) for subscription in self._subscriptions)
        return TopicCount(own.published, own.refused, own.dropped + given_up)

    async def close(self, *topics: str) -> None:
        """Nothing more from this process to these topics, or to any. Without topics: flush and disconnect.

        BusError when a server that is away has not confirmed everything in time.
        """
        names = set(topics or self._topics)
        self._closed |= names
        self._publisher.tell_room()
        unconfirmed = await self._settle(names)
        if topics:
            return
        self._is_closed = True
        await asyncio.gather(*(subscription.leave() for subscription in self._subscriptions))
        await asyncio.gather(self._to_read.close(), self._to_publish.close())
        if unconfirmed:
            raise BusError(
                f"{unconfirmed} messages are not confirmed by the server {CLOSE_SECONDS:.0f} s after the bus was closed",
                "a server that answers",
                "publish them again when it is back: some may have arrived",
            )

    async def _settle(self, names: set[str]) -> int:
        """Have what was published arrive here as far as there is room; returns how many messages the server has not confirmed."""
        if self._error is None and not self._is_closed:
            try:
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._publisher.flush()
            except TimeoutError:
                return sum(map(len, self._publisher.lanes.values()))
            await asyncio.gather(*(subscription.finish(names, CLOSE_SECONDS) for subscription in self._subscriptions))
        return 0

    def _forget_those_that_left(self) -> None:
        for subscription in [each for each in self._subscriptions if each.is_over]:
            self._subscriptions.remove(subscription)
            self._given_up.update({topic: subscription.dropped(topic) for topic in subscription.topics})

    def _topic(self, name: str) -> Topic:
        if name not in self._topics:
            raise UnknownNameError.of("topic", name, self._topics)
        return self._topics[name]

    def _fail(self, error: BusError) -> None:
        """What waiting cannot mend: everybody who waits is told."""
        if self._error is None:
            self._error = error
            self._publisher.stop_waiting(error)
            self._deposit.fail(error)
            for subscription in self._subscriptions:
                subscription.fail(error)

    async def _publishing_up(self, connection: Connection) -> None:
        await self._publisher.up(connection)
        self._deposit.up(connection)

    def _publishing_down(self) -> None:
        self._publisher.down()
        self._deposit.down()

    async def _reading_up(self, connection: Connection) -> None:
        self._reading = connection
        for subscription in self._subscriptions:
            subscription.up(connection)

    def _reading_down(self) -> None:
        self._reading = None
        for subscription in self._subscriptions:
            subscription.down()
