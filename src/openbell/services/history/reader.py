"""Reading one backtesting session from the bus, and only that one, as the data of a backtest.

Everything is checked: the place of each chunk, the number of events, and the checksum at the end; a backtest of a session that lacks
something raises a DataError in place of a result.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import TypeVar

import numpy as np

from openbell.adapters.buses.base import Bus, Message, Subscription
from openbell.adapters.feeds.base import EventArray
from openbell.adapters.messages.control import (
    Control,
    DataRequest,
    ErrorReply,
    SessionCancel,
    SessionDone,
    SessionReady,
    SessionTaken,
    decode,
)
from openbell.adapters.messages.ticks import Part, decode_ticks
from openbell.backtest.data import EventSource
from openbell.errors import BusError, DataError, UsageError
from openbell.model import history
from openbell.model.jit import join
from openbell.model.plan import Listing
from openbell.services.control.channel import ControlChannel, error_of
from openbell.services.history.sender import CHECKSUM_SIZE, source_name
from openbell.services.topics.chunks import Assembler
from openbell.services.topics.names import SESSIONS

T = TypeVar("T")
#: Events that may be on their way: some 12 MB.
WINDOW = 131_072
#: Messages that wait to be taken, where a session has no window.
WAITING_MAX = 1_000
#: Seconds within which the history service has to answer.
ANSWER_S = 10.0
#: Seconds without a message after which a session is given up; one that waits says so every two.
SILENCE_S = 30.0
#: How often (seconds) the service is told that somebody is here.
ALIVE_S = 1.0


class SessionReader:
    """Takes the events of a session in order. `start` before anybody asks for the session, `close` in the end, whatever happened."""

    def __init__(self, bus: Bus, session: str, channel: ControlChannel | None = None, topic: str = SESSIONS) -> None:
        self.session = session
        self.received = 0
        self.done: SessionDone | None = None
        self._bus = bus
        self._topic = topic
        self._channel = channel
        self._inbox: Subscription | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._waiting: deque[Message] = deque()
        self._news, self._room = asyncio.Event(), asyncio.Event()
        self._closed = False
        self._trouble: BusError | None = None
        self._epoch = 0  # 0: the first one that begins
        self._ready: SessionReady | None = None
        self._listings: list[Listing] = []
        self._instruments: dict[str, int] = {}
        self._assembler = Assembler()
        self._digest = blake2b(digest_size=CHECKSUM_SIZE)
        self._window = 0
        self._taken = 0  # by whoever calls `take`
        self._said = 0  # of that, to the service

    async def start(self) -> None:
        """Subscribe; returns when nothing of the session that begins from now on will be missed."""
        self._inbox = self._bus.subscribe(self._topic)
        await self._inbox.ready()
        self._tasks.append(asyncio.create_task(self._pump(self._inbox), name=f"reader of session {self.session}"))

    async def ask(self, request: DataRequest) -> SessionReady:
        """Ask the history service for the session and wait until it begins. Raises its error, and BusError when there is no answer."""
        assert self._channel is not None, "a reader that asks has a control channel"
        assert request.session == self.session, "a reader asks for its own session"
        answer = await self._channel.ask(request, ANSWER_S)
        if not isinstance(answer, SessionReady):
            raise BusError(f"session {self.session} was answered with {type(answer).__name__}", "session_ready")
        self._epoch, self._window = answer.epoch, request.window
        if self._window:
            self._tasks.append(asyncio.create_task(self._say_alive(), name=f"sign of life of session {self.session}"))
        return await self.ready()

    async def ready(self, for_ever: bool = False) -> SessionReady:
        """Wait until the session begins, whoever asked for it. BusError when nothing comes for a while, unless it is waited for ever."""
        while self._ready is None:
            await self._until_news(None if for_ever else SILENCE_S)
            while self._waiting and self._ready is None:
                self._look_at(self._waiting.popleft())
        return self._ready

    async def take(self) -> EventArray | None:
        """Wait for events and return all that have come (dtype EVENT, `seq` 0); None when the session is whole. Raises what ended it."""
        await self.ready()
        self._taken = self.received
        if self._window and self._taken - self._said >= self._window // 4:
            await self._say_taken()
        found: list[EventArray] = []
        while not found and self.done is None:
            await self._until_news(SILENCE_S)
            while self._waiting and self.done is None:
                events = self._look_at(self._waiting.popleft())
                if events is not None:
                    found.append(events)
            self._room.set()
        return None if not found else found[0] if len(found) == 1 else join(found)

    async def close(self) -> None:
        """Leave. The service is told when the session was not over; whoever waits in `take` gets a BusError."""
        if self._closed:
            return
        self._closed = True
        self._news.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._inbox is not None:
            self._inbox.close()
        if self._channel is not None and self._window and self.done is None:
            await self._channel.send(SessionCancel(session=self.session, epoch=self._epoch))

    async def __aenter__(self) -> "SessionReader":
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def _pump(self, inbox: Subscription) -> None:
        """Take everything off the bus, so that a slow backtest holds up no other session, and keep what is ours."""
        try:
            while messages := await inbox.take():
                self._waiting.extend(message for message in messages if message.key == self.session)
                self._news.set()
                while not self._window and len(self._waiting) >= WAITING_MAX:
                    self._room.clear()
                    await self._room.wait()
        except BusError as error:
            self._trouble = error
        self._closed = True
        self._news.set()

    async def _until_news(self, patience_s: float | None) -> None:
        """Wait for messages of the session."""
        while not self._waiting:
            if self._closed:
                raise self._trouble or BusError(
                    f"session {self.session} ended after {self.received:,} events: the bus or its reader was closed"
                )
            self._news.clear()
            try:
                async with asyncio.timeout(patience_s):
                    await self._news.wait()
            except TimeoutError:
                raise BusError(
                    f"session {self.session} is silent after {self.received:,} events", f"a message every {patience_s:g} s",
                    "see that the history service runs, and ask again",
                ) from None  # fmt: skip

    def _look_at(self, message: Message) -> EventArray | None:
        """The events that follow, if the message brings them; messages of another sending of this id are passed over."""
        if message.payload[:1] == b"{":
            self._read(decode(message.payload))
            return None
        part = decode_ticks(message.payload, self._instruments, self._listings)
        if self._ready is None or not isinstance(part, Part) or part.epoch != self._epoch or part.source != source_name(self.session):
            return None
        if part.first > self.received:
            raise DataError(f"session {self.session} lacks the events from {self.received:,} to {part.first:,}", do="ask for it again")
        events = self._assembler.add(part, (message.partition, message.offset))
        if events is not None:
            if len(events) != self._assembler.reached()[part.source][1] - self.received:
                raise DataError(f"session {self.session} has events of a symbol or kind it does not name, before {self.received:,}")
            self.received += len(events)
            self._digest.update(np.ascontiguousarray(events).view(np.uint8).data)
        return events

    def _read(self, message: Control) -> None:
        """What the service says of the session."""
        if isinstance(message, SessionReady) and message.symbols and self._ready is None and self._epoch in (0, message.epoch):
            self._ready, self._epoch = message, message.epoch
            self._listings = [Listing(symbol, 0.0, message.lot_size) for symbol in message.symbols]
            self._instruments = {symbol: index for index, symbol in enumerate(message.symbols)}
            self._assembler = Assembler({source_name(self.session): (message.epoch, 0)})
        elif isinstance(message, ErrorReply) and self._epoch in (0, message.epoch):
            raise error_of(message)
        elif isinstance(message, SessionDone) and message.epoch == self._epoch:
            if (message.events, message.checksum) != (self.received, self._digest.hexdigest()):
                raise DataError(
                    f"session {self.session} ended after {self.received:,} events with the checksum {self._digest.hexdigest()[:16]}",
                    f"{message.events:,} events with {message.checksum[:16]}", "ask for it again",
                )  # fmt: skip
            self.done = message

    async def _say_alive(self) -> None:
        while True:
            await self._say_taken()
            await asyncio.sleep(ALIVE_S)

    async def _say_taken(self) -> None:
        assert self._channel is not None
        self._said = self._taken
        await self._channel.send(SessionTaken(session=self.session, epoch=self._epoch, events=self._taken))


class SessionEvents(EventSource):
    """A session as the data of one backtest, which runs in another thread than the bus."""

    def __init__(self, reader: SessionReader, ready: SessionReady) -> None:
        self.name = f"{ready.detail} (session {ready.session})"
        self.symbols = ready.symbols
        self.bar_timeframe_ns = ready.bar_timeframe_ns
        self.lot_size = ready.lot_size
        self._reader = reader
        self._loop = asyncio.get_running_loop()
        self._begun = False

    def __iter__(self) -> Iterator[EventArray]:
        """The events, once."""
        if self._begun:
            raise UsageError(f"session {self._reader.session} was read already", "one backtest of a session", "ask for it again")
        self._begun = True
        seq = 1
        while (events := asyncio.run_coroutine_threadsafe(self._reader.take(), self._loop).result()) is not None:
            yield history.number(events, seq)
            seq += len(events)

    def notes(self) -> list[str]:
        """What the service says of the data."""
        return list(self._reader.done.notes) if self._reader.done is not None else []


async def over_session(
    bus: Bus, channel: ControlChannel, request: DataRequest, work: Callable[[SessionEvents], T], topic: str = SESSIONS
) -> T:
    """Ask for a session and do the work on its events, in a thread; several may run at a time. Returns what the work does."""
    async with SessionReader(bus, request.session, channel, topic) as reader:
        ready = await reader.ask(request)
        return await asyncio.to_thread(work, SessionEvents(reader, ready))


async def follow_session(bus: Bus, session: str, work: Callable[[SessionEvents], T], topic: str = SESSIONS) -> T:
    """The same with a session that somebody else asks for, however long that takes."""
    async with SessionReader(bus, session, None, topic) as reader:
        ready = await reader.ready(for_ever=True)
        return await asyncio.to_thread(work, SessionEvents(reader, ready))
