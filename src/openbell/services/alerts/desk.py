"""A desk: a board with the names of its symbols, the alerts that users change, and what has to be stored of it."""

from collections.abc import Collection, Iterable, Sequence

import msgspec
import numpy as np

from openbell.adapters.messages.ticks import Part
from openbell.adapters.stores.alert_rows import Change, Firing, Standing, schedule_of
from openbell.adapters.stores.alert_rules import Schedule
from openbell.alerts.board import Array, Board
from openbell.alerts.gauges import Candle, Gauge
from openbell.model.alerts import BEFORE, EXPIRED, LAST, NOBODY
from openbell.model.plan import Listing
from openbell.services.alerts.rules import key_of, rows_of
from openbell.services.alerts.schedules import hours_around
from openbell.services.topics.places import Places, Reached


class Kept(msgspec.Struct, array_like=True):
    """What is stored of one symbol. Its alerts are in their own table."""

    reached: Reached = {}
    last: float | None = None  # the latest price
    has_traded: bool = False
    now: int = BEFORE  # ns, the latest time
    streams: dict[str, tuple[float, float, int, bytes]] = {}
    candles: dict[int, tuple[int, bytes, dict[str, bytes]]] = {}


class Desk:
    """The alerts of some of the listings. Not safe for two threads at once."""

    def __init__(self, listings: Sequence[Listing]) -> None:
        self.board = Board([item.lot_size for item in listings], [item.lateness_ns for item in listings], self._hours)
        self.symbols = [item.symbol for item in listings]
        self.books = {symbol: index for index, symbol in enumerate(self.symbols)}
        #: Of the symbols that are open.
        self.places: dict[str, Places] = {}
        self._schedules: dict[str, int] = {}
        self._parsed: dict[int, Schedule] = {}
        self._raw: dict[str, msgspec.Raw] = {}
        self._continued: set[str] = set()
        self._fired: list[Array] = []

    def open(self, symbol: str, kept: Kept | None = None) -> None:
        """Take the ticks of a symbol from now on; its alerts come with `change`."""
        kept = kept or Kept()
        self.places[symbol] = Places(kept.reached)
        price = np.nan if kept.last is None else kept.last
        self.board.open_book(self.books[symbol], (price, kept.has_traded, kept.now, kept.streams, kept.candles))
        if kept.now != BEFORE:
            self._continued.add(symbol)

    def change(self, found: Iterable[Standing]) -> None:
        """Alerts of open symbols are new or were changed by their owners; those of other symbols are passed over."""
        own = [row for row in found if row.symbol in self.places]
        gone = [row.id for row in own if row.status != "active"]
        if gone:
            self.board.remove(gone)
        for is_continued in (True, False):
            new = [row for row in own if row.status == "active" and (row.symbol in self._continued) == is_continued]
            if new:
                streams = [self.board.stream(self.books[row.symbol], key_of(row)) for row in new]
                schedules = [self._schedule(row.schedule) if row.schedule else NOBODY for row in new]
                self.board.add(rows_of(new, streams, schedules, is_continued))

    def _schedule(self, text: str) -> int:
        if text not in self._schedules:
            number = self._schedules[text] = self.board.schedule()
            schedule = schedule_of(text)
            assert schedule is not None, "an empty text is no schedule"
            self._parsed[number] = schedule
        return self._schedules[text]

    def _hours(self, number: int, ts: int) -> tuple[int, int, int]:
        return hours_around(self._parsed[number], ts)

    def fresh(self, part: Part) -> Array:
        """The events of a message about an open symbol that were not taken yet; they count as taken from now on."""
        self._raw.pop(part.symbol, None)
        return self.places[part.symbol].fresh(part)

    def take(self, events: Array, symbols: Collection[str]) -> None:
        """Take ticks, which are of these symbols."""
        for symbol in symbols:
            self._raw.pop(symbol, None)
        self._note(self.board.take(events))

    def pass_time(self, symbol: str, ts: int) -> None:
        """It is `ts` (ns) for an open symbol, at the least."""
        self._raw.pop(symbol, None)
        self._note(self.board.pass_time(self.books[symbol], ts))

    def catch_up(self, symbol: str, gauge: Gauge, timeframe_ns: int, history: Sequence[tuple[int, Candle]], is_whole: bool) -> None:
        """Candles from elsewhere for an indicator that waits for them; `is_whole` when it need not wait any more."""
        self._raw.pop(symbol, None)
        self._note(self.board.catch_up(self.books[symbol], gauge, timeframe_ns, history, is_whole))

    def _note(self, fired: Array) -> None:
        if len(fired):
            self._fired.append(fired)

    def came(self) -> tuple[list[Firing], list[Change]]:
        """What came since it was asked, in order, and how the alerts stand that changed with it."""
        firings: list[Firing] = []
        changes: dict[int, Change] = {}
        last: dict[int, Firing] = {}
        for fired in self._fired:
            for _, id, revision, number, ts, value, price, fate in fired.tolist():
                if fate != EXPIRED:
                    last[id] = Firing(id, number, revision, ts, value, None if price != price else price)
                    firings.append(last[id])
                if fate in (LAST, EXPIRED):
                    changes[id] = Change(id, revision, "triggered" if fate == LAST else "expired", 0, number, last.get(id))
        self._fired = []
        for id, revision, armed, number in self.board.changes().tolist():
            changes[id] = Change(id, revision, "active", armed, number, last.get(id))
        return firings, list(changes.values())

    def state(self) -> bytes:
        """What is stored of the symbols, for `opened`. What nobody waits for any more is left out from then on."""
        self.board.tidy()
        for symbol, places in self.places.items():
            if symbol not in self._raw:
                price, has_traded, now, streams, candles = self.board.kept(self.books[symbol])
                kept = Kept(places.reached, None if price != price else price, has_traded, now, streams, candles)
                self._raw[symbol] = msgspec.Raw(msgspec.msgpack.encode(kept))
        return msgspec.msgpack.encode(self._raw)


def stored(state: bytes) -> dict[str, Kept]:
    """What `state` says, by symbol."""
    return msgspec.msgpack.decode(state, type=dict[str, Kept])
