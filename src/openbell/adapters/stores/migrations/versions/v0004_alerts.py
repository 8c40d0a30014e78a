"""What an alert was triggered by, whether that was told, and in which order alerts changed."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the columns."""
    for column in (
        sa.Column("triggered_price", sa.Double, comment="that met the condition"),
        sa.Column("told", sa.BigInteger, comment="when the message about it was safe with the bus, ns since 1970 UTC; empty before"),
        sa.Column("revision", sa.BigInteger, nullable=False, server_default="0", comment="of its latest change by a user; grows over all"),
    ):
        op.add_column("alerts", column)
    op.create_index("alerts_by_revision", "alerts", ["revision"])
    is_untold = sa.text("status = 'triggered' AND told IS NULL")
    op.create_index("alerts_untold", "alerts", ["symbol", "id"], postgresql_where=is_untold, sqlite_where=is_untold)
