"""The history service: gathers history for whoever asks on the control channel, and sends it as a backtesting session over the bus.

Sessions run side by side, each as a task of its own; an id is one session at a time. What is asked for is read in threads, in batches, so
that memory does not grow with the length of the history.
"""

import asyncio
import time
from pathlib import Path

import structlog

from openbell.adapters.buses.base import Bus
from openbell.adapters.messages.control import DataRequest, Pause, Resume, SessionCancel, SessionReady, SessionTaken, StatusReply
from openbell.adapters.stores.history.stored import CandleReader
from openbell.backtest.data import EventSource
from openbell.errors import BusError, UnknownNameError, UsageError
from openbell.services.control.channel import ControlChannel
from openbell.services.control.handlers import status_of
from openbell.services.history.sender import SessionSender
from openbell.services.history.source import open_source
from openbell.services.service import Service
from openbell.services.topics.names import SESSIONS

#: Sessions at a time: each holds some tens of megabytes.
SESSIONS_MAX = 16

log = structlog.get_logger("history")


class HistoryService(Service):
    """Answers `data_request`. `candles` is where closed candles are stored, `folder` where data sets of one's own are."""

    name = "history"

    def __init__(
        self, market: Bus, channel: ControlChannel, candles: CandleReader | None = None, folder: Path | None = None, topic: str = SESSIONS
    ) -> None:
        super().__init__()
        self.sessions: dict[str, SessionSender] = {}
        self._market = market
        self._channel = channel
        self._candles = candles
        self._folder = folder
        self._topic = topic
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._epoch = 0
        self._finished = 0
        self.paused = False
        self._stopping = asyncio.Event()
        channel.on(DataRequest, self._begin, self.name)
        channel.on(SessionTaken, self._taken, self.name)
        channel.on(SessionCancel, self._cancel, self.name)
        channel.on(Pause, self._pause, self.name)
        channel.on(Resume, self._resume, self.name)

    async def run(self) -> None:
        """Until it is stopped; requests are handled by the channel."""
        await self._stopping.wait()

    async def stop(self) -> None:
        """End every session; their readers are told."""
        self._stopping.set()
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _begin(self, request: DataRequest) -> SessionReady:
        """Accept a session: its epoch is answered, and all the rest is told when its history is open."""
        if request.session in self.sessions:
            raise UsageError(
                f"session {request.session} is running already", "an id that is not in use", "wait for its end, or choose another"
            )
        if len(self.sessions) >= SESSIONS_MAX:
            raise BusError(f"{SESSIONS_MAX} sessions are running", do="ask again when one has ended")
        self._epoch = max(time.time_ns(), self._epoch + 1)
        sender = SessionSender(request, self._open, self._market, self._topic, self._channel, self._epoch)
        sender.paused = self.paused
        self.sessions[request.session] = sender
        self._tasks[request.session] = asyncio.create_task(self._send(sender), name=f"session {request.session}")
        return SessionReady(session=request.session, epoch=self._epoch, topic=self._topic, detail="accepted")

    async def _send(self, sender: SessionSender) -> None:
        session = sender.request.session
        log.info("session begun", session=session, source=sender.request.source or "stored candles", by=sender.request.sender)
        try:
            await sender.run()
        except BusError as error:
            log.error("session lost", session=session, events=sender.sent, error=str(error))
        finally:
            log.info("session ended", session=session, events=sender.sent)
            self._finished += 1
            self.processed += sender.sent
            del self.sessions[session], self._tasks[session]

    def _open(self, request: DataRequest) -> EventSource:
        return open_source(request, self._candles, self._folder)

    async def _taken(self, message: SessionTaken) -> None:
        sender = self.sessions.get(message.session)
        if sender is not None and sender.epoch == message.epoch:
            sender.taken(message.events)

    async def _cancel(self, message: SessionCancel) -> None:
        sender = self.sessions.get(message.session)
        if sender is not None and message.epoch in (0, sender.epoch):
            self._tasks[message.session].cancel()

    async def _pause(self, message: Pause) -> StatusReply | None:
        return self._set_paused(message, True)

    async def _resume(self, message: Resume) -> StatusReply | None:
        return self._set_paused(message, False)

    def _set_paused(self, message: Pause | Resume, paused: bool) -> StatusReply | None:
        """One session, or all of them and those to come; what is said to strategies is for others."""
        if message.strategy:
            return None
        if message.session:
            if message.session not in self.sessions:
                raise UnknownNameError.of("session", message.session, self.sessions)
            self.sessions[message.session].pause(paused)
        else:
            self.paused = paused
            for sender in self.sessions.values():
                sender.pause(paused)
        return status_of(self)

    @property
    def detail(self) -> str:
        """How many sessions there are and were."""
        held = sum(sender.paused for sender in self.sessions.values())
        running = f"{len(self.sessions)} sessions running" + (f", {held} of them paused" if held else "")
        return f"{'paused, ' if self.paused else ''}{running}, {self._finished} ended"

    def progress(self) -> dict[str, int]:
        """Events sent, by session."""
        return {session: sender.sent for session, sender in self.sessions.items()}
