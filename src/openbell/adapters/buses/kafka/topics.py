"""The topics on the server: made when they are not there, how many partitions they have, and from where to where they reach."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

import structlog
from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]
from confluent_kafka.cimpl import NewTopic

from openbell.adapters.buses.base import Topic
from openbell.adapters.buses.kafka.connection import Watch
from openbell.errors import BusError

log = structlog.get_logger("kafka")

ANSWER_SECONDS = 5.0
PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 5.0
#: The server says so in other words, or the client library without asking it.
NO_SUCH_TOPIC = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION}
MISTAKES = {KafkaError.INVALID_PARTITIONS, KafkaError.INVALID_REPLICATION_FACTOR, KafkaError.TOPIC_EXCEPTION, KafkaError.POLICY_VIOLATION}

OLDEST: OffsetSpec = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
NEXT: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]

Answer = TypeVar("Answer")


class KafkaTopics:
    """Asks and tells the server about topics, again and again while it is away."""

    def __init__(self, admin: AdminClient, watch: Watch) -> None:
        self._admin = admin
        self._watch = watch
        self._known: dict[str, asyncio.Task[int]] = {}

    async def partitions(self, topic: Topic) -> int:
        """How many partitions the topic has; it is made when it is not there. The server's number goes before the declared one."""
        task = self._known.get(topic.name)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = self._known[topic.name] = asyncio.get_running_loop().create_task(self._ensure(topic))
        return await asyncio.shield(task)

    async def bounds(self, topic: Topic) -> dict[int, tuple[int, int]]:
        """By partition: the offset of the oldest message that is there, and the one that the next message will get."""
        number = await self.partitions(topic)
        oldest, next_one = [await self._offsets(topic.name, number, spec) for spec in (OLDEST, NEXT)]
        return {partition: (oldest[partition], next_one[partition]) for partition in range(number)}

    def close(self) -> None:
        """Stop asking."""
        for task in self._known.values():
            task.cancel()

    async def _ensure(self, topic: Topic) -> int:
        async def look() -> int:
            return len((await _of(self._admin.describe_topics(TopicCollection([topic.name]), request_timeout=ANSWER_SECONDS))).partitions)

        async def make() -> None:
            wanted = NewTopic(topic.name, topic.partitions, -1)
            await _of(self._admin.create_topics([wanted], request_timeout=ANSWER_SECONDS, operation_timeout=ANSWER_SECONDS))
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
            answers = self._admin.list_offsets(wanted, request_timeout=ANSWER_SECONDS)
            return {place.partition: (await asyncio.wrap_future(answer)).offset for place, answer in answers.items()}

        return await self._persist(f"offsets of {topic}", ask)

    async def _persist(self, what: str, ask: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
        """Ask until there is an answer, with growing pauses."""
        pause = PAUSE_SECONDS
        while True:
            try:
                answer = await ask()
            except KafkaException as error:
                failure = _mistake(what, error.args[0]) or self._watch.judge(error.args[0]) or self._watch.failure
                if failure is not None:
                    raise failure from None
                if pause == LONGEST_PAUSE_SECONDS:
                    log.warning("waiting for Kafka", what=what, error=error.args[0].str())
            else:
                self._watch.reached()
                return answer
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


async def _of(answers: dict[Any, "Future[Any]"]) -> Any:
    """The answer to a question about one thing."""
    (answer,) = answers.values()
    return await asyncio.wrap_future(answer)


def _mistake(what: str, error: KafkaError) -> BusError | None:
    if error.code() in MISTAKES:
        return BusError(f"Kafka refuses {what}: {error.str()}", do="check its name, bus.partitions and the cluster's rules")
    return None
