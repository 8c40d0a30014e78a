"""Sessions, tickets and API keys: rows that say which user a token is of. Only hashes of tokens are stored.

Every look-up asks the database, with the user's row in the same question: what is revoked, and who is disabled or has another role, is so
for all processes from the next request on.
"""

from typing import Any

import msgspec

from openbell.adapters.stores.audit import Entry, TakenBack, audited
from openbell.adapters.stores.database import Database, Statements


class Holder(msgspec.Struct, frozen=True):
    """The user that a token is of."""

    user_id: int
    name: str
    role: str
    disabled: bool
    second_factor: bool


class SessionRow(msgspec.Struct, frozen=True):
    """A session."""

    id: str
    user_id: int
    created: int  # ns since 1970 UTC
    used: int  # about when last
    proved: int  # when password or code was given last
    address: str  # it was made from


class KeyRow(msgspec.Struct, frozen=True):
    """An API key, without its secret."""

    id: str
    user_id: int
    name: str
    scopes: tuple[str, ...]
    created: int  # ns since 1970 UTC
    expires: int | None
    used: int | None  # about when last
    revoked: int | None


class SessionStore:
    """The rows of sessions and tickets. Safe for several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, row: SessionRow, hash: bytes, password_hash: str, entry: Entry, oldest: tuple[int, int]) -> bool:
        """Sign a user in whose password was right. False when it was changed meanwhile, or the user was disabled.

        Sessions that were made before, or used before, the two times `oldest` are removed, whosoever they are.
        """

        def insert(sql: Statements) -> None:
            if not sql.execute(_SIGNED_IN, (row.created, row.user_id, password_hash)):
                raise TakenBack
            values = (row.id, hash, row.user_id, row.created, row.used, row.proved, row.address)
            sql.execute("INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", values)
            sql.execute("DELETE FROM sessions WHERE created < ? OR used < ?", oldest)

        try:
            audited(self._database, entry, insert)
        except TakenBack:
            return False
        return True

    def by_hash(self, hash: bytes) -> tuple[SessionRow, Holder] | None:
        """The session whose token has this hash."""
        return _session(self._database.select(f"{_SESSION} WHERE sessions.hash = ?", (hash,)))

    def by_id(self, id: str) -> tuple[SessionRow, Holder] | None:
        """The session of this id."""
        return _session(self._database.select(f"{_SESSION} WHERE sessions.id = ?", (id,)))

    def of(self, user_id: int) -> list[SessionRow]:
        """The sessions of a user, newest first."""
        found = self._database.select(f"SELECT {_OF_SESSION} FROM sessions WHERE user_id = ? ORDER BY created DESC", (user_id,))
        return [SessionRow(*row) for row in found]

    def touch(self, id: str, used: int) -> None:
        """Note that a session is in use."""
        self._database.run(lambda sql: sql.execute("UPDATE sessions SET used = ? WHERE id = ? AND used < ?", (used, id, used)))

    def prove(self, id: str, proved: int, entry: Entry) -> None:
        """Note that the user of a session gave password or code."""

        def write(sql: Statements) -> None:
            sql.execute("UPDATE sessions SET proved = ? WHERE id = ?", (proved, id))

        audited(self._database, entry, write)

    def end(self, user_id: int, entry: Entry, id: str = "") -> int:
        """End a session of a user, or all; returns how many."""

        def write(sql: Statements) -> int:
            if id:
                return sql.execute("DELETE FROM sessions WHERE user_id = ? AND id = ?", (user_id, id))
            return sql.execute("DELETE FROM sessions WHERE user_id = ?", (user_id,))

        return audited(self._database, entry, write)

    # Tickets.

    def add_ticket(self, hash: bytes, origin: str, expires: int, now: int) -> None:
        """A ticket for whoever has the session or key `origin`; those that have expired by `now` are removed."""

        def write(sql: Statements) -> None:
            sql.execute("INSERT INTO tickets VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (hash, origin, expires))
            sql.execute("DELETE FROM tickets WHERE expires <= ?", (now,))

        self._database.run(write)

    def take_ticket(self, hash: bytes) -> tuple[str, int] | None:
        """Take a ticket away: its origin, and when it expires. One of several processes gets it, the others None."""
        found = self._database.run(lambda sql: sql.select("DELETE FROM tickets WHERE hash = ? RETURNING origin, expires", (hash,)))
        return (str(found[0][0]), int(found[0][1])) if found else None


class KeyStore:
    """The rows of API keys. Safe for several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, row: KeyRow, hash: bytes, entry: Entry) -> None:
        """A new key."""

        def insert(sql: Statements) -> None:
            values = (row.id, row.user_id, row.name, hash, " ".join(row.scopes), row.created, row.expires, row.used, row.revoked)
            sql.execute("INSERT INTO api_keys VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", values)

        audited(self._database, entry, insert)

    def by_id(self, id: str) -> tuple[KeyRow, bytes, Holder] | None:
        """The key of this id, the hash of its secret, and whose it is."""
        found = self._database.select(_KEY, (id,))
        return (_key(found[0][:8]), bytes(found[0][8]), _holder(found[0][9:])) if found else None

    def find(self, user_id: int | None = None) -> list[KeyRow]:
        """The keys of a user, or of all, oldest first; revoked ones too."""
        where, values = ("", ()) if user_id is None else ("WHERE user_id = ?", (user_id,))
        return [_key(row) for row in self._database.select(f"SELECT {_OF_KEY} FROM api_keys {where} ORDER BY created, id", values)]

    def touch(self, id: str, used: int) -> None:
        """Note that a key is in use."""
        self._database.run(lambda sql: sql.execute("UPDATE api_keys SET used = ? WHERE id = ? AND coalesce(used, 0) < ?", (used, id, used)))

    def revoke(self, id: str, revoked: int, entry: Entry) -> None:
        """Have a key hold no more."""

        def write(sql: Statements) -> None:
            sql.execute("UPDATE api_keys SET revoked = ? WHERE id = ? AND revoked IS NULL", (revoked, id))

        audited(self._database, entry, write)


def _session(found: list[tuple[Any, ...]]) -> tuple[SessionRow, Holder] | None:
    return (SessionRow(*found[0][:6]), _holder(found[0][6:])) if found else None


def _holder(values: tuple[Any, ...]) -> Holder:
    id, name, role, is_disabled, has_totp = values
    return Holder(id, name, role, bool(is_disabled), bool(has_totp))


def _key(values: tuple[Any, ...]) -> KeyRow:
    id, user_id, name, scopes, *times = values
    return KeyRow(id, user_id, name, tuple(scopes.split()), *times)


_SIGNED_IN = "UPDATE users SET signed_in = ?, failed = 0 WHERE id = ? AND password_hash = ? AND disabled IS NULL"
_HOLDER = "users.id, users.name, users.role, users.disabled IS NOT NULL, users.totp IS NOT NULL"
_OF_SESSION = "sessions.id, sessions.user_id, sessions.created, sessions.used, sessions.proved, sessions.address"
_SESSION = f"SELECT {_OF_SESSION}, {_HOLDER} FROM sessions JOIN users ON users.id = sessions.user_id"
_OF_KEY = (
    "api_keys.id, api_keys.user_id, api_keys.name, api_keys.scopes, api_keys.created, api_keys.expires, api_keys.used, api_keys.revoked"
)
_KEY = f"SELECT {_OF_KEY}, api_keys.hash, {_HOLDER} FROM api_keys JOIN users ON users.id = api_keys.user_id WHERE api_keys.id = ?"
