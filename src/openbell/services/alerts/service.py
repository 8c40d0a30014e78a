"""The alerts service: every tick of the market-data topic compared with the alerts of its symbol, shared with others by partition.

    topic -> alerts that stand, by symbol -> what came, and how far the topic was taken -> store -> teller -> topic of alerts

What an alert waits for is compared with every tick that is taken after the alert was noticed, and it comes once for each crossing,
whatever is killed: what came is stored in one transaction with how far its partition has been taken (see
`openbell.services.topics.shares`). Only what is stored is told of (`openbell.services.alerts.teller`), and marked when the bus has it;
after a crash in between it is told of again, with the same number.
"""

import asyncio
from collections.abc import Collection, Sequence
from functools import partial

import structlog

from openbell.adapters.buses.base import Bus, Message
from openbell.adapters.messages.ticks import JsonTicks, Part, decode_ticks
from openbell.adapters.stores.alerts import AlertStore
from openbell.adapters.stores.progress import Progress
from openbell.errors import DataError, FencedError
from openbell.model import enums
from openbell.model.plan import Listing
from openbell.services.alerts.desk import NOTICE_EVERY_S
from openbell.services.alerts.history import History
from openbell.services.alerts.symbols import Kept, SymbolDesk, stored
from openbell.services.service import Service
from openbell.services.topics.shares import Shares
from openbell.services.trader.intake import EventArray, by_symbol, concatenated

log = structlog.get_logger("alerts")


class Watched(SymbolDesk):
    """A desk of one partition, and the ticks that wait to be compared there."""

    def __init__(self, listings: Sequence[Listing]) -> None:
        super().__init__(listings)
        self.waiting: list[EventArray] = []
        self.waiting_symbols: set[str] = set()

    def wait(self, symbol: str, events: EventArray) -> None:
        """Ticks of an open symbol, to be compared with the next ones."""
        if len(events):
            self.waiting.append(events)
            self.waiting_symbols.add(symbol)

    def compare(self) -> int:
        """Compare what waits; returns how many ticks."""
        if not self.waiting:
            return 0
        events = concatenated(self.waiting)
        self.take(events, self.waiting_symbols)
        self.waiting, self.waiting_symbols = [], set()
        return len(events)


class AlertService(Service):
    """Evaluates the partitions of `topic` that the group gives it. `history` has the candles before those that it sees."""

    name = "alerts"

    def __init__(self, market: Bus, topic: str, listings: Sequence[Listing], store: AlertStore, history: History | None = None) -> None:
        super().__init__()
        #: Set when there may be something to tell of.
        self.news = asyncio.Event()
        #: Who it is to the store.
        self.reader = f"alerts {topic}"
        self.triggered = 0
        self.refused = 0
        self._market = market
        self._topic = topic
        self._listings = tuple(listings)
        self._symbols = [listing.symbol for listing in listings]
        self._instruments = {symbol: index for index, symbol in enumerate(self._symbols)}
        self._store = store
        self._history = history
        self.shares = Shares(market, topic, "alerts", self._begin)
        self._revision = 0
        self._notice_at = 0.0

    async def start(self) -> None:
        """Changes from now on have to be noticed."""
        self._revision = await asyncio.to_thread(self._store.revision)

    async def run(self) -> None:
        """Until cancelled."""
        await self.shares.run(self.take, self.keep)

    async def take(self, messages: Sequence[Message]) -> None:
        """Compare the ticks of messages with what stands."""
        await self._open([message for message in messages if message.key in self._instruments])
        async for share, message in self.shares.fresh(messages):
            try:
                part = decode_ticks(message.payload, self._instruments, self._listings)
            except DataError as error:
                self.refused += 1
                log.warning("message refused", partition=message.partition, offset=message.offset, error=str(error))
                continue
            if new := [symbol for symbol in self._symbols_in(part) if symbol not in share.own.places]:
                await self._load(share.own, new)
            self._wait(share.own, part)
        self._compare()

    def _symbols_in(self, part: Part | JsonTicks) -> list[str]:
        """The listed symbols of a message."""
        if isinstance(part, Part):
            return [part.symbol] if part.symbol in self._instruments else []
        return [symbol for symbol, _ in by_symbol(part.events, self._symbols)]

    def _wait(self, own: Watched, part: Part | JsonTicks) -> None:
        """Put the ticks of a message with those that are to be compared."""
        if isinstance(part, JsonTicks):
            for symbol, events in by_symbol(part.events, self._symbols):
                own.wait(symbol, events)
        elif part.symbol in own.places:
            own.wait(part.symbol, own.fresh(part))
        elif not part.symbol:  # it is later for all symbols of the partition, whose messages each say so
            self.processed += own.compare()
            for symbol, places in own.places.items():
                events = places.fresh(part)
                if len(events) and (events["kind"] == enums.TIMER).all():
                    own.pass_time(symbol, int(events["ts_event"].max()))

    def _compare(self) -> None:
        for share in self.shares:
            self.processed += share.own.compare()

    async def keep(self) -> None:
        """Store what came with how far each partition has been taken. What users changed meanwhile holds from there on."""
        self._compare()
        for share in self.shares.unstored(lambda own: own.has_news):
            firings, changes = share.own.came()
            if await self.shares.store(share, share.own.state(), partial(self._store.record, firings, changes)) and firings:
                self.triggered += len(firings)
                self.news.set()
        await self._notice()

    async def _notice(self) -> None:
        """See what users have changed, and the history of indicators that are new."""
        now = asyncio.get_running_loop().time()
        if now < self._notice_at:
            return
        self._notice_at = now + NOTICE_EVERY_S
        changes = await asyncio.to_thread(self._store.changes, self._revision)
        if changes:
            for share in self.shares:
                share.own.change(changes)
            self._revision = changes[-1].revision
        if self._history is not None:
            for share in self.shares:
                await self._history.look(share.own)

    async def _begin(self, partition: int) -> tuple[Progress, Watched]:
        """A partition as the store has it, and what stands of its symbols now."""
        stored_progress = await asyncio.to_thread(self._store.progress, self.reader, partition)
        if not stored_progress.state:
            stored_progress = await self._first(stored_progress)
        own = Watched(self._listings)
        own.board.candles.has_history = self._history is not None
        kept = {symbol: each for symbol, each in stored(stored_progress.state).items() if symbol in self._instruments}
        await self._load(own, kept.keys(), kept)
        self.news.set()
        return stored_progress, own

    async def _first(self, stored: Progress) -> Progress:
        """Nobody has taken this partition before: ticks from now on count. It is stored at once, so that a crash does not move it."""
        position = stored.position
        if self._market.KEEPS_HISTORY:
            position = max(position, (await self._market.ends(self._topic)).get(stored.partition, 0))  # type: ignore[attr-defined]
        advance = stored.advance(position, state=SymbolDesk(()).state())
        try:
            await asyncio.to_thread(self._store.record, (), (), advance)
        except FencedError:  # somebody else was first
            return await asyncio.to_thread(self._store.progress, stored.reader, stored.partition)
        return advance.after

    async def _open(self, messages: Sequence[Message]) -> None:
        """Load the alerts of symbols that come for the first time, all at once."""
        new: dict[int, set[str]] = {}
        for message in messages:
            new.setdefault(message.partition, set()).add(message.key)
        for share in list(self.shares):
            await self._load(share.own, new.get(share.partition, set()))

    async def _load(self, own: Watched, symbols: Collection[str], kept: dict[str, Kept] | None = None) -> None:
        """Open symbols, as they were kept, with the alerts that stand."""
        new = [symbol for symbol in symbols if symbol not in own.places]
        if not new:
            return
        parts = self._store.standing(new)
        first = await asyncio.to_thread(next, parts, None)
        for symbol in new:
            own.open(symbol, (kept or {}).get(symbol))
        while first is not None:
            own.change(first)
            first = await asyncio.to_thread(next, parts, None)

    async def stop(self) -> None:
        """Store what is left."""
        await self.shares.stop(self.keep)

    def symbols(self) -> set[str]:
        """Those whose alerts are watched here."""
        return {symbol for share in self.shares for symbol in share.own.places}

    def partitions(self) -> list[int]:
        """Those that are taken here."""
        return [share.partition for share in self.shares]

    def progress(self) -> dict[str, int]:
        """How far the topic is taken, the number of the latest change by a user that is noticed, and the alerts that stand."""
        return {**self.shares.progress(), "revision": self._revision, "standing": self._standing()}

    def _standing(self) -> int:
        return sum(share.own.board.standing for share in self.shares)

    @property
    def detail(self) -> str:
        """What it has."""
        told = f"{self._standing():,} alerts waiting on {len(self.symbols())} symbols, {self.triggered:,} triggered, {self.shares.detail}"
        return told + (f", {self.refused:,} messages refused" if self.refused else "")

    @property
    def queue(self) -> int:
        """Messages waiting."""
        return self.shares.depth
