"""How openbell uses a PostgreSQL server: a pool of connections, and work that is done again when the server went away meanwhile."""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from hashlib import blake2b
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from openbell.adapters.stores.database import Address, Statements, T, Values
from openbell.adapters.stores.postgres_errors import may_pass, named
from openbell.adapters.stores.revisions import is_newest, upgrade

if TYPE_CHECKING:
    from sqlalchemy import Connection

Connected = psycopg.Connection[tuple[Any, ...]]

#: How long a server that went away is waited for.
PATIENCE_S = 30.0
#: The first pause before a piece of work is done again, and the longest.
PAUSES_S = (0.05, 1.0)
#: A connection whose other end is gone for about so many seconds is given up, here and by the server, which then frees its locks.
SILENCE_S = 15
_KEEPALIVE = {"keepalives_idle": 6, "keepalives_interval": 3, "keepalives_count": 3}
_OPTIONS = {
    "connect_timeout": 10, "client_encoding": "utf8", "application_name": "openbell", "tcp_user_timeout": SILENCE_S * 1000, **_KEEPALIVE,
    "options": " ".join(f"-c tcp_{name}={value}" for name, value in _KEEPALIVE.items()),
}  # fmt: skip

# The pool tells of every attempt to connect; what matters is raised.
logging.getLogger("psycopg.pool").addHandler(logging.NullHandler())


class PostgresStatements:
    """Statements of one connection, within a transaction."""

    def __init__(self, connection: Connected, repeated: bool = False) -> None:
        self.connection, self.repeated = connection, repeated
        self.cursor = connection.cursor(binary=True)

    def execute(self, query: str, values: Values = ()) -> int:
        """One statement; returns how many rows it changed."""
        return self.cursor.execute(_marked(query), values).rowcount

    def many(self, query: str, rows: Iterable[Values]) -> None:
        """The same statement for many rows."""
        self.cursor.executemany(_marked(query), rows)

    def select(self, query: str, values: Values = ()) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        return self.cursor.execute(_marked(query), values).fetchall()


class PostgresDatabase:
    """One database of a server, through a pool of at most `connections` connections.

    Opening raises StorageError at once when the server does not answer or refuses; later a server that went away is waited for, up to
    `patience_s`, with growing pauses.
    """

    def __init__(self, address: Address, connections: int = 4, patience_s: float = PATIENCE_S) -> None:
        self.address = address
        self._patience_s = patience_s
        bring_to_newest(address)
        self._pool: ConnectionPool[Connected] = ConnectionPool(
            kwargs=_arguments(address), min_size=1, max_size=connections, open=True, num_workers=1, reconnect_timeout=PATIENCE_S / 2
        )

    def run(self, work: Callable[[Statements], T]) -> T:
        """Do the work in one transaction, and return what it returns; again from its beginning when the connection broke."""
        return self.work(work)

    def work(self, work: Callable[[PostgresStatements], T], is_one_question: bool = False) -> T:
        """`run`, for work that uses what only PostgreSQL has. One question needs no transaction: that saves two messages."""
        deadline, pause, repeated = monotonic() + self._patience_s, PAUSES_S[0], False
        while True:
            try:
                with self._pool.connection(PAUSES_S[1]) as connection, nullcontext() if is_one_question else connection.transaction():
                    return work(PostgresStatements(connection, repeated))
            except PoolTimeout:
                if monotonic() > deadline:
                    connect(self.address).close()  # raises what is the matter
            except psycopg.Error as error:
                if self._pool.closed or not may_pass(error) or monotonic() > deadline:
                    raise named(self.address, error) from error
                repeated = True
            sleep(pause)
            pause = min(pause * 2, PAUSES_S[1])

    def changes(self) -> int | None:
        """Nobody can tell but the server."""
        return None

    def select(self, query: str, values: Values = ()) -> list[tuple[Any, ...]]:
        """The rows of a query that changes nothing."""
        return self.work(lambda sql: sql.select(query, values), is_one_question=True)

    def close(self) -> None:
        """Let go of the connections."""
        self._pool.close()


def connect(address: Address, name: str = "openbell") -> Connected:
    """A connection of its own, each statement a transaction; `name` is what the server shows. StorageError when it is refused."""
    with postgres_errors(address):
        return psycopg.connect(**{**_arguments(address), "application_name": name})


@contextmanager
def postgres_errors(address: Address) -> Iterator[None]:
    """Turn what the server and its driver say into a StorageError."""
    try:
        yield
    except psycopg.Error as error:
        raise named(address, error) from error


def lock_key(*words: str) -> int:
    """The number (64 bits, signed) of an advisory lock."""
    return int.from_bytes(blake2b("\0".join(("openbell", *words)).encode(), digest_size=8).digest(), "little", signed=True)


def bring_to_newest(address: Address) -> None:
    """Upgrade a database that is older than this program; one process at a time does, the others wait for it."""
    if is_newest(postgres_revision(address), address):
        return

    def alone(connection: "Connection") -> None:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({lock_key('upgrade')})")

    with postgres_errors(address):
        upgrade("postgresql+psycopg", lambda: psycopg.connect(**{**_arguments(address), "autocommit": False}), alone)


def postgres_revision(address: Address) -> str | None:
    """The revision of a database, which is not changed."""
    with connect(address) as connection, postgres_errors(address):
        if connection.execute("SELECT to_regclass('alembic_version')").fetchone() == (None,):
            return None
        found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return str(found[0]) if found else None


def _arguments(address: Address) -> dict[str, Any]:
    return {
        "host": address.host, "port": address.port, "user": address.user, "password": address.password, "dbname": address.name,
        "autocommit": True, **_OPTIONS,
    }  # fmt: skip


def _marked(query: str) -> str:
    return query.replace("?", "%s")
