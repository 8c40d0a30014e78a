"""What waits for each stream: one reader of the bus hands every message to the outbox of each, and never waits for any of them.

Where only the newest of each key matters, only that waits. Where every change matters the outbox has a bound; a client that is slower is
told to come back, and begins anew.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

import structlog

from openbell.adapters.buses.base import Bus, Message, Subscription
from openbell.errors import ThrottledError

T = TypeVar("T")

#: Changes that wait for one client.
WAITING_MAX = 2_000

log = structlog.get_logger("rpc")


class Outbox(Generic[T]):
    """What waits for one stream. With a key a thing replaces the one before it; without, everything waits, up to the bound."""

    def __init__(self) -> None:
        self._newest: dict[str, T] = {}
        self._waiting: list[T] = []
        self._is_full = False
        self._news = asyncio.Event()

    def put(self, thing: T, key: str = "") -> None:
        """Something new."""
        if key:
            self._newest[key] = thing
        elif len(self._waiting) < WAITING_MAX:
            self._waiting.append(thing)
        else:
            self._is_full = True
        self._news.set()

    async def take(self) -> list[T]:
        """Wait for something, and return all there is. ThrottledError when something did not fit any more."""
        await self._news.wait()
        self._news.clear()
        if self._is_full:
            raise ThrottledError("this client is slower than what it listens to", "one that reads all the time", "begin the stream anew")
        found = [*self._waiting, *self._newest.values()]
        self._waiting, self._newest = [], {}
        return found


class Fan(Generic[T]):
    """Reads topics while anybody listens; `made` says what to hand on of a message, with its key, or None for nothing."""

    def __init__(self, bus: Bus, topics: str | Sequence[str], made: Callable[[Message], tuple[T, str] | None]) -> None:
        self._bus = bus
        self._topics = topics
        self._made = made
        self._outboxes: set[Outbox[T]] = set()
        self._reading: asyncio.Task[None] | None = None
        self._subscription: Subscription | None = None

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[Outbox[T]]:
        """An outbox that gets everything from now on."""
        outbox = Outbox[T]()
        self._outboxes.add(outbox)
        if self._subscription is None:
            self._subscription = self._bus.subscribe(self._topics)
            self._reading = asyncio.create_task(self._read(self._subscription))
        try:
            yield outbox
        finally:
            self._outboxes.discard(outbox)
            if not self._outboxes and self._reading is not None and self._subscription is not None:
                self._reading.cancel()
                self._subscription.close()
                self._reading = self._subscription = None

    async def _read(self, subscription: Subscription) -> None:
        while messages := await subscription.take():
            for message in messages:
                if (found := self._made(message)) is not None:
                    for outbox in self._outboxes:
                        outbox.put(*found)
