"""The publishing half of a bus on Redis, the same for streams and channels: what is unsent, and one task that writes it.

`publish` puts a message into the buffer of its topic; the writer takes all that is there, sends it in one round trip, and only then takes
more, so batches grow with the load and the order is kept. A batch that the server has not confirmed is sent again, whatever happened.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from openbell.adapters.buses.base import Message, Overflow, Topic, TopicCount
from openbell.adapters.buses.buffer import Buffer, Inbox
from openbell.adapters.redis_link import RedisLink
from openbell.adapters.redis_server import TROUBLE, Pauses, Place, RedisServer
from openbell.errors import BusError, UnknownNameError

#: Messages of one topic in one round trip.
BATCH = 1000
#: Bytes of one message. Redis would take more, but cuts off a subscriber whose messages wait in 32 MB.
MESSAGE_MAX = 8_000_000
#: After so long a silence the writer sees whether the server is still there, and still has what it confirmed.
IDLE_S = 1.0
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


class Outgoing:
    """What was published to one topic, until the server has confirmed it."""

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self.tally = TopicCount()
        self.waiting = Buffer(topic)
        self.sent = 0  # on their way now
        self.settled = 0  # confirmed, or given up for newer ones
        self.closed = False
        self.inboxes: list[Inbox] = []
        self.dropped_before = 0  # by subscriptions that are gone

    @property
    def unsettled(self) -> int:
        """How many messages the server has not confirmed."""
        return self.sent + len(self.waiting)


class RedisBus:
    """What both buses on Redis have in common; a subclass says how messages are written and read."""

    HAS_RETRY: ClassVar[bool] = False

    def __init__(self, place: Place, client: str = "openbell") -> None:
        self._server = RedisServer.at(place, client)
        self._topics: dict[str, Outgoing] = {}
        self._readers: list[Reader] = []
        self._leaving: set[asyncio.Task[None]] = set()
        self._writer: asyncio.Task[None] | None = None
        self._is_closed = False
        self._work = asyncio.Event()
        self._changed: list[asyncio.Future[None]] = []
        self._trouble: BusError | None = None  # why nothing can be written just now, when waiting does not help
        self._broken: BusError | None = None  # the server lost what it had confirmed: nothing may follow on a gap
        self._is_told = False

    # What a subclass adds.

    def _prepare(self, messages: list[Message]) -> list[Any]:
        """Divide a batch into parts that are written as they are, also when they have to be sent again."""
        raise AssertionError("a subclass divides")

    async def _greet(self, link: RedisLink) -> None:
        """The connection is new: the server may be, too."""

    async def _deliver(self, link: RedisLink, parts: list[Any]) -> None:
        """Write the parts; an error of `TROUBLE` has them sent again."""
        raise AssertionError("a subclass delivers")

    # The bus.

    def declare(self, *topics: Topic) -> None:
        """Make topics known."""
        for topic in topics:
            known = self._topics.setdefault(topic.name, Outgoing(topic)).topic
            if known != topic:
                raise BusError(f"topic {topic.name} is declared twice", str(known))

    def publish(self, topic: str, payload: Any, key: str = "") -> bool:
        """Offer a message; False when the topic's policy is BLOCK and too much is unconfirmed."""
        outgoing = self._outgoing(topic)
        if outgoing.closed:
            raise BusError(f"nothing can be published to {topic}: it is closed")
        self._say_broken()
        assert isinstance(payload, bytes), "over a network a message is bytes"
        if len(payload) > MESSAGE_MAX:
            raise BusError(f"a message to {topic} has {len(payload)} bytes", f"at most {MESSAGE_MAX}", "divide it")
        if outgoing.topic.overflow is Overflow.BLOCK and outgoing.unsettled >= outgoing.topic.buffer:
            outgoing.tally.refused += 1
            return False
        if outgoing.waiting.put(Message(topic, payload, key)) is not None:
            outgoing.settled += 1
        outgoing.tally.published += 1
        if self._writer is None:
            self._writer = asyncio.get_running_loop().create_task(self._write(), name=f"redis writer {self._server.address}")
        self._work.set()
        return True

    async def send(self, topic: str, payload: Any, key: str = "") -> None:
        """Publish, waiting for room."""
        self._complain()
        while not self.publish(topic, payload, key):
            await self._change()
            self._complain()

    async def flush(self) -> None:
        """Wait until the server has confirmed everything published so far."""
        await self._settle(self._topics.values())

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
        names = topics or tuple(self._topics)
        for name in names:
            self._outgoing(name).closed = True
        self._tell()
        try:
            async with asyncio.timeout(CLOSE_S):
                if not self._is_told:
                    await self._settle([self._topics[name] for name in names])
                for reader in self._readers:
                    reader.finish(names)
                if not topics:
                    await asyncio.gather(*(reader.settled() for reader in self._readers))
        except TimeoutError:
            unsettled = sum(self._topics[name].unsettled for name in names)
            if unsettled:
                raise BusError(f"{unsettled} messages were not confirmed by Redis at {self._server.address} within {CLOSE_S} s") from None
        finally:
            if not topics:
                await self._disconnect()

    # The writer.

    async def _write(self) -> None:
        pauses = Pauses(self._server, "publishing")
        link: RedisLink | None = None
        batch: list[Message] = []
        parts: list[Any] = []
        try:
            while True:
                if not batch:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(IDLE_S):
                            await self._work.wait()
                    self._work.clear()
                    batch = self._collect()
                    parts = self._prepare(batch)
                try:
                    if link is None:
                        link = await RedisLink.open(self._server)
                        await self._greet(link)
                        if self._broken is not None:
                            return
                    if batch:
                        await self._deliver(link, parts)
                    else:
                        await link.call("PING")
                    self._trouble = None
                    pauses.reset()
                except (*TROUBLE, BusError) as error:
                    if link is not None:
                        await link.close()
                    link = None
                    self._trouble = error if isinstance(error, BusError) else self._server.verdict(error, BusError)
                    self._tell()
                    await pauses.after(error)
                    continue
                for message in batch:
                    outgoing = self._topics[message.topic]
                    outgoing.sent -= 1
                    outgoing.settled += 1
                batch = []
                self._tell()
        finally:
            if link is not None:
                await link.close()

    def _collect(self) -> list[Message]:
        """What is sent next."""
        batch: list[Message] = []
        for outgoing in self._topics.values():
            before = len(batch)
            outgoing.waiting.move(batch, before + BATCH)
            outgoing.sent += len(batch) - before
            if outgoing.waiting:
                self._work.set()
        return batch

    async def _settle(self, outgoings: Any) -> None:
        """Wait until what these topics have now is confirmed."""
        goals = [(outgoing, outgoing.settled + outgoing.unsettled) for outgoing in outgoings]
        while any(outgoing.settled < goal for outgoing, goal in goals):
            self._complain()
            await self._change()
        self._say_broken()

    def _complain(self) -> None:
        """Raise what waiting cannot mend. After trouble the writer goes on trying, somebody may mend it; a broken bus stays broken."""
        self._say_broken()
        if self._trouble is not None:
            raise BusError(*self._trouble.args)  # a new one each time, or its traceback grows

    def _say_broken(self) -> None:
        if self._broken is not None:
            self._is_told = True
            raise BusError(*self._broken.args)

    def _break(self, error: BusError) -> None:
        """Write nothing more, and give up what was to be written."""
        self._broken = error
        for outgoing in self._topics.values():
            outgoing.settled += outgoing.unsettled
            outgoing.sent = 0
            outgoing.waiting.remove(lambda message: True)
        self._tell()

    async def _change(self) -> None:
        """Wait until something was confirmed, refused or closed."""
        change = asyncio.get_running_loop().create_future()
        self._changed.append(change)
        await change

    def _tell(self) -> None:
        changed, self._changed = self._changed, []
        for change in changed:
            if not change.done():
                change.set_result(None)

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
            self._leaving.add(asyncio.get_running_loop().create_task(_stop(readers)))
            self._leaving = {task for task in self._leaving if not task.done()}
            for name, buffer in inbox.buffers.items():
                self._topics[name].inboxes.remove(inbox)
                self._topics[name].dropped_before += buffer.dropped

    async def _disconnect(self) -> None:
        await asyncio.gather(_stop(self._readers), *self._leaving)
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.wait([self._writer])


async def _stop(readers: Sequence[Reader]) -> None:
    await asyncio.gather(*(reader.stop() for reader in readers))
