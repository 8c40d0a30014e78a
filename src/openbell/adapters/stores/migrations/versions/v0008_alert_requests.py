"""Requests for new alerts that have an id of their own: asked again, the alert is made once."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "alert_requests",
        sa.Column("user_id", ID, nullable=False, autoincrement=False, comment="whose alert; 0: of whoever runs this"),
        sa.Column("request", NAME, nullable=False, comment="in the words of who asked"),
        sa.Column("body", sa.LargeBinary, nullable=False, comment="hash of what was asked for"),
        sa.Column("alert_id", ID, sa.ForeignKey("alerts.id", ondelete="CASCADE"), nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False, comment="ns since 1970 UTC"),
        sa.PrimaryKeyConstraint("user_id", "request"),
    )
    op.create_index("alert_requests_by_time", "alert_requests", ["created"])
    op.create_index("alert_requests_by_alert", "alert_requests", ["alert_id"])
