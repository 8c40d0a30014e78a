"""Questions and answers over a bus: who asks waits for the one answer that is meant for it.

    async with Caller(bus, "gateway-1") as caller:                     # topics `requests` and `answers` are declared
        body = await caller.call("requests", b"...", key="AAPL", seconds=5)

    call = Call.of(message)                                            # a member of a group on `requests`
    await answer(bus, call, b"...")                                    # or: await refuse(bus, call, error)

A question may come twice, as everything that is delivered at least once: who answers keeps the effect of a `call.id` to one, or asks for
it again. An answer that comes late, twice or to somebody else is ignored.
"""

import asyncio
import contextlib
import time
from types import TracebackType

import msgspec

from openbell import errors
from openbell.adapters.buses.base import Bus, Message
from openbell.errors import BusError, OpenbellError

#: The topic of answers; their key is the name of who asked.
ANSWERS = "answers"


class Call(msgspec.Struct, frozen=True, array_like=True):
    """A question. After `deadline_ns` (UTC, by the clock of who asked) nobody waits for it any more, so nothing should be done about it."""

    id: str
    caller: str
    deadline_ns: int
    payload: bytes

    @classmethod
    def of(cls, message: Message) -> "Call":
        """The question that a message carries; BusError when it carries something else."""
        try:
            return msgspec.msgpack.decode(message.payload, type=cls)
        except msgspec.MsgspecError as error:
            raise BusError(f"a message to {message.topic} is no call: {error}", "a call as Caller sends it") from None


class _Answer(msgspec.Struct, frozen=True, array_like=True):
    """What comes back: bytes, or the name and the parts of an error of ours."""

    id: str
    payload: bytes = b""
    error: tuple[str, str, str, str] | None = None


class Caller:
    """Asks and waits. `name` is this process's own: answers to it go to nobody else."""

    def __init__(self, bus: Bus, name: str, answers: str = ANSWERS) -> None:
        self._bus, self._name = bus, name
        self._subscription = bus.subscribe(answers)
        self._session = f"{name}-{time.time_ns():x}"
        self._number = 0
        self._asked: dict[str, asyncio.Future[bytes]] = {}
        self._task: asyncio.Task[None] | None = None
        self._error: BusError | None = None

    async def __aenter__(self) -> "Caller":
        await self._subscription.ready()
        self._task = asyncio.create_task(self._listen(), name=f"answers to {self._name}")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._subscription.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        self._give_up(BusError("the one who asked is gone"))

    async def call(self, topic: str, payload: bytes, key: str = "", seconds: float = 5.0) -> bytes:
        """Ask and return the answer, or raise the error that came instead of it.

        BusError when there is none within `seconds`: whether the question had an effect is unknown then.
        """
        if self._error is not None:
            raise self._error
        self._number += 1
        asked = Call(f"{self._session}-{self._number}", self._name, time.time_ns() + round(seconds * 1e9), payload)
        answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._asked[asked.id] = answered
        sent = False
        try:
            async with asyncio.timeout(seconds):
                await self._bus.send(topic, msgspec.msgpack.encode(asked), key)
                sent = True
                return await answered
        except TimeoutError:
            if not sent:
                raise BusError(f"there was no room for a call to {topic} for {seconds:g} s; it was not sent") from None
            raise BusError(f"no answer to a call to {topic} within {seconds:g} s; its fate is unknown") from None
        finally:
            del self._asked[asked.id]

    async def _listen(self) -> None:
        try:
            while messages := await self._subscription.take():
                for message in messages:
                    if message.key == self._name:
                        self._receive(message)
                self._subscription.ack()
        except BusError as error:
            self._give_up(error)
        else:
            self._give_up(BusError("the bus is closed: no answers come any more"))

    def _receive(self, message: Message) -> None:
        with contextlib.suppress(msgspec.MsgspecError):  # from a foreign program: no answer to anything that was asked
            came = msgspec.msgpack.decode(message.payload, type=_Answer)
            answered = self._asked.get(came.id)
            if answered is None or answered.done():
                return
            if came.error is None:
                answered.set_result(came.payload)
            else:
                name, *parts = came.error
                answered.set_exception(_error_called(name)(*parts))

    def _give_up(self, error: BusError) -> None:
        self._error = error
        for answered in self._asked.values():
            if not answered.done():
                answered.set_exception(error)


async def answer(bus: Bus, call: Call, payload: bytes, answers: str = ANSWERS) -> None:
    """Send the answer, waiting for room."""
    await bus.send(answers, msgspec.msgpack.encode(_Answer(call.id, payload)), call.caller)


async def refuse(bus: Bus, call: Call, error: OpenbellError, answers: str = ANSWERS) -> None:
    """Send an error, which is raised where it was asked."""
    parts = (type(error).__name__, error.found, error.expected, error.do)
    await bus.send(answers, msgspec.msgpack.encode(_Answer(call.id, error=parts)), call.caller)


def _error_called(name: str) -> type[OpenbellError]:
    found = getattr(errors, name, None)
    return found if isinstance(found, type) and issubclass(found, OpenbellError) else OpenbellError
