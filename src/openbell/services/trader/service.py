"""The trader service: whatever has arrived, ticks and requests of users, is one batch of the one total order.

Large batches are stepped and journaled in a thread, so that the event loop serves others meanwhile; the kernel lets go of the
interpreter lock. Everything else about the trader is in `openbell.services.trader.trader`.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from openbell.adapters.buses.base import Bus, Message, Subscription
from openbell.adapters.feeds.base import EventArray, Ticks
from openbell.adapters.stores.base import Batch
from openbell.errors import UsageError
from openbell.model import enums
from openbell.services.plans import MAIN
from openbell.services.service import Service
from openbell.services.topics.names import COMMANDS, JOURNALED, REQUESTS, TICKS
from openbell.services.trader.intake import concatenated
from openbell.services.trader.trader import Trader

#: Events in one batch, about: some milliseconds of work.
EVENTS_MAX = 16_384
#: Up to so many events are stepped on the loop itself, in less than a millisecond: quicker than to wake a thread.
EVENTS_AT_ONCE = 256
#: Requests whose `order_id` field may hold a key; to cancel or modify an order again changes nothing.
KEYED = (enums.REQUEST_SUBMIT, enums.REQUEST_START, enums.REQUEST_PAUSE, enums.REQUEST_KILL)
#: Idempotency keys that are remembered.
KEYS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Decided:
    """Commands on their way out, and the index of the first in the run; between processes also whose run it is, and where it was read."""

    first: int
    commands: np.ndarray[Any, Any]
    trader: str = MAIN
    run: str = ""
    offset: int = -1


@dataclass(frozen=True, slots=True)
class Journaled:
    """Events that are in the journal, and the place of the first in the order of the run; their own `seq` says nothing."""

    first: int
    events: EventArray


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request: its event, and how many commands the run has with it."""

    seq: int
    commands: int
    repeated: bool  # its idempotency key was known: nothing was done again

    @property
    def order_id(self) -> int:
        """The id of the order it submitted, if it did."""
        return (self.seq << 10) + 1


@dataclass(frozen=True, slots=True)
class Asked:
    """One event that somebody waits for: a request of a user's, or a broker's reply.

    Where a request has no use for `order_id`, the field holds the idempotency key's fingerprint, so that the journal remembers it.
    """

    event: EventArray
    reply: "asyncio.Future[Answer]"

    @property
    def key(self) -> int:
        """The fingerprint of the idempotency key, 0 for none."""
        return key_of(self.event)


def key_of(event: EventArray) -> int:
    """The fingerprint in a REQUEST event that has room for one, 0 for none."""
    request = event["request"][0]
    return int(request["order_id"]) if request["kind"] == enums.REQUEST and request["action"] in KEYED else 0


class TraderService(Service):
    """Drives one `Trader`. `on_step(events, seconds)` hears of every batch, `on_journaled(cursor)` when its effect is stored.

    With `remote` the commands go to other processes: they have left once `confirm` says so, and the journal is used in the thread alone.
    """

    name = "trader"
    reads = (REQUESTS, TICKS)

    def __init__(
        self, bus: Bus, trader: Trader, on_step: Callable[[int, float], None],
        remote: bool = False, on_journaled: Callable[[bytes], None] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self._remote = remote
        self._on_journaled = on_journaled
        self.trader = trader
        self._bus = bus
        self._on_step = on_step
        self._inbox: Subscription = bus.subscribe((REQUESTS, TICKS))
        self._thread = ThreadPoolExecutor(1, "trader")
        self._keys: dict[int, tuple[int, bytes]] = {}
        self._lag = 0.0

    async def run(self) -> None:
        """Until ticks and requests are closed and drained."""
        await self._hand_out()
        while messages := await self._inbox.take():
            while messages:
                messages = await self._batch(messages)

    async def _batch(self, messages: list[Message]) -> list[Message]:
        """Step what fits into one batch; returns the messages that are left."""
        began = perf_counter()
        parts: list[EventArray] = []
        asked: list[tuple[Asked, int, bool]] = []
        cursor, seq, taken = None, self.trader.seq, 0
        for message in messages:
            taken += 1
            if isinstance(message.payload, Ticks):
                parts.append(message.payload.events)
                cursor = message.payload.cursor or cursor  # replies of a broker leave it
                seq += len(message.payload.events)
            elif at := self._place(message.payload, seq + 1):
                if at == seq + 1:
                    parts.append(message.payload.event)
                asked.append((message.payload, at, at <= seq))
                seq = max(seq, at)
            if seq - self.trader.seq >= EVENTS_MAX:
                break
        if parts:
            events, first = concatenated(parts), self.trader.seq + 1
            await self._commit(events, cursor)
            if self._bus.has_subscribers(JOURNALED):
                await self._bus.send(JOURNALED, Journaled(first, events))
            if cursor and self._on_journaled is not None:
                self._on_journaled(cursor)
            await self._hand_out()
            count = sum(map(len, parts))
            self.processed += count
            self._lag = perf_counter() - began
            self._on_step(count, self._lag)
        for request, at, is_repeated in asked:
            _answer(request, Answer(at, self.trader.commands, is_repeated))
        return messages[taken:]

    async def _commit(self, events: EventArray, cursor: bytes | None) -> None:
        """Journal and step: a few events at once, many in the thread, so that nobody on the loop waits for long."""
        if len(events) <= EVENTS_AT_ONCE and not self._remote:
            self.trader.commit(events, cursor)
        else:
            await self._in_thread(self.trader.commit, events, cursor)

    async def _in_thread(self, work: Callable[..., Any], *arguments: Any) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    async def _hand_out(self) -> None:
        if not self._remote:
            await self.trader.deliver(self._publish)
            return
        for first, commands in self.trader.hand_out():
            await self._publish(first, commands)

    async def confirm(self, count: int) -> None:
        """The first `count` commands of the run are safe with the others."""
        await self._in_thread(self.trader.confirm, count)

    def _place(self, request: Asked, seq: int) -> int:
        """Where the event of a request stands: at `seq` when it is to be carried out, further back when its key is known.

        What the key was used for before is answered as the first time, when that has been carried out: it may be of this very batch.
        0 for a request that is refused.
        """
        if request.key == 0:
            return seq
        known = self._keys.get(request.key)
        if known is None:
            self.remember(request.event, seq)
            return seq
        if known[1] == _body(request.event):
            return known[0]
        error = UsageError("the idempotency key was used for another order", "the same order", "take a new key")
        if not request.reply.done():
            request.reply.set_exception(error)
        return 0

    def catch_up(self, batch: Batch) -> None:
        """Note the keys of the requests that the journal holds."""
        for row in np.flatnonzero(batch.events["kind"] == enums.REQUEST):
            self.remember(batch.events[row : row + 1], batch.first_seq + int(row))

    def remember(self, event: EventArray, seq: int) -> None:
        """Note the key of a journaled request, if it has one."""
        if key := key_of(event):
            self._keys[key] = (seq, _body(event))
        if len(self._keys) > KEYS_MAX:
            del self._keys[next(iter(self._keys))]

    async def _publish(self, first: int, commands: np.ndarray[Any, Any]) -> None:
        await self._bus.send(COMMANDS, Decided(first, commands))

    async def stop(self) -> None:
        """Keep a checkpoint; the run may be taken up again."""
        await self._in_thread(self.trader.close)
        self._thread.shutdown()

    def progress(self) -> dict[str, int]:
        """Events stepped, commands written, and those that have left."""
        return {"events": self.trader.seq, "commands": self.trader.commands, "sent": self.trader.sent}

    @property
    def detail(self) -> str:
        """The run and where it stands."""
        return f"run {self.trader.id}, event {self.trader.seq:,}"

    @property
    def lag_ms(self) -> float | None:
        """How long the latest batch took, from taking it to its commands being out."""
        return round(1000 * self._lag, 2)

    @property
    def queue(self) -> int:
        """Messages waiting."""
        return self._inbox.depth


def _body(event: EventArray) -> bytes:
    """A request without its place in the order and in time."""
    plain = event.copy()
    plain["seq"] = plain["ts_available"] = plain["ts_event"] = 0
    return plain.tobytes()


def _answer(request: Asked, answer: Answer) -> None:
    if not request.reply.done():
        request.reply.set_result(answer)
