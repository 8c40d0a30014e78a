"""A subscriber's, or a group member's, view of its topics: a reader for each queue, and the buffer of what has come."""

import asyncio
import contextlib
from collections.abc import Coroutine, Sequence
from typing import Any
from uuid import uuid4

from aiormq import Connection, spec

from openbell.adapters.buses.base import Message, Overflow, Topic
from openbell.adapters.buses.rabbitmq.arrivals import Arrivals
from openbell.adapters.buses.rabbitmq.letters import Delivery, Deposit, as_dead_letter, for_another_attempt
from openbell.adapters.buses.rabbitmq.members import Members
from openbell.adapters.buses.rabbitmq.reader import PREFETCH_MAX, Reader
from openbell.adapters.buses.rabbitmq.server import LostError
from openbell.adapters.buses.rabbitmq.topology import Queue, Topology
from openbell.errors import BusError

#: Between two looks at whether a queue is empty.
LOOK_SECONDS = 0.02
#: How long leaving may take where the server does not answer.
LEAVE_SECONDS = 5.0


class RabbitSubscription:
    """See `openbell.adapters.buses.base.RetrySubscription` for the contract; `retry` and `reject` are for members of groups."""

    def __init__(
        self, topology: Topology, topics: Sequence[Topic], group: str, client: str, deposit: Deposit, delays: Sequence[float]
    ) -> None:
        self.topics = tuple(topic.name for topic in topics)
        self._topology, self._group, self._deposit, self._delays = topology, group, deposit, tuple(delays)
        self._inbox = Arrivals(topics)
        self._homes: dict[Reader, Queue] = {}
        self._members: dict[str, Members] = {}
        self._failed = asyncio.Event()
        self._error: BusError | None = None
        self._closed: set[str] = set()
        self._left = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._draining: asyncio.Task[None] | None = None
        for topic in topics:
            if group:
                self._add_group(topic)
            else:
                queue = topology.private(topic, f"{client}.{uuid4().hex}")  # a name that two processes never share
                self._add(topic, 0, queue, queue, 0 if queue.exclusive else topic.buffer)

    # --- the contract

    async def ready(self) -> None:
        """Wait until the queues are there and this subscriber stands in line at each."""
        failed: asyncio.Future[Any] = asyncio.create_task(self._failed.wait())
        ready: asyncio.Future[Any] = asyncio.gather(*(reader.ready.wait() for reader in self._homes))
        try:
            await asyncio.wait({failed, ready}, return_when=asyncio.FIRST_COMPLETED)
            if self._error is not None:
                raise self._error
        finally:
            failed.cancel()
            ready.cancel()
            await asyncio.gather(failed, ready, return_exceptions=True)

    async def take(self, most: int = 0) -> list[Message]:
        """Wait for messages and return all that are there, at most `most`."""
        return self._handed_over(await self._inbox.take(most))

    def take_now(self, most: int = 0) -> list[Message]:
        """What has arrived."""
        return self._handed_over(self._inbox.take_now(most))

    def ack(self) -> None:
        """Everything taken so far is done with."""
        for reader in self._homes:
            reader.acknowledge_taken()

    async def retry(self, message: Message, reason: str) -> None:
        """Have a message delivered again after a pause that grows with `attempt`; after the last attempt it is rejected."""
        assert isinstance(message, Delivery), "a message that was taken"
        assert self._group, "retry and reject are for members of a group"
        if message.attempt > len(self._delays):
            await self.reject(message, f"{reason} ({message.attempt} attempts)")
            return
        properties = for_another_attempt(message, reason, self._delays[message.attempt - 1])
        await self._put_aside(message, self._topology.shelf(self._homes[message.reader].name), properties)

    async def reject(self, message: Message, reason: str) -> None:
        """Put a message among the dead letters."""
        assert isinstance(message, Delivery), "a message that was taken"
        assert self._group, "retry and reject are for members of a group"
        properties = as_dead_letter(message, reason, self._group, self._homes[message.reader].name)
        await self._put_aside(message, self._topology.dead_letters, properties)

    def close(self) -> None:
        """Leave; a waiting `take` returns nothing."""
        if not self._left:
            self._left = True
            self._hand_back()
            self._inbox.end()
            self._start(self._leave())

    @property
    def depth(self) -> int:
        """Messages waiting."""
        return len(self._inbox)

    @property
    def held(self) -> dict[tuple[str, int], int]:
        """The partitions (topic, number) that are this member's, or still are until it has stepped back, and how often it stood in line.

        It goes by what is known of the other members; where a topic has one partition, the server alone knows whose it is.
        """
        return {
            (reader.topic.name, reader.partition): reader.turns
            for reader, home in self._homes.items()
            if reader.queue is home and reader.ready.is_set() and (reader.is_served or reader.steps_back or self._owns(reader))
        }

    # --- for the bus

    def dropped(self, topic: str) -> int:
        """How many messages of a topic were given up here."""
        buffer = self._inbox.buffers.get(topic)
        return 0 if buffer is None else buffer.dropped

    @property
    def is_over(self) -> bool:
        """Whether it has left, and all is done."""
        return self._left and not self._tasks

    def up(self, connection: Connection) -> None:
        """Read over this connection; of a topic that is closed only what is this subscription's alone."""
        if not self._left:
            for reader in self._homes:
                if not self._group or reader.topic.name not in self._closed:
                    reader.up(connection)
            for topic, members in self._members.items():
                if topic not in self._closed:
                    members.up(connection)

    def down(self) -> None:
        """The connection is gone."""
        for reader in self._homes:
            reader.down()
        for members in self._members.values():
            members.down()

    def fail(self, error: BusError) -> None:
        """Nothing more can come."""
        self._error = error
        self._failed.set()
        self._inbox.fail(error)

    async def finish(self, topics: set[str], seconds: float) -> None:
        """These topics are closed: have what was published come, as far as there is room; a group's share stays with the server."""
        self._closed |= topics
        if self._group:
            for reader in self._homes:
                if reader.topic.name in self._closed:
                    reader.stop()
            if self._closed.issuperset(self.topics):
                self._inbox.end()
        elif self._closed.issuperset(self.topics) and not self._left:
            self._draining = self._draining or self._start(self._drain())
            deadline = asyncio.get_running_loop().time() + seconds
            while not self._draining.done() and not self._inbox.full and asyncio.get_running_loop().time() < deadline:
                await asyncio.wait({self._draining}, timeout=LOOK_SECONDS)

    async def leave(self) -> None:
        """The bus closes: what came can still be taken, unless it is a group's."""
        if not self._left:
            self._left = True
            if self._group:
                self._hand_back()
            self._inbox.end()
            self._start(self._leave())
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=LEAVE_SECONDS)

    # --- reading

    def _add_group(self, topic: Topic) -> None:
        share = max(1, topic.buffer // topic.partitions)
        # What is to be given up has to come first.
        prefetch = share if topic.overflow is Overflow.BLOCK else 2 * topic.buffer
        for partition in range(topic.partitions):
            home = self._topology.group(topic, self._group, partition)
            self._add(topic, partition, home, home, prefetch)
            self._add(topic, partition, self._topology.shelf(home.name), home, PREFETCH_MAX)
        if topic.partitions > 1:
            self._members[topic.name] = Members(self._topology, topic.name, self._group, self._in_line, self._share, self.fail)

    def _add(self, topic: Topic, partition: int, queue: Queue, home: Queue, prefetch: int) -> None:
        arrived = self._inbox.arrive if queue is home else self._inbox.hold
        in_order = queue is home and topic.overflow is Overflow.BLOCK
        reader = Reader(self._topology, topic, partition, queue, prefetch, in_order, arrived, self._gone, self.fail)
        self._homes[reader] = home

    def _handed_over(self, messages: list[Message]) -> list[Message]:
        for message in messages:
            assert isinstance(message, Delivery)
            message.reader.hand_over(message)
        if messages and not self._group:
            self.ack()
        return messages

    def _gone(self, reader: Reader) -> None:
        """What came over a channel that is gone comes again, unless nobody waits for it any more."""
        if reader.acknowledges and not (self._left and not self._group):
            self._inbox.forget(lambda message: message.reader is reader)

    def _hand_back(self) -> None:
        """Leave to others what was not taken. Nothing may come after it: to acknowledge that would cover what was handed back."""
        for reader in self._homes:
            reader.stop()
        self._inbox.forget(lambda _: True)

    def _share(self, changed: bool) -> None:
        """Step back from the partitions that others should read: from each when somebody came or went, else where we are served."""
        for reader in self._homes:
            if (changed or reader.is_served) and not self._owns(reader):
                reader.step_back()

    def _in_line(self) -> bool:
        return all(reader.ready.is_set() for reader in self._homes)

    def _owns(self, reader: Reader) -> bool:
        """Whether this member should read the queue; where there is one partition, the server alone decides."""
        members = self._members.get(reader.topic.name)
        return members is None or members.owns(reader.partition)

    # --- closing

    async def _drain(self) -> None:
        """Until everything in the queues has come."""
        for reader in self._homes:
            empty = False
            while not empty and not self._left:
                with contextlib.suppress(LostError):
                    empty = await reader.is_empty()
                if not empty:
                    await asyncio.sleep(LOOK_SECONDS)
            reader.stop()
        self._inbox.end()

    async def _put_aside(self, message: Delivery, queue: Queue, properties: spec.Basic.Properties) -> None:
        """Safe there first, then acknowledged here. If the message comes again meanwhile, there is nothing left to do."""
        reader: Reader = message.reader
        if await self._deposit.put(queue, message.payload, properties, lambda: reader.holds(message)):
            reader.acknowledge(message)

    async def _leave(self) -> None:
        lasting = not self._group
        parts = [members.close() for members in self._members.values()]
        await asyncio.gather(*parts, *(reader.close(delete=lasting and reader.acknowledges) for reader in self._homes))

    def _start(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
