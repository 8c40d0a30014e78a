"""What the buses on Redis have in common, whether over streams or channels: topics, publishing, closing."""

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from openbell.adapters.buses.base import Message, Topic, TopicCount
from openbell.adapters.buses.buffer import Inbox
from openbell.adapters.buses.redis.writer import Delivery, Outgoing, Writer
from openbell.adapters.redis_server import RedisServer
from openbell.errors import BusError, UnknownNameError

#: Bytes of one message. Redis would take more, but cuts off a subscriber whose messages wait in 32 MB.
MESSAGE_MAX = 8_000_000
#: How long closing waits for the server.
CLOSE_S = 5.0


class Reader(Protocol):
    """What a subscription does to fill its inbox."""

    def finish(self, topics: Sequence[str]) -> None:
        """Read what has been published to these topics so far, and then no more."""

    async def settled(self) -> None:
        """Wait until that has been read, or there is no room for more."""

    async def stop(self) -> None:
        """Disconnect; the inbox ends."""


class RedisBus:
    """A bus that writes by a `Delivery`; a subclass says how messages are read."""

    HAS_RETRY: ClassVar[bool] = False

    def __init__(self, server: RedisServer, delivery: Delivery) -> None:
        self._server = server
        self._writer = Writer(server, delivery)
        self._topics = self._writer.topics
        self._readers: list[Reader] = []
        self._leaving: set[asyncio.Task[None]] = set()
        self._is_closed = False

    def declare(self, *topics: Topic) -> None:
        """Make topics known."""
        for topic in topics:
            known = self._topics.setdefault(topic.name, Outgoing(topic)).topic
            if known != topic:
                raise BusError(f"topic {topic.name} is declared twice", str(known))

    def publish(self, topic: str, payload: Any, key: str = "") -> bool:
        """Offer a message; False when the topic's policy is BLOCK and too much is unconfirmed. Needs a running event loop."""
        outgoing = self._outgoing(topic)
        if outgoing.is_closed:
            raise BusError(f"nothing can be published to {topic}: it is closed")
        self._writer.say_broken()
        assert isinstance(payload, bytes), "over a network a message is bytes"
        if len(payload) > MESSAGE_MAX:
            raise BusError(f"a message to {topic} has {len(payload)} bytes", f"at most {MESSAGE_MAX}", "divide it")
        if is_accepted := outgoing.accept(Message(topic, payload, key)):
            self._writer.work()
        return is_accepted

    async def send(self, topic: str, payload: Any, key: str = "") -> None:
        """Publish, waiting for room."""
        self._writer.complain()
        while not self.publish(topic, payload, key):
            await self._writer.change()
            self._writer.complain()

    async def flush(self) -> None:
        """Wait until the server has confirmed everything published so far."""
        await self._writer.settle(self._topics.values())

    def has_subscribers(self, topic: str) -> bool:
        """Nobody can know who reads."""
        self._outgoing(topic)
        return True

    def count(self, topic: str) -> TopicCount:
        """What became of the messages of a topic, in this process."""
        outgoing = self._outgoing(topic)
        outgoing.tally.dropped = outgoing.waiting.dropped + outgoing.dropped_before
        outgoing.tally.dropped += sum(inbox.buffers[topic].dropped for inbox in outgoing.inboxes)
        return outgoing.tally

    async def close(self, *topics: str) -> None:
        """No more messages to these topics, or to any; without topics, flush and disconnect."""
        if self._is_closed:
            return
        self._is_closed = not topics
        closing = [self._outgoing(name) for name in topics] or list(self._topics.values())
        for outgoing in closing:
            outgoing.is_closed = True
        self._writer.tell()
        try:
            async with asyncio.timeout(CLOSE_S):
                if not self._writer.is_told:
                    await self._writer.settle(closing)
                for reader in self._readers:
                    reader.finish([outgoing.topic.name for outgoing in closing])
                if not topics:
                    await asyncio.gather(*(reader.settled() for reader in self._readers))
        except TimeoutError:
            unsettled = sum(outgoing.unsettled for outgoing in closing)
            if unsettled:
                raise BusError(f"{unsettled} messages were not confirmed by Redis at {self._server.address} within {CLOSE_S} s") from None
        finally:
            if not topics:
                await asyncio.gather(_stop(self._readers), *self._leaving)
                await self._writer.stop()

    # Subscriptions.

    def _outgoing(self, name: str) -> Outgoing:
        if name not in self._topics:
            raise UnknownNameError.of("topic", name, self._topics)
        return self._topics[name]

    def _inbox(self, topics: str | Sequence[str]) -> Inbox:
        """The inbox of a new subscription."""
        names = (topics,) if isinstance(topics, str) else tuple(topics)
        if self._is_closed:
            raise BusError(f"nothing of {', '.join(names)} can be read: the bus is closed")
        inbox = Inbox([self._outgoing(name).topic for name in names])
        for name in names:
            self._topics[name].inboxes.append(inbox)
        return inbox

    def release(self, inbox: Inbox, readers: Sequence[Reader]) -> None:
        """A subscription leaves: nothing more is handed over, and its readers disconnect."""
        inbox.end()
        for buffer in inbox.buffers.values():
            buffer.remove(lambda message: True)
        if any(reader in self._readers for reader in readers):
            self._readers = [reader for reader in self._readers if reader not in readers]
            self._leaving = {task for task in self._leaving if not task.done()}
            self._leaving.add(asyncio.get_running_loop().create_task(_stop(readers)))
            for name, buffer in inbox.buffers.items():
                self._topics[name].inboxes.remove(inbox)
                self._topics[name].dropped_before += buffer.dropped


async def _stop(readers: Sequence[Reader]) -> None:
    await asyncio.gather(*(reader.stop() for reader in readers))
