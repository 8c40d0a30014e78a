"""What was published and is not confirmed, and the task that writes it to Redis.

The writer takes all that is there, sends it in one round trip, and only then takes more, so batches grow with the load and the order is
kept. A batch that the server has not confirmed is sent again, whatever happened.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from openbell.adapters.buses.base import Message, Overflow, Topic, TopicCount
from openbell.adapters.buses.buffer import Buffer, Inbox
from openbell.adapters.redis_link import RedisLink
from openbell.adapters.redis_server import TROUBLE, Pauses, RedisServer
from openbell.errors import BusError

P = TypeVar("P")
#: Messages of one topic in one round trip.
BATCH = 1000
#: Bytes in one round trip, about.
LOAD = 16_000_000
#: After so long a silence the writer sees whether the server is still there, and still has what it confirmed.
IDLE_S = 1.0


class Delivery(Protocol):
    """How messages are written to one kind of bus."""

    def prepare(self, messages: list[Message]) -> list[Any]:
        """Divide a batch into parts that are written as they are, also when they have to be sent again."""

    async def greet(self, link: RedisLink) -> BusError | None:
        """The connection is new, and the server may be, too: returns what it has lost of what it had confirmed."""

    async def deliver(self, link: RedisLink, parts: list[Any]) -> None:
        """Write the parts; an error of `TROUBLE`, or a BusError, has them sent again."""


class Outgoing:
    """What was published to one topic, until the server has confirmed it."""

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self.tally = TopicCount()
        self.waiting = Buffer(topic)
        self.sent = 0  # on their way now
        self.settled = 0  # confirmed, or given up for newer ones
        self.is_closed = False
        self.inboxes: list[Inbox] = []
        self.dropped_before = 0  # by subscriptions that are gone

    @property
    def unsettled(self) -> int:
        """How many messages the server has not confirmed."""
        return self.sent + len(self.waiting)

    def accept(self, message: Message) -> bool:
        """Take a message to be written; False when the topic's policy is BLOCK and too much is unconfirmed."""
        if self.topic.overflow is Overflow.BLOCK and self.unsettled >= self.topic.buffer:
            self.tally.refused += 1
            return False
        if self.waiting.put(message) is not None:
            self.settled += 1
        self.tally.published += 1
        return True

    def give_up(self) -> None:
        """Forget what is not confirmed."""
        self.settled += self.unsettled
        self.sent = 0
        self.waiting.remove(lambda message: True)


class Writer:
    """Writes what the topics have, in a task of its own from the first message on."""

    def __init__(self, server: RedisServer, delivery: Delivery) -> None:
        self.topics: dict[str, Outgoing] = {}
        self._server = server
        self._delivery = delivery
        self._task: asyncio.Task[None] | None = None
        self._work = asyncio.Event()
        self._changed: list[asyncio.Future[None]] = []
        self._trouble: BusError | None = None  # why nothing can be written just now, when waiting does not help
        self._broken: BusError | None = None  # nothing may follow on a gap: nothing is written any more
        self._is_told = False

    def work(self) -> None:
        """There is something to write."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name=f"redis writer {self._server.address}")
        self._work.set()

    async def settle(self, outgoings: Collection[Outgoing]) -> None:
        """Wait until what these topics have now is confirmed; BusError for what waiting cannot mend."""
        goals = [(outgoing, outgoing.settled + outgoing.unsettled) for outgoing in outgoings]
        while any(outgoing.settled < goal for outgoing, goal in goals):
            self.complain()
            await self.change()
        self.say_broken()

    def complain(self) -> None:
        """Raise what waiting cannot mend. After trouble the writer goes on trying, somebody may mend it; what is broken stays broken."""
        self.say_broken()
        if self._trouble is not None:
            raise BusError(*self._trouble.args)  # a new one each time, or its traceback grows

    def say_broken(self) -> None:
        """Raise what the server has lost."""
        if self._broken is not None:
            self._is_told = True
            raise BusError(*self._broken.args)

    @property
    def is_told(self) -> bool:
        """Whether it is broken, and somebody knows."""
        return self._is_told

    async def change(self) -> None:
        """Wait until something was confirmed, refused or closed."""
        change = asyncio.get_running_loop().create_future()
        self._changed.append(change)
        await change

    def tell(self) -> None:
        """Something has changed."""
        changed, self._changed = self._changed, []
        for change in changed:
            if not change.done():
                change.set_result(None)

    async def stop(self) -> None:
        """Disconnect; what is not confirmed is not."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            await self._write()
        except Exception as error:
            self._break(BusError(f"publishing failed: {type(error).__name__}: {error}"))
            raise

    async def _write(self) -> None:
        pauses = Pauses(self._server, "publishing")
        batch: list[Message] = []
        parts: list[Any] = []
        while self._broken is None:
            try:
                async with RedisLink.to(self._server) as link:
                    if (lost := await self._delivery.greet(link)) is not None:
                        self._break(lost)
                        return
                    while True:
                        if not batch:
                            batch = self._collect()
                            parts = self._delivery.prepare(batch)
                        if batch:
                            await self._delivery.deliver(link, parts)
                        else:
                            await link.call("PING")
                        self._confirm(batch)
                        pauses.reset()
                        batch = []
                        with contextlib.suppress(TimeoutError):
                            async with asyncio.timeout(IDLE_S):
                                await self._work.wait()
            except (*TROUBLE, BusError) as error:
                self._trouble = error if isinstance(error, BusError) else pauses.verdict(error, BusError)
                self.tell()
                await pauses.after(error)

    def _collect(self) -> list[Message]:
        """What is sent next."""
        batch: list[Message] = []
        self._work.clear()
        for outgoing in self.topics.values():
            before = len(batch)
            outgoing.waiting.move(batch, before + BATCH)
            outgoing.sent += len(batch) - before
            if outgoing.waiting:
                self._work.set()
        return batch

    def _confirm(self, batch: list[Message]) -> None:
        for message in batch:
            outgoing = self.topics[message.topic]
            outgoing.sent -= 1
            outgoing.settled += 1
        self._trouble = None
        self.tell()

    def _break(self, error: BusError) -> None:
        """Write nothing more, and give up what was to be written."""
        self._broken = error
        for outgoing in self.topics.values():
            outgoing.give_up()
        self.tell()


def loads(parts: Sequence[P], size: Callable[[P], int]) -> Iterator[list[P]]:
    """Parts of a batch that are sent together, so that one round trip takes a bounded time."""
    load: list[P] = []
    filled = 0
    for part in parts:
        if load and filled + size(part) > LOAD:
            yield load
            load, filled = [], 0
        load.append(part)
        filled += size(part)
    if load:
        yield load
