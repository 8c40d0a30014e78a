"""The control channel: typed messages between services and people, each handed to whoever handles its type.

A message of which nobody here handles the type is for others. What cannot be read is logged and answered with an error; so is a handler
that fails. Nothing that is sent here ends the channel. Messages may be lost, as on every channel of Redis: who needs an answer asks again.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import uuid4

import msgspec
import structlog

from openbell import errors
from openbell.adapters.buses.base import Bus, Subscription
from openbell.adapters.messages.control import Control, ErrorReply, SessionDone, SessionReady, StatusReply, decode, encode
from openbell.errors import BusError, DataError, OpenbellError
from openbell.services.topics.names import CONTROL

M = TypeVar("M", bound=Control)
#: What a handler answers: nothing, a message, or several.
Answer = Control | Iterable[Control] | None
Handler = Callable[[Any], Awaitable[Answer]]

#: Seconds that a handler may take; what takes longer belongs into a task of its own.
HANDLER_S = 30.0
#: Answers that are kept of one question.
ANSWERS_MAX = 1000
REPLIES = (StatusReply, SessionReady, SessionDone, ErrorReply)

log = structlog.get_logger("control")


@dataclass(frozen=True, slots=True)
class _Route:
    services: tuple[str, ...]
    handler: Handler


class ControlChannel:
    """One process's end of the channel. `name` is the service it speaks for, such as `trader`, or `cli`."""

    def __init__(self, bus: Bus, name: str, topic: str = CONTROL) -> None:
        self.name = name
        #: How others see it: the service and the process.
        self.sender = f"{name}-{os.getpid()}-{uuid4().hex[:6]}"
        self.processed = 0  # messages that came
        self.refused = 0  # of them, those that could not be read
        self._bus = bus
        self._topic = topic
        self._routes: dict[type[Any], list[_Route]] = {}
        self._asked: dict[str, asyncio.Queue[Any]] = {}
        self._inbox: Subscription | None = None
        self._task: asyncio.Task[None] | None = None

    def on(self, kind: type[M], handler: Callable[[M], Awaitable[Answer]], *services: str) -> None:
        """Have messages of a type handled, one after the other: those for everybody, and those for one of `services` (by default `name`).

        `*` among them stands for all services.
        """
        self._routes.setdefault(kind, []).append(_Route(services or (self.name,), handler))

    async def start(self) -> None:
        """Begin to listen; returns when messages that are sent from now on will come."""
        self._inbox = self._bus.subscribe(self._topic)
        await self._inbox.ready()
        self._task = asyncio.create_task(self._listen(self._inbox), name=f"control of {self.name}")

    async def run(self) -> None:
        """Until it is stopped, or the bus is closed. Raises the BusError that ended it."""
        assert self._task is not None, "a channel is started first"
        await asyncio.shield(self._task)

    async def stop(self) -> None:
        """Listen no more."""
        if self._inbox is not None:
            self._inbox.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def __aenter__(self) -> "ControlChannel":
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stop()

    async def send(self, message: Control) -> str:
        """Send a message with this process as its sender; returns its id. BusError when the bus refuses it."""
        sent = msgspec.structs.replace(message, id=message.id or uuid4().hex[:12], sender=self.sender, ts=time.time_ns())
        await self._bus.send(self._topic, encode(sent))
        return sent.id

    async def ask(self, message: Control, seconds: float = 5.0) -> Control:
        """Send a message and wait for the first answer. Raises the error that is answered, BusError when nobody does in time."""
        found = await self._collect(message, seconds, 1)
        if not found:
            kind = type(message).__struct_config__.tag
            raise BusError(f"nobody answered a {kind} on the channel {self._topic} within {seconds:g} s", do="see that the service runs")
        if isinstance(found[0], ErrorReply):
            raise error_of(found[0])
        return found[0]

    async def gather(self, message: Control, seconds: float = 1.0) -> list[Control]:
        """Send a message and collect what is answered in so many seconds."""
        return await self._collect(message, seconds, ANSWERS_MAX)

    async def _collect(self, message: Control, seconds: float, most: int) -> list[Control]:
        identity = message.id or uuid4().hex[:12]
        replies: asyncio.Queue[Control] = asyncio.Queue(most)
        self._asked[identity] = replies
        found: list[Control] = []
        try:
            async with asyncio.timeout(seconds):
                await self.send(msgspec.structs.replace(message, id=identity))
                while len(found) < most:
                    found.append(await replies.get())
        except TimeoutError:
            pass
        finally:
            del self._asked[identity]
        return found

    async def _listen(self, inbox: Subscription) -> None:
        try:
            while messages := await inbox.take():
                for message in messages:
                    await self._take(message.payload)
                    self.processed += 1
        except BusError as error:
            log.error("the control channel is gone", channel=self._topic, error=str(error))
            raise

    async def _take(self, payload: bytes) -> None:
        """One message, whatever it is."""
        try:
            message = decode(payload)
        except DataError as error:
            await self._refuse(payload, error)
            return
        if isinstance(message, REPLIES) and (replies := self._asked.get(message.request)) and not replies.full():
            replies.put_nowait(message)
        wanted = "" if isinstance(message, REPLIES) else getattr(message, "service", "")
        for route in self._routes.get(type(message), ()):
            if wanted == "" or wanted in route.services or "*" in route.services:
                await self._handle(route, message)

    async def _handle(self, route: _Route, message: Control) -> None:
        kind = type(message).__struct_config__.tag
        try:
            async with asyncio.timeout(HANDLER_S):
                answer = await route.handler(message)
            for reply in () if answer is None else answer if isinstance(answer, Iterable) else (answer,):
                await self.send(msgspec.structs.replace(reply, request=message.id))
        except Exception as error:  # whatever a handler does, the channel goes on
            told = str(error) if isinstance(error, OpenbellError) else f"{type(error).__name__}: {error}"
            expected = isinstance(error, OpenbellError)
            log.error("a message was not carried out", type=kind, service=route.services[0], error=told, exc_info=not expected)
            if not isinstance(message, REPLIES):
                await self._answer_error(error_reply(error, message.id, getattr(message, "session", "")))

    async def _refuse(self, payload: bytes, error: DataError) -> None:
        """Say that a message cannot be read, if this is a process that carries messages out."""
        self.refused += 1
        log.warning("message refused", channel=self._topic, size=len(payload), error=str(error))
        if self._routes:
            await self._answer_error(error_reply(error, _id_in(payload)))

    async def _answer_error(self, reply: ErrorReply) -> None:
        try:
            await self.send(reply)
        except BusError as error:
            log.error("an answer was lost", request=reply.request, error=str(error))


def error_reply(error: Exception, request: str = "", session: str = "", epoch: int = 0) -> ErrorReply:
    """An error as a message; `error_of` is the inverse."""
    told = str(error) if isinstance(error, OpenbellError) else f"{type(error).__name__}: {error}"
    return ErrorReply(request=request, session=session, epoch=epoch, detail=told, error=type(error).__name__)


def error_of(reply: ErrorReply) -> OpenbellError:
    """The error that a message tells of, of the kind it was.

    >>> error_of(ErrorReply(detail="no rows", error="DataError"))
    DataError('no rows', '', '')
    """
    kind = getattr(errors, reply.error) if reply.error in errors.__all__ else None
    return kind(reply.detail) if isinstance(kind, type) and issubclass(kind, OpenbellError) else OpenbellError(reply.detail)


def _id_in(payload: bytes) -> str:
    """The id of a message of which the rest cannot be used."""
    try:
        fields = msgspec.json.decode(payload, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return str(fields.get("id", ""))[:64]
