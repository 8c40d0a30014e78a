"""The write-ahead log is copied beside the writer: it starts anew, nothing is lost, and what goes wrong is told."""

import sqlite3

import pytest

from openbell.adapters.stores.log_copier import COMMIT_BYTES, LogCopier

LOG_BYTES = 400_000
ROW = bytes(3000)
#: Rows with which the log is long.
ROWS = -(-LOG_BYTES // (len(ROW) + COMMIT_BYTES))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data.db"


@pytest.fixture
def writer(path):
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE rows (number INTEGER PRIMARY KEY, row BLOB)")
    yield connection
    connection.close()


def write(copier, writer, count):
    for _ in range(count):
        copier.before(len(ROW))
        writer.execute("INSERT INTO rows (row) VALUES (?)", (ROW,))


def log_size(path):
    return path.with_name(path.name + "-wal").stat().st_size


def test_the_log_starts_anew_when_it_has_been_copied(path, writer):
    """Ten logs' worth of rows are written, and the log is as long as one and what came while it was copied."""
    copier = LogCopier(path, writer, LOG_BYTES)
    for turn in range(10):
        write(copier, writer, ROWS + (turn > 0))  # the first row of a turn finds the log copied and starts it anew
        assert copier._copied.wait(60), "the thread copies what it was told of"
    assert log_size(path) < 2 * LOG_BYTES
    copier.close()
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT count(*), sum(length(row)) FROM rows").fetchone() == (10 * ROWS + 9, (10 * ROWS + 9) * len(ROW))
    other.close()


def test_a_short_log_needs_no_thread(path, writer):
    """Closing is then closing."""
    copier = LogCopier(path, writer, LOG_BYTES)
    write(copier, writer, 3)
    assert copier._thread is None
    copier.close()


def test_closing_while_it_copies_ends_the_thread(path, writer):
    """In whatever state it is."""
    for rows in (ROWS, ROWS + 1, 2 * ROWS, 4 * ROWS):
        copier = LogCopier(path, writer, LOG_BYTES)
        write(copier, writer, rows)
        copier.close()
        assert copier._thread is None or not copier._thread.is_alive()


def test_what_goes_wrong_in_the_thread_is_raised_in_the_writer(path, writer):
    """At its next transaction, before that is begun."""
    copier = LogCopier(path.parent / "nowhere" / "data.db", writer, LOG_BYTES)
    write(copier, writer, ROWS)
    copier._thread.join()
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        write(copier, writer, 1)
    assert writer.execute("SELECT count(*) FROM rows").fetchone() == (ROWS,)
    copier.close()
