"""A worker for each channel that something waits for, each in a thread of its own while it works: sinks block."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Thread
from typing import TypeVar

import structlog

from openbell.adapters.stores.notification_rows import ChannelRow
from openbell.errors import StorageError
from openbell.services.notifier.worker import Tools, Worker

#: How often (seconds) it is looked what waits; what is written by this process is seen at once.
LOOK_S = 1.0
#: How long (seconds) a message may take, with all that belongs to it, and how many channels work at once.
SEND_S = 20.0
THREADS_MAX = 32
#: After how many seconds a worker that cannot reach the database goes on, and how long one waits without looking again.
RETRY_S = 2.0
WAIT_MAX_S = 60.0

T = TypeVar("T")
log = structlog.get_logger("notifier")


@dataclass(slots=True)
class Post:
    """A channel's worker, what it works in, and what was seen of it last."""

    worker: Worker
    news: asyncio.Event
    task: asyncio.Task[None] | None = None
    seen: tuple[int, int] = (0, 0)  # what waits, and the channel's latest change


class Deliverer:
    """Makes workers when something waits, and lets them go on when it is time."""

    def __init__(self, tools: Tools) -> None:
        self.pending = 0
        self._tools = tools
        self._posts: dict[tuple[int, int], Post] = {}
        self._news = asyncio.Event()
        self._turns = asyncio.Semaphore(THREADS_MAX)
        self._sent = 0

    @property
    def sent(self) -> int:
        """Messages that were sent."""
        return self._sent + sum(post.worker.sent for post in self._posts.values())

    def wake(self) -> None:
        """Something waits, or a channel has changed: look at once."""
        self._news.set()

    def abort(self) -> None:
        """End what is being sent now."""
        for post in self._posts.values():
            post.worker.abort()

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                self._news.clear()
                await self.look()
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await self._news.wait()
        finally:
            tasks = [post.task for post in self._posts.values() if post.task is not None]
            for task in tasks:
                task.cancel()
            self.abort()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def look(self) -> None:
        """See what waits, and have it told."""
        pending = await asyncio.to_thread(self._tools.outbox.pending)
        self.pending = sum(pending.values())
        if not pending:
            return
        rows = {(row.id, row.created): row for row in await asyncio.to_thread(self._tools.channels.find)}
        for key in self._posts.keys() - rows.keys():  # the channel is gone
            self._sent += self._posts.pop(key).worker.sent
        for key, row in rows.items():
            if row.id in pending:
                if key not in self._posts:
                    self._posts[key] = Post(Worker(row, self._tools), asyncio.Event())
                self._go_on(self._posts[key], row, pending[row.id])

    def _go_on(self, post: Post, row: ChannelRow, waiting: int) -> None:
        post.worker.wanted = row
        if post.seen != (waiting, row.changed):
            post.seen = waiting, row.changed
            post.news.set()
        if post.task is None or post.task.done():
            post.task = asyncio.create_task(self._work(post), name=f"channel {row.id}")

    async def _work(self, post: Post) -> None:
        """Until nothing is left for the channel. What comes meanwhile is seen by the next look."""
        while True:
            post.news.clear()
            try:
                async with self._turns:
                    wait = await self._step(post.worker)
            except StorageError as error:
                log.error("a channel waits for the database", channel=post.worker.row.id, error=str(error))
                wait = RETRY_S
            if wait is None:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(min(wait, WAIT_MAX_S)):
                    await post.news.wait()

    async def _step(self, worker: Worker) -> float | None:
        loop = asyncio.get_running_loop()
        alarm = loop.call_later(SEND_S, worker.abort)
        try:
            return await in_thread(worker.step)
        finally:
            alarm.cancel()


async def in_thread(work: Callable[[], T]) -> T:
    """Do something in a thread that does not keep the process alive: a sink that hangs must not."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def tell(result: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as raised:  # handed over to whoever waits
            error = raised
        with suppress(RuntimeError):  # the loop may be closed by now
            loop.call_soon_threadsafe(tell, result, error)

    Thread(target=run, name="notifier", daemon=True).start()
    return await done
