"""The analytics of the platform in one process: what its trader has journaled, onto the tapes of a board that questions read.

The kernel is loaded in a thread while the platform starts; until it is there events wait, a bounded number of them. Now and then the board
is stored with how far the run was taken, and what the journal has beyond that is taken again after a restart.
"""

import asyncio
from collections.abc import Sequence
from functools import partial

import numpy as np

from openbell.adapters.buses.base import Bus, Message
from openbell.adapters.stores.base import Batch
from openbell.adapters.stores.candles_base import CandleStore
from openbell.analytics.board import Array
from openbell.engine.plan import Plan
from openbell.model.analytics import BEFORE, CLOSES_RECORD, READING_RECORD
from openbell.services.analytics.calendar import Calendar
from openbell.services.analytics.prepare import load_analytics, prepare_analytics
from openbell.services.analytics.source import Local
from openbell.services.analytics.tapes import Tapes
from openbell.services.service import Service
from openbell.services.topics.names import JOURNALED
from openbell.services.topics.paced import Paced
from openbell.services.trader.intake import EventArray

#: How often (seconds) everything is stored.
STORE_S = 20.0
LOOK_S = 0.5
#: Events that wait for the kernel, at most; then the platform waits for it too.
WAITING_MAX = 1 << 20


class LocalAnalytics(Service):
    """Computes a run while it goes on, which began at a time (ns): another one may have its name. The store keeps how far it was taken.

    Before it starts, `catch_up` brings what the journal has after `seq`.
    """

    name = "analytics"
    reads = (JOURNALED,)

    def __init__(self, bus: Bus, plan: Plan, run: str, began_ns: int, store: CandleStore, calendar: Calendar) -> None:
        super().__init__()
        self._inbox = bus.subscribe((JOURNALED,))
        self._store = store
        self._tapes = Tapes(plan.listings, calendar)
        self._progress = store.progress(f"analytics {run} of {began_ns}")
        self.seq = self._progress.position
        self._waiting: list[tuple[int, EventArray]] = []
        self._is_there = False
        self._loading: asyncio.Task[None] | None = None
        self._store_at = 0.0
        self.source = Local(self._tapes.symbols, self._readings, self._closes)

    def catch_up(self, batch: Batch) -> None:
        """Take a batch of the journal, before the service runs."""
        self._waiting.append((batch.first_seq, batch.events))
        if self._waiting_count() > WAITING_MAX:
            self._load()
            self._take_waiting()

    async def start(self) -> None:
        """Load the kernel, in the background."""
        self._loading = asyncio.create_task(asyncio.to_thread(self._load))

    def _load(self) -> None:
        """Load the kernel, and the board as it was stored."""
        if self._is_there:
            return
        prepare_analytics()
        load_analytics()
        if self._progress.state:
            self._tapes.restore(self._progress.state)
        for symbol in self._tapes.symbols:
            if symbol not in self._tapes.places:
                self._tapes.open(symbol)
        self._is_there = True

    async def run(self) -> None:
        """Until what it reads is closed and drained."""
        assert self._loading is not None, "it was started"
        self._store_at = asyncio.get_running_loop().time() + STORE_S
        paced = Paced(self._inbox, LOOK_S)
        try:
            while (messages := await paced.take()) is not None:
                await self.take(messages)
                if not messages and asyncio.get_running_loop().time() >= self._store_at:
                    await self.keep()
        finally:
            paced.stop()
        await self._loaded()

    async def take(self, messages: Sequence[Message]) -> None:
        """Take what messages of the bus bring, once the kernel is there."""
        self._waiting += [(message.payload.first, message.payload.events) for message in messages]
        if self._waiting_count() > WAITING_MAX:
            await self._loaded()
        if self._is_loaded():
            self._take_waiting()

    async def _loaded(self) -> None:
        assert self._loading is not None, "it was started"
        await self._loading
        self._take_waiting()

    def _is_loaded(self) -> bool:
        """Whether the kernel is there; raises what went wrong with it."""
        if self._loading is None or not self._loading.done():
            return False
        self._loading.result()
        return True

    def _waiting_count(self) -> int:
        return sum(len(events) for _, events in self._waiting)

    def _take_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for first, events in waiting:
            self._compute(first, events)

    def _compute(self, first: int, events: EventArray) -> None:
        """Take events of the run, the first of which has this number; what was taken already is passed over."""
        fresh = events[max(self.seq + 1 - first, 0) :]
        if len(fresh):
            self.processed += self._tapes.board.take(fresh)
            self.seq = first + len(events) - 1

    async def keep(self) -> None:
        """Store everything, when there is something new."""
        if self._is_loaded() and self.seq > self._progress.position:
            advance = self._progress.advance(self.seq, state=self._tapes.kept())
            await asyncio.to_thread(partial(self._store.add, (), advance))
            self._progress = advance.after
        self._store_at = asyncio.get_running_loop().time() + STORE_S

    async def stop(self) -> None:
        """Store what is left."""
        if self._loading is not None:
            await asyncio.gather(self._loading, return_exceptions=True)
            if self._loading.exception() is None:
                await self.keep()

    def _readings(self) -> tuple[Sequence[int], Array, int]:
        if not self._is_loaded():
            return [], np.zeros(0, READING_RECORD), BEFORE
        board = self._tapes.board
        return *board.readings(board.now), board.now

    def _closes(self, window: int) -> tuple[Sequence[int], Array, int]:
        if not self._is_loaded():
            return [], np.zeros(0, CLOSES_RECORD), BEFORE
        board = self._tapes.board
        return *board.closes(window, board.now), board.now

    def progress(self) -> dict[str, int]:
        """How far the run is taken and stored."""
        return {"taken": self.seq, "stored": self._progress.position}

    @property
    def detail(self) -> str:
        """What it has."""
        return f"{len(self._tapes.places):,} symbols" if self._is_loaded() else "loading"

    @property
    def queue(self) -> int:
        """Messages waiting."""
        return self._inbox.depth
