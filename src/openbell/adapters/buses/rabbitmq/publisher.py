"""Sending: messages of all topics in batches over one channel, each confirmed by the server, sent again when the connection breaks."""

import asyncio
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import cast

import aiormq
from aiormq import Connection, spec
from aiormq.abc import ChannelFrame
from pamqp.body import ContentBody
from pamqp.frame import marshal
from pamqp.header import ContentHeader

from openbell.adapters.buses.base import Topic
from openbell.adapters.buses.rabbitmq.lane import Lane, Outgoing
from openbell.adapters.buses.rabbitmq.server import ANSWER_SECONDS, LostError, begin, on_the_wire, reason
from openbell.adapters.buses.rabbitmq.topology import Topology, declare_topic, partition_of
from openbell.errors import BusError

#: Messages written at once.
BATCH_MAX = 200
#: What every version of the server takes; larger things travel in parts.
PAYLOAD_MAX = 16 << 20
PAUSE_SECONDS = 0.1
PERSISTENT = 2
TOO_LARGE = re.compile(r"message size \d+ .*max size (\d+)")


class Publisher:
    """All lanes of a bus. `up` and `down` come from its link; `fail` is told what waiting cannot mend."""

    def __init__(self, topology: Topology, client: str, fail: Callable[[BusError], None]) -> None:
        self.lanes: dict[str, Lane] = {}
        self._topology, self._client, self._fail = topology, client, fail
        self._session = f"{client}-{time.time_ns():x}"
        self._number = 0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._declared: set[str] = set()
        self._room: list[asyncio.Future[None]] = []
        self._flushing: list[tuple[int, asyncio.Future[None]]] = []
        self._too_large: list[BusError] = []

    def add(self, topic: Topic) -> None:
        """A topic that this process may publish to."""
        self.lanes.setdefault(topic.name, Lane(topic))

    def offer(self, topic: str, payload: bytes, key: str) -> bool:
        """Take a message; False when the lane is full and may not give anything up."""
        if len(payload) > PAYLOAD_MAX:
            raise _too_large(topic, len(payload), PAYLOAD_MAX)
        lane = self.lanes[topic]
        message = Outgoing(topic, payload, key, partition_of(lane.topic, key), number=self._number + 1, at=datetime.now(UTC))
        if not lane.offer(message):
            return False
        self._number += 1
        self._wake.set()
        return True

    async def room(self) -> None:
        """Wait until some lane has more room than now, or the bus closes or fails."""
        room = asyncio.get_running_loop().create_future()
        self._room.append(room)
        await room

    async def flush(self) -> None:
        """Wait until everything offered so far is confirmed; BusError for what the server will not take."""
        if min((lane.oldest() for lane in self.lanes.values()), default=float("inf")) <= self._number:
            done = asyncio.get_running_loop().create_future()
            self._flushing.append((self._number, done))
            await done
        if self._too_large:
            raise self._too_large.pop(0)

    def stop_waiting(self, error: BusError | None) -> None:
        """Wake everybody: the bus is closed, or failed with this error."""
        self.tell_room()
        flushing, self._flushing = self._flushing, []
        for _, done in flushing:
            if not done.done():
                done.set_exception(error) if error is not None else done.set_result(None)

    def tell_room(self) -> None:
        """Wake the senders that wait."""
        waiting, self._room = self._room, []
        for room in waiting:
            if not room.done():
                room.set_result(None)

    async def up(self, connection: Connection) -> None:
        """Send over this connection from now on."""
        self._task = begin(self._serve(connection), f"{self._client} publishing", self._fail)

    def down(self) -> None:
        """The connection is gone; what was in flight is sent again over the next."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._declared.clear()
        self._lost()

    async def _serve(self, connection: Connection) -> None:
        """One channel after the other while the connection lasts."""
        while not connection.is_closed:
            try:
                await self._send(connection)
            except LostError as error:
                self._lost()
                self._drop_too_large(str(error))
                await asyncio.sleep(PAUSE_SECONDS)
            except BusError as error:
                self._fail(error)
                return

    async def _send(self, connection: Connection) -> None:
        """Send whatever the lanes have, until the channel breaks."""
        with on_the_wire():
            channel = cast(aiormq.Channel, await connection.channel(timeout=ANSWER_SECONDS))
            channel.closing.add_done_callback(lambda _: self._wake.set())
            tag = 0
            while True:
                self._wake.clear()
                for lane in tuple(self.lanes.values()):
                    if lane.can_send and lane.topic.name not in self._declared:
                        await declare_topic(connection, self._topology, lane.topic)
                        self._declared.add(lane.topic.name)
                    while lane.can_send:
                        batch = lane.next(BATCH_MAX)
                        for message in batch:
                            tag += 1
                            self._await_confirmation(channel, tag, lane, message.number)
                        frames = b"".join(self._frames(channel, lane, message) for message in batch)
                        await channel.write_queue.put(ChannelFrame(payload=frames, should_close=False))
                if channel.is_closed:
                    closing = channel.closing
                    raise LostError("" if closing.cancelled() else reason(closing.exception() or LostError()))
                await self._wake.wait()

    def _await_confirmation(self, channel: aiormq.Channel, tag: int, lane: Lane, number: int) -> None:
        """Enter the message where the library looks when the server confirms: publishing one by one would cost a task a message."""
        answer = asyncio.get_running_loop().create_future()
        answer.add_done_callback(partial(self._answered, lane, number))
        channel.confirmations[tag] = answer

    def _answered(self, lane: Lane, number: int, answer: "asyncio.Future[object]") -> None:
        if answer.exception() is None:
            lane.confirmed(number)
        else:
            lane.refused(number)
        if lane.pause is not None:
            asyncio.get_running_loop().call_later(lane.pause, self._resume, lane)
        if lane.can_send:
            self._wake.set()
        if self._room:
            self.tell_room()
        if self._flushing:
            self._tell_flushed()

    def _resume(self, lane: Lane) -> None:
        lane.resume()
        self._wake.set()

    def _tell_flushed(self) -> None:
        oldest = min((lane.oldest() for lane in self.lanes.values()), default=float("inf"))
        for number, done in self._flushing:
            if number < oldest and not done.done():
                done.set_result(None)
        self._flushing = [(number, done) for number, done in self._flushing if not done.done()]

    def _lost(self) -> None:
        for lane in self.lanes.values():
            lane.lost()

    def _drop_too_large(self, why: str) -> None:
        """A message larger than the server's own limit breaks the channel each time it is sent."""
        if (found := TOO_LARGE.search(why)) is None:
            return
        limit = int(found.group(1))
        for lane in self.lanes.values():
            while (message := lane.give_up(limit)) is not None:
                self._too_large.append(_too_large(lane.topic.name, len(message.payload), limit))
        self._tell_flushed()

    def _frames(self, channel: aiormq.Channel, lane: Lane, message: Outgoing) -> bytes:
        body: bytes = message.payload
        properties = spec.Basic.Properties(
            delivery_mode=PERSISTENT,
            message_id=f"{self._session}-{message.number}",
            timestamp=message.at,
            message_type=message.topic,
            content_type=content_type(body),
            app_id=self._client,
            headers={"key": message.key} if message.key else None,
        )
        publish = spec.Basic.Publish(exchange=self._topology.exchange(lane.topic), routing_key=str(message.partition))
        header = ContentHeader(properties=properties, body_size=len(body))
        size = channel.max_content_size
        parts = [marshal(ContentBody(body[start : start + size]), channel.number) for start in range(0, len(body), size)]
        return b"".join((marshal(publish, channel.number), marshal(header, channel.number), *parts))


def content_type(body: bytes) -> str:
    """What a person who looks at a dead letter can expect of it."""
    return "application/json" if body[:1] in (b"{", b"[") else "application/x-protobuf"


def _too_large(topic: str, size: int, limit: int) -> BusError:
    return BusError(f"a message of {size:,} bytes to {topic} is too large", f"at most {limit:,}", "send it in parts")
