"""Notifications: channels and their words, what is to be told, and what became of telling it to each channel."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables."""
    owner = sa.text("coalesce(user_id, 0)")
    op.create_table(
        "channels",
        sa.Column("id", ID, sa.Identity(), primary_key=True),
        sa.Column("user_id", ID, sa.ForeignKey("users.id", ondelete="CASCADE"), comment="empty: of whoever runs this"),
        sa.Column("name", NAME, nullable=False),
        sa.Column("kind", sa.Text, nullable=False, comment="telegram, discord, email, webhook, ..."),
        sa.Column("url", sa.LargeBinary, nullable=False, comment="sealed"),
        sa.Column("shown", sa.Text, nullable=False, comment="the url without its secrets"),
        sa.Column("events", sa.Text, nullable=False, comment="with commas between them; empty for all"),
        sa.Column("minimum", sa.Integer, nullable=False, comment="0 info, 1 warning, 2 critical"),
        sa.Column("quiet", sa.Text, nullable=False, comment="hours, such as 22:00-07:00; empty for none"),
        sa.Column("zone", sa.Text, nullable=False, comment="IANA name of a time zone"),
        sa.Column("house", sa.Boolean, nullable=False, comment="also what concerns the house"),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("status", sa.Text, nullable=False, comment="new, ok, failing, disabled"),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False, comment="since the latest success"),
        sa.Column("sent", sa.BigInteger, comment="the latest success, ns since 1970 UTC"),
        sa.Column("created", sa.BigInteger, nullable=False, comment="ns since 1970 UTC"),
        sa.Column("changed", sa.BigInteger, nullable=False, comment="by its owner, ns since 1970 UTC; grows with every change"),
    )
    op.create_index("channels_by_owner", "channels", [owner, "name"], unique=True)
    op.create_table(
        "templates",
        sa.Column("id", ID, sa.Identity(), primary_key=True),
        sa.Column("user_id", ID, sa.ForeignKey("users.id", ondelete="CASCADE"), comment="empty: of whoever runs this"),
        sa.Column("event", NAME, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
    )
    op.create_index("templates_by_owner", "templates", [owner, "event"], unique=True)
    op.create_table(
        "notifications",
        sa.Column("number", ID, sa.Identity(), primary_key=True),
        sa.Column("id", NAME, nullable=False, unique=True, comment="of the thing told: the same however often it is said"),
        sa.Column("user_id", ID, sa.ForeignKey("users.id", ondelete="CASCADE"), comment="whom it concerns; empty: whoever runs this"),
        sa.Column("event", NAME, nullable=False),
        sa.Column("severity", sa.Integer, nullable=False, comment="0 info, 1 warning, 2 critical"),
        sa.Column("ts", sa.BigInteger, nullable=False, comment="when it happened, ns since 1970 UTC"),
        sa.Column("payload", sa.Text, nullable=False, comment="JSON"),
        sa.Column("created", sa.BigInteger, nullable=False, comment="ns since 1970 UTC"),
    )
    op.create_index("notifications_by_owner", "notifications", [owner, "number"])
    op.create_index("notifications_by_time", "notifications", ["created"])
    op.create_table(
        "deliveries",
        sa.Column("notification", ID, sa.ForeignKey("notifications.number", ondelete="CASCADE"), nullable=False, autoincrement=False),
        sa.Column("channel", ID, sa.ForeignKey("channels.id", ondelete="CASCADE"), nullable=False, autoincrement=False),
        sa.Column("severity", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False, comment="waiting, sent, failed, dropped, digested"),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due", sa.BigInteger, nullable=False, comment="when it is tried next, ns since 1970 UTC"),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("digest", ID, comment="number of the digest that told of it"),
        sa.Column("updated", sa.BigInteger, nullable=False, comment="ns since 1970 UTC"),
        sa.PrimaryKeyConstraint("notification", "channel"),
    )
    for name, columns, condition in (
        ("deliveries_waiting", ["channel", "severity", "due", "notification"], "state = 'waiting'"),
        ("deliveries_dropped", ["channel"], "state = 'dropped' AND digest IS NULL"),
        ("deliveries_by_digest", ["digest"], "digest IS NOT NULL"),
    ):
        where = sa.text(condition)
        op.create_index(name, "deliveries", columns, postgresql_where=where, sqlite_where=where)
    op.create_index("deliveries_by_channel", "deliveries", ["channel", "notification"])
