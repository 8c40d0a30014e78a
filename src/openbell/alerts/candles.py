"""The candles of books, and the values that follow from closed ones: volumes, indicators, and how far one is above another.

A series is (gauge, timeframe ns, output): one value after each candle. Keys of streams: ("volume_of", timeframe ns), ("indicator", series),
("distance", series, series), and ("distance", None, series) of the price, whose level is told after each candle.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from openbell.alerts.gauges import Candle, Gauge, GaugeKey, candle_of
from openbell.alerts.tables import Tables
from openbell.alerts.take import close_next, distance
from openbell.model.alerts import NOBODY
from openbell.model.candles import NEVER

Key = tuple[Any, ...]
Series = tuple[GaugeKey, int, str]
#: Of one timeframe: the first candle that is whole, the builder, and each gauge by its key.
KeptFrame = tuple[int, bytes, dict[str, bytes]]


@dataclass(slots=True)
class Frame:
    """The candles of one timeframe of a book, and what is computed from each."""

    row: int
    timeframe_ns: int
    whole_from: int  # ns, start of the first candle that was seen from its beginning
    gauges: dict[GaugeKey, Gauge] = field(default_factory=dict)
    volume: float = float("nan")  # of the latest candle, in units
    users: int = 0  # streams


@dataclass(slots=True)
class Sources:
    """The frames of one book, and the streams that they tell."""

    frames: dict[int, Frame] = field(default_factory=dict)
    streams: dict[Key, int] = field(default_factory=dict)


class BookCandles:
    """The frames of all books of a board. `history` is whether indicators wait for the candles before the first."""

    def __init__(self, tables: Tables) -> None:
        self.has_history = False
        self._tables = tables
        self._books: dict[int, Sources] = {}
        self._by_row: dict[int, Frame] = {}

    def begin(self, book: int, now: int, key: Key, stream: int, kept: dict[int, KeptFrame]) -> None:
        """A stream is told from now on."""
        sources = self._books.setdefault(book, Sources())
        sources.streams[key] = stream
        for series in _series_of(key):
            frame = self._frame(sources, book, now, series[1], kept.get(series[1]))
            frame.users += 1
            if series[0] is not None:
                self._gauge(frame, series[0], kept.get(series[1]))
        if key[0] == "distance" and key[1] is None:
            self._tables["streams"]["level"][stream] = _value(sources, key[2])

    def _frame(self, sources: Sources, book: int, now: int, timeframe_ns: int, kept: KeptFrame | None) -> Frame:
        if timeframe_ns in sources.frames:
            return sources.frames[timeframe_ns]
        row = self._tables.row("candles")
        books, candles = self._tables["books"], self._tables["candles"]
        whole_from = (now // timeframe_ns + 1) * timeframe_ns if now >= 0 else 0
        frame = sources.frames[timeframe_ns] = self._by_row[row] = Frame(row, timeframe_ns, whole_from)
        builder = candles["builder"]
        builder["timeframe_ns"][row], builder["due"][row], builder["first_ts"][row] = timeframe_ns, NEVER, NEVER
        if kept is not None:
            frame.whole_from = kept[0]
            builder[row] = np.frombuffer(kept[1], builder.dtype)[0]
            books["due"][book] = min(books["due"][book], builder["due"][row])
        candles["book"][row] = book
        candles["next"][row], books["candles"][book] = books["candles"][book], row
        return frame

    def _gauge(self, frame: Frame, key: GaugeKey, kept: KeptFrame | None) -> None:
        if key in frame.gauges:
            return
        gauge = frame.gauges[key] = Gauge(key)
        if kept is None or not gauge.restore(kept[2].get(repr(key), b"")):
            gauge.held = [] if self.has_history else None

    def close(self, book: int) -> tuple[int, list[tuple[int, float]]]:
        """Close the candles of a book that end first, all at one time. Returns that time (ns), and the values that follow by stream."""
        sources, books = self._books[book], self._tables["books"]
        end, touched = int(books["due"][book]), set()
        while int(books["due"][book]) == end:
            row, slot = divmod(close_next(self._tables.address, book), 4)
            frame = self._by_row[row]
            bar = self._tables["candles"]["builder"]["bars"][row, slot]
            if int(bar["ts_event"]) >= frame.whole_from:
                candle = candle_of(bar, float(books["lot_size"][book]))
                frame.volume = candle[3]
                for gauge in frame.gauges.values():
                    gauge.take(int(bar["ts_event"]), candle)
                touched.add(frame.timeframe_ns)
        return end, list(self._told(sources, touched))

    def catch_up(self, book: int, gauge: Gauge, timeframe_ns: int, history: Iterable[tuple[int, Candle]], is_whole: bool) -> list[Any]:
        """Candles from elsewhere for a gauge, see there. Returns the values that follow by stream."""
        gauge.catch_up(history, is_whole)
        return list(self._told(self._books[book], {timeframe_ns}))

    def _told(self, sources: Sources, touched: set[int]) -> Iterator[tuple[int, float]]:
        """What streams are told after candles of these timeframes."""
        for key, stream in sources.streams.items():
            if not any(series[1] in touched for series in _series_of(key)):
                continue
            if key[0] == "volume_of":
                yield stream, sources.frames[key[1]].volume
            elif key[0] == "indicator":
                yield stream, _value(sources, key[1])
            elif key[1] is None:
                self._tables["streams"]["level"][stream] = _value(sources, key[2])
            else:
                yield stream, distance(_value(sources, key[1]), _value(sources, key[2]))

    def waiting(self, book: int) -> Iterator[tuple[int, Gauge]]:
        """(Timeframe ns, gauge) of the gauges that wait for candles from elsewhere."""
        for frame in self._books.get(book, Sources()).frames.values():
            for gauge in frame.gauges.values():
                if gauge.held is not None:
                    yield frame.timeframe_ns, gauge

    def end(self, book: int, key: Key) -> None:
        """A stream is told no more; what no other needs is not computed any more."""
        sources = self._books[book]
        del sources.streams[key]
        needed = {(series[1], series[0]) for other in sources.streams for series in _series_of(other)}
        for series in _series_of(key):
            frame = sources.frames[series[1]]
            frame.users -= 1
            if (series[1], series[0]) not in needed:
                frame.gauges.pop(series[0], None)
        for frame in [each for each in sources.frames.values() if not each.users]:
            del sources.frames[frame.timeframe_ns], self._by_row[frame.row]
            self._unlink(book, frame.row)

    def _unlink(self, book: int, row: int) -> None:
        books, candles = self._tables["books"], self._tables["candles"]
        rows = []
        at = int(books["candles"][book])
        while at >= 0:
            rows += [at] if at != row else []
            at = int(candles["next"][at])
        books["candles"][book] = rows[0] if rows else NOBODY
        for one, after in pairwise([*rows, NOBODY]):
            candles["next"][one] = after
        books["due"][book] = min((int(candles["builder"]["due"][one]) for one in rows), default=NEVER)
        self._tables.give_back("candles", row)

    def kept(self, book: int) -> dict[int, KeptFrame]:
        """The frames of a book, for `begin`."""
        builders = self._tables["candles"]["builder"]
        return {
            frame.timeframe_ns: (
                frame.whole_from, builders[frame.row].tobytes(),
                {repr(key): gauge.kept() for key, gauge in frame.gauges.items() if gauge.held is None},
            )
            for frame in self._books.get(book, Sources()).frames.values()
        }  # fmt: skip


def _series_of(key: Key) -> list[Any]:
    """The series that a stream is made of; that of volumes has no gauge."""
    if key[0] == "volume_of":
        return [(None, key[1], "")]
    return [series for series in key[1:] if series is not None]


def _value(sources: Sources, series: Series) -> float:
    """The latest value of a series, NaN before it has one, and while it waits for its history."""
    gauge = sources.frames[series[1]].gauges[series[0]]
    return gauge.values[gauge.output(series[2])]
