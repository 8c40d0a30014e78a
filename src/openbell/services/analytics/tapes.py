"""The tapes of some symbols by their names: a board, how far the sources of each symbol's ticks have been taken, and both as stored."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import structlog

from openbell.analytics.board import LAYOUT, Array, Board
from openbell.errors import JournalError
from openbell.model.analytics import BEFORE
from openbell.model.plan import Listing
from openbell.services.analytics.calendar import Calendar
from openbell.services.topics.places import Places, Reached
from openbell.services.trader.intake import EventArray, by_symbol, concatenated

if TYPE_CHECKING:
    from openbell.adapters.messages.ticks import Part

log = structlog.get_logger("analytics")


class KeptTape(msgspec.Struct, array_like=True):
    """What is stored of one symbol."""

    reached: Reached
    tape: bytes


class KeptTapes(msgspec.Struct, array_like=True):
    """What is stored of some symbols. `layout` says what the bytes mean."""

    layout: str
    tapes: dict[str, KeptTape]
    now: int = BEFORE  # ns, the latest time of all


class Tapes:
    """The tapes of those of the listings that are open. Ticks wait until `compute`."""

    def __init__(self, listings: Sequence[Listing], calendar: Calendar) -> None:
        self.symbols = [item.symbol for item in listings]
        self.instruments = {symbol: index for index, symbol in enumerate(self.symbols)}
        self.places: dict[str, Places] = {}
        self.board = Board([item.lot_size for item in listings], [item.price_increment for item in listings], calendar.sessions)
        self._waiting: list[EventArray] = []

    def open(self, symbol: str, kept: KeptTape | None = None) -> None:
        """Take the ticks of a symbol from now on, which goes on from what was kept."""
        self.places[symbol] = Places(kept.reached if kept is not None else None)
        try:
            self.board.open(self.instruments[symbol], kept.tape if kept is not None else b"")
        except JournalError as error:
            log.warning("analytics begin anew", symbol=symbol, error=str(error))
            self.board.open(self.instruments[symbol])

    def wait(self, part: "Part") -> None:
        """Take the ticks of a message that were not taken yet, with the next ones."""
        if part.symbol:
            if self._open(part.symbol):
                self._waiting.append(self.places[part.symbol].fresh(part))
        else:  # it is later for all symbols; the message comes once for each
            self._waiting += [places.fresh(part) for places in self.places.values()]

    def wait_for_all(self, events: EventArray) -> None:
        """Take ticks of any of the symbols that no source has counted, with the next ones."""
        for symbol, own in by_symbol(events, self.symbols):
            self._open(symbol)
            self._waiting.append(own)

    def _open(self, symbol: str) -> bool:
        if symbol in self.instruments and symbol not in self.places:
            self.open(symbol)
        return symbol in self.places

    def compute(self) -> int:
        """Take what waits; returns how many ticks."""
        waiting, self._waiting = [events for events in self._waiting if len(events)], []
        return self.board.take(concatenated(waiting)) if waiting else 0

    def kept(self) -> bytes:
        """What is stored, for `restore`; everything that waits has been computed."""
        tapes = {symbol: KeptTape(places.reached, self.board.kept(self.instruments[symbol])) for symbol, places in self.places.items()}
        return msgspec.msgpack.encode(KeptTapes(LAYOUT, tapes, self.board.now))

    def restore(self, state: bytes) -> None:
        """Go on from what was stored. What another version has stored counts as nothing, but what it has taken is not taken again."""
        kept = msgspec.msgpack.decode(state, type=KeptTapes)
        is_ours = kept.layout == LAYOUT
        if not is_ours:
            log.warning("analytics begin anew", error="they were stored by another version")
        self.board.pass_time(kept.now)
        for symbol, tape in kept.tapes.items():
            if symbol in self.instruments:
                self.open(symbol, tape if is_ours else KeptTape(tape.reached, b""))

    def readings(self, now: int) -> tuple[list[str], Array]:
        """Symbols that something is known of, and their readings at a time (ns)."""
        instruments, rows = self.board.readings(now)
        return [self.symbols[instrument] for instrument in instruments], rows

    def closes(self, window: int, now: int) -> tuple[list[str], Array]:
        """Symbols, and the prices at the ends of the parts of a window at a time (ns)."""
        instruments, rows = self.board.closes(window, now)
        return [self.symbols[instrument] for instrument in instruments], rows


def changed(before: dict[str, bytes], symbols: Sequence[str], rows: Array) -> dict[str, bytes]:
    """The bytes of those rows that are other than before, which they then replace."""
    size = rows.dtype.itemsize
    packed = np.ascontiguousarray(rows).tobytes()
    found = {}
    for index, symbol in enumerate(symbols):
        row = packed[index * size : (index + 1) * size]
        if before.get(symbol) != row:
            found[symbol] = before[symbol] = row
    return found
