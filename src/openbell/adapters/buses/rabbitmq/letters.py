"""Messages that are handed back: put where they wait for another attempt, or for a person, and only then taken off their queue."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiormq import Connection, PublishError, spec
from aiormq.abc import AbstractChannel, DeliveredMessage

from openbell.adapters.buses.base import Message
from openbell.adapters.buses.rabbitmq.server import ANSWER_SECONDS, LostError, on_the_wire, patient
from openbell.adapters.buses.rabbitmq.topology import Queue, declare_queue
from openbell.errors import BusError

#: Pauses before the second, third ... attempt, in seconds. After the last one a message is rejected.
RETRY_DELAYS = (1.0, 5.0, 30.0, 120.0)
PAUSE_SECONDS = 0.1
#: What a header can hold of a reason.
REASON_MAX = 2000


@dataclass(frozen=True, slots=True, eq=False)
class Delivery(Message):
    """A message as it came: the reader, channel and tag by which it is acknowledged, and the properties it is passed on with."""

    reader: Any = None
    channel: Any = None
    tag: int = 0
    properties: spec.Basic.Properties | None = None


def delivery(topic: str, partition: int, reader: Any, came: DeliveredMessage) -> Delivery:
    """What the server delivered, ours or of a foreign publisher that knows no headers."""
    properties = came.header.properties
    headers = properties.headers or {}
    return Delivery(
        topic, came.body, str(headers.get("key", "")), partition, attempt=max(1, number_of(headers, "attempt", 1)),
        reader=reader, channel=came.channel, tag=came.delivery_tag or 0, properties=properties,
    )  # fmt: skip


def for_another_attempt(message: Delivery, why: str, delay: float) -> spec.Basic.Properties:
    """Properties of a message that waits for `delay` seconds."""
    due = {"due_ns": time.time_ns() + round(delay * 1e9), "delay_ms": round(delay * 1000)}
    return _passed_on(message, {"key": message.key, "attempt": message.attempt + 1, "reason": why[:REASON_MAX], **due})


def as_dead_letter(message: Delivery, why: str, group: str, queue: str) -> spec.Basic.Properties:
    """Properties of a message that nobody could deal with."""
    origin = {"key": message.key, "topic": message.topic, "group": group, "queue": queue, "partition": message.partition}
    return _passed_on(message, {**origin, "attempts": message.attempt, "reason": why[:REASON_MAX], "rejected_ns": time.time_ns()})


def seconds_until_due(properties: spec.Basic.Properties) -> float:
    """How long a message of a shelf still waits: never longer than its delay, whatever two machines' clocks say."""
    headers = properties.headers or {}
    left = (number_of(headers, "due_ns", 0) - time.time_ns()) / 1e9
    return max(0.0, min(left, number_of(headers, "delay_ms", 0) / 1000))


def _passed_on(message: Delivery, headers: dict[str, Any]) -> spec.Basic.Properties:
    old = message.properties or spec.Basic.Properties()
    return spec.Basic.Properties(
        delivery_mode=2, message_id=old.message_id, timestamp=old.timestamp, message_type=old.message_type, content_type=old.content_type,
        app_id=old.app_id, headers=headers,
    )  # fmt: skip


def number_of(headers: Any, name: str, otherwise: int) -> int:
    """A whole number from the headers, or what stands for it where a foreign program wrote none."""
    value = headers.get(name, otherwise)
    return value if isinstance(value, int) else otherwise


class Deposit:
    """Puts single messages into queues, safely: made where it is not there, returned when there is no such queue, confirmed."""

    def __init__(self) -> None:
        self._connection: Connection | None = None
        self._channel: AbstractChannel | None = None
        self._declared: set[str] = set()
        self._lock = asyncio.Lock()
        self._changed = asyncio.Event()
        self._error: BusError | None = None

    def up(self, connection: Connection) -> None:
        """Use this connection from now on."""
        self._connection = connection
        self._changed.set()

    def down(self) -> None:
        """The connection is gone."""
        self._connection, self._channel = None, None
        self._declared.clear()

    def fail(self, error: BusError) -> None:
        """There will be no connection any more."""
        self._error = error
        self._changed.set()

    async def put(self, queue: Queue, body: bytes, properties: spec.Basic.Properties, wanted: Callable[[], bool]) -> bool:
        """Returns when the server has the message on disk, however long that takes; False when it is not `wanted` any more."""
        while wanted():
            if self._error is not None:
                raise self._error
            if self._connection is None:
                self._changed.clear()
                await self._changed.wait()
                continue
            try:
                # Who is cancelled meanwhile must not cancel the question to the server: that would cost the connection.
                await asyncio.shield(patient(self._put_once(self._connection, queue, body, properties)))
                return True
            except LostError as error:
                if isinstance(error.__cause__, PublishError):
                    self._declared.discard(queue.name)
                await asyncio.sleep(PAUSE_SECONDS)
        return False

    async def _put_once(self, connection: Connection, queue: Queue, body: bytes, properties: spec.Basic.Properties) -> None:
        async with self._lock:
            with on_the_wire():
                channel = self._channel
                if channel is None or channel.is_closed:
                    channel = self._channel = await connection.channel(timeout=ANSWER_SECONDS)
                if queue.name not in self._declared:
                    await declare_queue(connection, queue)
                    self._declared.add(queue.name)
        with on_the_wire():
            await channel.basic_publish(body, routing_key=queue.name, properties=properties, mandatory=True)
