"""The stores' tables in a SQLite file, brought to the newest revision when it is opened."""

import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from openbell.adapters.stores.database import Statements, T, Values
from openbell.adapters.stores.revisions import MIGRATIONS, NEWEST, REVISIONS, is_newest, upgrade
from openbell.adapters.stores.sqlite import connect, storage_errors

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: "obcd": the application id of the file. Its user_version is the number of its revision, so that an older openbell refuses it.
APPLICATION_ID = 0x6F626364
VERSION = int(NEWEST)
#: How long to wait for another process that writes.
PATIENCE_S = 30


class SqliteStatements:
    """Statements of the one connection."""

    repeated = False

    def __init__(self, sql: sqlite3.Connection) -> None:
        self._sql = sql

    def execute(self, query: str, values: Values = ()) -> int:
        """One statement; returns how many rows it changed."""
        return self._sql.execute(query, values).rowcount

    def many(self, query: str, rows: Iterable[Values]) -> None:
        """The same statement for many rows."""
        self._sql.executemany(query, rows)

    def select(self, query: str, values: Values = ()) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        return self._sql.execute(query, values).fetchall()


class SqliteDatabase:
    """One file, one connection, one transaction at a time. JournalError for a file of another kind, StorageError when the disk refuses."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        self._sql = open_sqlite(path)
        self._statements = SqliteStatements(self._sql)
        self._lock = Lock()
        self._watch: sqlite3.Connection | None = None
        self._closed = False

    def run(self, work: Callable[[Statements], T]) -> T:
        """Do the work in one transaction, and return what it returns."""
        with self._lock, storage_errors(self.path):
            self._sql.execute("BEGIN IMMEDIATE")
            try:
                result = work(self._statements)
                self._sql.execute("COMMIT")
            except BaseException:
                if self._sql.in_transaction:
                    self._sql.execute("ROLLBACK")
                raise
            return result

    def select(self, query: str, values: Values = ()) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        with self._lock, storage_errors(self.path):
            return self._statements.select(query, values)

    def changes(self) -> int | None:
        """The number of SQLite for what others have changed, asked by a connection that changes nothing itself."""
        try:
            if self._watch is None and not self._closed:
                self._watch = sqlite3.connect(f"{self.path.resolve().as_uri()}?mode=ro", uri=True, timeout=0.0, isolation_level=None)
            return None if self._watch is None else int(self._watch.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error:  # busy, or closed: nothing is known then
            return None

    def close(self) -> None:
        """Let go of the file, once nobody reads it: SQLite does not survive that it is closed under a query."""
        with self._lock:
            self._closed = True
            self._sql.close()
            watch, self._watch = self._watch, None
            if watch is not None:
                watch.close()


def open_sqlite(path: Path) -> sqlite3.Connection:
    """The file at the newest revision: made, or upgraded when it is older."""
    sql = connect(path, True, APPLICATION_ID, VERSION, oldest=1)
    try:
        with storage_errors(path):
            if not sql.execute("SELECT name FROM sqlite_schema LIMIT 1").fetchall():
                tables = (MIGRATIONS / "newest.sql").read_text(encoding="utf-8")
                sql.executescript(_NEW.format(tables, APPLICATION_ID, VERSION))
            elif not is_newest(_revision(sql), path):
                sql.close()
                upgrade("sqlite", lambda: sqlite3.connect(path, isolation_level=None, timeout=PATIENCE_S), _prepare)
                sql = connect(path, True, APPLICATION_ID, VERSION)
            sql.execute("PRAGMA foreign_keys = ON")
            sql.execute(f"PRAGMA busy_timeout = {PATIENCE_S * 1000}")
    except BaseException:
        sql.close()
        raise
    return sql


def sqlite_revision(path: Path) -> str | None:
    """The revision of a file, which is neither made nor changed."""
    sql = connect(path, False, APPLICATION_ID, VERSION, oldest=1)
    try:
        with storage_errors(path):
            return _revision(sql)
    finally:
        sql.close()


#: Two processes may do it at once: the second finds everything there.
_NEW = "BEGIN IMMEDIATE;\n{}\nPRAGMA application_id = {};\nPRAGMA user_version = {};\nCOMMIT;"


def _tables(sql: sqlite3.Connection) -> set[str]:
    return {name for (name,) in sql.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}


def _revision(sql: sqlite3.Connection) -> str | None:
    tables = _tables(sql)
    if "alembic_version" not in tables:
        return REVISIONS[0] if "candles" in tables else None
    found = sql.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(found[0]) if found else None


def _prepare(connection: "Connection") -> str | None:
    """Within the upgrade's transaction: the revision of a file that was written before there were revisions."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    driver.execute(f"PRAGMA user_version = {VERSION}")
    return None if "alembic_version" in _tables(driver) else _revision(driver)
