"""The feed service: from one feed onto the bus. A full bus holds the feed back."""

from collections.abc import Callable

from openbell.adapters.buses.base import Bus
from openbell.adapters.feeds.base import Feed
from openbell.services.service import Service
from openbell.services.topics import TICKS


class FeedService(Service):
    """Publishes the events of a feed; `cursor` tells where to begin, once it is time to."""

    name = "feed"

    def __init__(self, bus: Bus, feed: Feed, cursor: Callable[[], bytes]) -> None:
        super().__init__()
        self._bus = bus
        self._feed = feed
        self._cursor = cursor

    async def run(self) -> None:
        """Until the feed ends."""
        async for ticks in self._feed.stream(self._cursor()):
            await self._bus.send(TICKS, ticks)
            self.processed += len(ticks.events)

    @property
    def detail(self) -> str:
        """What the feed says of itself."""
        return self._feed.status().detail

    @property
    def lag_ms(self) -> float | None:
        """How far the feed is behind its own schedule."""
        return self._feed.status().lag_ms
