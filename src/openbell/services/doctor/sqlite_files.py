"""The SQLite files: who writes them, whether they are whole, and which revision they have."""

import fcntl
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from openbell.adapters.stores.database import revision_of
from openbell.adapters.stores.journal import SqliteJournal
from openbell.config import Settings
from openbell.errors import JournalError, OpenbellError
from openbell.services.doctor.finding import Finding, ok, problem, warning
from openbell.services.doctor.postgresql import judge_revision
from openbell.services.doctor.processes import Process, lock_holder, process

#: Seconds that looking through a file may take, and that another program's transaction is waited for.
READ_SECONDS, WAIT_SECONDS = 1.5, 0.5
#: Instructions of SQLite's machine between two looks at the clock.
_STEPS = 10_000


def journal(settings: Settings) -> Iterator[Finding]:
    """The journal: one writer, a format of ours, every page in order."""
    path = Path(settings.trading.data_dir).expanduser() / "journal.db"
    if not path.is_file():
        if settings.database.engine == "sqlite":
            yield ok("journal", f"{path} is not there yet; the first start makes it")
        return
    holder = _writer(path)
    if holder is not None:
        found = f"{path} is being written by {holder}"
        yield warning(
            "journal", found, "one writer: no other openbell for this folder", f"kill {holder.pid}    # or: openbell up --data-dir ..."
        )
    else:
        yield from _unlocked("journal", path)
    yield from _whole("journal", path, lambda: SqliteJournal(path, writable=False).close())


def database(settings: Settings) -> Iterator[Finding]:
    """The file of candles, orders and users, where SQLite is chosen."""
    if settings.database.engine != "sqlite":
        return
    path = Path(settings.database.sqlite_path).expanduser()
    if not path.is_file():
        yield ok("database", f"{path} is not there yet; the first start makes it")
        return
    yield from _unlocked("database", path)
    revision: list[str | None] = []
    yield from _whole("database", path, lambda: revision.append(revision_of(path)))
    if revision:
        yield judge_revision(revision[0])


def whole(path: Path, seconds: float = READ_SECONDS) -> str:
    """What `PRAGMA quick_check` says, "ok" for a file in order; "" when there was no time to look through all of it."""
    deadline = time.monotonic() + seconds
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=WAIT_SECONDS)
    connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
    try:
        return str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            return ""
        return str(error)
    except sqlite3.DatabaseError as error:
        return str(error)
    finally:
        connection.close()


def _writer(path: Path) -> Process | None:
    """The openbell that writes a journal: it holds a lock on the file beside it, and its number stands in there."""
    try:
        lock = path.with_name(path.name + ".lock").open()
    except OSError:
        return None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            text = lock.read(32).strip()
            pid = int(text) if text.isdigit() else 0
            return process(pid) or Process(pid, "of another machine or container")
    return None


def _unlocked(check: str, path: Path) -> Iterator[Finding]:
    """Whether we could write: begins a transaction and takes it back."""
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, timeout=WAIT_SECONDS, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        finally:
            connection.close()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            holder = lock_holder(path) or lock_holder(path.with_name(path.name + "-shm"))
            found = f"{path} is locked by {holder or 'another program'}"
            yield problem(
                check,
                found,
                "a file nobody else writes",
                f"kill {holder.pid}    # or end its transaction" if holder else f"fuser -v {path}",
            )
        elif error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
            yield problem(check, f"{path} cannot be written: {error}", "a file that can be written", f"sudo chown $USER {path}*")
    except sqlite3.DatabaseError:
        return  # no database at all: looking through it says so


def _whole(check: str, path: Path, opened: Callable[[], object]) -> Iterator[Finding]:
    """Whether the file is one of ours, and in order."""
    size = f"{path}, {path.stat().st_size / 1e6:,.1f} MB"
    away = f"mv {path} {path}.damaged    # and put a copy in its place; without one, the next start begins anew"
    try:
        opened()
    except JournalError as error:
        yield problem(check, error.found, error.expected, away)
        return
    except OpenbellError as error:
        yield problem(check, error.found, error.expected, *([f"# {error.do}"] if error.do else []))
        return
    said = whole(path)
    if said == "ok":
        yield ok(check, f"{size}, every page in order")
    elif said:
        yield problem(check, f"{size}, is damaged: {' '.join(said.split())}", "a whole file", away)
    else:
        yield ok(check, f"{size}; too large to look through now: sqlite3 {path} 'PRAGMA quick_check'")
