"""What this process publishes to Kafka: handed to librdkafka at once, and counted until the server has confirmed it.

One thread serves the client library; everything else happens on the thread of the event loop. What the server has not confirmed is bounded
by the topic's buffer. A topic that shows (DROP_OLDEST, CONFLATE) keeps as many again behind that, and gives up there.
"""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from openbell.adapters.buses.base import Message, Overflow, Topic, TopicCount
from openbell.adapters.buses.buffer import Buffer
from openbell.adapters.buses.kafka.connection import Cluster, Watch, configuration
from openbell.adapters.buses.kafka.topics import KafkaTopics
from openbell.errors import BusError

log = structlog.get_logger("kafka")

#: How long a message waits for others to share a request with it. Under load they share one anyway, while the last is on its way.
LINGER_MS = 0
#: The largest key and payload together, and the largest batch: with what Kafka adds it fits in the servers' default, 1,048,588 bytes.
MESSAGE_BYTES_MAX = 1_000_000
REQUEST_BYTES_MAX = 1_001_000
POLL_SECONDS = 0.1
CLOSE_SECONDS = 10.0

Report = tuple["Outbox", int, KafkaError | None, int]


@dataclass(slots=True, eq=False)
class Outbox:
    """One topic as this process publishes to it."""

    topic: Topic
    count: TopicCount = field(default_factory=TopicCount)
    backlog: Buffer = field(init=False)  # not with librdkafka yet; `Message.offset` is its number
    in_flight: int = 0  # with librdkafka, not confirmed
    is_ready: bool = False  # the topic is there
    opening: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.backlog = Buffer(self.topic)

    @property
    def full(self) -> bool:
        """Whether BLOCK refuses."""
        return self.in_flight + len(self.backlog) >= self.topic.buffer


class KafkaProducer:
    """The connection of one process: it publishes, and asks about topics. To be made while the event loop runs."""

    def __init__(self, cluster: Cluster, client: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._watch = Watch(cluster, lambda _: self._tell(self._trouble))
        settings = configuration(cluster, client, self._watch.on_error)
        self._producer = Producer(
            settings
            | {
                "enable.idempotence": True,  # with it acks=all, and retries neither double nor reorder
                "message.timeout.ms": 0,  # a server that is away is waited for
                "partitioner": "murmur2_random",  # as clients in other languages do it: a key is always in the same partition
                "linger.ms": LINGER_MS,
                "message.max.bytes": REQUEST_BYTES_MAX,
                "batch.size": MESSAGE_BYTES_MAX,
                "queue.buffering.max.messages": 0,  # the topics' buffers are the bound
                "queue.buffering.max.kbytes": 2_147_483_647,
            }
        )
        self.topics = KafkaTopics(lambda: AdminClient(settings), self._watch)
        self._published = 0
        self._pending: dict[int, None] = {}  # numbers of what is published and not confirmed, in order
        self._refused: BusError | None = None  # what became of a message, until somebody was told
        self._waiting: list[asyncio.Future[None]] = []
        self._reports: list[Report] = []
        self._is_closed = False
        self._thread = threading.Thread(target=self._serve, name=f"kafka-{client}", daemon=True)
        self._thread.start()

    def publish(self, outbox: Outbox, payload: bytes, key: str) -> bool:
        """Offer a message; False when the policy is BLOCK and there is no room."""
        name, size = outbox.topic.name, len(payload) + len(key.encode())
        if size > MESSAGE_BYTES_MAX:
            raise _too_large(name, size, f"at most {MESSAGE_BYTES_MAX} bytes")
        if outbox.topic.overflow is Overflow.BLOCK and outbox.full:
            outbox.count.refused += 1
            return False
        outbox.count.published += 1
        self._published += 1
        self._pending[self._published] = None
        message = Message(name, payload, key, offset=self._published)
        if outbox.is_ready and not outbox.backlog and outbox.in_flight < outbox.topic.buffer:
            self._produce(outbox, message)
        else:
            given_up = outbox.backlog.put(message)
            if given_up is not None:
                outbox.count.dropped += 1
                del self._pending[given_up.offset]
            if outbox.opening is None and not outbox.is_ready:
                outbox.opening = self._loop.create_task(self._open(outbox))
        return True

    async def room(self) -> None:
        """Wait until something was confirmed, or closed. BusError for what waiting cannot mend."""
        self.check()
        changed = self._loop.create_future()
        self._waiting.append(changed)
        await changed
        self.check()

    async def flush(self) -> None:
        """Wait until everything published so far is confirmed. BusError for what was refused since the last call."""
        last = self._published
        while self._pending and next(iter(self._pending)) <= last:
            await self.room()
        self._tell_refused()

    def wake(self) -> None:
        """Have whoever waits look again."""
        self._wake()

    async def close(self) -> None:
        """Flush and disconnect; BusError when the server confirms nothing for a while, or refused something."""
        try:
            await asyncio.wait_for(self.flush(), CLOSE_SECONDS)
        except TimeoutError:
            raise BusError(f"{len(self._pending)} messages are not confirmed, and Kafka does not answer", do="see its log") from None
        finally:
            self._is_closed = True
            self._producer.purge()
            self.topics.close()
            await asyncio.to_thread(self._thread.join)

    def check(self) -> None:
        """BusError for what waiting cannot mend; what became of a message is told once."""
        if self._watch.failure is not None:
            raise self._watch.failure
        self._tell_refused()

    def _tell_refused(self) -> None:
        refused, self._refused = self._refused, None
        if refused is not None:
            raise refused

    async def _open(self, outbox: Outbox) -> None:
        """Have the topic made; what was published meanwhile waits."""
        try:
            await self.topics.partitions(outbox.topic)
            await self.topics.check_size(outbox.topic, REQUEST_BYTES_MAX)
        except BusError as error:
            self._refused = error
            lost: list[Message] = []
            outbox.backlog.move(lost)
            for message in lost:
                del self._pending[message.offset]
        else:
            outbox.is_ready = True
            self._hand_over(outbox)
        finally:
            outbox.opening = None
            self._wake()

    def _hand_over(self, outbox: Outbox) -> None:
        ready: list[Message] = []
        if outbox.in_flight < outbox.topic.buffer:
            outbox.backlog.move(ready, outbox.topic.buffer - outbox.in_flight)
        for message in ready:
            self._produce(outbox, message)

    def _produce(self, outbox: Outbox, message: Message) -> None:
        outbox.in_flight += 1
        number, size = message.offset, len(message.payload)
        try:
            self._producer.produce(
                message.topic, message.payload, message.key.encode(), on_delivery=partial(self._delivered, outbox, number, size)
            )
        except KafkaException as error:  # the topic was removed
            self._loop.call_soon(self._confirm, [(outbox, number, error.args[0], size)])

    # --- on the thread

    def _serve(self) -> None:
        while not self._is_closed:
            self._producer.poll(POLL_SECONDS)
            self.topics.admin.poll(0)
            if self._reports:
                reports, self._reports = self._reports, []
                self._tell(self._confirm, reports)

    def _delivered(self, outbox: Outbox, number: int, size: int, error: KafkaError | None, _: Any) -> None:
        self._reports.append((outbox, number, error, size))

    def _tell(self, what: Callable[..., None], *arguments: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(what, *arguments)
        except RuntimeError:  # the loop is closed: nobody waits any more
            self._is_closed = True

    # --- and back on the loop

    def _confirm(self, reports: list[Report]) -> None:
        for outbox, number, error, size in reports:
            outbox.in_flight -= 1
            self._pending.pop(number, None)
            if error is not None and not self._is_closed:
                self._refused = self._refused or _refusal(outbox.topic.name, size, error, self._watch)
                log.error("message refused", topic=outbox.topic.name, bytes=size, error=error.str())
            elif error is None:
                self._watch.reached()
        for outbox in {report[0] for report in reports}:
            if outbox.backlog and outbox.is_ready:
                self._hand_over(outbox)
        self._wake()

    def _trouble(self) -> None:
        self.topics.look_again()
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)


def _too_large(topic: str, size: int, expected: str) -> BusError:
    return BusError(f"a message of {size} bytes for topic {topic} is too large", expected, "send it in parts, or raise message.max.bytes")


def _refusal(topic: str, size: int, error: KafkaError, watch: Watch) -> BusError:
    """What became of a message."""
    if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
        return _too_large(topic, size, "at most what the topic's max.message.bytes or the server's message.max.bytes allows")
    return watch.judge(error) or BusError(f"Kafka refused a message for topic {topic}: {error.str()}", do="see the server's log")
