"""What nobody could deal with: to be looked at, sent back to where it failed, or dropped, by a person."""

import contextlib
from collections.abc import AsyncIterator, Collection, Iterator
from dataclasses import dataclass
from hashlib import sha256
from types import TracebackType
from typing import Any

from aiormq import Connection, DeliveryError, PublishError, spec
from aiormq.abc import AbstractChannel, DeliveredMessage

from openbell.adapters.buses.rabbitmq.letters import number_of
from openbell.adapters.buses.rabbitmq.server import ANSWER_SECONDS, LostError, Server, connect, disconnect, on_the_wire, unreachable
from openbell.adapters.buses.rabbitmq.topology import Topology, declare_queue
from openbell.errors import BusError, UnknownNameError

#: Letters that are looked at in one go.
LETTERS_MAX = 100_000


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was put aside. Where a foreign program put it there, what it does not say is empty."""

    id: str
    topic: str
    group: str
    key: str
    reason: str
    attempts: int
    first_seen_ns: int  # when it was published; to the second
    rejected_ns: int
    content_type: str
    payload: bytes
    queue: str  # that of the group which rejected it


class DeadLetters:
    """The dead letters of a server: `async with DeadLetters(settings.rabbitmq) as letters`.

    Looking at them takes them all and puts them back where they were, so two people at the same time see each a part of them. BusError
    when the server is away, or does not know the user.
    """

    def __init__(self, server: Server, prefix: str = "openbell") -> None:
        self._server, self._topology = server, Topology(prefix)
        self._connection: Connection | None = None

    async def __aenter__(self) -> "DeadLetters":
        with self._told():
            self._connection = await connect(self._server, "openbell dead letters")
            await declare_queue(self._connection, self._topology.dead_letters)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if self._connection is not None:
            await disconnect(self._connection)

    async def letters(self, most: int = LETTERS_MAX) -> list[DeadLetter]:
        """Them all, oldest first, at most `most`; they stay where they are."""
        async with self._opened(most) as (_, found):
            return [letter for letter, _ in found]

    async def find(self, id: str) -> DeadLetter:
        """One of them; UnknownNameError with the ids that there are."""
        letters = {letter.id: letter for letter in await self.letters()}
        _check([id], letters)
        return letters[id]

    async def requeue(self, ids: Collection[str] | None = None) -> int:
        """Send some of them, or all, back to the queues of the groups that rejected them, as a first attempt; returns how many went.

        Each is taken off when its queue has it on disk. UnknownNameError when an id is not there, BusError when a queue is gone or full;
        those before it have gone then.
        """
        async with self._opened() as (channel, found):
            _check(ids or (), {letter.id for letter, _ in found})
            sent: set[str] = set()
            for letter, came in found:
                if ids is None or letter.id in ids:
                    # The same letter twice: its rejection was repeated when a connection broke in the middle of it.
                    if letter.id not in sent:
                        await self._send_back(channel, letter, came.header.properties)
                        sent.add(letter.id)
                    await channel.basic_ack(came.delivery_tag or 0)
            return len(sent)

    async def drop(self, ids: Collection[str]) -> int:
        """Delete some of them for good; returns how many. UnknownNameError when an id is not there: then none is deleted."""
        async with self._opened() as (channel, found):
            _check(ids, {letter.id for letter, _ in found})
            for letter, came in found:
                if letter.id in ids:
                    await channel.basic_ack(came.delivery_tag or 0)
            return len(set(ids))

    @contextlib.asynccontextmanager
    async def _opened(self, most: int = LETTERS_MAX) -> AsyncIterator[tuple[AbstractChannel, list[tuple[DeadLetter, DeliveredMessage]]]]:
        """All letters in hand; what is not acknowledged at the end of the block is back in its place."""
        assert self._connection is not None, "use it as a context manager"
        with self._told(), on_the_wire():
            channel = await self._connection.channel(timeout=ANSWER_SECONDS)
            found: list[tuple[DeadLetter, DeliveredMessage]] = []
            while len(found) < most:
                came = await channel.basic_get(self._topology.dead_letters.name)
                if isinstance(came.delivery, spec.Basic.GetEmpty):
                    break
                found.append((_letter(came), came))
            try:
                yield channel, found
            finally:
                await channel.close()

    async def _send_back(self, channel: AbstractChannel, letter: DeadLetter, old: spec.Basic.Properties) -> None:
        old.headers = {"key": letter.key} if letter.key else None
        try:
            await channel.basic_publish(letter.payload, routing_key=letter.queue, properties=old, mandatory=True)
        except PublishError:
            raise BusError(
                f"letter {letter.id} cannot go back: there is no queue '{letter.queue}'",
                "the queue of the group that rejected it",
                "start the service that reads it once, or drop the letter",
            ) from None
        except DeliveryError:
            raise BusError(
                f"letter {letter.id} cannot go back: queue {letter.queue} is full",
                "room in it",
                "try again when its readers have caught up",
            ) from None

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except LostError as error:
            raise unreachable(self._server, str(error)) from None


def _check(ids: Collection[str], known: Collection[str]) -> None:
    for id in ids:
        if id not in known:
            raise UnknownNameError.of("dead letter", id, known)


def _letter(came: DeliveredMessage) -> DeadLetter:
    properties = came.header.properties
    headers: Any = properties.headers or {}
    queue = str(headers.get("queue", ""))
    id = sha256(f"{properties.message_id}\n{queue}".encode() + (b"" if properties.message_id else came.body)).hexdigest()[:10]
    return DeadLetter(
        id=id,
        topic=str(headers.get("topic", "")),
        group=str(headers.get("group", "")),
        key=str(headers.get("key", "")),
        reason=str(headers.get("reason", "")),
        attempts=number_of(headers, "attempts", 1),
        first_seen_ns=int(properties.timestamp.timestamp()) * 1_000_000_000 if properties.timestamp is not None else 0,
        rejected_ns=number_of(headers, "rejected_ns", 0),
        content_type=properties.content_type or "",
        payload=came.body,
        queue=queue,
    )
