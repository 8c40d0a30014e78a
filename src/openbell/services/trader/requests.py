"""What users ask for, from a gateway to the trader's process and back: an event each way, known by an id.

A request waits in a durable queue until it is journaled; when the trader dies before it says so, the request comes again, and the key in it
says that it is known. An answer that nobody waits for any more is dropped, and what is no request goes to the dead letters.
"""

import asyncio
import secrets
from collections.abc import Sequence
from typing import cast

import msgspec
import numpy as np
import structlog

from openbell.adapters.buses.base import Bus, Message, RetrySubscription, Subscription
from openbell.adapters.feeds.base import EventArray
from openbell.errors import BusError, DataError, OpenbellError, UsageError
from openbell.model import enums
from openbell.model.events import EVENT
from openbell.services.processes.edge import Edge
from openbell.services.service import Service
from openbell.services.topics.names import ANSWERS, REQUESTS
from openbell.services.trader.asking import PATIENCE
from openbell.services.trader.service import KEYED, Answer, Asked, key_of

#: Requests that are journaled together at most.
MESSAGES_MAX = 512

log = structlog.get_logger("requests")


class Question(msgspec.Struct, array_like=True):
    """A request on its way."""

    id: str
    caller: str
    trader: str
    event: bytes  # one EVENT record


class Told(msgspec.Struct, array_like=True):
    """What became of it: the answer, or why there is none."""

    id: str
    seq: int = 0
    commands: int = 0
    repeated: bool = False
    found: str = ""
    expected: str = ""
    do: str = ""


class RequestReader(Service):
    """Beside a trader: brings requests for it into its order of events, and answers them. The bus for orders HAS_RETRY."""

    name = "requests"

    def __init__(self, bus: Bus, edge: Edge, trader: str) -> None:
        super().__init__()
        self._bus = bus
        self._edge = edge
        self._trader = trader
        self.refused = 0

    async def run(self) -> None:
        """Until cancelled."""
        subscription = cast(RetrySubscription, self._edge.orders.subscribe(self._edge.name(REQUESTS), f"trader {self._trader}"))
        try:
            await subscription.ready()
            while messages := await subscription.take(MESSAGES_MAX):
                questions = await self._questions(subscription, messages)
                for told, caller in await asyncio.gather(*(self._ask(question) for question in questions)):
                    await self._edge.orders.send(self._edge.name(ANSWERS), msgspec.msgpack.encode(told), caller)
                    self.processed += 1
                subscription.ack()
        finally:
            subscription.close()

    async def _questions(self, subscription: RetrySubscription, messages: Sequence[Message]) -> list[Question]:
        """The requests for this trader; what is none is put aside."""
        found = []
        for message in messages:
            try:
                question = question_of(message.payload)
            except DataError as error:
                self.refused += 1
                log.error("request refused; it is among the dead letters", error=str(error))
                await subscription.reject(message, str(error))
            else:
                found += [question] if question.trader == self._trader else []
        return found

    async def _ask(self, question: Question) -> tuple[Told, str]:
        reply: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        await self._bus.send(REQUESTS, Asked(np.frombuffer(question.event, EVENT).copy(), reply))
        try:
            answer = await reply
        except OpenbellError as error:
            return Told(question.id, found=error.found, expected=error.expected, do=error.do), question.caller
        return Told(question.id, answer.seq, answer.commands, answer.repeated), question.caller

    @property
    def detail(self) -> str:
        """What was asked, and what could not be read."""
        return f"{self.processed:,} answered" + (f", {self.refused:,} refused" if self.refused else "")


def question_of(payload: bytes) -> Question:
    """The request in a message; DataError when there is none."""
    try:
        question = msgspec.msgpack.decode(payload, type=Question)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"{len(payload)} bytes are no request: {error}", "one that a gateway of this version sends") from None
    size, whose = len(question.event), f"a request for trader {question.trader[:80]!r}"
    if size != EVENT.itemsize:
        raise DataError(f"{whose} has {size} bytes", f"one record of {EVENT.itemsize} bytes", "bring both to the same version")
    request = np.frombuffer(question.event, EVENT)["request"][0]
    if request["kind"] != enums.REQUEST or request["ts_available"]:
        found = f"{whose} is an event of kind {request['kind']} with the time {request['ts_available']}"
        raise DataError(found, f"kind {enums.REQUEST}, and no time: it takes place when it comes")
    return question


class RemoteAsk(Service):
    """In a gateway: sends requests to traders of other processes, and waits for what they say."""

    name = "requests"

    def __init__(self, edge: Edge) -> None:
        super().__init__()
        self._edge = edge
        self._caller = secrets.token_hex(8)
        self._waiting: dict[str, asyncio.Future[Answer]] = {}
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        """Listen for answers before anything is asked."""
        self._subscription = self._edge.orders.subscribe(self._edge.name(ANSWERS))
        await self._subscription.ready()

    async def run(self) -> None:
        """Until cancelled."""
        assert self._subscription is not None, "started"
        while messages := await self._subscription.take():
            for message in messages:
                if message.key == self._caller:
                    self._tell(msgspec.msgpack.decode(message.payload, type=Told))
            self._subscription.ack()

    def _tell(self, told: Told) -> None:
        waiting = self._waiting.get(told.id)
        if waiting is None or waiting.done():
            return
        if told.found:
            waiting.set_exception(UsageError(told.found, told.expected, told.do))
        else:
            waiting.set_result(Answer(told.seq, told.commands, told.repeated))
            self.processed += 1

    async def __call__(self, trader: str, event: EventArray) -> Answer:
        """Have a REQUEST event carried out. BusError when the trader does not answer: its fate is then unknown."""
        request = event["request"][0]
        if request["action"] in KEYED and key_of(event) == 0:
            request["order_id"] = secrets.randbits(62) | 1  # so that it is known when it comes again
        question = Question(secrets.token_hex(8), self._caller, trader, event.tobytes())
        reply: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[question.id] = reply
        try:
            async with asyncio.timeout(PATIENCE):
                await self._edge.orders.send(self._edge.name(REQUESTS), msgspec.msgpack.encode(question), trader)
                return await reply
        except TimeoutError:
            raise BusError("the trader did not answer in time", do="look at /orders before asking again") from None
        finally:
            del self._waiting[question.id]
