"""One connection to a PostgreSQL server that comes back when it breaks, and that may hold a lock: the one writer of something has it.

The lock belongs to the connection. So it is free when the process that held it is killed, or its machine fell silent for some seconds;
and a process that was only paused keeps it, until somebody takes over by ending its connection.
"""

import os
import socket
from time import monotonic, sleep
from typing import Any

import psycopg

from openbell.adapters.stores.database import Address, Values
from openbell.adapters.stores.postgres import PATIENCE_S, PAUSES_S, SILENCE_S, Connected, connect, lock_key
from openbell.adapters.stores.postgres_errors import may_pass, named
from openbell.errors import FencedError, StorageError

#: How long a lock is waited for whose holder may just be ending.
ENDING_S = 1.0


class ConnectionLostError(StorageError):
    """The connection broke. What was being written may be there or not."""


class Link:
    """The connection. `lock` names what it is the one writer of; empty for a reader."""

    def __init__(self, address: Address, lock: str = "", take_over: bool = False, patience_s: float = PATIENCE_S) -> None:
        self.address = address
        #: What others read of who writes.
        self.me = f"pid {os.getpid()} on {socket.gethostname()}"
        self._lock, self._key, self._patience_s = lock, lock_key(*lock.split()), patience_s
        #: What the server shows of this connection; names there have at most 63 characters.
        self._name = f"openbell {lock or 'reader'}, {self.me}"[:63]
        self._backend = 0
        self._closed = False
        self._connection = self._connect(take_over)

    def _connect(self, take_over: bool = False) -> Connected:
        connection = connect(self.address, self._name)
        try:
            if self._lock:
                self._take_lock(connection, take_over)
                connection.execute("SET synchronous_commit = off")
        except psycopg.Error as error:
            connection.close()
            raise named(self.address, error) from error
        except BaseException:
            connection.close()
            raise
        return connection

    def _take_lock(self, connection: Connected, take_over: bool) -> None:
        deadline = monotonic() + ENDING_S
        while connection.execute("SELECT pg_try_advisory_lock(%s)", (self._key,)).fetchone() != (True,):
            holder, name = connection.execute(_HOLDER, (self._key,)).fetchone() or (0, "")
            if holder and (take_over or (holder, name) == (self._backend, self._name)):
                connection.execute("SELECT pg_terminate_backend(%s)", (holder,))
                deadline = max(deadline, monotonic() + SILENCE_S)
                take_over = False
            if monotonic() > deadline:
                who = name.rpartition(", ")[2] or "unknown"
                if self._backend:
                    raise FencedError(
                        f"{self.address}: another process ({who}) has taken over",
                        "this process to be the one writer",
                        "leave it to that one",
                    )
                raise StorageError(
                    f"{self.address}: the {self._lock} is being written by another process ({who})", "one writer",
                    "stop that one, or use another database",
                )  # fmt: skip
            sleep(PAUSES_S[0])
        self._backend = connection.info.backend_pid

    def reconnect(self) -> None:
        """Wait for the server, up to the time of patience, and take the lock again. FencedError when another process has it now."""
        self._connection.close()
        deadline, pause = monotonic() + self._patience_s, PAUSES_S[0]
        while True:
            try:
                self._connection = self._connect()
                return
            except FencedError:
                raise
            except StorageError as error:
                passing = isinstance(error.__cause__, psycopg.Error) and may_pass(error.__cause__)
                if not passing or monotonic() > deadline:
                    raise
            sleep(pause)
            pause = min(pause * 2, PAUSES_S[1])

    def select(self, query: str, values: Values = ()) -> list[tuple[Any, ...]]:
        """The rows of a query that changes nothing."""
        while True:
            try:
                return self._run(query, values).fetchall()
            except ConnectionLostError:
                self.reconnect()

    def write(self, query: str, values: Values, durable: bool = False) -> psycopg.Cursor[tuple[Any, ...]]:
        """One statement in one transaction; `durable` returns after the server's disk has confirmed. ConnectionLostError when it broke."""
        if not durable:
            return self._run(query, values)
        try:
            with self._connection.transaction():
                self._run("SET LOCAL synchronous_commit = on", ())
                return self._run(query, values)
        except psycopg.Error as error:  # at the commit
            raise self._named(error) from error

    def _run(self, query: str, values: Values) -> psycopg.Cursor[tuple[Any, ...]]:
        try:
            return self._connection.cursor(binary=True).execute(query, values)
        except psycopg.Error as error:
            raise self._named(error) from error

    def _named(self, error: psycopg.Error) -> StorageError:
        found = named(self.address, error)
        if may_pass(error) and not self._closed:
            return ConnectionLostError(found.found, found.expected, found.do)
        return found

    def close(self) -> None:
        """Let go of the connection and its lock; may be called twice."""
        self._closed = True
        self._connection.close()


#: The backend that holds an advisory lock, and what its connection is called.
_HOLDER = """
SELECT pid, application_name FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND datname = current_database()
    AND pg_locks.database = pg_stat_activity.datid AND (classid::bigint << 32) | objid::bigint = %s
"""
