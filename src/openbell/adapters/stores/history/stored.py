"""Candles of a store as history: read by ranges, so that memory does not grow with their number."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from openbell.adapters.stores.history.columns import CHUNK_ROWS, Columns, Kind
from openbell.errors import DataError, UsageError
from openbell.model.time import MILLISECOND, format_time

#: No candle starts later (ms).
_FAR = 1 << 53


class CandleReader(Protocol):
    """The part of a candle store that reads."""

    def read(self, symbol: str, timeframe: str, start: int, end: int, limit: int) -> Sequence[Sequence[Any]]:
        """The newest `limit` candles with start <= ts < end (ms), oldest first: symbol, timeframe, ts, open, high, low, close, volume."""


class StoredCandles:
    """The candles of one timeframe between `start` and `end` (ns, half-open; no `end` is up to the newest). A `History`.

    Raises DataError when there are none.
    """

    kind: Kind = "bars"

    def __init__(
        self, store: CandleReader, symbols: Sequence[str], timeframe: str, timeframe_ns: int, start: int | None, end: int | None = None
    ) -> None:
        if not symbols:
            raise UsageError("no symbols are named", "the symbols of stored candles")
        if start is None:
            raise UsageError("no start is named", "the first moment of stored candles, in ISO time")
        self.symbols = tuple(dict.fromkeys(symbols))
        self._store, self._timeframe = store, timeframe
        self._step = max(timeframe_ns // MILLISECOND, 1)
        self._start, end_ms = -(-start // MILLISECOND), _FAR if end is None else -(-end // MILLISECOND)
        newest = {symbol: store.read(symbol, timeframe, self._start, end_ms, 1) for symbol in self.symbols}
        for symbol, rows in newest.items():
            if not rows:
                span = f"from {format_time(start)}" + ("" if end is None else f" to {format_time(end)}")
                raise DataError(f"there are no stored {timeframe} candles of {symbol} {span}", "at least one", "choose another range")
        self._end = max(int(rows[-1][2]) for rows in newest.values()) + 1

    def chunks(self, rows: int = CHUNK_ROWS) -> Iterator[Columns]:
        """From the beginning, at most `rows` rows at a time."""
        span = max(rows // len(self.symbols), 1) * self._step
        for begin in range(self._start, self._end, span):
            found = [row for symbol in self.symbols for row in self._read(symbol, begin, min(begin + span, self._end))]
            columns = self._columns(found) if found else None
            for first in range(0, len(found), rows):
                assert columns is not None
                yield columns.take(slice(first, first + rows))

    def _read(self, symbol: str, start: int, end: int) -> Sequence[Sequence[Any]]:
        return self._store.read(symbol, self._timeframe, start, end, (end - start) // self._step + 1)

    def _columns(self, found: Sequence[Sequence[Any]]) -> Columns:
        """Rows in order of time; at one time in the order of the symbols."""
        place = {symbol: index for index, symbol in enumerate(self.symbols)}
        ts = np.array([row[2] for row in found], np.int64) * MILLISECOND
        order = np.argsort(ts, kind="stable")
        numbers = np.array([row[3:8] for row in found], np.float64)[order]
        index = np.array([place[row[0]] for row in found], np.int32)[order]
        opened, high, low, close, volume = (np.ascontiguousarray(numbers[:, at]) for at in range(5))
        return Columns("bars", self.symbols, ts[order], index, open=opened, high=high, low=low, close=close, volume=volume)
