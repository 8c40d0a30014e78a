"""Reading one queue, over a channel of its own: when that closes, what was delivered and not acknowledged goes back at once, in order."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable

import structlog
from aiormq import Connection
from aiormq.abc import AbstractChannel, DeliveredMessage

from openbell.adapters.buses.base import Topic
from openbell.adapters.buses.rabbitmq.letters import Delivery, delivery
from openbell.adapters.buses.rabbitmq.server import ANSWER_SECONDS, CLOSE_SECONDS, LostError, begin, on_the_wire
from openbell.adapters.buses.rabbitmq.topology import Queue, Topology, declare_queue, declare_topic
from openbell.errors import BusError

PAUSE_SECONDS = 0.1
#: How long a member that gives a partition away may take to finish what it has in hand.
DRAIN_SECONDS = 10.0
#: How soon one that waits for that notices that it should leave.
LOOK_SECONDS = 0.1
#: A moment in which acknowledgements gather, so that one does for many; not where the server waits for them to send more.
ACK_SECONDS, ACK_TOGETHER = 0.002, 100
#: The most messages a server hands out unacknowledged.
PREFETCH_MAX = 65_535

log = structlog.get_logger("bus")


class Reader:
    """One queue. What comes goes to `arrived`; `gone` hears when what came and was not taken is not this reader's any more.

    `prefetch` bounds what is not acknowledged; 0: without acknowledgements, the server forgets what it has sent. `in_order`: messages are
    handed over as they come, so that one acknowledgement can stand for all before it.
    """

    def __init__(
        self, topology: Topology, topic: Topic, partition: int, queue: Queue, prefetch: int, in_order: bool,
        arrived: Callable[[Delivery], None], gone: Callable[["Reader"], None], fail: Callable[[BusError], None],
    ) -> None:  # fmt: skip
        self.topic, self.partition, self.queue = topic, partition, queue
        #: Whether a message has come since this reader stood in line the last time: then it is the active one.
        self.is_served = False
        #: How often this reader has stood in line.
        self.turns = 0
        self.ready = asyncio.Event()
        self._topology, self._prefetch, self._in_order = topology, min(prefetch, PREFETCH_MAX), in_order
        self._arrived, self._gone, self._fail = arrived, gone, fail
        self._name = queue.name
        self._channel: AbstractChannel | None = None
        self._task: asyncio.Task[None] | None = None
        self._accepts = False
        self._in_hand: deque[int] = deque()
        self._acks: deque[tuple[int, bool]] = deque()
        self._acking: asyncio.Task[None] | None = None
        self._asked = asyncio.Event()
        self._done = asyncio.Event()
        self._leaving = asyncio.Event()
        self._delete = False

    def up(self, connection: Connection) -> None:
        """Read over this connection."""
        self._task = begin(self._serve(connection), f"reading {self.queue.name}", self._fail)

    def down(self) -> None:
        """The connection is gone; what is not acknowledged comes again over the next."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._let_go()

    def stop(self) -> None:
        """Accept nothing more; what came can still be taken and acknowledged, and the rest stays with the server."""
        self._accepts = False

    def step_back(self) -> None:
        """Give the queue to the next in line and stand at its end: finish what is in hand, hand the rest back, come again."""
        if self._channel is not None:
            self._asked.set()

    @property
    def steps_back(self) -> bool:
        """Whether it was asked to, and has not yet."""
        return self._asked.is_set()

    async def close(self, delete: bool) -> None:
        """Acknowledge what is to be acknowledged and leave; `delete` the queue as well."""
        self.stop()
        self._delete = delete
        self._leaving.set()
        self._asked.set()
        # Not cancelled: in the middle of a question to the server that would cost the connection.
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=2 * CLOSE_SECONDS)

    async def is_empty(self) -> bool:
        """Whether nothing waits in the queue and everything that left it has come."""
        channel = self._channel
        if channel is None:
            return False
        with on_the_wire():
            waiting = await channel.queue_declare(self._name, passive=True)
            # What the server sent before it answered has come when it has answered once more.
            await channel.queue_declare(self._name, passive=True)
        return waiting.message_count == 0

    # --- acknowledging

    @property
    def acknowledges(self) -> bool:
        """Whether what came and is not acknowledged comes again."""
        return self._prefetch > 0

    def holds(self, message: Delivery) -> bool:
        """Whether a message that came can still be acknowledged."""
        return message.channel is self._channel

    def hand_over(self, message: Delivery) -> None:
        """The message was taken."""
        if self._prefetch:
            self._in_hand.append(message.tag)

    def acknowledge_taken(self) -> None:
        """Everything handed over is done with."""
        if not self._in_hand:
            return
        if self._in_order:
            # The last one stands for all, and for an acknowledgement of all before that was not sent yet.
            if self._acks and self._acks[-1][1]:
                self._acks.pop()
            self._acks.append((self._in_hand[-1], True))
        else:
            self._acks.extend((tag, False) for tag in self._in_hand)
        self._in_hand.clear()
        self._start_acking()

    def acknowledge(self, message: Delivery) -> None:
        """This one message, which was handed over, is done with."""
        if self.holds(message) and message.tag in self._in_hand:
            self._in_hand.remove(message.tag)
            self._acks.append((message.tag, False))
            self._start_acking()

    def give_up(self, message: Delivery) -> None:
        """This one message will not be handed over."""
        if self._prefetch and self.holds(message):
            self._acks.append((message.tag, False))
            self._start_acking()

    def _start_acking(self) -> None:
        if self._acking is None or self._acking.done():
            self._acking = asyncio.get_running_loop().create_task(self._send_acks())

    async def _send_acks(self) -> None:
        """One after the other: an acknowledgement of many that overtook a later one would name a tag that the server has forgotten."""
        with contextlib.suppress(LostError), on_the_wire():
            if self._prefetch >= ACK_TOGETHER:
                await asyncio.sleep(ACK_SECONDS)
            while self._acks and self._channel is not None:
                tag, multiple = self._acks.popleft()
                await self._channel.basic_ack(tag, multiple=multiple, wait=False)
        if not self._in_hand:
            self._done.set()

    # --- reading

    async def _serve(self, connection: Connection) -> None:
        """Stand in line again and again while the connection lasts."""
        while not connection.is_closed and not self._leaving.is_set():
            try:
                channel = await self._stand_in_line(connection)
                await self._until_over(channel)
            except LostError as error:
                log.debug("bus reader lost", queue=self.queue.name, reason=str(error))
                await asyncio.sleep(PAUSE_SECONDS)
            except BusError as error:
                self._fail(error)
                return
            finally:
                self._let_go()

    async def _stand_in_line(self, connection: Connection) -> AbstractChannel:
        if self.queue.exchange:
            await declare_topic(connection, self._topology, self.topic)
        self._name = await declare_queue(connection, self.queue)
        with on_the_wire():
            channel = await connection.channel(publisher_confirms=False, timeout=ANSWER_SECONDS)
            channel.on_consumer_cancel_callbacks.add(lambda _: self._asked.set())
            if self._prefetch:
                await channel.basic_qos(prefetch_count=self._prefetch)
            self._channel, self._accepts, self.is_served = channel, True, False
            await channel.basic_consume(self._name, self._came, no_ack=self._prefetch == 0)
        self.turns += 1
        self.ready.set()
        return channel

    async def _came(self, came: DeliveredMessage) -> None:
        self.is_served = True
        if self._accepts and came.channel is self._channel:
            try:
                self._arrived(delivery(self.topic.name, self.partition, self, came))
            except Exception as error:  # the library would pass over it, and the next acknowledgement would cover the message
                self.stop()
                log.error("bus reader failed", queue=self.queue.name, error=repr(error), exc_info=error)
                self._fail(BusError(f"the bus failed while reading {self.queue.name}: {error!r}", do="report this with the log"))

    async def _until_over(self, channel: AbstractChannel) -> None:
        """Read until the channel breaks, or until it is time to step back or to leave."""
        closing, asked = channel.closing, asyncio.get_running_loop().create_task(self._asked.wait())
        if not self._leaving.is_set():
            await asyncio.wait({closing, asked}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if channel.is_closed:
            return
        self.stop()
        self._gone(self)
        await self._finish_in_hand()
        with on_the_wire():
            if self._delete:
                await channel.queue_delete(self._name)
            await channel.close()

    async def _finish_in_hand(self) -> None:
        """Wait until what is acknowledged has been told to the server; who steps back also finishes what was taken, but not for ever."""
        self._done.clear()
        deadline = asyncio.get_running_loop().time() + DRAIN_SECONDS
        while asyncio.get_running_loop().time() < deadline:
            if self._acking is not None and not self._acking.done():
                await asyncio.wait({self._acking}, timeout=CLOSE_SECONDS)
            elif self._leaving.is_set() or not self._in_hand:
                return
            else:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._done.wait(), LOOK_SECONDS)
        if self._acking is not None:
            self._acking.cancel()

    def _let_go(self) -> None:
        self._channel, self._accepts = None, False
        self._in_hand.clear()
        self._acks.clear()
        if self._acking is not None:
            # What it would still send must not reach another channel of the same number.
            self._acking.cancel()
            self._acking = None
        self._done.set()
        self._asked.clear()
        self.ready.clear()
        self._gone(self)
