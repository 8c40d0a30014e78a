"""Alerts on more than prices, that come more than once, until a time and at hours of their own; and a row for each time one came."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Add the columns, and carry over what was triggered."""
    for column in (
        sa.Column("spec", sa.Text, nullable=False, server_default="", comment="JSON, what is compared; empty for a price"),
        sa.Column("mode", sa.Text, nullable=False, server_default="once", comment="once, every"),
        sa.Column("cooldown_s", sa.Double, nullable=False, server_default="0", comment="seconds without another one"),
        sa.Column("hysteresis", sa.Double, nullable=False, server_default="0", comment="per cent that it goes back before another one"),
        sa.Column("expires", sa.BigInteger, comment="ns since 1970 UTC, by the times of the ticks; empty for never"),
        sa.Column("schedule", sa.Text, nullable=False, server_default="", comment="JSON, at what hours; empty for always"),
        sa.Column("note", sa.Text, nullable=False, server_default="", comment="in the words of who asked"),
        sa.Column("armed", sa.BigInteger, comment="what each of its sides waits for; empty before that changed"),
        sa.Column("fired", sa.BigInteger, nullable=False, server_default="0", comment="how often it came"),
        sa.Column("triggered_value", sa.Double, comment="what was compared with the target the latest time"),
    ):
        op.add_column("alerts", column)
    op.create_table(
        "alert_events",
        sa.Column("alert_id", ID, sa.ForeignKey("alerts.id", ondelete="CASCADE"), nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False, comment="1 is the first of the alert"),
        sa.Column("seq", sa.BigInteger, nullable=False, comment="grows over all alerts"),
        sa.Column("user_id", ID, comment="whose alert; empty: of whoever runs this"),
        sa.Column("symbol", NAME, nullable=False),
        sa.Column("condition", sa.Text, nullable=False),
        sa.Column("target_price", sa.Double, nullable=False),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("ts", sa.BigInteger, nullable=False, comment="ns since 1970 UTC, of the tick"),
        sa.Column("value", sa.Double, nullable=False, comment="what was compared with the target"),
        sa.Column("price", sa.Double, comment="the latest of the symbol"),
        sa.Column("reader", NAME, nullable=False, comment="who recorded it"),
        sa.Column("partition", sa.Integer, nullable=False),
        sa.Column("told", sa.BigInteger, comment="when the message about it was safe with the bus, ns since 1970 UTC; empty before"),
        sa.PrimaryKeyConstraint("alert_id", "number"),
    )
    op.execute("UPDATE alerts SET fired = 1, triggered_value = triggered_price WHERE triggered_ts IS NOT NULL")
    op.execute(
        """
        INSERT INTO alert_events
        (alert_id, number, seq, user_id, symbol, condition, target_price, spec, note, ts, value, price, reader, partition, told)
        SELECT id, 1, row_number() OVER (ORDER BY triggered_ts, id), user_id, symbol, condition, target_price, spec, note, triggered_ts,
        coalesce(triggered_value, target_price), triggered_price, '', 0,
        CASE WHEN status = 'triggered' THEN told ELSE coalesce(told, triggered_ts) END FROM alerts WHERE fired = 1
        """
    )
    columns = "(reader, partition, position, cursor, state, updated)"
    count = f"INSERT INTO progress {columns} SELECT 'events of alerts', 0, count(*), :none, :none, 0 FROM alert_events HAVING count(*) > 0"
    op.get_bind().execute(sa.text(count), {"none": b""})
    op.drop_index("alerts_untold", "alerts")
    op.drop_column("alerts", "told")
    op.drop_index("alerts_by_symbol", "alerts")
    op.create_index("alerts_by_symbol", "alerts", ["symbol", "status", "id"])
    owner = sa.text("coalesce(user_id, 0)")
    op.create_index("alerts_by_owner", "alerts", [owner, "id"])
    op.create_index("alert_events_by_seq", "alert_events", ["seq"], unique=True)
    op.create_index("alert_events_by_owner", "alert_events", [owner, "seq"])
    is_untold = sa.text("told IS NULL")
    op.create_index("alert_events_untold", "alert_events", ["seq"], postgresql_where=is_untold, sqlite_where=is_untold)
