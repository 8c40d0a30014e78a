"""The desk of symbols: alerts on prices and on what follows from ticks, and what has to be stored of each symbol."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from openbell.adapters.stores.alert_rows import Standing
from openbell.alerts.board import Array
from openbell.alerts.gauges import Candle, Gauge
from openbell.model.alerts import BEFORE
from openbell.model.plan import Listing
from openbell.services.alerts.desk import Desk
from openbell.services.topics.places import Places, Reached

if TYPE_CHECKING:
    from openbell.adapters.messages.ticks import Part


class Kept(msgspec.Struct, array_like=True):
    """What is stored of one symbol. Its alerts are in their own table."""

    reached: Reached = {}
    last: float | None = None  # the latest price
    has_traded: bool = False
    now: int = BEFORE  # ns, the latest time
    streams: dict[str, tuple[float, float, int, bytes]] = {}
    candles: dict[int, tuple[int, bytes, dict[str, bytes]]] = {}


class SymbolDesk(Desk):
    """The alerts of those of the listings that are open."""

    def __init__(self, listings: Sequence[Listing]) -> None:
        super().__init__([item.lot_size for item in listings], [item.lateness_ns for item in listings])
        self.books = {item.symbol: index for index, item in enumerate(listings)}
        #: Of the symbols that are open.
        self.places: dict[str, Places] = {}
        self._continued: set[int] = set()
        self._raw: dict[str, msgspec.Raw] = {}

    def open(self, symbol: str, kept: Kept | None = None) -> None:
        """Take the ticks of a symbol from now on; its alerts come with `change`."""
        kept = kept or Kept()
        book = self.books[symbol]
        self.places[symbol] = Places(kept.reached)
        price = np.nan if kept.last is None else kept.last
        self.board.open_book(book, (price, kept.has_traded, kept.now, kept.streams, kept.candles))
        if kept.now != BEFORE:
            self._continued.add(book)

    def book_of(self, row: Standing) -> int:
        """That of its symbol, when it is open."""
        return self.books[row.symbol] if row.symbol in self.places else -1

    def is_continued(self, book: int) -> bool:
        """When its state was kept."""
        return book in self._continued

    def fresh(self, part: "Part") -> Array:
        """The events of a message about an open symbol that were not taken yet; they count as taken from now on."""
        self._raw.pop(part.symbol, None)
        return self.places[part.symbol].fresh(part)

    def take(self, events: Array, symbols: Collection[str]) -> None:
        """Take ticks, which are of these symbols."""
        for symbol in symbols:
            self._raw.pop(symbol, None)
        self.note(self.board.take(events))

    def pass_time(self, symbol: str, ts: int) -> None:
        """It is `ts` (ns) for an open symbol, at the least."""
        self._raw.pop(symbol, None)
        self.note(self.board.pass_time(self.books[symbol], ts))

    def catch_up(self, symbol: str, gauge: Gauge, timeframe_ns: int, history: Sequence[tuple[int, Candle]], is_whole: bool) -> None:
        """Candles from elsewhere for an indicator that waits for them; `is_whole` when it need not wait any more."""
        self._raw.pop(symbol, None)
        self.note(self.board.catch_up(self.books[symbol], gauge, timeframe_ns, history, is_whole))

    def state(self) -> bytes:
        """What is stored of the symbols, for `stored`. What nobody waits for any more is left out from then on."""
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
