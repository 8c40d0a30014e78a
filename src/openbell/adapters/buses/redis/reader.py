"""Reading the partitions of one topic from Redis streams into an inbox, by a task with a connection of its own."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from openbell.adapters.buses.base import Message, Overflow, Start, Topic
from openbell.adapters.buses.buffer import Inbox
from openbell.adapters.buses.redis.log import Log, Place, agree, gone, look, lost, split_id, stream_key
from openbell.adapters.redis_link import RedisLink
from openbell.adapters.redis_server import TROUBLE, Pauses, RedisServer
from openbell.errors import BusError

#: Messages of one partition in one answer, and bytes of all of it, about.
BATCH, BATCH_BYTES = 1000, 16_000_000
#: How long the server holds a question open when there is nothing new. A change of what is read waits as long.
BLOCK_MS = 200


class StreamReader:
    """Reads all partitions of a topic, from a start."""

    def __init__(self, server: RedisServer, prefix: str, topic: Topic, inbox: Inbox, start: Start) -> None:
        self.topic = topic
        self.places: dict[int, Place] = {}
        self.failure: BusError | None = None
        self.ready = asyncio.Event()  # the places are known, or nothing can be read
        self.quiet = asyncio.Event()  # what had to be read at the end is read, or there is no room for it
        self.done = asyncio.Event()  # nothing more will be read
        self._server = server
        self._prefix = prefix
        self._inbox = inbox
        self._start = start
        self._finishing = False
        self._goals: dict[int, int] | None = None
        self._logs: dict[int, Log] = {}  # as looked at with the present connection
        self._room = asyncio.Event()
        self._turn = 0
        self._size = 100_000.0  # bytes of a message lately, before the first one a guess on the safe side
        self._tasks = [self._task(self._read_on, "reading")]

    @property
    def held(self) -> Mapping[int, int]:
        """The partitions that are read, and how often each was given to this reader."""
        return dict.fromkeys(self.places, 1)

    def taken(self, messages: Sequence[Message]) -> None:
        """Messages of this topic were handed over."""
        self._room.set()

    def acknowledge(self) -> None:
        """What was handed over is done with; only a group remembers that."""

    def check(self) -> None:
        """Take out of the inbox what may not be handed over any more; that is only so in a group."""

    def finish(self, topics: Sequence[str]) -> None:
        """Read what has been published to these topics so far, and then no more."""
        self._finishing = self._finishing or self.topic.name in topics
        self._room.set()

    async def settled(self) -> None:
        """Wait until that has been read, or there is no room for more."""
        await self.quiet.wait()

    async def stop(self) -> None:
        """Disconnect."""
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        self._end()

    # The task.

    def _task(self, work: Callable[[RedisLink], Awaitable[None]], name: str) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(self._persist(work, name), name=f"redis {name} {self.topic.name}")

    async def _persist(self, work: Callable[[RedisLink], Awaitable[None]], name: str) -> None:
        """Do the work over a connection, and again over a new one when it breaks."""
        pauses = Pauses(self._server, f"{name} {self.topic.name}")
        while self.failure is None:
            try:
                async with RedisLink.to(self._server) as link:
                    await self._begin(link)
                    pauses.reset()
                    await work(link)
                    return
            except (*TROUBLE, BusError) as error:
                final = error if isinstance(error, BusError) else pauses.verdict(error, BusError)
                if final is not None:
                    self._fail(final)
                    return
                await pauses.after(error)
            except Exception as error:
                self._fail(BusError(f"{name} {self.topic.name} failed: {type(error).__name__}: {error}"))
                raise

    async def _begin(self, link: RedisLink) -> None:
        """Find the start on the first connection; on the next ones, see that what was read is still there."""
        if self.ready.is_set():
            await self._verify(link)
            return
        await agree(link, self._prefix, self.topic.name, self.topic.partitions)
        unknown = [] if isinstance(self._start, str) else [part for part in self._start if not 0 <= part < self.topic.partitions]
        if unknown:
            raise BusError(f"topic {self.topic.name} has no partition {unknown[0]}", f"0 to {self.topic.partitions - 1}")
        self._logs = await look(link, self._prefix, self.topic.name, range(self.topic.partitions))
        self.places = {partition: self._first(partition, log) for partition, log in self._logs.items()}
        self.ready.set()

    async def _verify(self, link: RedisLink) -> None:
        """BusError when something that was read is not there any more."""
        places = self._known()
        logs = await look(link, self._prefix, self.topic.name, places)
        for partition, log in logs.items():
            log.check(places[partition])
        self._logs |= logs

    def _known(self) -> dict[int, Place]:
        """The places whose messages may not get lost."""
        return dict(self.places)

    def _first(self, partition: int, log: Log) -> Place:
        if self._start == "new":
            return log.at(log.next)
        if isinstance(self._start, str):
            return log.at(log.first)
        return log.at(self._start.get(partition, log.first))

    async def _read_on(self, link: RedisLink) -> None:
        while not self.done.is_set():
            if self._finishing and self._goals is None:
                logs = await look(link, self._prefix, self.topic.name, self.places)
                self._goals = {partition: log.next for partition, log in logs.items()}
            if self._goals is not None and all(place.offset >= self._goals.get(part, 0) for part, place in self.places.items()):
                self._end()
            elif self._is_full() or not self.places:
                if self._finishing:
                    self.quiet.set()
                self._room.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(BLOCK_MS / 1000):
                        await self._room.wait()
            else:
                await self._read(link)

    async def _read(self, link: RedisLink) -> None:
        """Ask once, and put what comes into the inbox."""
        parts, most = list(self.places), BATCH
        if self.topic.overflow is Overflow.BLOCK:
            room = self._inbox.buffers[self.topic.name].room
            self._turn += 1
            first = self._turn % len(parts)
            parts = (parts[first:] + parts[:first])[:room]
            most = min(BATCH, room // len(parts))
        most = max(1, min(most, int(BATCH_BYTES / self._size / len(parts))))
        asked = {stream_key(self._prefix, self.topic.name, part).encode(): (part, self.places[part]) for part in parts}
        ids = [place.after for _, place in asked.values()]
        answer = await link.call("XREAD", "COUNT", most, "BLOCK", BLOCK_MS, "STREAMS", *asked, *ids)
        self.check()
        for key, entries in answer or ():
            partition, place = asked[key]
            if self.places.get(partition) is place:
                self._put(partition, place, entries)

    def _put(self, partition: int, place: Place, entries: Any) -> None:
        name, put, log = self.topic.name, self._inbox.put, self._logs[partition]
        for identity, (_, key, _, payload) in entries:
            epoch, offset = split_id(identity)
            place.after = identity
            if epoch != place.epoch:
                place.limit = log.limit(epoch)
            if offset >= place.limit:
                continue
            if offset != place.offset:
                raise lost(log.name, offset, place.offset) if offset < place.offset else gone(log.name, place.offset, offset)
            put(Message(name, payload, key.decode(), partition, offset))
            self._size += (len(payload) + 100 - self._size) / 16
            place.epoch, place.offset = epoch, offset + 1

    def _is_full(self) -> bool:
        return self.topic.overflow is Overflow.BLOCK and self._inbox.buffers[self.topic.name].full

    def _fail(self, error: BusError) -> None:
        self.failure = error
        self._inbox.fail(error)
        self._end()

    def _end(self) -> None:
        for event in (self.done, self.quiet, self.ready, self._room):
            event.set()


class StreamSubscription:
    """A subscription to topics on Redis streams: see `openbell.adapters.buses.base.LogSubscription`."""

    def __init__(self, inbox: Inbox, readers: Sequence[StreamReader], release: Callable[[Inbox, Sequence[StreamReader]], None]) -> None:
        self._inbox = inbox
        self._readers = {reader.topic.name: reader for reader in readers}
        self._release = release
        self._ending = asyncio.get_running_loop().create_task(self._end_after(readers))

    async def ready(self) -> None:
        """Wait until the places are known from which messages will come; BusError when they cannot be."""
        for reader in self._readers.values():
            await reader.ready.wait()
            if reader.failure is not None:
                raise BusError(*reader.failure.args)

    async def take(self, most: int = 0) -> list[Message]:
        """Wait for messages and return all that are there."""
        self._check()
        return self._handed(await self._inbox.take(most))

    def take_now(self, most: int = 0) -> list[Message]:
        """What has arrived, without waiting."""
        self._check()
        return self._handed(self._inbox.take_now(most))

    def ack(self) -> None:
        """Everything taken so far is done with."""
        for reader in self._readers.values():
            reader.acknowledge()

    def close(self) -> None:
        """Leave."""
        self._release(self._inbox, list(self._readers.values()))

    @property
    def depth(self) -> int:
        """Messages waiting."""
        return len(self._inbox)

    @property
    def held(self) -> Mapping[tuple[str, int], int]:
        """The partitions that are this subscription's, and how often each has been given to it."""
        return {(name, part): times for name, reader in self._readers.items() for part, times in reader.held.items()}

    def _check(self) -> None:
        for reader in self._readers.values():
            reader.check()

    def _handed(self, messages: list[Message]) -> list[Message]:
        for name, reader in self._readers.items():
            reader.taken([message for message in messages if message.topic == name] if len(self._readers) > 1 else messages)
        return messages

    async def _end_after(self, readers: Sequence[StreamReader]) -> None:
        """The inbox ends when all readers have."""
        for reader in readers:
            await reader.done.wait()
        self._inbox.end()
