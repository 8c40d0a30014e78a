"""Who else is in a group, so that its members can share the partitions of a topic.

Each member says every second that it is there, over an exchange of its own. From who is there follows who should read what: a member that
is served a partition of another steps back behind it. The server alone decides who is served, so whatever members believe of each other,
a partition is never read by two; wrong beliefs only mean that the work is shared unevenly for a moment.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from uuid import uuid4

from aiormq import Connection, spec
from aiormq.abc import AbstractChannel, DeliveredMessage

from openbell.adapters.buses.rabbitmq.server import ANSWER_SECONDS, CLOSE_SECONDS, LostError, begin, on_the_wire
from openbell.adapters.buses.rabbitmq.topology import Topology
from openbell.errors import BusError

BEAT_SECONDS = 1.0
LOOK_SECONDS = 0.02
#: A member that was not heard of for so long is gone.
SILENCE_SECONDS = 4.0
PAUSE_SECONDS = 0.1


class Members:
    """One member's view of its group on one topic.

    `look` is called with True when somebody came or went, and with False at every beat. A member is announced when it is `in_line`
    everywhere, so that the others step back behind it.
    """

    def __init__(
        self, topology: Topology, topic: str, group: str, in_line: Callable[[], bool],
        look: Callable[[bool], None], fail: Callable[[BusError], None],
    ) -> None:  # fmt: skip
        self._topology, self._key = topology, f"{topic}.{group}"
        self._in_line, self._look, self._fail = in_line, look, fail
        # Sorted by when they came, so that a new member takes from the others what is its own and no more.
        self._me = f"{time.time_ns():020d}.{uuid4().hex}"
        self._heard: dict[str, float] = {}
        self._channel: AbstractChannel | None = None
        self._task: asyncio.Task[None] | None = None
        self._leaving = asyncio.Event()

    def owns(self, partition: int) -> bool:
        """Whether this member should read a partition."""
        everybody = sorted({self._me, *self._heard})
        return everybody[partition % len(everybody)] == self._me

    def up(self, connection: Connection) -> None:
        """Take part over this connection."""
        self._task = begin(self._serve(connection), f"member of {self._key}", self._fail)

    def down(self) -> None:
        """The connection is gone, and with it whatever was known of the others."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._channel = None
        self._heard.clear()

    async def close(self) -> None:
        """Take leave."""
        self._leaving.set()
        # Not cancelled: in the middle of a question to the server that would cost the connection.
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=CLOSE_SECONDS)

    async def _serve(self, connection: Connection) -> None:
        while not connection.is_closed and not self._leaving.is_set():
            try:
                await self._take_part(connection)
            except LostError:
                await asyncio.sleep(PAUSE_SECONDS)

    async def _take_part(self, connection: Connection) -> None:
        with on_the_wire():
            channel = await connection.channel(publisher_confirms=False, timeout=ANSWER_SECONDS)
            await channel.exchange_declare(self._topology.members, exchange_type="direct", durable=True)
            queue = await channel.queue_declare("", exclusive=True, auto_delete=True, arguments={"x-queue-type": "classic"})
            assert queue.queue is not None
            await channel.queue_bind(queue.queue, self._topology.members, self._key)
            self._channel = channel
            await channel.basic_consume(queue.queue, self._came, no_ack=True)
            while not self._in_line() and not await self._leaves_within(LOOK_SECONDS):
                continue
            await self._say(channel, b"new")
            while not await self._leaves_within(BEAT_SECONDS):
                await self._say(channel, b"here")
                now, before = asyncio.get_running_loop().time(), len(self._heard)
                self._heard = {name: at for name, at in self._heard.items() if now - at < SILENCE_SECONDS}
                self._look(len(self._heard) < before)
            await self._say(channel, b"bye")
            self._channel = None
            await channel.close()

    async def _leaves_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._leaving.wait(), seconds)
        return self._leaving.is_set()

    async def _came(self, came: DeliveredMessage) -> None:
        word, _, name = came.body.decode(errors="replace").partition(" ")
        if name == self._me or came.channel is not self._channel:
            return
        known = name in self._heard
        if word == "bye":
            self._heard.pop(name, None)
        else:
            self._heard[name] = asyncio.get_running_loop().time()
        if word == "new":
            with contextlib.suppress(LostError), on_the_wire():
                await self._say(came.channel, b"here")
        if known == (word == "bye"):
            self._look(True)

    async def _say(self, channel: AbstractChannel, word: bytes) -> None:
        await channel.basic_publish(
            word + b" " + self._me.encode(),
            exchange=self._topology.members,
            routing_key=self._key,
            properties=spec.Basic.Properties(delivery_mode=1),
        )
