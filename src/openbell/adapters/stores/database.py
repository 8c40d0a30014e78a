"""A database that stores share: SQLite, or a PostgreSQL server. The tables are those of `openbell.adapters.stores.migrations` in both.

Statements are written with `?` for values and are the same for both. `Database.run` does a piece of work in one transaction: all of it or
nothing is there, whenever this process or the server is killed. A server that went away is waited for, and the work is then done again
from its beginning; what must not happen twice goes with a step of progress (`openbell.adapters.stores.progress`).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, TypeVar

from openbell.errors import ConfigError

T = TypeVar("T")
Values = Sequence[object]


@dataclass(frozen=True, slots=True)
class Address:
    """Where a PostgreSQL database is, and as whom to use it. Its text never shows the password."""

    host: str = "localhost"
    port: int = 5432
    user: str = "openbell"
    password: str = field(default="", repr=False)
    name: str = "openbell"

    def __str__(self) -> str:
        return f"database {self.name} on {self.host}:{self.port}"


class Reading(Protocol):
    """What answers questions."""

    def select(self, query: str, values: Values = ()) -> list[tuple[Any, ...]]:
        """The rows of a query."""


class Statements(Reading, Protocol):
    """What can be said within a transaction."""

    @property
    def repeated(self) -> bool:
        """Whether this work was begun before and lost its connection, perhaps after it was committed."""

    def execute(self, query: str, values: Values = ()) -> int:
        """One statement; returns how many rows it changed."""

    def many(self, query: str, rows: Iterable[Values]) -> None:
        """The same statement for many rows."""


class Database(Reading, Protocol):
    """Open, at the newest revision, and safe for several threads. Everything raises StorageError when the database refuses."""

    def run(self, work: Callable[[Statements], T]) -> T:
        """Do the work in one transaction, and return what it returns. It may be called again when the server goes away meanwhile."""

    def changes(self) -> int | None:
        """A number that is another one once anything has been changed, by whichever process; None where asking costs as much as looking.

        It never waits, and is for one thread.
        """

    def close(self) -> None:
        """Let go of files and connections; may be called twice."""


def open_database(place: Path | Address) -> Database:
    """Open a database, and bring it to the newest revision when it is older."""
    if isinstance(place, Path):
        from openbell.adapters.stores.sqlite_database import SqliteDatabase

        return SqliteDatabase(place)
    need_driver()
    from openbell.adapters.stores.postgres import PostgresDatabase

    return PostgresDatabase(place)


def revision_of(place: Path | Address) -> str | None:
    """The revision that a database is at; None without tables of ours. Changes nothing."""
    if isinstance(place, Path):
        from openbell.adapters.stores.sqlite_database import sqlite_revision

        return sqlite_revision(place)
    need_driver()
    from openbell.adapters.stores.postgres import postgres_revision

    return postgres_revision(place)


def need_driver() -> None:
    """Raise ConfigError when what talks to PostgreSQL is not installed."""
    if find_spec("psycopg") is None or find_spec("psycopg_pool") is None:
        raise ConfigError("PostgreSQL is set, and its driver is not installed", "psycopg", "install it: pip install 'openbell[services]'")
