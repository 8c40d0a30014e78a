"""The topics on the server: made when they are not there, how many partitions they have, and from where to where they reach."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

import structlog
from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, OffsetSpec  # type: ignore[attr-defined]
from confluent_kafka.cimpl import NewTopic, Uuid

from openbell.adapters.buses.base import Topic
from openbell.adapters.buses.kafka.connection import FORBIDDEN, Watch
from openbell.errors import BusError

log = structlog.get_logger("kafka")

ANSWER_SECONDS = 5.0
PATIENCE_SECONDS = 2 * ANSWER_SECONDS
PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 5.0
#: The server says so in other words, or the client library without asking it.
NO_SUCH_TOPIC = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION}
MISTAKES = {KafkaError.INVALID_PARTITIONS, KafkaError.INVALID_REPLICATION_FACTOR, KafkaError.TOPIC_EXCEPTION, KafkaError.POLICY_VIOLATION}

OLDEST: OffsetSpec = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
NEXT: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]

Answer = TypeVar("Answer")


class KafkaTopics:
    """Asks and tells the server about topics, again and again while it is away."""

    def __init__(self, connect: Callable[[], AdminClient], watch: Watch) -> None:
        self.admin = connect()
        self._connect = connect
        self._abandoned: list[AdminClient] = []
        self._watch = watch
        self._known: dict[str, asyncio.Task[int]] = {}
        self._ids: dict[str, str] = {}
        self._asking: set[asyncio.Task[Any]] = set()

    async def partitions(self, topic: Topic) -> int:
        """How many partitions the topic has; it is made when it is not there. The server's number goes before the declared one."""
        task = self._known.get(topic.name)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = self._known[topic.name] = asyncio.get_running_loop().create_task(self._ensure(topic))
        return await asyncio.shield(task)

    async def identity(self, topic: Topic) -> str:
        """The id of the topic, which is made when it is not there."""
        await self.partitions(topic)
        return self._ids[topic.name]

    async def bounds(self, topic: Topic) -> dict[int, tuple[int, int]]:
        """By partition: the offset of the oldest message that is there, and the one that the next message will get."""
        number = await self.partitions(topic)
        oldest, next_one = [await self._offsets(topic.name, number, spec) for spec in (OLDEST, NEXT)]
        return {partition: (oldest[partition], next_one[partition]) for partition in range(number)}

    async def check_size(self, topic: Topic, least: int) -> None:
        """BusError for a topic that does not take so many bytes at once. Where we may not ask, it is taken to be as usual."""

        async def ask() -> int:
            answers = self.admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, topic.name)], request_timeout=ANSWER_SECONDS)
            try:
                return int((await _of(answers))["max.message.bytes"].value)
            except KafkaException as error:
                if error.args[0].code() in FORBIDDEN:
                    return least
                raise

        most = await self._persist(f"the settings of topic {topic.name}", ask)
        if most < least:
            raise BusError(f"topic {topic.name} takes {most} bytes at once", f"at least {least}", "raise its max.message.bytes")

    def look_again(self) -> None:
        """The client has found trouble: who waits for an answer gets the reason."""
        for asking in tuple(self._asking):
            asking.cancel()

    def close(self) -> None:
        """Stop asking."""
        for task in self._known.values():
            task.cancel()

    async def _ensure(self, topic: Topic) -> int:
        async def look() -> int:
            found = await _of(self.admin.describe_topics(TopicCollection([topic.name]), request_timeout=ANSWER_SECONDS))
            self._ids[topic.name] = _hex(found.topic_id)
            return len(found.partitions)

        async def make() -> None:
            kept = {"retention.ms": str(1000 * topic.keep_s)} if topic.keep_s else {}
            wanted = NewTopic(topic.name, topic.partitions, -1, config=kept)
            await _of(self.admin.create_topics([wanted], request_timeout=ANSWER_SECONDS, operation_timeout=ANSWER_SECONDS))
            log.info("topic made", topic=topic.name, partitions=topic.partitions)

        async def look_or_make() -> int:
            try:
                return await look()
            except KafkaException as error:
                if error.args[0].code() not in NO_SUCH_TOPIC:
                    raise
            try:
                await make()
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise
            return await look()

        number = await self._persist(f"topic {topic.name}", look_or_make)
        if number != topic.partitions:
            log.warning("topic has another number of partitions", topic=topic.name, found=number, declared=topic.partitions)
        return number

    async def _offsets(self, topic: str, number: int, spec: OffsetSpec) -> dict[int, int]:
        async def ask() -> dict[int, int]:
            wanted = {TopicPartition(topic, partition): spec for partition in range(number)}
            answers = self.admin.list_offsets(wanted, request_timeout=ANSWER_SECONDS)
            return {place.partition: (await _wait(answer)).offset for place, answer in answers.items()}

        return await self._persist(f"offsets of {topic}", ask)

    async def _persist(self, what: str, ask: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
        """Ask until there is an answer, with growing pauses."""
        pause = PAUSE_SECONDS
        while True:
            asking = asyncio.get_running_loop().create_task(ask())
            self._asking.add(asking)
            try:
                # The client's own time limit does not hold for a question that was on its way when the server died.
                await asyncio.wait((asking,), timeout=PATIENCE_SECONDS)
            finally:
                asking.cancel()
                self._asking.discard(asking)
            if not asking.done():
                # This client may never ask anything again. It is kept: what it owes an answer would come down on nobody.
                self._abandoned.append(self.admin)
                self.admin = self._connect()
                log.warning("asking Kafka by another connection", what=what)
                continue
            if asking.cancelled():
                trouble: KafkaError | None = None
            elif isinstance(error := asking.exception(), KafkaException):
                trouble = error.args[0]
            else:
                self._watch.reached()
                return asking.result()
            failure = self._watch.failure or (trouble and (_mistake(what, trouble) or self._watch.judge(trouble)))
            if failure:
                raise failure
            if trouble and trouble.code() == KafkaError.FENCED_LEADER_EPOCH:
                self.admin = self._connect()  # the server started again, and this client never notices by itself
            elif trouble and trouble.code() == KafkaError._TIMED_OUT:
                log.warning("waiting for Kafka", what=what, error=trouble.str(), check="kafka.servers, kafka.user, kafka.tls")
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


async def _of(answers: dict[Any, "Future[Any]"]) -> Any:
    """The answer to a question about one thing."""
    (answer,) = answers.values()
    return await _wait(answer)


async def _wait(answer: "Future[Answer]") -> Answer:
    """As `asyncio.wrap_future`, but who gives up waiting leaves the answer alone: the client library would stumble over it."""
    loop, is_there = asyncio.get_running_loop(), asyncio.Event()

    def tell(_: "Future[Answer]") -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(is_there.set)

    answer.add_done_callback(tell)
    await is_there.wait()
    return answer.result()


def _mistake(what: str, error: KafkaError) -> BusError | None:
    if error.code() in MISTAKES:
        return BusError(f"Kafka refuses {what}: {error.str()}", do="check its name, bus.partitions and the cluster's rules")
    return None


def _hex(id: Uuid) -> str:
    """128 bits in hexadecimal digits."""
    high, low = id.get_most_significant_bits(), id.get_least_significant_bits()  # type: ignore[attr-defined]
    return f"{high & _WORD:016x}{low & _WORD:016x}"


_WORD = 2**64 - 1
