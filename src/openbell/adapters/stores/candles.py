"""Closed candles in SQLite: one table, the timeframe a column, written in batches, read by range.

The index of the latest command that is in the table is kept beside it, in the same transaction. So after a crash the rest is taken from
the journal, and a candle written twice is the same candle.
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from openbell.adapters.stores.sqlite import connect, storage_errors

#: "obcd": the application id of the file.
APPLICATION_ID = 0x6F626364
VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS candles (
    symbol TEXT NOT NULL,
    timeframe TEXT NOT NULL,
    ts INTEGER NOT NULL,      -- start, ms since 1970 UTC
    open REAL NOT NULL,
    high REAL NOT NULL,
    low REAL NOT NULL,
    close REAL NOT NULL,
    volume REAL NOT NULL,     -- units
    vwap REAL,
    trades INTEGER NOT NULL,
    PRIMARY KEY (symbol, timeframe, ts)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS progress (
    run TEXT PRIMARY KEY,
    commands INTEGER NOT NULL -- of the run, all of whose candles are in the table
) WITHOUT ROWID;
"""

#: symbol, timeframe, ts (ms), open, high, low, close, volume, vwap, trades
Row = tuple[str, str, int, float, float, float, float, float, float | None, int]


class CandleStore:
    """The candles of all runs. Safe for several threads; raises StorageError when the disk refuses."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        self._sql: sqlite3.Connection = connect(path, True, APPLICATION_ID, VERSION)
        self._lock = Lock()
        with storage_errors(path):
            self._sql.executescript(f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; {_SCHEMA}")

    def add(self, run: str, commands: int, rows: Sequence[Row]) -> None:
        """Write candles, with which the run's first `commands` commands are covered."""
        with self._lock, storage_errors(self.path):
            self._sql.execute("BEGIN")
            try:
                self._sql.executemany(f"INSERT OR REPLACE INTO candles VALUES ({', '.join('?' * 10)})", rows)
                self._sql.execute("INSERT OR REPLACE INTO progress VALUES (?, ?)", (run, commands))
                self._sql.execute("COMMIT")
            except BaseException:
                if self._sql.in_transaction:
                    self._sql.execute("ROLLBACK")
                raise

    def covered(self, run: str) -> int:
        """How many commands of the run are covered."""
        found = self._select("SELECT commands FROM progress WHERE run = ?", (run,))
        return int(found[0][0]) if found else 0

    def forget(self, symbols: Sequence[str], since: int) -> None:
        """Drop candles that start at `since` (ms) or later: a session that is played again brings its own."""
        with self._lock, storage_errors(self.path):
            self._sql.executemany("DELETE FROM candles WHERE symbol = ? AND ts >= ?", [(symbol, since) for symbol in symbols])

    def read(self, symbol: str, timeframe: str, start: int, end: int, limit: int) -> list[Row]:
        """The newest `limit` candles with start <= ts < end (ms), oldest first."""
        query = "SELECT * FROM candles WHERE symbol = ? AND timeframe = ? AND ts >= ? AND ts < ? ORDER BY ts DESC LIMIT ?"
        return self._select(query, (symbol, timeframe, start, end, limit))[::-1]

    def moved(self, symbol: str, timeframe: str, since: int) -> tuple[float | None, float, int, int]:
        """(Open of the first candle, volume, trades, start of the last) since a time (ms); (None, 0, 0, 0) without candles."""
        query = "SELECT sum(volume), sum(trades), min(ts), max(ts) FROM candles WHERE symbol = ? AND timeframe = ? AND ts >= ?"
        volume, trades, first, last = self._select(query, (symbol, timeframe, since))[0]
        if first is None:
            return None, 0.0, 0, 0
        query = "SELECT open FROM candles WHERE symbol = ? AND timeframe = ? AND ts = ?"
        return self._select(query, (symbol, timeframe, first))[0][0], volume, trades, last

    def check(self) -> None:
        """Raise StorageError when the file cannot be read."""
        self._select("SELECT 1 FROM progress LIMIT 1", ())

    def close(self) -> None:
        """Let go of the file."""
        self._sql.close()

    def _select(self, query: str, values: tuple[object, ...]) -> list[Any]:
        with self._lock, storage_errors(self.path):
            return self._sql.execute(query, values).fetchall()
