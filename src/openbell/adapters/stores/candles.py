"""Closed candles in one table, the timeframe a column, read by range. The contract is in `openbell.adapters.stores.candles_base`.

What is read is the same in SQLite and PostgreSQL; writing to PostgreSQL is in `openbell.adapters.stores.postgres_candles`.
"""

from collections.abc import Sequence
from pathlib import Path

from openbell.adapters.stores.candles_base import COLUMNS, CandleStore, Row, Series
from openbell.adapters.stores.database import Address, Database, Statements, need_driver
from openbell.adapters.stores.progress import Advance, Progress, move, read_progress
from openbell.adapters.stores.sqlite_database import SqliteDatabase

#: Candles that are made ready for the database at a time.
PIECE = 50_000


class CandleTable:
    """What every store of candles has in common: reading, forgetting, progress."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def progress(self, reader: str, partition: int = 0) -> Progress:
        """How far a reader has come; the beginning when it never stored anything."""
        return read_progress(self._database, reader, partition)

    def forget(self, symbols: Sequence[str], since: int) -> None:
        """Drop candles that start at `since` (ms) or later."""
        rows = [(symbol, since) for symbol in symbols]
        self._database.run(lambda sql: sql.many("DELETE FROM candles WHERE symbol = ? AND ts >= ?", rows))

    def read(self, symbol: str, timeframe: str, start: int, end: int, limit: int) -> list[Row]:
        """The newest `limit` candles with start <= ts < end (ms), oldest first."""
        return self._database.select(_READ, (symbol, timeframe, start, end, limit))[::-1]

    def check(self) -> None:
        """Raise StorageError when the store cannot be read."""
        self._database.select("SELECT 1 FROM progress LIMIT 1")

    def close(self) -> None:
        """Let go of files and connections; may be called twice."""
        self._database.close()


def open_candles(place: Path | Address) -> CandleStore:
    """The candles of a database, which is brought to the newest revision."""
    if isinstance(place, Path):
        return SqliteCandleStore(place)
    need_driver()
    from openbell.adapters.stores.postgres_candles import PostgresCandleStore

    return PostgresCandleStore(place)


class SqliteCandleStore(CandleTable):
    """A `CandleStore` in a SQLite file."""

    def __init__(self, place: Path | SqliteDatabase) -> None:
        super().__init__(place if isinstance(place, SqliteDatabase) else SqliteDatabase(place))

    def add(self, rows: Sequence[Row], advance: Advance | None = None) -> None:
        """Write candles, and the step of progress that they belong to."""

        def write(sql: Statements) -> None:
            if advance is None or move(sql, advance):
                sql.many(_REPLACE, rows)

        self._database.run(write)

    def load(self, *series: Series) -> int:
        """Write history, each symbol and timeframe at most once in a call; returns the number of candles."""
        for one in series:
            for first in range(0, len(one), PIECE):
                rows = one.take(slice(first, first + PIECE)).rows()
                self._database.run(lambda sql, rows=rows: sql.many(_REPLACE, rows))  # type: ignore[misc]
        return sum(map(len, series))


_READ = f"""
SELECT {", ".join(COLUMNS)} FROM candles WHERE symbol = ? AND timeframe = ? AND ts >= ? AND ts < ? ORDER BY ts DESC LIMIT ?
"""
_REPLACE = f"INSERT OR REPLACE INTO candles ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
