"""The market-data topic of a bus as a feed: who reads it decides as if the source were in the same process.

On a bus that keeps history, the cursor says from which offsets to read again and how far each source has been handed out. On one that
does not (RabbitMQ), messages are acknowledged once `settle` says that their effect is stored; until then they come again.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import structlog

from openbell.adapters.buses.base import Bus, Message, Start
from openbell.adapters.feeds.base import EventArray, FeedStatus, Ticks
from openbell.adapters.messages.ticks import Part, decode_ticks
from openbell.errors import BusError, DataError, JournalError
from openbell.model.jit import join
from openbell.model.plan import Listing
from openbell.services.topics.chunks import Assembler

#: Messages looked at before something is handed out, and events in one array, about: a full chunk is handed out as it is.
MESSAGES_MAX = 256
EVENTS_MAX = 8_192

log = structlog.get_logger("topic")


class Cursor(msgspec.Struct, array_like=True):
    """How far a topic has been read, by partition and by source."""

    offsets: dict[int, int]  # to read next; messages of chunks that were not whole are read again
    taken: dict[int, int]  # behind the last one that was looked at: ticks in JSON before it are known
    sources: dict[str, tuple[int, int]]  # epoch, and the place of the event that comes next
    topic: str = ""  # which one of its name it was


class TopicFeed:
    """Reads `topic`; a new reader begins at `start`. On a bus without history `reader` names it, and what is not settled waits for it."""

    def __init__(self, bus: Bus, topic: str, listings: Sequence[Listing], start: Start = "new", reader: str = "") -> None:
        self.foreign = 0  # ticks of symbols that are not listed, in JSON
        self._unreadable = 0
        self._bus = bus
        self._topic = topic
        self._listings = tuple(listings)
        self._instruments = {listing.symbol: index for index, listing in enumerate(listings)}
        self._start = start
        self._reader = reader
        self._assembler = Assembler()
        self._offsets: dict[int, int] = {}
        self._barrier: Mapping[int, int] | None = None
        self._settled = asyncio.Event()
        self._waiting_for = b""
        self._now = 0
        self._identity = ""
        self.is_ready = asyncio.Event()

    async def stream(self, cursor: bytes) -> AsyncIterator[Ticks]:
        """The events after the cursor, as they come."""
        keeps = self._bus.KEEPS_HISTORY
        known = decoded(cursor)
        await self._check(known)
        self._assembler = Assembler(known.sources)
        self._offsets = dict(known.taken or (self._start if isinstance(self._start, Mapping) else {}))
        start: Start = (known.offsets or self._start) if keeps else "new"
        subscription = self._bus.subscribe(self._topic, "" if keeps else self._reader, start)
        try:
            await subscription.ready()
            self.is_ready.set()
            while messages := await subscription.take(MESSAGES_MAX):
                async for ticks in self._read(messages):
                    yield ticks
                    if not keeps:
                        await self._until_settled(ticks.cursor)
                if not keeps and not self._assembler.held:
                    subscription.ack()
        finally:
            subscription.close()

    async def _check(self, known: Cursor) -> None:
        """BusError when the topic was removed and made anew since the cursor was taken: what came between is not there."""
        if not self._bus.KEEPS_HISTORY:
            return
        bus: Any = self._bus
        self._identity = await bus.identity(self._topic)
        if known.topic and self._identity and known.topic != self._identity:
            raise BusError(
                f"{self._topic} was removed and made anew since this run has read it", "the topic that it has read",
                "begin a new run: openbell serve trader --fresh",
            )  # fmt: skip

    async def _read(self, messages: list[Message]) -> AsyncIterator[Ticks]:
        """What can be handed out with these messages, in arrays of a bounded size."""
        found: list[EventArray] = []
        count = 0
        for message in messages:
            events = self._take(message)
            if events is not None and len(events):
                found.append(events)
                count += len(events)
            if count >= EVENTS_MAX:
                yield self._ticks(found)
                found, count = [], 0
        if self._assembler.waiting:
            found += await self._next_epoch()
        if found:
            yield self._ticks(found)

    def _ticks(self, found: list[EventArray]) -> Ticks:
        events = _in_time(found[0] if len(found) == 1 else join(found), self._now)
        self._now = int(events["ts_available"][-1])
        return Ticks(events, self.cursor())

    def _take(self, message: Message) -> EventArray | None:
        """One message; returns the events that can be handed out with it."""
        is_known = 0 <= message.offset < self._offsets.get(message.partition, 0)
        if message.offset >= 0 and not is_known:
            self._offsets[message.partition] = message.offset + 1
        try:
            part = decode_ticks(message.payload, self._instruments, self._listings)
        except DataError as error:
            self._unreadable += 1
            log.warning("message refused", partition=message.partition, offset=message.offset, error=str(error))
            return None
        if isinstance(part, Part):
            return self._assembler.add(part, (message.partition, message.offset))
        if is_known:
            return None
        self.foreign += len(part.unknown)
        return part.events

    async def _next_epoch(self) -> list[EventArray]:
        """Go on with a source's new epoch once everything is read that was published before it was seen."""
        if self._bus.KEEPS_HISTORY:
            if self._barrier is None:
                self._barrier = await self._ends()
            if any(self._offsets.get(partition, 0) < end for partition, end in self._barrier.items() if end > 0):
                return []
        self._barrier = None
        before = self._assembler.lost
        found = [events for events in self._assembler.begin_epochs() if len(events)]
        if self._assembler.lost > before:
            log.error("events lost with their source", count=self._assembler.lost - before, topic=self._topic)
        return found

    async def _ends(self) -> Mapping[int, int]:
        bus: Any = self._bus  # `ends` is there where KEEPS_HISTORY
        ends: Mapping[int, int] = await bus.ends(self._topic)
        return ends

    def cursor(self) -> bytes:
        """Where to go on after what was handed out last."""
        offsets = dict(self._offsets)
        for partition, offset in self._assembler.lowest().items():
            offsets[partition] = min(offsets.get(partition, offset), offset)
        return msgspec.msgpack.encode(Cursor(offsets, self._offsets, self._assembler.reached(), self._identity))

    def settle(self, cursor: bytes) -> None:
        """The effect of everything up to a cursor is stored."""
        if cursor == self._waiting_for:
            self._settled.set()

    async def _until_settled(self, cursor: bytes) -> None:
        self._settled.clear()
        self._waiting_for = cursor
        await self._settled.wait()

    @property
    def refused(self) -> int:
        """Messages that could not be used."""
        return self._unreadable + self._assembler.refused

    def positions(self) -> dict[str, int]:
        """By source, how many of its events were handed out."""
        return {name: place for name, (_, place) in self._assembler.reached().items()}

    def status(self) -> FeedStatus:
        """How it stands."""
        places = self.positions()
        held = self._assembler.held
        shown = ", ".join(f"{name} {place:,}" for name, place in places.items()) or "nothing yet"
        told = [f"{self._topic}: {shown}"]
        for count, what in ((held, "held"), (self.refused, "refused"), (self._assembler.lost, "events lost")):
            told += [f"{count:,} {what}"] if count else []
        return FeedStatus(", ".join(told), 0.0, False)


def decoded(cursor: bytes) -> Cursor:
    """The inverse of `TopicFeed.cursor`; an empty one is the beginning."""
    if not cursor:
        return Cursor({}, {}, {})
    try:
        return msgspec.msgpack.decode(cursor, type=Cursor)
    except msgspec.DecodeError:
        raise JournalError(f"the feed's cursor is {cursor[:40]!r}", "one of a market-data topic", "start a new run") from None


def _in_time(events: EventArray, now: int) -> EventArray:
    """The events with `ts_available` raised where it would fall: several sources have several clocks."""
    times = events["ts_available"]
    if times[0] >= now and (len(times) < 2 or bool((times[1:] >= times[:-1]).all())):
        return events
    events = join([events])
    words = events.view(np.int64).reshape(len(events), -1)
    np.maximum.accumulate(np.maximum(words[:, 1], now), out=words[:, 1])
    return events
