"""The bus on Redis channels, for control messages and for what is only shown: whoever listens gets it, nobody keeps it.

The channel is called as the topic is, so a person can take part: `redis-cli PUBLISH control '{"type": "pause"}'`. What is published while
a subscriber is disconnected, or has fallen so far behind that Redis cuts it off (32 MB, or 8 MB for a minute), is lost for it, and nobody
can say what it was: state what must be known again and again, or answer a question. A subscriber connects again by itself.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Sequence
from typing import Any, ClassVar

from redis.exceptions import ResponseError

from openbell.adapters.buses.base import Message, Overflow, Start
from openbell.adapters.buses.buffer import Inbox
from openbell.adapters.buses.redis.bus import RedisBus
from openbell.adapters.buses.redis.writer import loads
from openbell.adapters.redis_link import RedisLink, from_channel, on_channel
from openbell.adapters.redis_server import TROUBLE, Pauses, Place, RedisServer
from openbell.errors import BusError, UsageError

#: After so long a silence the server is asked whether it is still there.
SILENCE_S = 10.0


class Publishing:
    """Writes messages to channels; what was on its way when a connection broke may come twice."""

    def prepare(self, messages: list[Message]) -> list[Any]:
        """A command each."""
        return [("PUBLISH", message.topic, on_channel(message.key, message.payload)) for message in messages]

    async def greet(self, link: RedisLink) -> None:
        """A channel keeps nothing that could be lost."""

    async def deliver(self, link: RedisLink, parts: list[Any]) -> None:
        """Publish."""
        for load in loads(parts, lambda part: len(part[2])):
            for answer in await link.calls(load):
                if isinstance(answer, ResponseError):
                    raise answer


class RedisPubSubBus(RedisBus):
    """See `openbell.adapters.buses.base` for the contract. There are no groups: a channel has subscribers only."""

    KEEPS_HISTORY: ClassVar[bool] = False

    def __init__(self, place: Place, client: str = "openbell") -> None:
        super().__init__(RedisServer.at(place, client), Publishing())

    def subscribe(self, topics: str | Sequence[str], group: str = "", start: Start = "new") -> "ChannelSubscription":
        """Get the messages published from now on. UsageError for a group. Needs a running event loop."""
        if group:
            raise UsageError(f"Redis channels have no groups, as {group}", "a subscription without one, or a bus of another kind")
        assert start == "new", "this bus keeps no history"
        inbox = self._inbox(topics)
        reader = ChannelReader(self._server, inbox)
        self._readers.append(reader)
        return ChannelSubscription(self, inbox, reader)


class ChannelReader:
    """Listens to some channels, with a connection of its own, and fills an inbox."""

    def __init__(self, server: RedisServer, inbox: Inbox) -> None:
        self.failure: BusError | None = None
        self.ready = asyncio.Event()
        self.room = asyncio.Event()
        self.quiet = asyncio.Event()
        self._server = server
        self._inbox = inbox
        self._names = list(inbox.buffers)
        self._marks: dict[bytes, list[str]] = {}  # what is left when the server answers with this mark
        self._asked = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._persist(), name=f"redis listening {' '.join(self._names)}")

    def finish(self, topics: Sequence[str]) -> None:
        """Listen until everything published to these topics so far has come, and then to them no more."""
        if names := [name for name in self._names if name in topics]:
            self._marks[secrets.token_hex(8).encode()] = names
            self._asked.set()
            self.room.set()

    async def settled(self) -> None:
        """Wait until that has come, or there is no room for it."""
        await self.quiet.wait()

    async def stop(self) -> None:
        """Disconnect."""
        self._task.cancel()
        await asyncio.wait([self._task])
        self._end()

    async def _persist(self) -> None:
        pauses = Pauses(self._server, f"listening to {' '.join(self._names)}")
        while self._names:
            try:
                async with RedisLink.to(self._server) as link:
                    await link.send("SUBSCRIBE", *self._names)
                    pauses.reset()
                    await self._listen(link)
            except TROUBLE as error:
                if (final := pauses.verdict(error, BusError)) is not None:
                    self.failure = final
                    self._inbox.fail(final)
                    break
                await pauses.after(error)
            except Exception as error:
                self._inbox.fail(BusError(f"listening to {' '.join(self._names)} failed: {type(error).__name__}: {error}"))
                raise
        self._end()

    async def _listen(self, link: RedisLink) -> None:
        """Put what comes into the inbox; with marks, ask the server to say when everything before them has come."""
        confirmed, was_silent = 0, False
        asking = asyncio.get_running_loop().create_task(self._ask(link))
        try:
            while self._names:
                answer = await link.read(SILENCE_S)
                if answer is None:
                    if was_silent:
                        raise TimeoutError(f"Redis at {self._server.address} is silent")
                    await link.send("PING", b"")
                was_silent = answer is None
                match answer:
                    case [b"message", name, content]:
                        key, payload = from_channel(content)
                        await self._put(Message(name.decode(), payload, key))
                    case [b"subscribe", _, _]:
                        confirmed += 1
                        if confirmed == len(self._names):
                            self.ready.set()
                    case [b"pong", mark] if mark in self._marks:
                        left = self._marks.pop(mark)
                        await link.send("UNSUBSCRIBE", *left)
                        self._names = [name for name in self._names if name not in left]
        finally:
            asking.cancel()

    async def _ask(self, link: RedisLink) -> None:
        """Send the marks: those there are, and those to come."""
        with contextlib.suppress(*TROUBLE):  # whoever reads from the link meets the same
            while True:
                self._asked.clear()
                for mark in list(self._marks):
                    await link.send("PING", mark)
                await self._asked.wait()

    async def _put(self, message: Message) -> None:
        """Into the inbox, when there is room: until then the rest stays with the server."""
        buffer = self._inbox.buffers[message.topic]
        while buffer.topic.overflow is Overflow.BLOCK and buffer.full:
            if self._marks:
                self.quiet.set()
            self.room.clear()
            await self.room.wait()
        self._inbox.put(message)

    def _end(self) -> None:
        self._inbox.end()
        for event in (self.ready, self.quiet, self.room):
            event.set()


class ChannelSubscription:
    """A subscription to channels: see `openbell.adapters.buses.base.Subscription`."""

    def __init__(self, bus: RedisBus, inbox: Inbox, reader: ChannelReader) -> None:
        self._bus = bus
        self._inbox = inbox
        self._reader = reader

    async def ready(self) -> None:
        """Wait until the server has all channels down; BusError when it refuses."""
        await self._reader.ready.wait()
        if self._reader.failure is not None:
            raise BusError(*self._reader.failure.args)

    async def take(self, most: int = 0) -> list[Message]:
        """Wait for messages and return all that are there."""
        messages = await self._inbox.take(most)
        self._reader.room.set()
        return messages

    def take_now(self, most: int = 0) -> list[Message]:
        """What has arrived, without waiting."""
        messages = self._inbox.take_now(most)
        self._reader.room.set()
        return messages

    def ack(self) -> None:
        """Nobody keeps what was taken."""

    def close(self) -> None:
        """Leave."""
        self._bus.release(self._inbox, [self._reader])

    @property
    def depth(self) -> int:
        """Messages waiting."""
        return len(self._inbox)
