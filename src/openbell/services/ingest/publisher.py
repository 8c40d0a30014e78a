"""The publisher of a feed: ticks from the bus of the process to the market-data topic, in chunks that readers can put in order again.

How far the feed has been published is stored once the bus has confirmed it. Killed in between, the publisher says the rest again, and the
readers know it by its place.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

import structlog

from openbell.adapters.buses.base import Bus, Message
from openbell.adapters.feeds.base import Ticks
from openbell.adapters.messages.ticks import COUNT_MAX, encode_chunk
from openbell.adapters.stores.database import Database
from openbell.adapters.stores.progress import Progress, move, read_progress
from openbell.model.plan import Listing
from openbell.services.service import Service
from openbell.services.topics.names import TICKS
from openbell.services.topics.paced import Paced
from openbell.services.trader.intake import concatenated

#: How often (seconds) it is stored how far the feed has been published.
STORE_EVERY_S = 0.25
#: Events in one chunk, about: large enough that a message costs little a tick, small enough for a message of a few hundred KB.
CHUNK_EVENTS = 8_192
#: How long (seconds) ticks may wait for the bus to confirm those before, to share messages with what comes meanwhile.
GATHER_S = 0.01

log = structlog.get_logger("publisher")


class PublisherService(Service):
    """Publishes what the feed of this process hands over. FencedError when another process publishes the same source."""

    name = "publisher"
    reads = (TICKS,)

    def __init__(self, bus: Bus, market: Bus, topic: str, source: str, listings: Sequence[Listing], database: Database) -> None:
        super().__init__()
        self._market = market
        self._topic = topic
        self._source = source
        self._listings = tuple(listings)
        self._symbols = tuple(listing.symbol for listing in listings)
        self._database = database
        self._inbox = bus.subscribe(TICKS)
        self._epoch = 0
        self._place = 0
        self._stored = Progress("")
        self.cursor = b""

    def take_up(self, is_over: Callable[[bytes], bool], fresh: bool) -> None:
        """Go on where the source stopped, or count it anew: it came to its end, or `fresh` says so."""
        counting = f"ingest {self._source}"
        epochs = self._database.run(lambda sql: read_progress(sql, counting, 0))
        self._epoch = epochs.position
        self._stored = self._database.run(lambda sql: read_progress(sql, f"{counting} {self._epoch}", 0))
        if self._stored.position and (fresh or is_over(self._stored.cursor)):
            advance = epochs.advance(self._epoch + 1)
            self._database.run(lambda sql: move(sql, advance))
            self._epoch += 1
            self._stored = Progress(f"{counting} {self._epoch}")
        self._place, self.cursor = self._stored.position, self._stored.cursor

    async def run(self) -> None:
        """Until the ticks are closed and drained."""
        paced = Paced(self._inbox, STORE_EVERY_S)
        try:
            while (messages := await paced.take()) is not None:
                waiting: list[Ticks] = []
                for message in await self._gathered(messages):
                    waiting.append(message.payload)
                    if sum(len(ticks.events) for ticks in waiting) >= CHUNK_EVENTS:
                        await self._publish(waiting)
                        waiting = []
                if waiting:
                    await self._publish(waiting)
                if not messages:
                    await self._store()
            await self._store()
        finally:
            paced.stop()

    async def _gathered(self, messages: list[Message]) -> list[Message]:
        """What came, with what comes while the bus has yet to confirm what it was given before: messages cost by their number, and so
        chunks are small while there is little to do, and grow with the load."""
        if messages and sum(len(message.payload.events) for message in messages) < CHUNK_EVENTS:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GATHER_S):
                    await self._market.flush()
            messages += self._inbox.take_now()
        return messages

    async def _publish(self, waiting: list[Ticks]) -> None:
        events, cursor = concatenated([ticks.events for ticks in waiting]), waiting[-1].cursor
        assert len(events) <= COUNT_MAX, "a feed's arrays are smaller than a chunk"
        for symbol, payload in encode_chunk(
            events, self._listings, source=self._source, epoch=self._epoch, first=self._place, cursor=cursor
        ):
            for key in (symbol,) if symbol else self._symbols:  # a timer is for all: in every partition somebody has candles to close
                await self._market.send(self._topic, payload, key)
        self._place += len(events)
        self.cursor = cursor
        self.processed += len(events)

    async def _store(self) -> None:
        """Note how far the feed has been published, once the bus has all of it."""
        place, cursor = self._place, self.cursor
        if place == self._stored.position:
            return
        await self._market.flush()
        advance = self._stored.advance(place, cursor)
        await asyncio.to_thread(self._database.run, lambda sql: move(sql, advance))
        self._stored = advance.after

    @property
    def detail(self) -> str:
        """How far it is."""
        return f"{self._source}: {self._place:,} events published, {self._stored.position:,} of them confirmed"

    @property
    def queue(self) -> int:
        """Messages waiting."""
        return self._inbox.depth

    def progress(self) -> dict[str, int]:
        """How many events this process has taken; how many of the source are published, and how many of them the bus has for certain."""
        return {"taken": self.processed, "published": self._place, "confirmed": self._stored.position}
