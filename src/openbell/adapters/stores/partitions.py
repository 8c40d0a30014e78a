"""The partitions of the table of candles in PostgreSQL: one for each month, and one for each year before 2010.

They are made when the first candle of their time comes. A hypertable has chunks of its own and needs none of this.
"""

from dataclasses import dataclass

import numpy as np

from openbell.adapters.stores.candles_base import IntArray
from openbell.adapters.stores.postgres import PostgresStatements, lock_key
from openbell.errors import DataError

#: The first year that is cut in months. Before it there is little but daily candles, and reading slows down with the number of partitions.
MONTHS_FROM = 2010
#: Candles start within the times that an int64 of nanoseconds can say.
YEARS = range(1678, 2262)


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """The time that a partition covers: first <= ts < end, in ms."""

    first: int
    end: int
    table: str


def spans(ts: IntArray) -> list[Span]:
    """The partitions that candles with these starts (ms) belong to, in order. DataError for a time that nobody can have meant."""
    months = np.unique(ts.astype("datetime64[ms]").astype("datetime64[M]"))
    return sorted({_span(month) for month in months})


def _span(month: np.datetime64) -> Span:
    year = int(month.astype("datetime64[Y]").astype(int)) + 1970
    if year not in YEARS:
        raise DataError(f"a candle starts in the year {year}", f"one from {YEARS[0]} to {YEARS[-1]}", "look at the unit of its time: ms")
    unit = "M" if year >= MONTHS_FROM else "Y"
    first = month.astype(f"datetime64[{unit}]")
    bounds = [int(bound.astype("datetime64[ms]").astype(int)) for bound in (first, first + 1)]
    return Span(bounds[0], bounds[1], f"candles_{str(first).replace('-', '_')}")


def missing(sql: PostgresStatements, wanted: list[Span]) -> list[Span]:
    """Those that are not there; none for a table that is not cut in partitions by us."""
    found = sql.select(
        "SELECT relkind = 'p', ARRAY(SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = pg_class.oid) "
        "FROM pg_class WHERE oid = 'candles'::regclass"
    )
    is_cut, there = found[0]
    return [span for span in wanted if span.table not in there] if is_cut else []


def begin(sql: PostgresStatements, span: Span) -> bool:
    """Make the table of a partition, to be filled and then joined in the same transaction; False when another process just did."""
    sql.select("SELECT pg_advisory_xact_lock(?)", (lock_key("partition", span.table),))
    if not missing(sql, [span]):
        return False
    # The constraint spares the server looking at every row when the table is joined.
    sql.execute(f"CREATE TABLE {span.table} (LIKE candles, CONSTRAINT span CHECK (ts >= {span.first} AND ts < {span.end}))")
    return True


def join(sql: PostgresStatements, span: Span) -> None:
    """Make a table a partition; its index is made here, which is faster than to keep one up while the table is filled."""
    sql.execute("SET LOCAL maintenance_work_mem = '256MB'")  # sorts two million candles without files
    sql.execute(f"ALTER TABLE {span.table} ADD PRIMARY KEY (symbol, timeframe, ts)")
    sql.execute(f"ALTER TABLE candles ATTACH PARTITION {span.table} FOR VALUES FROM ({span.first}) TO ({span.end})")
    sql.execute(f"ALTER TABLE {span.table} DROP CONSTRAINT span")
