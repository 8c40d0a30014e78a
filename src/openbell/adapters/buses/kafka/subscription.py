"""One subscriber of Kafka, as the contract has it: what it takes comes from the shelf that a reader fills."""

import asyncio
from collections.abc import Mapping, Sequence

from confluent_kafka import OFFSET_BEGINNING

from openbell.adapters.buses.base import Message, Start, Topic
from openbell.adapters.buses.kafka.connection import Cluster
from openbell.adapters.buses.kafka.reader import Reader
from openbell.adapters.buses.kafka.shelf import Place, Shelf
from openbell.adapters.buses.kafka.topics import KafkaTopics
from openbell.errors import BusError


class KafkaSubscription:
    """A `LogSubscription`. A group begins with the oldest message, wherever it had acknowledged nothing."""

    def __init__(self, cluster: Cluster, client: str, topics: Sequence[Topic], group: str, start: Start, server: KafkaTopics) -> None:
        assert isinstance(start, str) or len(topics) == 1, "offsets are of one topic"
        self._topics = topics
        self._group = group
        self._start = start
        self._server = server
        self._shelf = Shelf(topics, bool(group))
        self._reader = Reader(cluster, client, group, self._shelf)
        self._starting = asyncio.get_running_loop().create_task(self._begin())
        self._starting.add_done_callback(lambda task: self._reader.ended() if task.cancelled() else None)

    async def ready(self) -> None:
        """Wait until messages published from now on will come."""
        await asyncio.shield(self._reader.ready)

    async def take(self, most: int = 0) -> list[Message]:
        """Wait for messages and return all that are there."""
        return await self._shelf.take(most)

    def take_now(self, most: int = 0) -> list[Message]:
        """What has arrived."""
        return self._shelf.take_now(most)

    def ack(self) -> None:
        """Everything taken so far is done with; the server is told within a tenth of a second."""
        self._shelf.ack()

    def close(self) -> None:
        """Leave."""
        self._leave(keep=False)

    @property
    def depth(self) -> int:
        """Messages waiting in this process."""
        return len(self._shelf)

    @property
    def held(self) -> Mapping[Place, int]:
        """The partitions that are ours, and how often each was given to us."""
        return self._shelf.held

    # --- for the bus

    @property
    def is_gone(self) -> bool:
        """Whether it has left, and its thread has ended."""
        return self._shelf.is_leaving and self._reader.finished.done()

    def dropped(self, topic: str) -> int:
        """How many messages of a topic were given up."""
        return self._shelf.buffers[topic].dropped if topic in self._shelf.buffers else 0

    def reads(self, topic: str) -> bool:
        """Whether the topic is one of ours."""
        return topic in self._shelf.buffers

    def end_at(self, topic: str, ends: Mapping[int, int]) -> None:
        """The topic is closed: nothing comes of it from these offsets on."""
        self._shelf.end_at({(topic, partition): offset for partition, offset in ends.items()})

    async def disconnect(self, seconds: float) -> bool:
        """Read no more; what is there can be taken. False when the server did not let us go in time; it will find out by itself."""
        self._leave(keep=True)
        await asyncio.wait((self._reader.finished,), timeout=seconds)
        return self._reader.finished.done()

    def _leave(self, keep: bool) -> None:
        self._shelf.leave(keep)
        self._starting.cancel()

    async def _begin(self) -> None:
        try:
            places = {(topic.name, partition) for topic in self._topics for partition in range(await self._server.partitions(topic))}
            self._reader.start(await self._starts(places))
        except BusError as error:
            self._reader.failed(error)
            self._reader.ended()

    async def _starts(self, places: set[Place]) -> dict[Place, int]:
        """The offset to begin with, by place."""
        if isinstance(self._start, Mapping):
            unknown = {partition for partition in self._start if (self._topics[0].name, partition) not in places}
            if unknown:
                raise BusError(
                    f"topic {self._topics[0].name} has no partition {min(unknown)}", f"partitions 0 to {len(places) - 1}",
                    "it was made anew with fewer; begin a new run",
                )  # fmt: skip
            return {place: self._start.get(place[1], OFFSET_BEGINNING) for place in places}
        if self._start == "oldest" or self._group:
            return dict.fromkeys(places, OFFSET_BEGINNING)
        starts: dict[Place, int] = {}
        for topic in self._topics:
            starts |= {(topic.name, partition): end for partition, (_, end) in (await self._server.bounds(topic)).items()}
        return starts
