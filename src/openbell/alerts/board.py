"""A board: the alerts of many symbols, each waiting beside the one value it is compared with.

>>> board = Board([1.0], [0], lambda schedule, ts: (0, 0, 0))
>>> board.open_book(0)
>>> row = np.zeros(1, ALERT_RECORD)
>>> row["id"], row["target"], row["stream"], row["up"] = 7, 101.0, board.stream(0, ("price",)), 0
>>> row["down"], row["schedule"], row["expires"], row["fired_ts"], row["is_level"] = NOBODY, NOBODY, NEVER, BEFORE, 1
>>> board.add(row)
>>> trades = np.zeros(3, EVENT)
>>> trades["trade"]["kind"], trades["trade"]["price"] = 1, (100.0, 101.5, 102.0)
>>> [(int(fired["id"]), float(fired["value"])) for fired in board.take(trades)]
[(7, 101.5)]
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from openbell.alerts.candles import BookCandles
from openbell.alerts.gauges import Candle, Gauge
from openbell.alerts.table import add, changed, remove
from openbell.alerts.tables import Tables
from openbell.alerts.take import advance, feed, take
from openbell.model.alerts import (
    ALERT_RECORD,
    ASK,
    BEFORE,
    CLOSE,
    DISTANCE,
    DONE,
    FED,
    FIRED_RECORD,
    FULL,
    MOVE,
    NOBODY,
    PARTS,
    PRICE,
    VOLUME,
)
from openbell.model.candles import NEVER
from openbell.model.events import EVENT

__all__ = ["ALERT_RECORD", "BEFORE", "EVENT", "NEVER", "NOBODY", "Board", "Kept"]

Array = np.ndarray[Any, Any]
#: What a value is: ("price",), ("move", window ns), ("volume", window ns), ("distance", None, series) of the price, and what candles tell:
#: see `openbell.alerts.candles`. ("fed", name) is told by the caller.
Key = tuple[Any, ...]
#: (Latest value, level, time from which it is whole, window) of a stream by its key.
KeptStreams = dict[str, tuple[float, float, int, bytes]]
#: Of a book: price, whether of trades, time, streams, candles.
Kept = tuple[float, bool, int, KeptStreams, dict[int, Any]]

_TICKED = {"price": PRICE, "move": MOVE, "volume": VOLUME}


class Board:
    """Books by their index, which is that of the instrument. Not safe for two threads at once.

    `hours(schedule, ts)` says of the time around `ts` (ns): closed since, open from, closed again from; `ts` is not before the first and
    before the last.
    """

    def __init__(self, lot_sizes: Sequence[float], lateness: Sequence[int], hours: Callable[[int, int], tuple[int, int, int]]) -> None:
        self._tables = Tables(len(lot_sizes))
        self._address = self._tables.address
        self._hours = hours
        self._streams: dict[int, dict[Key, int]] = {}
        self._names: dict[int, tuple[int, Key]] = {}  # of streams, by row
        self._kept: dict[int, Kept] = {}
        self._fired: list[Array] = []
        books = self._tables["books"][: len(lot_sizes)]
        books["price"], books["now"], books["due"], books["wake"] = np.nan, BEFORE, NEVER, NEVER
        books["streams"] = books["candles"] = books["times"] = NOBODY
        books["lot_size"], books["lateness_ns"] = lot_sizes, lateness
        self.books = books
        self.candles = BookCandles(self._tables)

    # Books and their streams.

    def open_book(self, book: int, kept: Kept | None = None) -> None:
        """Take the ticks of a book from now on, which goes on from what was kept of it."""
        self.books["is_open"][book] = 1
        if kept is not None:
            self.books["price"][book], self.books["has_traded"][book], self.books["now"][book] = kept[:3]
            self._kept[book] = kept

    def now(self, book: int) -> int:
        """The latest time (ns) of a book, BEFORE the first."""
        return int(self.books["now"][book])

    def stream(self, book: int, key: Key) -> int:
        """The row of a stream, which begins if nobody has asked for it before."""
        known = self._streams.setdefault(book, {}).get(key)
        return self._begin(book, key) if known is None else known

    def last(self, stream: int) -> float:
        """The latest value of a stream, NaN before the first."""
        return float(self._tables["streams"]["last"][stream])

    def _begin(self, book: int, key: Key) -> int:
        tables = self._tables
        index = self._streams[book][key] = tables.row("streams")
        self._names[index] = book, key
        kept = self._kept.get(book)
        row = tables["streams"][index]
        row["last"] = self.books["price"][book] if key[0] == "price" else np.nan
        row["level"], row["up_key"], row["down_key"], row["book"], row["kind"] = np.nan, NEVER, -NEVER, book, _TICKED.get(key[0], FED)
        row["up_root"] = row["down_root"] = row["next"] = row["window"] = NOBODY
        if key[0] in ("move", "volume"):
            row["window"] = window = tables.row("windows")
            tables["windows"][window]["step_ns"], tables["windows"][window]["part"] = key[1] // PARTS, BEFORE
        if key[0] == "distance" and key[1] is None:
            row["kind"] = DISTANCE
        if row["kind"] != FED:
            row["next"], self.books["streams"][book] = self.books["streams"][book], index
        if key[0] in ("volume_of", "indicator", "distance"):
            self.candles.begin(book, self.now(book), key, index, {} if kept is None else kept[4])
        if kept is not None and repr(key) in kept[3] and key[0] != "price":
            row["last"], row["level"], row["ready_ts"], window_bytes = kept[3][repr(key)]
            if window_bytes:
                windows = tables["windows"]
                windows[int(row["window"])] = np.frombuffer(window_bytes, windows.dtype)[0]
        return index

    def tidy(self) -> None:
        """All alerts of the books that are open are there: what none of them waits for is not computed any more."""
        self._kept.clear()
        streams = self._tables["streams"]
        for index in np.flatnonzero((streams["kind"] != 0) & (streams["alerts"] == 0)).tolist():
            book, key = self._names.pop(index)
            del self._streams[book][key]
            row = streams[index]
            if row["kind"] != FED:
                self._unlink(book, index)
            if row["window"] >= 0:
                self._tables.give_back("windows", int(row["window"]))
            if key[0] in ("volume_of", "indicator", "distance"):
                self.candles.end(book, key)
            row["kind"] = 0
            self._tables.give_back("streams", index)

    def _unlink(self, book: int, index: int) -> None:
        streams, at = self._tables["streams"], int(self.books["streams"][book])
        if at == index:
            self.books["streams"][book] = streams["next"][index]
            return
        while streams["next"][at] != index:
            at = int(streams["next"][at])
        streams["next"][at] = streams["next"][index]

    # Alerts.

    def add(self, rows: Array) -> None:
        """Let alerts (ALERT, as `openbell.alerts.table.add` wants them) stand; one that stands already is replaced."""
        self._tables.make_room(len(rows), int((rows["up"] >= 0).sum() + (rows["down"] >= 0).sum() + (rows["expires"] < NEVER).sum()))
        rows = np.ascontiguousarray(rows)
        add(self._address, rows.ctypes.data, len(rows))

    def remove(self, ids: Sequence[int] | Array) -> None:
        """Alerts stand no more, if they did."""
        remove(self._address, np.ascontiguousarray(ids, np.int64))

    @property
    def standing(self) -> int:
        """How many wait."""
        return int(self._tables.head["standing"][0])

    @property
    def nbytes(self) -> int:
        """Memory of the tables."""
        return self._tables.nbytes

    def changes(self) -> Array:
        """What changed since it was asked, of those that may come again: int64 of shape (n, 4).

        The columns are id, revision, what the sides wait for (that of below, and four times that of above), how often it came.
        """
        found = []
        while True:
            out = np.empty((1024, 4), np.int64)
            count = changed(self._address, out)
            found.append(out[:count])
            if count < len(out):
                return np.concatenate(found)

    # Ticks, times and values.

    def take(self, events: Array) -> Array:
        """Take ticks (EVENT), in order. Returns the alerts that come (FIRED): by tick, then by id."""
        events = np.ascontiguousarray(events)
        first, count, address = 0, len(events), int(events.ctypes.data)
        while (why := take(self._address, address, first, count)) != DONE:
            first = int(self._tables.head["row"][0])
            self._serve(why)
            if why == CLOSE:
                self._close(int(events["instrument"][first]), int(events["ts_event"][first]))
        return self._found()

    def pass_time(self, book: int, ts: int) -> Array:
        """It is `ts` (ns) in a book, at the least: candles close, times are over. Returns the alerts that come, as `take`."""
        self._close(book, ts)
        self._advance(book, ts)
        return self._found()

    def feed(self, book: int, ts: int, values: Sequence[tuple[int, float]]) -> Array:
        """Streams (rows) of a book have new values at `ts` (ns). Returns the alerts that come, as `take`."""
        self._advance(book, ts)
        self._feed(ts, values)
        return self._found()

    def catch_up(self, book: int, gauge: Gauge, timeframe_ns: int, history: Sequence[tuple[int, Candle]], is_whole: bool) -> Array:
        """Candles (start ns, candle) from elsewhere for a gauge that waits for them. Returns the alerts that come, as `take`."""
        return self.feed(book, self.now(book), self.candles.catch_up(book, gauge, timeframe_ns, history, is_whole))

    def _close(self, book: int, ts: int) -> None:
        """Close the candles of a book that ended at `ts` or before."""
        row = self.books[book : book + 1]
        while int(row["due"][0]) <= ts - int(row["lateness_ns"][0]):
            end, values = self.candles.close(book)
            at = max(end, int(row["now"][0]))
            self._advance(book, at)
            self._feed(at, values)

    def _advance(self, book: int, ts: int) -> None:
        while (why := advance(self._address, book, ts)) != DONE:
            self._serve(why)

    def _feed(self, ts: int, values: Sequence[tuple[int, float]]) -> None:
        self._tables.head["order"] += 1
        for stream, value in values:
            while (why := feed(self._address, stream, ts, value)) != DONE:
                self._serve(why)

    def _serve(self, why: int) -> None:
        """Do what the kernel stopped for."""
        head = self._tables.head
        if why == FULL:
            self._drain()
        elif why == ASK:
            self._tables["hours"][int(head["asked"][0])] = self._hours(int(head["asked"][0]), int(head["asked_ts"][0]))

    def schedule(self) -> int:
        """The number of a new schedule, for which `hours` is asked."""
        return self._tables.row("hours")

    def _drain(self) -> None:
        count = int(self._tables.head["fired_count"][0])
        if count:
            self._fired.append(self._tables["fired"][:count].copy())
            self._tables.head["fired_count"] = 0

    def _found(self) -> Array:
        self._drain()
        if not self._fired:
            return np.zeros(0, FIRED_RECORD)
        found = self._fired[0] if len(self._fired) == 1 else np.concatenate(self._fired)
        self._fired = []
        return found[np.lexsort((found["id"], found["order"]))]

    # State.

    def kept(self, book: int) -> Kept:
        """What goes on from one process to the next of a book; its alerts are kept elsewhere."""
        row = self.books[book]
        return float(row["price"]), bool(row["has_traded"]), int(row["now"]), dict(self._kept_streams(book)), self.candles.kept(book)

    def _kept_streams(self, book: int) -> Iterator[tuple[str, tuple[float, float, int, bytes]]]:
        for key, index in self._streams.get(book, {}).items():
            if key[0] != "price":
                row = self._tables["streams"][index]
                window = b"" if row["window"] < 0 else self._tables["windows"][int(row["window"])].tobytes()
                yield repr(key), (float(row["last"]), float(row["level"]), int(row["ready_ts"]), window)
