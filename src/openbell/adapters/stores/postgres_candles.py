"""Writing candles to PostgreSQL, by binary COPY. The contract is in `openbell.adapters.stores.candles_base`.

Three ways, the fastest that fits. A partition that is not there yet is filled first, then gets its index, then joins the table. Where no
candle of the series can be in the way they are copied into the partition. Otherwise, and in small numbers, they are copied into a temporary
table and merged from there.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from psycopg.errors import UniqueViolation

from openbell.adapters.stores import partitions
from openbell.adapters.stores.candles import PIECE, CandleTable
from openbell.adapters.stores.candles_base import COLUMNS, Row, Series
from openbell.adapters.stores.database import Address
from openbell.adapters.stores.partitions import Span
from openbell.adapters.stores.postgres import PostgresDatabase, PostgresStatements
from openbell.adapters.stores.progress import Advance, move
from openbell.errors import UsageError

RecordArray = np.ndarray[Any, Any]
RowMask = np.ndarray[Any, np.dtype[np.bool_]]

_TYPES = ("text", "text", "int8", *["float8"] * 6, "int8")
#: How a binary COPY begins and ends; see "COPY, Binary Format" in PostgreSQL's manual.
_HEAD, _TAIL = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"


class PostgresCandleStore(CandleTable):
    """A `CandleStore` in a PostgreSQL database, in partitions by time; a hypertable where TimescaleDB is there."""

    def __init__(self, place: Address | PostgresDatabase) -> None:
        self._postgres = place if isinstance(place, PostgresDatabase) else PostgresDatabase(place)
        super().__init__(self._postgres)

    def add(self, rows: Sequence[Row], advance: Advance | None = None) -> None:
        """Write candles, and the step of progress that they belong to."""
        latest = {row[:3]: row for row in rows}
        if latest:
            self._make_partitions(partitions.spans(np.array([ts for _, _, ts in latest], np.int64)))

        def write(sql: PostgresStatements) -> None:
            if (advance is None or move(sql, advance)) and latest:
                _make_staging(sql)
                with sql.cursor.copy(_copy("staging")) as copy:
                    copy.set_types(_TYPES)
                    for row in latest.values():
                        copy.write_row(row)
                sql.execute(_MERGE)

        self._postgres.work(write)

    def load(self, *series: Series) -> int:
        """Write history, each symbol and timeframe at most once in a call; returns the number of candles."""
        names = [(one.symbol, one.timeframe) for one in series]
        if len(set(names)) < len(names):
            raise UsageError("a symbol and timeframe is there twice", "one series each", "join them, or load them one after the other")
        filled = [one for one in series if len(one)]
        for span in partitions.spans(np.concatenate([one.ts for one in filled])) if filled else ():
            bounds = [np.searchsorted(one.ts, (span.first, span.end)) for one in filled]
            parts = [one.take(slice(*bound)) for one, bound in zip(filled, bounds, strict=True) if bound[0] < bound[1]]
            self._postgres.work(lambda sql, span=span, parts=parts: _load(sql, span, parts))  # type: ignore[misc]
        return sum(map(len, series))

    def _make_partitions(self, wanted: list[Span]) -> None:
        """In a transaction of its own, so that nobody waits for the one that writes."""

        def make(sql: PostgresStatements) -> None:
            for span in partitions.missing(sql, wanted):
                if partitions.begin(sql, span):
                    partitions.join(sql, span)

        self._postgres.work(make)


def _load(sql: PostgresStatements, span: Span, parts: list[Series]) -> None:
    """Write what belongs in one partition."""
    if partitions.missing(sql, [span]) and partitions.begin(sql, span):
        _copy_columns(sql, span.table, parts, ", FREEZE")
        partitions.join(sql, span)
    elif any(sql.select(_ANY, (one.symbol, one.timeframe, int(one.ts[0]), int(one.ts[-1]))) for one in parts):
        _merge_columns(sql, parts)
    else:
        try:
            with sql.connection.transaction():
                _copy_columns(sql, "candles", parts)
        except UniqueViolation:  # another process wrote there meanwhile
            _merge_columns(sql, parts)


def _merge_columns(sql: PostgresStatements, parts: list[Series]) -> None:
    _make_staging(sql)
    _copy_columns(sql, "staging", parts)
    sql.execute(_MERGE)


def _copy_columns(sql: PostgresStatements, table: str, parts: Iterable[Series], options: str = "") -> None:
    """In the order of the key: then an index is made in a third of the time."""
    with sql.cursor.copy(_copy(table, options)) as copy:
        copy.write(_HEAD)
        for one in sorted(parts, key=lambda part: (part.symbol, part.timeframe)):
            for first in range(0, len(one), PIECE):
                copy.write(_encoded(one.take(slice(first, first + PIECE))))
        copy.write(_TAIL)


def _encoded(series: Series) -> bytes:
    """The rows of a binary COPY: each value with its size before it, big-endian."""
    names = {"symbol": series.symbol.encode(), "timeframe": series.timeframe.encode()}
    fields: list[tuple[str, str]] = [("count", ">i2")]
    for column, kind in zip(COLUMNS, _TYPES, strict=True):
        value = f"S{len(names[column])}" if column in names else ">i8" if kind == "int8" else ">f8"
        fields += [(f"{column} size", ">i4"), (column, value)]
    encoded = np.zeros(len(series), fields)
    encoded["count"] = len(COLUMNS)
    for column in COLUMNS:
        encoded[f"{column} size"] = len(names.get(column, bytes(8)))
        encoded[column] = names[column] if column in names else getattr(series, column)
    empty = np.isnan(series.vwap)
    return _without_values(encoded, "vwap", empty) if empty.any() else encoded.tobytes()


def _without_values(encoded: RecordArray, column: str, empty: RowMask) -> bytes:
    """The same with nothing in a column of some rows: its size is -1 there, and its bytes are left out."""
    encoded[f"{column} size"][empty] = -1
    kind, offset = (encoded.dtype.fields or {})[column][:2]
    kept = np.ones((len(encoded), encoded.dtype.itemsize), bool)
    kept[empty, offset : offset + kind.itemsize] = False
    data: bytes = encoded.view(np.uint8).reshape(kept.shape)[kept].tobytes()
    return data


def _make_staging(sql: PostgresStatements) -> None:
    sql.execute("SET LOCAL client_min_messages = warning")
    sql.execute("CREATE TEMPORARY TABLE IF NOT EXISTS staging (LIKE candles) ON COMMIT DELETE ROWS")


def _copy(table: str, options: str = "") -> str:
    return f"COPY {table} ({', '.join(COLUMNS)}) FROM STDIN (FORMAT BINARY{options})"


_ANY = "SELECT 1 FROM candles WHERE symbol = ? AND timeframe = ? AND ts >= ? AND ts <= ? LIMIT 1"
#: In the order of the key, so that two processes never wait for each other.
_MERGE = f"""
INSERT INTO candles ({", ".join(COLUMNS)}) SELECT {", ".join(COLUMNS)} FROM staging ORDER BY symbol, timeframe, ts
ON CONFLICT (symbol, timeframe, ts) DO UPDATE SET {", ".join(f"{column} = excluded.{column}" for column in COLUMNS[3:])}
"""
