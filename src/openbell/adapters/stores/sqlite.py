"""How openbell opens a SQLite file: write-ahead log, one writer by a lock the system frees when we die, errors with a name."""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from openbell.errors import JournalError, StorageError

#: Pages (4 KiB) the write-ahead log grows to before it is copied into the file, which waits for the disk: less often than one in a hundred.
WAL_PAGES = 4_000


class FileLock:
    """An exclusive lock on a file beside the database. The system lets go of it when the process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self._file, 32, 0).decode(errors="replace").strip()
            os.close(self._file)
            raise BlockingIOError(holder or "unknown") from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let others write."""
        os.close(self._file)


def connect(path: Path, writable: bool, application_id: int, version: int, oldest: int | None = None) -> sqlite3.Connection:
    """Open a database of this kind; it is made when `writable` and not there. A foreign or newer file is a JournalError.

    Its format is `version`, or from `oldest` on for who can bring it there.
    """
    with storage_errors(path):
        if not writable and not path.is_file():
            raise StorageError(f"there is no file {path}", "one that openbell wrote", "name another, or run `openbell demo` first")
        connection = _open(path, writable)
        try:
            _check_kind(connection, path, writable, application_id, range(version if oldest is None else oldest, version + 1))
            if writable:
                _prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection


def _open(path: Path, writable: bool) -> sqlite3.Connection:
    if writable:
        return sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    uri = f"{path.resolve().as_uri()}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    log = path.with_name(path.name + "-wal")
    try:
        connection.execute("PRAGMA schema_version")
    except sqlite3.OperationalError:
        # A reader of a write-ahead log needs a file beside it, which a read-only folder refuses; without a log it does not.
        connection.close()
        if log.exists() and log.stat().st_size:
            raise
        return sqlite3.connect(uri + "&immutable=1", uri=True, isolation_level=None, check_same_thread=False)
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    """A write-ahead log that the disk confirms when it is copied into the file, or at a commit that asks for it."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_PAGES * 4096 * 4}")


def _check_kind(connection: sqlite3.Connection, path: Path, writable: bool, application_id: int, versions: range) -> None:
    # In this order, because another process may just be making the file.
    is_new = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
    found = connection.execute("PRAGMA application_id").fetchone()[0]
    written = connection.execute("PRAGMA user_version").fetchone()[0]
    if is_new and writable and found == 0:
        return
    if found != application_id:
        raise JournalError(f"{path} is a SQLite file of another kind", "one that openbell wrote for this", "choose another path")
    if written not in versions:
        raise JournalError(f"{path} has the format {written}", f"format {versions[-1]}", "use the openbell that wrote it, or another path")


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite and the system say into a StorageError (the disk refused) or a JournalError (the file is damaged)."""
    try:
        yield
    except BlockingIOError as error:
        raise StorageError(
            f"{path} is being written by another process (pid {error})", "one writer", "stop that one, or choose another path"
        ) from error
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}", "a folder that can be written", "choose another path") from error
    except UnicodeDecodeError as error:
        raise _damaged(path, "text that is none") from error
    except sqlite3.Error as error:
        raise _named(path, error) from error


def _damaged(path: Path, how: str) -> JournalError:
    return JournalError(f"{path} is damaged ({how})", "a whole file", "restore it from a copy, or move it away and start anew")


def _named(path: Path, error: sqlite3.Error) -> StorageError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte is the kind, the rest its detail
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):  # the last: a table that is not there
        return _damaged(path, str(error))
    if code == sqlite3.SQLITE_FULL:
        return StorageError(f"{path}: the disk is full", "room on it", "make room and start again; nothing unsaved was acted on")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return StorageError(f"{path}: {error}", "a folder that can be written", "correct its permissions, or choose another path")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StorageError(f"{path} is held by another program", "one writer", "close that program and start again")
    return StorageError(f"{path}: {error}", "a disk that works", "check the disk and start again; nothing unsaved was acted on")
