"""The doctor on SQLite files: who writes them, whether they are whole, and their revision."""

import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager

import pytest

from openbell.adapters.stores.database import open_database
from openbell.adapters.stores.journal import SqliteJournal
from openbell.adapters.stores.revisions import NEWEST, REVISIONS
from openbell.config import DatabaseSettings, Settings, TradingSettings
from openbell.services.doctor.postgresql import judge_revision
from openbell.services.doctor.sqlite_files import database, journal, whole


@pytest.fixture
def settings(tmp_path):
    """Both files in one folder."""
    return Settings(trading=TradingSettings(data_dir=str(tmp_path)), database=DatabaseSettings(sqlite_path=str(tmp_path / "candles.db")))


@contextmanager
def process_that(code):
    """Another process that does something and then waits."""
    started = subprocess.Popen([sys.executable, "-c", f"{code}\nprint(flush=True); input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert started.stdout is not None
    assert started.stdout.readline() == b"\n"
    try:
        yield started.pid
    finally:
        started.communicate(b"\n")


def filled(path, rows=20_000):
    """A database of ours with as many rows in a table of its own."""
    open_database(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE filling (id INTEGER PRIMARY KEY, text TEXT)")
        connection.executemany("INSERT INTO filling (text) VALUES (?)", ((f"row {row} " * 8,) for row in range(rows)))
        connection.execute("CREATE INDEX by_text ON filling (text)")
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def test_files_that_are_not_there_yet(settings, tmp_path):
    """The first start makes them; the doctor does not."""
    assert [finding.level for finding in (*journal(settings), *database(settings))] == ["ok", "ok"]
    assert list(tmp_path.iterdir()) == []


def test_files_in_order(settings, tmp_path):
    """Whole, ours, at the newest revision; nothing of it is changed."""
    SqliteJournal(tmp_path / "journal.db").close()
    open_database(tmp_path / "candles.db").close()
    found = [*journal(settings), *database(settings)]
    assert [(finding.check, finding.level) for finding in found] == [("journal", "ok"), ("database", "ok"), ("revision", "ok")]


def test_a_journal_that_another_openbell_writes(settings, tmp_path):
    """The process that holds the lock, and the line that ends it."""
    path = tmp_path / "journal.db"
    with process_that(f"from openbell.adapters.stores.journal import SqliteJournal; j = SqliteJournal({str(path)!r})") as pid:
        first, second = journal(settings)
    assert (first.level, second.level) == ("warning", "ok")
    assert f"is being written by pid {pid}" in first.found
    assert first.do[0].startswith(f"kill {pid}")
    assert [finding.level for finding in journal(settings)] == ["ok"]


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_a_file_that_another_process_has_locked(settings, tmp_path, mode):
    """A transaction that somebody left open, in either kind of file."""
    path = tmp_path / "candles.db"
    open_database(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
    code = f"import sqlite3; c = sqlite3.connect({str(path)!r}, isolation_level=None)"
    code += "; c.execute('BEGIN IMMEDIATE'); c.execute('DELETE FROM users')"
    with process_that(code) as pid:
        found = next(iter(database(settings)))
    assert found.level == "problem"
    assert f"is locked by pid {pid}" in found.found
    assert found.do[0].startswith(f"kill {pid}")


def test_a_damaged_file(settings, tmp_path):
    """Pages in its middle are overwritten."""
    path = tmp_path / "candles.db"
    filled(path)
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\x5a" * 40_000)
    found = next(finding for finding in database(settings) if finding.check == "database")
    assert found.level == "problem"
    assert "is damaged" in found.found
    assert found.do[0].startswith(f"mv {path} {path}.damaged")


@pytest.mark.parametrize(
    "content", [b"no database at all, only text that is long enough to be looked at" * 20, b"SQLite format 3\0" + b"\xff" * 4000]
)
def test_a_file_that_is_no_database(settings, tmp_path, content):
    """For both files."""
    for name, look in (("journal.db", journal), ("candles.db", database)):
        (tmp_path / name).write_bytes(content)
        (found,) = look(settings)
        assert found.level == "problem"


def test_a_database_of_another_program(settings, tmp_path):
    """It is left alone."""
    path = tmp_path / "journal.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE theirs (x)")
    (found,) = journal(settings)
    assert (found.level, "of another kind" in found.found) == ("problem", True)


def test_an_old_revision(settings, tmp_path):
    """A warning with the command that upgrades."""
    path = tmp_path / "candles.db"
    open_database(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"UPDATE alembic_version SET version_num = '{REVISIONS[0]}'")
    found = next(finding for finding in database(settings) if finding.check == "revision")
    assert (found.level, found.expected) == ("warning", NEWEST)
    assert found.do[0].startswith("openbell database upgrade")


@pytest.mark.parametrize(
    ("revision", "level"), [(NEWEST, "ok"), (None, "ok"), (REVISIONS[0], "warning"), ("0999", "problem"), ("x", "problem")]
)
def test_revisions(revision, level):
    """Newest, none, old, of a newer openbell, of somebody else."""
    assert judge_revision(revision).level == level


def test_a_file_that_takes_too_long(tmp_path):
    """Looking through it ends at the deadline, and nothing is claimed."""
    filled(tmp_path / "candles.db")
    assert whole(tmp_path / "candles.db", 60.0) == "ok"
    assert whole(tmp_path / "candles.db", 0.0) == ""
