"""Recovery codes of users, as hashes: rows of the platform's database, in SQLite and PostgreSQL."""

from collections.abc import Sequence

from openbell.adapters.stores.audit import Entry, TakenBack, audited
from openbell.adapters.stores.database import Database, Statements


class RecoveryStore:
    """The rows. Safe for several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def replace(self, user: int, hashes: Sequence[bytes], entry: Entry) -> None:
        """New codes of a user, in place of all that she had."""

        def write(sql: Statements) -> None:
            forget(sql, user)
            for hash in hashes:
                sql.execute("INSERT INTO recovery_codes (user_id, hash, created) VALUES (?, ?, ?)", (user, hash, entry.ts))

        audited(self._database, entry, write)

    def use(self, user: int, hash: bytes, entry: Entry) -> bool:
        """Note that a code is used now; False when it is none, or was used before. Of many at once it is one."""

        def write(sql: Statements) -> None:
            # Doubt after a lost connection ends with False: the user has other codes.
            if not sql.execute(
                "UPDATE recovery_codes SET used = ? WHERE user_id = ? AND hash = ? AND used IS NULL", (entry.ts, user, hash)
            ):
                raise TakenBack

        try:
            audited(self._database, entry, write)
        except TakenBack:
            return False
        return True

    def left(self, user: int) -> int:
        """How many codes of a user still hold."""
        found = self._database.select("SELECT count(*) FROM recovery_codes WHERE user_id = ? AND used IS NULL", (user,))
        return int(found[0][0])


def forget(sql: Statements, user: int) -> None:
    """Take the codes of a user away, within a transaction."""
    sql.execute("DELETE FROM recovery_codes WHERE user_id = ?", (user,))
