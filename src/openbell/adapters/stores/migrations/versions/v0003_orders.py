"""What the orders service has to do, written down before anything is sent, and what it said of it, to be said again."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables. What a fill realised is the account's to know, not the venue's: the column goes."""
    op.drop_column("executions", "realised")
    op.create_table(
        "intents",
        sa.Column("reader", NAME, nullable=False, comment="the service that carries it out"),
        sa.Column("run", NAME, nullable=False),
        sa.Column("command", sa.BigInteger, nullable=False, comment="its index in the run"),
        sa.Column("client_order_id", NAME, nullable=False),
        sa.Column("action", sa.Text, nullable=False, comment="submit, modify, cancel"),
        sa.Column("state", sa.Text, nullable=False, comment="intended, waiting (certainly not sent), working (an open order), done"),
        sa.Column("instruction", sa.LargeBinary, nullable=False, comment="the message"),
        sa.PrimaryKeyConstraint("reader", "run", "command"),
    )
    op.create_index("intents_by_order", "intents", ["client_order_id"])
    is_open = sa.text("state <> 'done'")
    op.create_index("intents_open", "intents", ["reader"], postgresql_where=is_open, sqlite_where=is_open)
    op.create_table(
        "answers",
        sa.Column("reader", NAME, nullable=False, comment="the service that said it"),
        sa.Column("number", sa.BigInteger, nullable=False, autoincrement=False, comment="in the order in which they were said"),
        sa.Column("client_order_id", NAME, nullable=False),
        sa.Column("run", NAME, nullable=False),
        sa.Column("execution", sa.LargeBinary, nullable=False, comment="the message"),
        sa.PrimaryKeyConstraint("reader", "number"),
    )
    op.create_index("answers_by_order", "answers", ["client_order_id"])
