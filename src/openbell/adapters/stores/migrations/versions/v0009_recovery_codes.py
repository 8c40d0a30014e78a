"""Recovery codes: what stands in for the second factor of a user who has lost it, each once."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "recovery_codes",
        sa.Column("user_id", ID, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False, autoincrement=False),
        sa.Column("hash", sa.LargeBinary, nullable=False, comment="of the code"),
        sa.Column("created", sa.BigInteger, nullable=False, comment="ns since 1970 UTC"),
        sa.Column("used", sa.BigInteger, comment="ns since 1970 UTC; empty while it holds"),
        sa.PrimaryKeyConstraint("user_id", "hash"),
    )
