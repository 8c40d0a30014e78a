"""The bus on Redis streams: a log that every reader goes through at its own pace, for ticks and for decisions.

What a server has confirmed, it has in memory. Its append-only file follows within a second (`appendfsync everysec`; two when the disk is
slow): a server that is killed may lose the messages of that last second, and one without such a file all since its last snapshot. So
Redis carries messages, it does not keep them: who publishes something that must not be lost keeps it until its effect is stored
somewhere durable, as the outbox of the journal does. What is lost that way is never passed over:

* The producer's bus is broken: it gives up what it had not written, so that nothing follows on a gap, and `publish`, `send` and `flush`
  raise a BusError from then on. The way out is a new bus, and the outbox, as after a crash of our own.
* `take` of every subscription that had read it raises a BusError with the offset to go on from (`redis.log` says how it knows).
* An offset that a reader stored itself is checked against the end of the log only. When as much as was lost has been written again before
  it comes back, the content has to tell: positions in the source, the index of a decision.
"""

import secrets
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import structlog
from redis.exceptions import ResponseError

from openbell.adapters.buses.base import Message, Start
from openbell.adapters.buses.redis.bus import RedisBus
from openbell.adapters.buses.redis.group import LEASE_S, GroupReader
from openbell.adapters.buses.redis.log import APPEND, agree, look, partition_of, stream_key
from openbell.adapters.buses.redis.reader import StreamReader, StreamSubscription
from openbell.adapters.buses.redis.writer import loads
from openbell.adapters.redis_link import RedisLink
from openbell.adapters.redis_server import TROUBLE, Pauses, Place, RedisServer
from openbell.errors import BusError

log = structlog.get_logger("redis")

PREFIX = "openbell:"
#: Messages of a partition that are kept, about: Redis cuts off whole nodes of a hundred. It counts messages, not bytes, and all of it is in
#: memory: messages of 1 kB make 110 MB a partition, and a stream of small ones a tenth of that.
HISTORY = 100_000
#: How long the server remembers which messages of a producer it has. A producer does not try for longer.
PRODUCER_MS = 24 * 3600 * 1000
#: Messages and bytes in one script: the server does nothing else meanwhile (1 ms, about).
PART, PART_BYTES = 250, 1_000_000


class Part:
    """Messages that go to one partition together; sent again, it is the same."""

    def __init__(self, topic: str, partition: int, first: int) -> None:
        self.topic, self.partition, self.first = topic, partition, first
        self.count = self.size = 0
        self.content: list[str | bytes] = []

    def add(self, message: Message) -> None:
        """One more message."""
        self.content += (message.key, message.payload)
        self.count += 1
        self.size += len(message.payload)


class Appending:
    """Writes messages to streams, each once."""

    def __init__(self, server: RedisServer, prefix: str, history: int, partitions: Callable[[str], int]) -> None:
        self._server = server
        self._prefix = prefix
        self._history = history
        self._partitions = partitions
        self._producer = secrets.token_hex(8)
        self._numbers: dict[tuple[str, int], int] = {}  # of the next message, by partition
        self._confirmed: dict[tuple[str, int], tuple[int, int]] = {}  # the last number confirmed, and the offset behind it
        self._run = ""  # the server's process
        self._agreed: set[str] = set()

    def prepare(self, messages: list[Message]) -> list[Part]:
        """Number the messages of each partition."""
        parts: list[Part] = []
        filling: dict[tuple[str, int], Part] = {}
        for message in messages:
            partition = partition_of(message.key, self._partitions(message.topic))
            place = (message.topic, partition)
            part = filling.get(place)
            if part is None or part.count >= PART or part.size + len(message.payload) > PART_BYTES:
                part = filling[place] = Part(message.topic, partition, self._numbers.get(place, 0))
                parts.append(part)
            part.add(message)
            self._numbers[place] = part.first + part.count
        return parts

    async def greet(self, link: RedisLink) -> BusError | None:
        """Ask for the name of the server's process, and whether it still has what it had confirmed."""
        about: bytes = await link.call("INFO", "server")
        self._run = next(line.partition(b":")[2].decode() for line in about.splitlines() if line.startswith(b"run_id:"))
        self._agreed.clear()
        keys = {place: stream_key(self._prefix, *place) for place in self._confirmed}
        questions = [q for key in keys.values() for q in (("GET", self._from(key)), ("HGET", f"{key}:log", "next"))]
        answers = iter(await link.calls(questions))
        for place, number, end in zip(keys, answers, answers, strict=True):
            confirmed, reached = self._confirmed[place]
            # A server that does not know us any more may have forgotten us in a day of silence: then the end of the log tells.
            missing = confirmed - int(number) if number is not None else reached - int(end or 0)
            if missing > 0:
                name = f"{place[0]}, partition {place[1]}"
                log.error("messages lost", of=name, count=missing, server=self._server.address)
                return BusError(
                    f"{missing} messages to {name}, were confirmed and are lost: Redis was restarted without them",
                    "a server that keeps what it confirmed", "connect anew, and publish again what has no effect yet",
                )  # fmt: skip
        return None

    async def deliver(self, link: RedisLink, parts: list[Part]) -> None:
        """Append to the streams."""
        for topic in {part.topic for part in parts} - self._agreed:
            await agree(link, self._prefix, topic, self._partitions(topic))
            self._agreed.add(topic)
        for load in loads(parts, lambda part: part.size):
            answers = await link.calls([self._command(part) for part in load])
            for part, answer in zip(load, answers, strict=True):
                if isinstance(answer, ResponseError):
                    raise answer
                self._confirmed[part.topic, part.partition] = part.first + part.count - 1, int(answer)

    def _command(self, part: Part) -> list[Any]:
        key = stream_key(self._prefix, part.topic, part.partition)
        return ["EVAL", APPEND, 3, key, f"{key}:log", self._from(key), self._run, part.first, self._history, PRODUCER_MS, *part.content]

    def _from(self, key: str) -> str:
        return f"{key}:from:{self._producer}"


class RedisStreamBus(RedisBus):
    """See `openbell.adapters.buses.base` for the contract. `history` is how many messages of each partition are kept, at least."""

    KEEPS_HISTORY: ClassVar[bool] = True

    def __init__(
        self, place: Place, client: str = "openbell", history: int = HISTORY, lease_s: float = LEASE_S, prefix: str = PREFIX
    ) -> None:
        server = RedisServer.at(place, client)
        super().__init__(server, Appending(server, prefix, history, lambda topic: self._topics[topic].topic.partitions))
        self._prefix = prefix
        self._lease_s = lease_s

    def subscribe(self, topics: str | Sequence[str], group: str = "", start: Start = "new") -> StreamSubscription:
        """Get the messages from `start`, or as a member of a group, which begins with the oldest. Needs a running event loop."""
        inbox = self._inbox(topics)
        readers: list[StreamReader] = []
        for buffer in inbox.buffers.values():
            if group:
                readers.append(GroupReader(self._server, self._prefix, buffer.topic, inbox, group, self._lease_s))
            else:
                readers.append(StreamReader(self._server, self._prefix, buffer.topic, inbox, start))
        self._readers += readers
        return StreamSubscription(inbox, readers, self.release)

    async def identity(self, topic: str) -> str:
        """Not known."""
        return ""

    async def ends(self, topic: str) -> dict[int, int]:
        """By partition, the offset that the next message will get. The difference to an offset read is how far one is behind."""
        partitions = self._outgoing(topic).topic.partitions
        pauses = Pauses(self._server, f"asking for the ends of {topic}")
        while True:
            try:
                async with RedisLink.to(self._server) as link:
                    await agree(link, self._prefix, topic, partitions)
                    logs = await look(link, self._prefix, topic, range(partitions))
                    return {partition: log.next for partition, log in logs.items()}
            except TROUBLE as error:
                if (final := pauses.verdict(error, BusError)) is not None:
                    raise final from error
                await pauses.after(error)
