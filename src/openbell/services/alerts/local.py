"""The alerts of the platform in one process: compared with what its trader has journaled, at the very place of each event in the run.

    journaled events, commands -> desks -> what came, and how far the run was taken -> database -> channel of alerts

Nothing is opened, compiled or written until there is an alert. From then on the database says with every firing how far the run was taken,
and what the journal has beyond that is compared again after a crash: so each crossing is told once.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import msgspec
import numpy as np

from openbell.adapters.buses.base import Bus, Message
from openbell.adapters.stores.alerts import AlertStore, Standing
from openbell.adapters.stores.base import Batch
from openbell.adapters.stores.candles_base import CandleStore
from openbell.adapters.stores.database import Address, Database, open_database
from openbell.adapters.stores.progress import Progress
from openbell.engine.plan import Plan
from openbell.model import enums
from openbell.services.alerts.accounts import AccountDesk, Kept
from openbell.services.alerts.desk import NOTICE_EVERY_S
from openbell.services.alerts.history import History
from openbell.services.alerts.ledger import Ledger
from openbell.services.alerts.prepare import load_board, prepare_board
from openbell.services.alerts.shown import shown_event
from openbell.services.alerts.symbols import SymbolDesk, stored
from openbell.services.plans import MAIN
from openbell.services.portfolio.replica import Replica
from openbell.services.service import Service
from openbell.services.topics.names import COMMANDS, JOURNALED, VIEWS
from openbell.services.topics.paced import Paced
from openbell.services.trader.intake import EventArray

#: How often (seconds) what came is stored, and how far the run was taken when nothing came.
KEEP_EVERY_S, MARK_EVERY_S = 0.2, 2.0
TOLD_MAX = 500


class LocalAlerts(Service):
    """Watches the alerts in the database at `place` while a run goes on, which began at a time (ns): another one may have its name.

    Before it starts, `catch_up` brings what the journal has.
    """

    name = "alerts"
    reads = (JOURNALED, COMMANDS)

    def __init__(self, bus: Bus, plan: Plan, run: str, began_ns: int, place: Path | Address, candles: CandleStore | None = None) -> None:
        super().__init__()
        self.triggered = 0
        self._bus = bus
        self._plan = plan
        self._run = run
        self._place = place
        self._inbox = bus.subscribe((JOURNALED, COMMANDS))
        self._history = History(candles) if candles is not None else None
        self._database: Database | None = None
        self._store: AlertStore | None = None
        self._ticks = Progress(f"alerts {run} of {began_ns}")
        self._decisions = Progress(f"alerts of accounts {run} of {began_ns}")
        self._desk: SymbolDesk | None = None
        self._accounts = AccountDesk({MAIN: plan})
        self._accounts.begin(MAIN, Ledger.begin(run, self._accounts.names[MAIN]))
        self._alone = Lock()
        self._seq = 0
        self._revision = 0
        self._preparing: asyncio.Task[None] | None = None
        self._notice_at = self._mark_at = 0.0
        if not isinstance(place, Path) or place.is_file():
            self._begin(self.open_store())

    def open_store(self) -> AlertStore:
        """The alerts of this platform; the database is made when there is none yet."""
        with self._alone:
            if self._store is None:
                self._database = open_database(self._place)
                self._store = AlertStore(self._database)
            return self._store

    def _begin(self, store: AlertStore) -> None:
        """Where the database says that the run was left."""
        self._revision = store.revision()
        self._ticks, self._decisions = (store.progress(known.reader, 0) for known in (self._ticks, self._decisions))
        rows = [row for part in store.standing([item.symbol for item in self._plan.listings]) for row in part]
        if rows:
            prepare_board()
            self._make_desk(rows, self._ticks.state)
        on_accounts = store.standing_of_accounts()
        if on_accounts:
            prepare_board()
            if self._decisions.state:
                self._accounts = AccountDesk({MAIN: self._plan}, msgspec.msgpack.decode(self._decisions.state, type=Kept))
            self._accounts.change(on_accounts)

    def _make_desk(self, rows: list[Standing], state: bytes) -> None:
        kept = stored(state) if state else {}
        self._desk = SymbolDesk(self._plan.listings)
        self._desk.board.candles.has_history = self._history is not None
        for item in self._plan.listings:
            self._desk.open(item.symbol, kept.get(item.symbol))
        self._desk.change(rows)

    @property
    def follows(self) -> bool:
        """Whether there are alerts, to which the journal's batches matter."""
        return self._desk is not None or self._accounts.board.standing > 0

    def begin_at(self, seq: int, replica: Replica) -> None:
        """Where the run stands, in place of its batches when there are no alerts."""
        self._seq = seq
        self._accounts.begin(MAIN, Ledger.of(self._run, replica))

    def catch_up(self, batch: Batch) -> None:
        """Take a batch of the journal, before the service runs. Where alerts stood at no time before, they begin with what comes next."""
        self._take_events(batch.first_seq, batch.events, bool(self._ticks.state))
        self._take_commands(batch.first_command, batch.commands, bool(self._decisions.state))

    def _take_events(self, first: int, events: EventArray, is_compared: bool = True) -> None:
        """Events of the run, the first of which has this number."""
        known = max(self._seq, self._ticks.position)
        self._seq = max(self._seq, first + len(events) - 1)
        if self._desk is not None and is_compared and self._seq > known:
            fresh = events[max(known + 1 - first, 0) :]
            self.processed += len(fresh)
            begin = 0
            for timer in np.flatnonzero(fresh["kind"] == enums.TIMER).tolist():
                self._desk.take(fresh[begin:timer], self._desk.books)
                for symbol in self._desk.books:
                    self._desk.pass_time(symbol, int(fresh["ts_event"][timer]))
                begin = timer + 1
            self._desk.take(fresh[begin:], self._desk.books)

    def _take_commands(self, first: int, commands: Any, is_compared: bool = True) -> None:
        if self._accounts.board.standing and is_compared:
            self._accounts.take(MAIN, first, commands)
        else:
            self._accounts.skip(MAIN, first, commands)

    async def run(self) -> None:
        """Until what it reads is closed and drained."""
        paced = Paced(self._inbox, KEEP_EVERY_S)
        try:
            while (messages := await paced.take()) is not None:
                self.take(messages)
                if not messages:
                    await self.keep()
                    await self.notice()
        finally:
            paced.stop()

    def take(self, messages: Sequence[Message]) -> None:
        """Compare what messages of the bus bring with what stands."""
        for message in messages:
            if message.topic == JOURNALED:
                self._take_events(message.payload.first, message.payload.events)
            else:
                self._take_commands(message.payload.first, message.payload.commands)

    async def keep(self, at_once: bool = False) -> None:
        """Store what came with how far the run was taken, and show it."""
        if self._store is None or (self._desk is None and not self._accounts.board.standing and not self._accounts.has_news):
            return
        now = asyncio.get_running_loop().time()
        is_due = at_once or now >= self._mark_at
        self._mark_at = now + MARK_EVERY_S if is_due else self._mark_at
        if self._desk is not None:
            self._ticks = await self._record(self._ticks, self._seq, self._desk, self._desk.state, is_due)
            if not self._desk.board.standing:
                self._desk = None
        index = self._accounts.ledgers[MAIN].index
        if self._accounts.board.standing or self._accounts.has_news:
            self._decisions = await self._record(self._decisions, index, self._accounts, self._accounts.state, is_due)

    async def _record(self, known: Progress, position: int, desk: Any, state: Callable[[], bytes], is_due: bool) -> Progress:
        firings, changes = desk.came()
        if not (firings or changes or (is_due and (position > known.position or not known.state))):
            return known
        assert self._store is not None, "what is kept has a store"
        advance = known.advance(max(position, known.position), state=state())
        await asyncio.to_thread(partial(self._store.record, firings, changes, advance))
        self.triggered += len(firings)
        if firings:
            await self._show(advance.after.reader)
        return advance.after

    async def _show(self, reader: str) -> None:
        """Bring what is recorded to whoever watches."""
        assert self._store is not None, "what is shown is stored"
        while events := await asyncio.to_thread(self._store.untold, reader, [0], TOLD_MAX):
            if self._bus.has_subscribers(VIEWS):
                for event in events:
                    await self._bus.send(VIEWS, ("alerts", shown_event(event)), "alerts")
            await asyncio.to_thread(self._store.tell, events)

    async def notice(self) -> None:
        """See what users have changed; it holds from what is stored at that moment."""
        now = asyncio.get_running_loop().time()
        if now < self._notice_at or (self._store is None and isinstance(self._place, Path) and not self._place.is_file()):
            return
        self._notice_at = now + NOTICE_EVERY_S
        store = await asyncio.to_thread(self.open_store)
        if self._desk is not None and self._history is not None:
            await self._history.look(self._desk)
        latest = await asyncio.to_thread(store.revision)
        if latest == self._revision or not self._is_prepared():
            return
        await self.keep(at_once=True)
        for of_accounts in (False, True):
            changes = await asyncio.to_thread(store.changes, self._revision, of_accounts=of_accounts)
            await self._change([row for row in changes if row.revision <= latest], of_accounts)
        self._revision = latest

    async def _change(self, changes: list[Standing], of_accounts: bool) -> None:
        if of_accounts:
            self._accounts.change(changes)
        elif self._desk is not None:
            self._desk.change(changes)
        elif active := [row for row in changes if row.status == "active"]:
            self._make_desk(active, b"")
        await self.keep(at_once=True)

    def _is_prepared(self) -> bool:
        """Whether the kernels are there; if not, they come while events and commands are read on."""
        if self._preparing is None:
            self._preparing = asyncio.create_task(asyncio.to_thread(_prepare))
        return self._preparing.done()

    async def start(self) -> None:
        """Show what was recorded and could not be shown."""
        if self._store is not None:
            for known in (self._ticks, self._decisions):
                await self._show(known.reader)

    async def stop(self) -> None:
        """Store what is left."""
        if self._preparing is not None:
            await asyncio.gather(self._preparing, return_exceptions=True)
        try:
            await self.keep(at_once=True)
        finally:
            if self._database is not None:
                self._database.close()

    def progress(self) -> dict[str, int]:
        """How far the run is taken and stored, the latest change by a user that is noticed, and the alerts that stand."""
        return {"taken": self._seq, "stored": self._ticks.position, "revision": self._revision, "standing": self._standing()}

    def _standing(self) -> int:
        return (self._desk.board.standing if self._desk is not None else 0) + self._accounts.board.standing

    @property
    def detail(self) -> str:
        """What it has."""
        return f"{self._standing():,} alerts waiting, {self.triggered:,} triggered"

    @property
    def queue(self) -> int:
        """Messages waiting."""
        return self._inbox.depth


def _prepare() -> None:
    prepare_board()
    load_board()
