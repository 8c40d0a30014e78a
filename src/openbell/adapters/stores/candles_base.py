"""The candle store's contract, in words and as a protocol. The suite in `tests/contracts/test_candles.py` holds every implementation to it.

A candle store keeps closed candles, one for each symbol, timeframe and start, and how far those who write them have come. It follows that:

1. *Written again is replaced.* A candle that is there already is replaced by what comes, so what is read again changes nothing.
2. *Progress goes with the effect.* `add` writes candles and a step of progress in one transaction: both are there or neither, whenever
   this process or the server is killed. The step is compared first: when another process has moved the reader, FencedError is raised and
   nothing is written.
3. *Safe to repeat.* Work that was interrupted, without knowing whether it was done, is repeated by the store itself or by who called it:
   it is done once.
4. *Bulk is for history.* `load` writes columns at the speed of the database, in pieces of which each is there or not; it has no progress.
   Loading the same again changes nothing.
5. *Trouble has a name.* StorageError, and JournalError for a file of another kind or damage.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from openbell.adapters.stores.progress import Advance, Progress
from openbell.errors import DataError

#: symbol, timeframe, ts (start, ms since 1970 UTC), open, high, low, close, volume (units), vwap, trades
Row = tuple[str, str, int, float, float, float, float, float, float | None, int]
IntArray = np.ndarray[Any, np.dtype[np.int64]]
FloatArray = np.ndarray[Any, np.dtype[np.float64]]

PRICES = ("open", "high", "low", "close")
COLUMNS = ("symbol", "timeframe", "ts", *PRICES, "volume", "vwap", "trades")


@dataclass(frozen=True, slots=True)
class Series:
    """Candles of one symbol and timeframe as columns of the same length, in order of time. DataError when they are not, or not finite."""

    symbol: str
    timeframe: str
    ts: IntArray  # start, ms since 1970 UTC
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray  # units
    vwap: FloatArray  # NaN for none
    trades: IntArray

    def __post_init__(self) -> None:
        name = f"{self.timeframe} candles of {self.symbol}"
        for column in COLUMNS[2:]:
            values = np.ascontiguousarray(getattr(self, column), np.int64 if column in ("ts", "trades") else np.float64)
            if values.shape != (len(self.ts),):
                raise DataError(f"{name}: {column} has the shape {values.shape}", f"{len(self.ts)} values, as many as ts", "cut them alike")
            if column != "vwap" and values.dtype == np.float64 and not np.isfinite(values).all():
                raise DataError(f"{name}: {column} is not finite", "numbers", "remove the candle")
            object.__setattr__(self, column, values)
        if (np.diff(self.ts) <= 0).any():
            raise DataError(
                f"{name}: their starts do not grow", "one candle for each start, in order", "sort them, and remove what is twice"
            )

    def __len__(self) -> int:
        return len(self.ts)

    def take(self, part: slice) -> "Series":
        """Some of the candles."""
        return Series(self.symbol, self.timeframe, *(getattr(self, column)[part] for column in COLUMNS[2:]))

    def rows(self) -> Iterator[Row]:
        """One tuple a candle."""
        vwap = (None if value != value else value for value in self.vwap.tolist())
        columns = [vwap if column == "vwap" else getattr(self, column).tolist() for column in COLUMNS[2:]]
        for values in zip(*columns, strict=True):
            yield (self.symbol, self.timeframe, *values)


class CandleStore(Protocol):
    """Where candles are kept. Safe for several threads."""

    def add(self, rows: Sequence[Row], advance: Advance | None = None) -> None:
        """Write candles, and the step of progress that they belong to."""

    def progress(self, reader: str, partition: int = 0) -> Progress:
        """How far a reader has come; the beginning when it never stored anything."""

    def load(self, *series: Series) -> int:
        """Write history, each symbol and timeframe at most once in a call; returns the number of candles."""

    def forget(self, symbols: Sequence[str], since: int) -> None:
        """Drop candles that start at `since` (ms) or later: a session that is played again brings its own."""

    def read(self, symbol: str, timeframe: str, start: int, end: int, limit: int) -> list[Row]:
        """The newest `limit` candles with start <= ts < end (ms), oldest first."""

    def check(self) -> None:
        """Raise StorageError when the store cannot be read."""

    def close(self) -> None:
        """Let go of files and connections; may be called twice."""
