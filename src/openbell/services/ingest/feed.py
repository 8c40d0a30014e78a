"""The feed service: from one feed onto the bus. Whatever has come meanwhile is one message; a full bus holds the feed back."""

import asyncio
from collections.abc import Callable

from openbell.adapters.buses.base import Bus
from openbell.adapters.feeds.base import Feed, Positioned, Ticks
from openbell.services.service import Service
from openbell.services.topics.names import TICKS
from openbell.services.trader.intake import concatenated

#: Events that may wait for room on the bus before the feed has to.
HELD_MAX = 512


class FeedService(Service):
    """Publishes the events of a feed; `cursor` tells where to begin, once it is time to."""

    name = "feed"

    def __init__(self, bus: Bus, feed: Feed, cursor: Callable[[], bytes], name: str = "feed") -> None:
        super().__init__()
        self.name = name
        self._bus = bus
        self._feed = feed
        self._cursor = cursor
        self._held: list[Ticks] = []
        self._held_events = 0
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._going = asyncio.Event()
        self._going.set()

    @property
    def paused(self) -> bool:
        """Whether the feed is held."""
        return not self._going.is_set()

    def pause(self) -> None:
        """Read no more of the feed: what it hands over from now on waits, and so does the feed, where it can."""
        self._going.clear()

    def resume(self) -> None:
        """Go on reading."""
        self._going.set()

    async def run(self) -> None:
        """Until the feed ends."""
        reading = asyncio.create_task(self._read())
        try:
            while not reading.done() or self._held:
                await self._news.wait()
                self._news.clear()
                await self._publish()
        finally:
            reading.cancel()
        await reading

    async def _read(self) -> None:
        try:
            async for ticks in self._feed.stream(self._cursor()):
                await self._going.wait()
                self._held.append(ticks)
                self._held_events += len(ticks.events)
                self._news.set()
                if self._held_events >= HELD_MAX:
                    self._room.clear()
                    await self._room.wait()
        finally:
            self._news.set()

    async def _publish(self) -> None:
        """What is held, as one message."""
        held, count = self._held, self._held_events
        if not held:
            return
        self._held, self._held_events = [], 0
        self._room.set()
        ticks = held[0] if len(held) == 1 else Ticks(concatenated([part.events for part in held]), held[-1].cursor)
        await self._bus.send(TICKS, ticks)
        self.processed += count

    def progress(self) -> dict[str, int]:
        """How many events were published; where the feed's sources count theirs, also how far each is."""
        counted = self._feed.positions() if isinstance(self._feed, Positioned) else {}
        return {"published": self.processed, **counted}

    @property
    def detail(self) -> str:
        """What the feed says of itself."""
        return f"{'paused, ' if self.paused else ''}{self._feed.status().detail}"

    @property
    def lag_ms(self) -> float | None:
        """How far the feed is behind its own schedule."""
        return self._feed.status().lag_ms
