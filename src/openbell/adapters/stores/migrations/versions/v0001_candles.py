"""Closed candles, and how far each run's candles are in the table.

SQLite files that were written before there were revisions have just these tables. In PostgreSQL candles are a hypertable where TimescaleDB
is there, and a partitioned table otherwise, whose partitions `openbell.adapters.stores.partitions` makes as they are needed.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

#: Names are compared byte by byte, in both engines.
NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
#: Time covered by a chunk of a hypertable, in ms: 30 days.
CHUNK = 30 * 86_400_000


def upgrade() -> None:
    """Make the tables."""
    is_postgres = op.get_bind().dialect.name == "postgresql"
    is_hypertable = is_postgres and _has_timescale()
    partitioned: dict[str, Any] = {"postgresql_partition_by": "RANGE (ts)"} if is_postgres and not is_hypertable else {}
    op.create_table(
        "candles",
        sa.Column("symbol", NAME, nullable=False),
        sa.Column("timeframe", NAME, nullable=False),
        sa.Column("ts", sa.BigInteger, nullable=False, comment="start, ms since 1970 UTC"),
        sa.Column("open", sa.Double, nullable=False),
        sa.Column("high", sa.Double, nullable=False),
        sa.Column("low", sa.Double, nullable=False),
        sa.Column("close", sa.Double, nullable=False),
        sa.Column("volume", sa.Double, nullable=False, comment="units"),
        sa.Column("vwap", sa.Double, comment="price; empty without volume"),
        sa.Column("trades", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("symbol", "timeframe", "ts"),
        sqlite_with_rowid=False,
        **partitioned,
    )
    op.create_table(
        "progress",
        sa.Column("run", NAME, nullable=False),
        sa.Column("commands", sa.BigInteger, nullable=False, comment="of the run, all of whose candles are in the table"),
        sa.PrimaryKeyConstraint("run"),
        sqlite_with_rowid=False,
    )
    if is_hypertable:
        op.execute(sa.text(f"SELECT create_hypertable('candles', 'ts', chunk_time_interval => {CHUNK}::bigint)"))


def _has_timescale() -> bool:
    """Whether the extension is in this database, or can be put there."""
    connection = op.get_bind()
    if not connection.scalar(sa.text("SELECT count(*) FROM pg_available_extensions WHERE name = 'timescaledb'")):
        return False
    try:
        with connection.begin_nested():
            connection.execute(sa.text("CREATE EXTENSION IF NOT EXISTS timescaledb"))
    except sa.exc.DBAPIError:
        return False  # not preloaded, or not ours to create: partitions do as well
    return True
