"""Sending one backtesting session: history as sequential market events on the topic `sessions`, under the session's id as the key.

    session_ready, chunk, chunk, ..., session_done      or, at any place, error

Ready, done and error are messages of the control channel as JSON, chunks are tick batches of the source `session:<id>`; so the topic alone
tells a reader all: what the lots are, whether anything is missing, and when it is whole. While nothing can be sent, ready is repeated.
A session with a window is sent no faster than it is taken, and ends when nobody has taken anything, nor said so, for a while.
"""

import asyncio
from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import Any

import numpy as np
import structlog

from openbell.adapters.buses.base import Bus
from openbell.adapters.feeds.base import EventArray
from openbell.adapters.messages.control import Control, DataRequest, ErrorReply, SessionDone, SessionReady, encode
from openbell.adapters.messages.ticks import encode_chunk
from openbell.backtest.data import EventSource
from openbell.errors import BusError, OpenbellError
from openbell.model.plan import Listing
from openbell.services.control.channel import ControlChannel, error_reply

#: Events in one chunk: as bars a message of 650 KB, as trades of 350 KB.
CHUNK_EVENTS = 8_192
#: How often (seconds) a session that waits says so.
ALIVE_S = 2.0
#: How long (seconds) a session with a window goes on while nobody takes anything.
GONE_S = 15.0
CHECKSUM_SIZE = 32
OpenSource = Callable[[DataRequest], EventSource]

log = structlog.get_logger("history")


class SessionSender:
    """Sends one session, once. `open_source` may be slow: it is called in a thread."""

    def __init__(self, request: DataRequest, open_source: OpenSource, bus: Bus, topic: str, channel: ControlChannel, epoch: int) -> None:
        self.request = request
        self.epoch = epoch
        self.sent = 0
        self.paused = False
        self._open_source = open_source
        self._bus = bus
        self._topic = topic
        self._channel = channel
        self._taken = 0
        self._heard = 0.0
        self._news = asyncio.Event()
        self._ready = SessionReady(request=request.id, session=request.session, epoch=epoch, topic=topic)

    def taken(self, events: int) -> None:
        """The reader has taken so many events, and is there."""
        self._taken = max(self._taken, events)
        self._heard = asyncio.get_running_loop().time()
        self._news.set()

    def pause(self, paused: bool) -> None:
        """Send no more until told to go on, or go on."""
        self.paused = paused
        self._news.set()

    async def run(self) -> None:
        """Send everything; what goes wrong is told on the topic and on the control channel, and not raised."""
        self._heard = asyncio.get_running_loop().time()
        try:
            done = await self._send()
        except asyncio.CancelledError:
            error = BusError(f"session {self.request.session} was cancelled after {self.sent:,} events")
            self._bus.publish(self._topic, encode(self._told(error)), self.request.session)  # a bus that is full is not waited for
            raise
        except Exception as error:  # every error of a session reaches who asked for it
            tell = log.warning if isinstance(error, OpenbellError) else log.exception
            tell("session failed", session=self.request.session, events=self.sent, error=str(error))
            await self._put(self._told(error))
            await self._channel.send(self._told(error))
        else:
            await self._channel.send(done)

    async def _send(self) -> SessionDone:
        source = await self._in_thread(lambda: self._open_source(self.request))
        self._ready = SessionReady(
            request=self.request.id, session=self.request.session, detail=source.name, symbols=tuple(source.symbols), topic=self._topic,
            epoch=self.epoch, lot_size=source.lot_size, bar_timeframe_ns=source.bar_timeframe_ns,
        )  # fmt: skip
        await self._put(self._ready)
        await self._channel.send(self._ready)
        listings = [Listing(symbol, 0.0, source.lot_size) for symbol in source.symbols]
        digest = blake2b(digest_size=CHECKSUM_SIZE)
        batches: Iterator[EventArray] = iter(source)
        while (events := await self._in_thread(lambda: next(batches, None))) is not None:
            events["seq"] = 0
            events = np.ascontiguousarray(events)
            for begin in range(0, len(events), CHUNK_EVENTS):
                chunk = events[begin : begin + CHUNK_EVENTS]
                await self._until_room(len(chunk))
                digest.update(chunk.view(np.uint8).data)
                for _, payload in encode_chunk(
                    chunk, listings, source=source_name(self.request.session), epoch=self.epoch, first=self.sent, cursor=b""
                ):
                    await self._bus.send(self._topic, payload, self.request.session)
                self.sent += len(chunk)
        done = SessionDone(
            request=self.request.id, session=self.request.session, detail=source.name, events=self.sent, epoch=self.epoch,
            checksum=digest.hexdigest(), notes=tuple(source.notes()),
        )  # fmt: skip
        await self._put(done)
        await self._bus.flush()
        return done

    async def _in_thread(self, work: Callable[[], EventArray | EventSource | None]) -> Any:
        """Do something slow, and say now and then that the session is alive."""
        working = asyncio.ensure_future(asyncio.to_thread(work))
        try:
            while not (await asyncio.wait({working}, timeout=ALIVE_S))[0]:
                await self._wait_on()
            return working.result()
        finally:
            working.cancel()

    async def _until_room(self, count: int) -> None:
        """Wait while the session is paused, or the reader has taken too little; other sessions have their turn."""
        await asyncio.sleep(0)
        window = self.request.window
        while self.paused or (window and self.sent > self._taken and self.sent + count - self._taken > window):
            self._news.clear()
            try:
                async with asyncio.timeout(ALIVE_S):
                    await self._news.wait()
            except TimeoutError:
                await self._wait_on()

    async def _wait_on(self) -> None:
        """The session has waited: say so, or end it when nobody is there."""
        silent = asyncio.get_running_loop().time() - self._heard
        if self.request.window and silent > GONE_S:
            raise BusError(f"nobody has taken anything of session {self.request.session} for {silent:.0f} s", do="ask for it again")
        await self._put(self._ready)

    async def _put(self, message: Control) -> None:
        await self._bus.send(self._topic, encode(message), self.request.session)

    def _told(self, error: Exception) -> ErrorReply:
        return error_reply(error, self.request.id, self.request.session, self.epoch)


def source_name(session: str) -> str:
    """The source of a session's tick batches."""
    return f"session:{session}"
