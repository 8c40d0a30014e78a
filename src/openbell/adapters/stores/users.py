"""Users, and the trading accounts that are theirs: rows of the platform's database, in SQLite and PostgreSQL.

A user is never deleted, since orders and the audit log name her: she is disabled. What changes a user is written together with its row of
the audit log, and these are written one after the other: so two changes at once cannot take the last administrator away.
"""

from collections.abc import Sequence

import msgspec

from openbell.adapters.stores.audit import Entry, TakenBack, audited
from openbell.adapters.stores.database import Database, Reading, Statements
from openbell.adapters.stores.recovery_codes import forget
from openbell.errors import ForbiddenError, UsageError


class UserRow(msgspec.Struct, frozen=True):
    """A user. Its text shows no secret."""

    id: int
    name: str  # in lower case
    email: str | None
    password_hash: str  # argon2id; empty until a password was set
    role: str
    created: int  # ns since 1970 UTC
    display_name: str
    time_zone: str  # such as Europe/Berlin
    disabled: int | None  # since when, ns since 1970 UTC
    totp: bytes | None  # secret of the second factor, sealed
    totp_new: bytes | None  # one that is not confirmed yet, sealed
    totp_step: int  # of the latest code that was used
    signed_in: int | None  # last, ns since 1970 UTC
    failed: int  # tries since then

    def __repr__(self) -> str:
        return f"UserRow({self.id}, {self.name!r}, {self.role!r})"


class NewUser(msgspec.Struct, frozen=True):
    """What a user begins with."""

    name: str
    role: str
    created: int  # ns since 1970 UTC
    password_hash: str = ""
    email: str | None = None
    display_name: str = ""
    time_zone: str = "UTC"

    def __repr__(self) -> str:
        return f"NewUser({self.name!r}, {self.role!r})"


class UserStore:
    """The rows. Safe for several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, user: NewUser, entry: Entry, setup: tuple[bytes, int] | None = None) -> UserRow:
        """A new user; `setup` is the hash of a one-time token and when (ns) it expires. UsageError when the name is taken."""

        def insert(sql: Statements) -> UserRow:
            hash, expires = setup or (None, None)
            values = (user.name, user.email, user.password_hash, user.role, user.created, user.display_name, user.time_zone, hash, expires)
            if not sql.execute(_INSERT, values):
                found = _find(sql, "name = ?", user.name)
                if not (sql.repeated and found is not None and found.created == user.created):
                    raise UsageError(f"there is a user {user.name} already", "a name that is free", "choose another")
            made = _find(sql, "name = ?", user.name)
            assert made is not None
            return made

        return audited(self._database, entry, insert)

    def by_name(self, name: str) -> UserRow | None:
        """The user of this name."""
        return _find(self._database, "name = ?", name)

    def by_id(self, id: int) -> UserRow | None:
        """The user of this id."""
        return _find(self._database, "id = ?", id)

    def all(self) -> list[UserRow]:
        """Every user, by name."""
        return [UserRow(*row) for row in self._database.select(f"SELECT {_COLUMNS} FROM users ORDER BY name")]

    # Passwords.

    def set_password(self, id: int, hash: str, entry: Entry, keep: str = "") -> None:
        """A new password; every session of the user ends but the one with the id `keep`, and a one-time token ends too."""

        def write(sql: Statements) -> None:
            sql.execute("UPDATE users SET password_hash = ?, setup_hash = NULL, setup_expires = NULL, failed = 0 WHERE id = ?", (hash, id))
            _end_sessions(sql, id, keep)

        audited(self._database, entry, write)

    def rehash(self, id: int, old: str, new: str) -> None:
        """The same password, hashed at today's cost."""
        self._database.run(lambda sql: sql.execute("UPDATE users SET password_hash = ? WHERE id = ? AND password_hash = ?", (new, id, old)))

    def set_up(self, id: int, hash: bytes, expires: int, entry: Entry, with_second_factor: bool = False) -> None:
        """A one-time token in place of the password; every session ends, and the second factor when it is lost."""

        def write(sql: Statements) -> None:
            sql.execute("UPDATE users SET password_hash = '', setup_hash = ?, setup_expires = ? WHERE id = ?", (hash, expires, id))
            if with_second_factor:
                sql.execute("UPDATE users SET totp = NULL, totp_new = NULL WHERE id = ?", (id,))
                forget(sql, id)
            _end_sessions(sql, id)

        audited(self._database, entry, write)

    def by_setup(self, hash: bytes, now: int) -> UserRow | None:
        """Whose one-time token this is the hash of, while it holds."""
        found = self._database.select(f"SELECT {_COLUMNS} FROM users WHERE setup_hash = ? AND setup_expires > ?", (hash, now))
        return UserRow(*found[0]) if found else None

    def use_setup(self, id: int, setup_hash: bytes, password_hash: str, entry: Entry) -> bool:
        """Set the first password; False when the one-time token has been used meanwhile."""

        def write(sql: Statements) -> None:
            if sql.execute(_USE_SETUP, (password_hash, id, setup_hash)):
                return
            if not (sql.repeated and sql.select("SELECT 1 FROM users WHERE id = ? AND password_hash = ?", (id, password_hash))):
                raise TakenBack

        try:
            audited(self._database, entry, write)
        except TakenBack:
            return False
        return True

    # The second factor.

    def propose_totp(self, id: int, sealed: bytes) -> None:
        """A secret that holds once it is confirmed."""
        self._database.run(lambda sql: sql.execute("UPDATE users SET totp_new = ? WHERE id = ?", (sealed, id)))

    def set_totp(self, id: int, sealed: bytes | None, step: int, entry: Entry, keep: str = "") -> None:
        """The second factor from now on, or none; `step` is of the code that confirmed it. Sessions end as with `set_password`.

        Recovery codes are of one second factor, and go with it.
        """

        def write(sql: Statements) -> None:
            sql.execute("UPDATE users SET totp = ?, totp_new = NULL, totp_step = ? WHERE id = ?", (sealed, step, id))
            forget(sql, id)
            _end_sessions(sql, id, keep)

        audited(self._database, entry, write)

    def use_code(self, id: int, step: int) -> bool:
        """Note that the code of a step was used; False when it, or a later one, has been used before."""
        # Doubt after a lost connection ends with False: the user waits for the next code.
        return self._database.run(lambda sql: sql.execute(_USE_CODE, (step, id, step)) > 0)

    def reseal_totp(self, id: int, old: bytes, new: bytes) -> None:
        """The same secret under another key."""
        self._database.run(lambda sql: sql.execute("UPDATE users SET totp = ? WHERE id = ? AND totp = ?", (new, id, old)))

    # What is known of a user.

    def failed(self, id: int, entry: Entry) -> None:
        """Count a try to sign in that failed; an id that is none counts nothing, and takes as long."""

        def write(sql: Statements) -> None:
            sql.execute("UPDATE users SET failed = failed + 1 WHERE id = ?", (id,))

        audited(self._database, entry, write)

    def set_profile(self, id: int, email: str | None, display_name: str, time_zone: str, entry: Entry) -> None:
        """What users say of themselves."""

        def write(sql: Statements) -> None:
            values = (email, display_name, time_zone, id)
            sql.execute("UPDATE users SET email = ?, display_name = ?, time_zone = ? WHERE id = ?", values)

        audited(self._database, entry, write)

    def set_role(self, id: int, role: str, entry: Entry) -> None:
        """Another role. ForbiddenError when no administrator would be left."""

        def write(sql: Statements) -> None:
            admins = _admins(sql)
            sql.execute("UPDATE users SET role = ? WHERE id = ?", (role, id))
            _check_admins(sql, admins)

        audited(self._database, entry, write)

    def disable(self, id: int, since: int | None, entry: Entry) -> None:
        """Disable a user since `since` (ns) and end every session, or enable her again with None. Errors as of `set_role`."""

        def write(sql: Statements) -> None:
            admins = _admins(sql)
            sql.execute("UPDATE users SET disabled = ? WHERE id = ?", (since, id))
            if since is not None:
                _end_sessions(sql, id)
            _check_admins(sql, admins)

        audited(self._database, entry, write)

    # Trading accounts.

    def account(self, id: int, names: Sequence[str], created: int) -> str | None:
        """The trading account of a user: hers if she has one, else the first of `names` that nobody has; None when all are taken."""

        def assign(sql: Statements) -> str | None:
            for name in ("", *names):
                if name:
                    sql.execute("INSERT INTO user_accounts VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (id, name, created))
                if found := sql.select("SELECT account FROM user_accounts WHERE user_id = ?", (id,)):
                    return str(found[0][0])
            return None

        return self._database.run(assign)

    def accounts(self) -> dict[str, int]:
        """The user id of every trading account that is somebody's."""
        return {str(name): int(id) for name, id in self._database.select("SELECT account, user_id FROM user_accounts ORDER BY account")}


def _find(sql: Reading, condition: str, value: object) -> UserRow | None:
    found = sql.select(f"SELECT {_COLUMNS} FROM users WHERE {condition}", (value,))
    return UserRow(*found[0]) if found else None


def _end_sessions(sql: Statements, id: int, keep: str = "") -> None:
    sql.execute("DELETE FROM sessions WHERE user_id = ? AND id <> ?", (id, keep))


def _admins(sql: Statements) -> int:
    """How many there are who can undo it."""
    return int(sql.select("SELECT count(*) FROM users WHERE role = 'admin' AND disabled IS NULL")[0][0])


def _check_admins(sql: Statements, before: int) -> None:
    if before and not _admins(sql):
        raise ForbiddenError("this is the last administrator", "another one", "make another user an administrator first")


_COLUMNS = "id, name, email, password_hash, role, created, display_name, time_zone, disabled, totp, totp_new, totp_step, signed_in, failed"
_INSERT = """
INSERT INTO users (name, email, password_hash, role, created, display_name, time_zone, setup_hash, setup_expires)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING
"""
_USE_SETUP = """
UPDATE users SET password_hash = ?, setup_hash = NULL, setup_expires = NULL, failed = 0 WHERE id = ? AND setup_hash = ?
"""
_USE_CODE = "UPDATE users SET totp_step = ? WHERE id = ? AND totp_step < ?"
