"""Accounts: what is known of a user, sessions, tickets for WebSockets, API keys, trading accounts, and the audit log."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
#: What nobody may do with a row of the audit log.
FORBIDDEN = ("UPDATE", "DELETE")


def upgrade() -> None:
    """Make the tables."""
    _users()
    _sessions()
    op.create_table(
        "api_keys",
        sa.Column("id", NAME, nullable=False, comment="what the key shows of itself"),
        sa.Column("user_id", ID, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
        sa.Column("name", sa.Text, nullable=False, comment="what the user calls it"),
        sa.Column("hash", sa.LargeBinary, nullable=False, comment="of the secret"),
        sa.Column("scopes", sa.Text, nullable=False, comment="with blanks between them"),
        sa.Column("created", sa.BigInteger, nullable=False, comment="ns since 1970 UTC"),
        sa.Column("expires", sa.BigInteger, comment="ns since 1970 UTC; empty: never"),
        sa.Column("used", sa.BigInteger, comment="about when last, ns since 1970 UTC"),
        sa.Column("revoked", sa.BigInteger, comment="ns since 1970 UTC; empty while it holds"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("api_keys_by_user", "api_keys", ["user_id"])
    op.create_table(
        "user_accounts",
        sa.Column("user_id", ID, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False, autoincrement=False),
        sa.Column("account", NAME, nullable=False, unique=True, comment="the trading account that is this user's"),
        sa.Column("created", sa.BigInteger, nullable=False, comment="ns since 1970 UTC"),
        sa.PrimaryKeyConstraint("user_id"),
    )
    _audit()


def _users() -> None:
    """More of a user. Nobody has checked that an address is its owner's, so that it says nothing to be the first who names it."""
    columns = (
        sa.Column("display_name", sa.Text, nullable=False, server_default=""),
        sa.Column("time_zone", sa.Text, nullable=False, server_default="UTC"),
        sa.Column("disabled", sa.BigInteger, comment="since when, ns since 1970 UTC; empty: not"),
        sa.Column("totp", sa.LargeBinary, comment="secret of the second factor, sealed; empty: none"),
        sa.Column("totp_new", sa.LargeBinary, comment="one that the user has not confirmed yet, sealed"),
        sa.Column("totp_step", sa.BigInteger, nullable=False, server_default="0", comment="of the latest code used: a code works once"),
        sa.Column("setup_hash", sa.LargeBinary, comment="of the token with which the user sets a password"),
        sa.Column("setup_expires", sa.BigInteger, comment="ns since 1970 UTC"),
        sa.Column("signed_in", sa.BigInteger, comment="last, ns since 1970 UTC"),
        sa.Column("failed", sa.BigInteger, nullable=False, server_default="0", comment="tries since then"),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint("users_email_key", "users")
        for column in columns:
            op.add_column("users", column)
    else:
        before = sa.Table(
            "users", sa.MetaData(),
            sa.Column("id", ID, primary_key=True), sa.Column("name", NAME, nullable=False, unique=True), sa.Column("email", NAME),
            sa.Column("password_hash", sa.Text, nullable=False), sa.Column("role", sa.Text, nullable=False),
            sa.Column("created", sa.BigInteger, nullable=False),
        )  # fmt: skip
        with op.batch_alter_table("users", copy_from=before, recreate="always") as users:
            for column in columns:
                users.add_column(column)
    op.create_index("users_by_setup", "users", ["setup_hash"], unique=True)


def _sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", NAME, nullable=False, comment="what it is called where users see it"),
        sa.Column("hash", sa.LargeBinary, nullable=False, unique=True, comment="of the token"),
        sa.Column("user_id", ID, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False, comment="ns since 1970 UTC"),
        sa.Column("used", sa.BigInteger, nullable=False, comment="about when last, ns since 1970 UTC"),
        sa.Column("proved", sa.BigInteger, nullable=False, comment="when the user last gave password or code, ns since 1970 UTC"),
        sa.Column("address", sa.Text, nullable=False, comment="it was made from"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("sessions_by_user", "sessions", ["user_id"])
    op.create_index("sessions_by_use", "sessions", ["used"])
    op.create_table(
        "tickets",
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("origin", NAME, nullable=False, comment="the session or key that asked for it"),
        sa.Column("expires", sa.BigInteger, nullable=False, comment="ns since 1970 UTC"),
        sa.PrimaryKeyConstraint("hash"),
    )
    op.create_index("tickets_by_end", "tickets", ["expires"])


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("number", sa.BigInteger, nullable=False, autoincrement=False, comment="1, 2, 3, ..."),
        sa.Column("ts", sa.BigInteger, nullable=False, comment="ns since 1970 UTC"),
        sa.Column("actor", NAME, nullable=False, comment="who did it"),
        sa.Column("action", NAME, nullable=False, comment="what, such as sign-in"),
        sa.Column("subject", NAME, nullable=False, comment="to what or whom"),
        sa.Column("outcome", NAME, nullable=False, comment="done, refused"),
        sa.Column("address", sa.Text, nullable=False, comment="where it came from"),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False, comment="of this row and the hash of the one before"),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("audit_by_time", "audit", ["ts"])
    if op.get_bind().dialect.name == "postgresql":
        raising = "RAISE EXCEPTION 'rows of the audit log stay as they are'"
        op.execute(f"CREATE FUNCTION audit_stays() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {raising}; END $$")
        op.execute("CREATE TRIGGER audit_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON audit EXECUTE FUNCTION audit_stays()")
        return
    for word in FORBIDDEN:
        raising = "SELECT RAISE(ABORT, 'rows of the audit log stay as they are')"
        op.execute(f"CREATE TRIGGER audit_no_{word.lower()} BEFORE {word} ON audit BEGIN {raising}; END")
