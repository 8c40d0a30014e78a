"""The alerts service: every tick of the market-data topic compared with the alerts of its symbol, shared with others by partition.

topic -> alerts that stand, by symbol -> what came, and how far the topic was taken -> store -> teller -> topic of alerts
"""

import asyncio
from collections.abc import Collection, Sequence

import structlog

from openbell.adapters.buses.base import Bus, Message
from openbell.adapters.messages.ticks import JsonTicks, Part, decode_ticks
from openbell.adapters.stores.alerts import AlertStore
from openbell.adapters.stores.progress import Progress
from openbell.errors import DataError
from openbell.model import enums
from openbell.model.plan import Listing
from openbell.services.alerts.history import History
from openbell.services.alerts.symbols import Kept, SymbolDesk, stored
from openbell.services.alerts.watcher import Watcher
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


class AlertService(Watcher[Watched]):
    """Evaluates the partitions of `topic` that the group gives it. `history` has the candles before those that it sees."""

    name = "alerts"
    OF_ACCOUNTS = False

    def __init__(self, market: Bus, topic: str, listings: Sequence[Listing], store: AlertStore, history: History | None = None) -> None:
        super().__init__(market, topic, store, asyncio.Event())
        self._listings = tuple(listings)
        self._symbols = [listing.symbol for listing in listings]
        self._instruments = {symbol: index for index, symbol in enumerate(self._symbols)}
        self._history = history

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
        """Compare what waits before it is stored."""
        self._compare()
        await super().keep()

    async def _notice(self) -> None:
        """See what users have changed, and the history of indicators that are new."""
        await super()._notice()
        if self._history is not None:
            for share in self.shares:
                await self._history.look(share.own)

    async def _begin(self, partition: int) -> tuple[Progress, Watched]:
        """A partition as the store has it, and what stands of its symbols now."""
        progress = await asyncio.to_thread(self._store.progress, self.reader, partition)
        if not progress.state:  # ticks from now on count
            position = (await self._market.ends(self._topic)).get(partition, 0) if self._market.KEEPS_HISTORY else 0  # type: ignore[attr-defined]
            progress = await self._first(progress, position, SymbolDesk(()).state())
        own = Watched(self._listings)
        own.board.candles.has_history = self._history is not None
        kept = {symbol: each for symbol, each in stored(progress.state).items() if symbol in self._instruments}
        await self._load(own, kept.keys(), kept)
        self.news.set()
        return progress, own

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

    def symbols(self) -> set[str]:
        """Those whose alerts are watched here."""
        return {symbol for share in self.shares for symbol in share.own.places}

    @property
    def watched(self) -> str:
        """How many symbols, and of which partitions."""
        return f"{len(self.symbols())} symbols of {self.shares.detail}"
