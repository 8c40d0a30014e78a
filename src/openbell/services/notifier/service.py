"""The notifier: what happens is written down, and told to the channels of those who want it. Whatever becomes of it, trading goes on.

    decisions, alerts, services -> intake (bounded) -> outbox (stored once, by id) -> a worker for each channel -> sink

It does nothing while there is no channel. Where several processes share a database, one of them tells, by a lease; every one of them writes
down the alerts it is given. Nothing that goes wrong here ends the platform: it is logged, and tried again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from time import time_ns

import structlog
from msgspec.structs import replace

from openbell.adapters.stores.channels import ChannelStore
from openbell.adapters.stores.notification_rows import News
from openbell.adapters.stores.notifications import Outbox
from openbell.adapters.stores.progress import Progress
from openbell.errors import FencedError, StorageError
from openbell.model.time import HOUR
from openbell.services.notifier.deliverer import Deliverer
from openbell.services.notifier.intake import Intake
from openbell.services.notifier.lease import RENEW_S, Lease
from openbell.services.notifier.sources import Decisions, Source
from openbell.services.service import Service

#: How often (seconds) it is looked whether there is a channel now.
IDLE_S = 2.0
#: How long something may wait until it is written down, seconds.
WRITE_EVERY_S = 0.2
#: How soon something is tried again that went wrong, seconds.
RETRY_S = 2.0
#: What waits is given up after so long; what was told is forgotten after `keep_days`; how often that is done, seconds.
GIVE_UP_NS = 24 * HOUR
TIDY_EVERY_S = 600.0
LAST_WORDS_S = 2.0
#: Things in one transaction.
PART = 500
#: Kept with the place of a reader: from then on everything counts.
BEGUN = b"begun"

log = structlog.get_logger("notifier")


class NotifierService(Service):
    """Runs `sources` while there is a channel and this process holds the lease (None: nobody else tells), and `always` in any case.

    `sources` is given how far the reader has come, without state when it has to begin anew; where it begins is put into the intake, and
    stored before it begins, so that whoever takes over goes on from there.
    `reader` names what the intake is fed by, in the table of progress; `owner` says whose a strategy is, and may ask the database; `load`
    loads what sends, which takes a second of a core.
    """

    name = "notifier"

    def __init__(
        self, channels: ChannelStore, outbox: Outbox, deliverer: Deliverer, intake: Intake, reader: str,
        sources: Callable[[Progress], Awaitable[Sequence[Source]]], *, owner: Callable[[str], int] = lambda strategy: 0,
        always: Sequence[Source] = (), lease: Lease | None = None, keep_days: int = 30, load: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.intake = intake
        self.deliverer = deliverer
        self._changed = asyncio.Event()
        self._channels = channels
        self._outbox = outbox
        self._reader = reader
        self._sources = sources
        self._owner = owner
        self._always = always
        self._lease = lease
        self._keep_ns = keep_days * 24 * HOUR
        self._load = load
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready: list[Source] = []
        self._batch: tuple[list[News], int | None] = [], None
        self._position = 0
        self._trouble = ""

    async def start(self) -> None:
        """Nothing that is decided from now on is missed, where there is a channel already. What sends is loaded before trading begins."""
        self._loop = asyncio.get_running_loop()
        try:
            if await asyncio.to_thread(self._channels.any_enabled):
                await asyncio.to_thread(self._load)
                if self._lease is None:
                    await self._prepare()
        except StorageError as error:
            log.error("nothing is told for a while", error=str(error))

    def note_change(self) -> None:
        """Channels have changed: look at once. For any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._changed.set)
            self._loop.call_soon_threadsafe(self.deliverer.wake)

    async def _prepare(self) -> None:
        self._ready = list(await self._sources(await asyncio.to_thread(self._outbox.progress, self._reader)))
        await self._write_batch()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for source in self._always:
                tasks.create_task(self._patiently(source.run))
            tasks.create_task(self._patiently(self._tell_while_wanted))

    async def _patiently(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do something again and again, whatever becomes of it: trading must not end because nobody can be told of it."""
        while True:
            try:
                await work()
                self._trouble = ""
            except Exception as error:  # logged, and tried again after a pause
                self._trouble = str(error) if isinstance(error, StorageError) else f"{type(error).__name__}: {error}"
                log.error("nothing is told for a while", error=self._trouble, exc_info=not isinstance(error, StorageError))
            await asyncio.sleep(RETRY_S)

    async def _tell_while_wanted(self) -> None:
        """Wait until there is a channel and this is the one who tells; then do, until that ends."""
        while not (await asyncio.to_thread(self._channels.any_enabled) and await self._hold()):
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(IDLE_S):
                    await self._changed.wait()
        if not self._ready:
            await self._prepare()
        log.info("telling", channels=len(await asyncio.to_thread(self._channels.find)))
        works = [*(source.run for source in self._ready), self._write, self.deliverer.run, self._tidy, self._keep_hold]
        tasks: list[asyncio.Task[None]] = [asyncio.ensure_future(work()) for work in works]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._leave()
        await self.write_down()
        if not await asyncio.to_thread(self._channels.any_enabled):
            await asyncio.to_thread(self._begin_anew)

    def _leave(self) -> None:
        """Take what the sources still have; they are made anew when they are needed."""
        ready, self._ready = self._ready, []
        for source in ready:
            if isinstance(source, Decisions):
                source.drain()

    async def _hold(self) -> bool:
        return self._lease is None or await asyncio.to_thread(self._lease.take, time_ns())

    async def _keep_hold(self) -> None:
        """Until the lease is lost, or the last channel is gone."""
        while await self._hold() and await asyncio.to_thread(self._channels.any_enabled):
            await asyncio.sleep(RENEW_S)

    async def _write(self) -> None:
        """Write down what has come in."""
        while True:
            await asyncio.sleep(WRITE_EVERY_S)
            await self.write_down()

    async def write_down(self) -> None:
        """Write down what is there. While the database is away it waits, and what is too much is given up and counted."""
        while True:
            try:
                if not await self._write_batch():
                    return
            except StorageError as error:
                self._trouble = str(error)
                log.error("news wait to be written down", count=len(self._batch[0]), error=str(error))
                await asyncio.sleep(RETRY_S)

    async def _write_batch(self) -> bool:
        """Write down what is there, or what could not be written before; False when there is nothing."""
        if self._batch == ([], None):
            self._batch = self.intake.take(time_ns())
        news, position = self._batch
        if not news and position is None:
            return False
        count = await asyncio.to_thread(self._store, news, position)
        self._batch = [], None
        self._position = max(self._position, position or 0)
        self.processed += count
        if count:
            self.deliverer.wake()
        return True

    def _store(self, news: Sequence[News], position: int | None) -> int:
        """What is critical first, in parts, so that it is told while the rest is still written; the reader's place with the last part."""
        urgent = [one for one in news if one.severity == "critical"]
        news = [self._owned(one) for one in (*urgent, *(one for one in news if one.severity != "critical"))]
        count = 0
        while len(news) > PART:
            count += self._outbox.tell(news[:PART])
            news = news[PART:]
        return count + self._tell_last(news, position)

    def _tell_last(self, news: Sequence[News], position: int | None) -> int:
        known = self._outbox.progress(self._reader)
        if position is None or (position <= known.position and known.state):
            return self._outbox.tell(news)
        try:
            return self._outbox.tell(news, known.advance(max(position, known.position), state=BEGUN))
        except FencedError:  # another process has gone further; what it did not say is said here
            return self._outbox.tell(news)

    def _begin_anew(self) -> None:
        """Nobody is told any more; what is decided until there is a channel again does not count."""
        known = self._outbox.progress(self._reader)
        with suppress(FencedError):  # another process tells already
            self._outbox.tell([], known.advance(known.position, state=b""))

    def _owned(self, news: News) -> News:
        strategy = news.fields.get("strategy")
        return replace(news, owner=self._owner(strategy)) if strategy else news

    async def _tidy(self) -> None:
        """Give up what waits too long, and forget what is long done."""
        while True:
            now = time_ns()
            await asyncio.to_thread(self._outbox.expire, now - GIVE_UP_NS)
            while await asyncio.to_thread(self._outbox.forget, now - self._keep_ns):
                await asyncio.sleep(RETRY_S)
            await asyncio.sleep(TIDY_EVERY_S)

    async def stop(self) -> None:
        """Write down what came last. What is not told now is told by the next one."""
        self.deliverer.abort()
        self._leave()
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS_S):
                await self.write_down()
                if self._lease is not None:
                    await asyncio.to_thread(self._lease.release, time_ns())

    def progress(self) -> dict[str, int]:
        """Whether this process tells, the place of its reader that is stored, and what it wrote down and sent."""
        return {"telling": int(bool(self._ready)), "position": self._position, "told": self.processed, "sent": self.deliverer.sent}

    @property
    def detail(self) -> str:
        """What it does."""
        told = f"{self.processed:,} things to tell, {self.deliverer.sent:,} messages sent"
        if self.intake.dropped:
            told += f", {self.intake.dropped:,} not kept because too much happened at once"
        return told + (f"; {self._trouble}" if self._trouble else "")

    @property
    def queue(self) -> int:
        """What waits to be told."""
        return len(self.intake) + self.deliverer.pending
