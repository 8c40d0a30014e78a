"""Copying SQLite's write-ahead log into its file without making the writer wait for the disk.

By itself SQLite does it inside a commit, and the commit then takes some ten milliseconds: at 10,000 events a second one commit in thirty.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from threading import Event, Thread

#: Bytes of the log at which copying begins. It goes on growing meanwhile, and starts anew when all of it is copied.
LOG_BYTES = 64 << 20
#: What a commit writes besides its content: the pages it changes.
COMMIT_BYTES = 3 * 4096


class LogCopier:
    """Copies in a thread of its own, twice, the second time what came meanwhile; the writer then copies the little that is left.

    All methods are for the writer's thread, between two transactions. What goes wrong in the other thread is raised by `before`.
    """

    def __init__(self, path: Path, writer: sqlite3.Connection, log_bytes: int = LOG_BYTES) -> None:
        self._path, self._writer, self._log_bytes = path, writer, log_bytes
        self._size = 0
        self._thread: Thread | None = None
        self._wanted, self._copied = Event(), Event()
        self._closing = False
        self._failure: sqlite3.Error | None = None
        writer.execute("PRAGMA wal_autocheckpoint = 0")

    def before(self, size: int) -> None:
        """A transaction with so many bytes of content is about to be written."""
        self._size += size + COMMIT_BYTES
        if self._size < self._log_bytes:
            return
        if self._failure is not None:
            raise self._failure
        if self._thread is None:
            self._thread = Thread(target=self._work, name="journal-copier", daemon=True)
            self._thread.start()
        if self._copied.is_set():
            self._copied.clear()
            _copy(self._writer)
            self._size = 0
        else:
            self._wanted.set()

    def close(self) -> None:
        """Let the thread end."""
        if self._thread is not None:
            self._closing = True
            self._wanted.set()
            self._thread.join()

    def _work(self) -> None:
        try:
            with closing(sqlite3.connect(self._path, isolation_level=None)) as connection:
                while not self._closing:
                    self._wanted.wait()
                    if not self._closing:
                        _copy(connection)
                        _copy(connection)
                        self._copied.set()
                    self._wanted.clear()
        except sqlite3.Error as error:
            self._failure = error


def _copy(connection: sqlite3.Connection) -> None:
    """Copy what no reader is in the way of; nobody waits for anybody."""
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
