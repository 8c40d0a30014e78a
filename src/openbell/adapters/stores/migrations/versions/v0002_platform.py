"""Progress of any reader; orders, executions, users, alerts; and the journal's tables in PostgreSQL.

A journal in SQLite is a file of its own, in the format of `openbell.adapters.stores.journal_schema`, and has no revisions.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
#: A number the database gives.
ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
#: Tables whose few rows are changed all the time: room in their pages keeps the changes there.
RESTLESS = ("progress", "marks")


def upgrade() -> None:
    """Make the tables, and carry the progress of runs over."""
    _progress()
    _orders()
    _people()
    if op.get_bind().dialect.name == "postgresql":
        _journal()
        for table in RESTLESS:
            op.execute(f"ALTER TABLE {table} SET (fillfactor = 20)")


def _progress() -> None:
    op.rename_table("progress", "progress_of_runs")
    op.create_table(
        "progress",
        sa.Column("reader", NAME, nullable=False),
        sa.Column("partition", sa.Integer, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False, comment="what is read next: offset of a partition, index of a run's commands"),
        sa.Column("cursor", sa.LargeBinary, nullable=False, comment="where a feed goes on"),
        sa.Column("state", sa.LargeBinary, nullable=False, comment="what the reader keeps between two messages"),
        sa.Column("updated", sa.BigInteger, nullable=False, comment="ns since 1970 UTC"),
        sa.PrimaryKeyConstraint("reader", "partition", name="progress_key"),
        sqlite_with_rowid=False,
    )
    columns = "(reader, partition, position, cursor, state, updated)"
    copy = f"INSERT INTO progress {columns} SELECT run, 0, commands, :none, :none, 0 FROM progress_of_runs"
    op.get_bind().execute(sa.text(copy), {"none": b""})
    op.drop_table("progress_of_runs")


def _orders() -> None:
    op.create_table(
        "orders",
        sa.Column("client_order_id", NAME, nullable=False, comment="the id at the venue: run-number"),
        sa.Column("run", NAME, nullable=False),
        sa.Column("order_id", sa.BigInteger, nullable=False, comment="its number in the run"),
        sa.Column("strategy", NAME, nullable=False),
        sa.Column("symbol", NAME, nullable=False),
        sa.Column("side", sa.Text, nullable=False, comment="buy, sell"),
        sa.Column("type", sa.Text, nullable=False, comment="market, limit, stop, stop_limit"),
        sa.Column("time_in_force", sa.Text, nullable=False, comment="gtc, day, ioc, fok"),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("quantity", sa.BigInteger, nullable=False, comment="lots"),
        sa.Column("filled", sa.BigInteger, nullable=False, comment="lots"),
        sa.Column("lot_size", sa.Double, nullable=False, comment="units in a lot"),
        sa.Column("limit_price", sa.Double),
        sa.Column("stop_price", sa.Double),
        sa.Column("average_price", sa.Double, comment="of what was filled"),
        sa.Column("reason", sa.Text, comment="why it was denied or ended"),
        sa.Column("created", sa.BigInteger, nullable=False, comment="ns since 1970 UTC"),
        sa.Column("ts", sa.BigInteger, nullable=False, comment="of the latest change, ns since 1970 UTC"),
        sa.Column("revision", sa.BigInteger, nullable=False, comment="grows with every change; an older one never replaces a newer one"),
        sa.PrimaryKeyConstraint("client_order_id"),
    )
    op.create_index("orders_by_time", "orders", ["created", "client_order_id"])
    op.create_table(
        "executions",
        sa.Column("run", NAME, nullable=False),
        sa.Column("execution_id", NAME, nullable=False, comment="the venue's, or the index of the command"),
        sa.Column("client_order_id", NAME, nullable=False),
        sa.Column("strategy", NAME, nullable=False),
        sa.Column("symbol", NAME, nullable=False),
        sa.Column("side", sa.Text, nullable=False, comment="buy, sell"),
        sa.Column("quantity", sa.BigInteger, nullable=False, comment="lots"),
        sa.Column("lot_size", sa.Double, nullable=False, comment="units in a lot"),
        sa.Column("price", sa.Double, nullable=False),
        sa.Column("fee", sa.BigInteger, nullable=False, comment="minor units of the currency"),
        sa.Column("realised", sa.BigInteger, nullable=False, comment="profit, minor units of the currency"),
        sa.Column("ts", sa.BigInteger, nullable=False, comment="ns since 1970 UTC"),
        sa.Column("seq", sa.BigInteger, nullable=False, comment="of the event that brought it; 0 from outside"),
        sa.PrimaryKeyConstraint("run", "execution_id"),
    )
    op.create_index("executions_by_order", "executions", ["client_order_id"])
    op.create_index("executions_by_time", "executions", ["ts", "run", "execution_id"])


def _people() -> None:
    op.create_table(
        "users",
        sa.Column("id", ID, sa.Identity(), primary_key=True),
        sa.Column("name", NAME, nullable=False, unique=True),
        sa.Column("email", NAME, unique=True),
        sa.Column("password_hash", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False, comment="ns since 1970 UTC"),
    )
    op.create_table(
        "alerts",
        sa.Column("id", ID, sa.Identity(), primary_key=True),
        sa.Column("user_id", ID, sa.ForeignKey("users.id", ondelete="CASCADE"), comment="empty: of whoever runs this"),
        sa.Column("symbol", NAME, nullable=False),
        sa.Column("target_price", sa.Double, nullable=False),
        sa.Column("condition", sa.Text, nullable=False, comment="above, below, crosses"),
        sa.Column("status", sa.Text, nullable=False, comment="active, triggered, canceled"),
        sa.Column("created", sa.BigInteger, nullable=False, comment="ns since 1970 UTC"),
        sa.Column("triggered_ts", sa.BigInteger, comment="ns since 1970 UTC"),
    )
    op.create_index("alerts_by_symbol", "alerts", ["symbol", "status"])


def _journal() -> None:
    op.create_table(
        "runs",
        sa.Column("number", ID, sa.Identity(), primary_key=True),
        sa.Column("id", NAME, nullable=False, unique=True),
        sa.Column("plan", sa.Text, nullable=False),
        sa.Column("created_ns", sa.BigInteger, nullable=False, comment="ns since 1970 UTC"),
        sa.Column("checksum", sa.LargeBinary, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("layout", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("recoveries", sa.BigInteger, nullable=False, server_default="0"),
    )
    op.create_table(
        "marks",
        sa.Column("run", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("mark", sa.LargeBinary, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False, comment="how often the run was taken up; only the latest may write"),
        sa.Column("writer", sa.Text, nullable=False, comment="who took it up: program, process and machine"),
    )
    op.create_table(
        "batches",
        sa.Column("run", sa.BigInteger, nullable=False),
        sa.Column("first_seq", sa.BigInteger, nullable=False),
        sa.Column("event_count", sa.BigInteger, nullable=False),
        sa.Column("first_command", sa.BigInteger, nullable=False),
        sa.Column("command_count", sa.BigInteger, nullable=False),
        sa.Column("cursor", sa.LargeBinary, nullable=False),
        sa.Column("checksum", sa.LargeBinary, nullable=False),
        sa.Column("commands", sa.LargeBinary, nullable=False, comment="records of COMMAND"),
        sa.Column("events", sa.LargeBinary, nullable=False, comment="records of EVENT"),
        sa.PrimaryKeyConstraint("run", "first_seq"),
    )
    op.create_table(
        "checkpoints",
        sa.Column("run", sa.BigInteger, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("commands", sa.BigInteger, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("checksum", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("run", "seq"),
    )
    for table, column in (("batches", "commands"), ("batches", "events"), ("checkpoints", "state")):
        # Compressing takes longer than writing, and what is read back has its own checksum.
        op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET STORAGE EXTERNAL")
