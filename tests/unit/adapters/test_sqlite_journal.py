"""Damage to the SQLite journal: whatever is done to the file, what is read is what was written, or an error names the place."""

import functools
import os
import resource
import shutil
import sqlite3
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openbell.adapters.stores.journal import SqliteJournal
from openbell.errors import JournalError, StorageError
from tests.contracts.test_journal import PLAN, commands, content, events, fill


def written(path, sizes=(3, 2, 4, 2), close=True):
    """A journal with some batches; what is in it; and the journal, when it stays open."""
    journal = SqliteJournal(path)
    journal.create_run("r", PLAN, "source", 1)
    fill(journal, sizes)
    found = content(journal)
    if close:
        journal.close()
    return found if close else (found, journal)


def change(path, statement, *values):
    """Change the file behind the journal's back."""
    with sqlite3.connect(path) as connection:
        assert connection.execute(statement, values).rowcount == 1
    connection.close()


def read(path):
    with SqliteJournal(path, writable=False) as journal:
        return content(journal)


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE batches SET events = substr(events, 1, length(events) - 1) WHERE first_seq = 4", "events 4 to 5 do not match"),
        ("UPDATE batches SET commands = CAST(commands || commands AS BLOB) WHERE first_seq = 4", "events 4 to 5 do not match"),
        ("UPDATE batches SET events = zeroblob(192), checksum = zeroblob(16) WHERE first_seq = 4", "events 4 to 5 do not match"),
        ("UPDATE batches SET place = place - 1 WHERE first_seq = 4", "events 3 to 4 are there twice"),
        ("UPDATE runs SET layout = 'older', version = '0.0.9'", "laid out as in openbell 0.0.9"),
    ],
)
def test_damage_is_named(tmp_path, statement, problem):
    """What only SQLite allows; the rest is in the contract."""
    path = tmp_path / "journal.db"
    written(path)
    change(path, statement)
    with SqliteJournal(path) as journal, pytest.raises(JournalError, match=problem):
        content(journal) if journal.run("r") else None


def test_batches_of_another_run_do_not_fit(tmp_path):
    """The checksum holds the run's name and plan, so a batch cannot change places."""
    path = tmp_path / "journal.db"
    with SqliteJournal(path) as journal:
        for run in ("r", "s"):
            journal.create_run(run, PLAN, "source", 1)
            journal.append(run, events(1, 2), b"", commands(1, 0))
    change(path, "UPDATE batches SET place = place + (8 << 44) WHERE run = 1")
    change(path, "UPDATE batches SET place = place - (1 << 44) WHERE run = 2")
    with pytest.raises(JournalError, match="events 1 to 2 do not match"):
        read(path)


def test_a_batch_of_another_history_does_not_fit(tmp_path):
    """Whole in itself, of the same run and in its place: the batch after it gives it away."""
    with SqliteJournal(tmp_path / "other.db") as other:
        other.create_run("r", PLAN, "source", 1)
        changed = events(1, 3)
        changed["trade"]["price"] += 1
        other.append("r", changed, b"cursor 1", commands(1, 0))
        row = other._select("SELECT events, checksum FROM batches")[0]
    path = tmp_path / "journal.db"
    written(path)
    change(path, "UPDATE batches SET events = ?, checksum = ? WHERE first_seq = 1", *row)
    with pytest.raises(JournalError, match="events 4 to 5 do not match"):
        read(path)


def test_every_flipped_bit_of_a_batch_is_detected(tmp_path):
    """Each bit of its events, its commands, its cursor and its checksum."""
    path = tmp_path / "journal.db"
    whole = written(path, (2, 2))
    connection = sqlite3.connect(path, isolation_level=None)
    reader = SqliteJournal(path, writable=False)
    flips = 0
    for column in ("events", "commands", "cursor", "checksum"):
        (blob,) = connection.execute(f"SELECT {column} FROM batches WHERE first_seq = 3").fetchone()
        for bit in range(len(blob) * 8):
            flipped = bytearray(blob)
            flipped[bit // 8] ^= 1 << bit % 8
            connection.execute(f"UPDATE batches SET {column} = ? WHERE first_seq = 3", (bytes(flipped),))
            with pytest.raises(JournalError, match="events 3 to 4 do not match"):
                content(reader)
            flips += 1
        connection.execute(f"UPDATE batches SET {column} = ? WHERE first_seq = 3", (blob,))
    assert content(reader) == whole
    assert flips == 8 * (2 * 96 + 2 * 96 + len(b"cursor 3") + 16)
    connection.close()
    reader.close()


@functools.cache
def image():
    """What a journal holds, and the bytes of its file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "journal.db")
        return written(path, (30, 1, 60, 2, 45)), path.read_bytes()


@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_anywhere_in_the_file_is_never_believed(position, bit):
    """Pages, headers, pointers: the run is read as it was written, or not at all."""
    whole, data = image()
    damaged = bytearray(data)
    damaged[int(position * len(data))] ^= 1 << bit
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "journal.db")
        path.write_bytes(damaged)
        try:
            found = read(path)
        except StorageError:
            return
        assert found == whole


@given(length=st.floats(0, 1, exclude_max=True))
def test_a_file_cut_short_is_never_believed(length):
    """At any length; an empty file is no journal."""
    whole, data = image()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "journal.db")
        path.write_bytes(data[: int(length * len(data))])
        try:
            found = read(path)
        except StorageError:
            return
        assert found == whole


def test_a_torn_tail_loses_whole_batches_from_the_end_only(tmp_path):
    """The write-ahead log cut, zeroed or overwritten at any place: a prefix of the batches is there, and writing goes on."""
    found, journal = written(tmp_path / "journal.db", [2] * 12, close=False)
    log = (tmp_path / "journal.db-wal").read_bytes()
    generator = np.random.default_rng(7)
    kept = set()
    for number, cut in enumerate(generator.integers(0, len(log), 150).tolist()):
        copy = tmp_path / f"copy{number}" / "journal.db"
        copy.parent.mkdir()
        shutil.copy(tmp_path / "journal.db", copy)
        tail = (b"", bytes(len(log) - cut), generator.bytes(len(log) - cut))[number % 3]
        copy.with_name("journal.db-wal").write_bytes(log[:cut] + tail)
        with SqliteJournal(copy) as torn:
            runs = torn.runs()
            rest = content(torn) if runs else []
            assert rest == found[: len(rest)]
            kept.add(len(rest))
            if runs:
                fill(torn, [5])
                assert len(content(torn)) == len(rest) + 1
        shutil.rmtree(copy.parent)
    journal.close()
    assert len(kept) > 8, "the cuts fell on different batches"


def test_a_foreign_file_is_left_alone(tmp_path):
    """Text, another program's database, a newer format: refused, and not a byte changed."""
    text, other, newer = tmp_path / "text.db", tmp_path / "other.db", tmp_path / "newer.db"
    text.write_text("this is no database, and long enough to be taken for the header of one " * 20)
    change_free = sqlite3.connect(other)
    change_free.execute("CREATE TABLE songs (name TEXT)")
    change_free.close()
    written(newer)
    with sqlite3.connect(newer) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    for path, problem in ((text, "damaged"), (other, "another kind"), (newer, "format 99")):
        before = path.read_bytes()
        for writable in (True, False):
            with pytest.raises(JournalError, match=problem):
                SqliteJournal(path, writable)
        assert path.read_bytes() == before


def fill_until_refused(journal):
    for _ in range(100):
        fill(journal, [500])


def test_a_full_disk_is_a_storage_error_and_nothing_is_half_written(tmp_path):
    """The batch that did not fit is not there; the ones before are."""
    path = tmp_path / "journal.db"
    found, journal = written(path, close=False)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, limits[1]))
    try:
        with pytest.raises(StorageError, match=r"disk") as failure:
            fill_until_refused(journal)
        assert not isinstance(failure.value, JournalError)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    kept = content(journal)
    assert kept[: len(found)] == found
    journal.close()
    with SqliteJournal(path) as again:
        assert content(again) == kept
        fill(again, [500])
        assert len(content(again)) == len(kept) + 1 > len(found) + 2


def test_a_full_database_says_that_the_disk_is_full(tmp_path):
    """SQLite's own word for it."""
    _, journal = written(tmp_path / "journal.db", close=False)
    journal._sql.execute("PRAGMA max_page_count = 20")
    with pytest.raises(StorageError, match=r"the disk is full.*Make room"):
        fill(journal, [2000])
    journal.close()


@pytest.fixture
def unprivileged():
    """A folder to be made read-only, and the rights of a user whom that stops."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    os.seteuid(os.getuid())
    folder.chmod(0o755)
    shutil.rmtree(folder)


def drop_rights(folder):
    folder.chmod(0o555)
    if os.geteuid() == 0:
        os.seteuid(65534)


def test_a_read_only_folder_is_a_storage_error(unprivileged):
    """For a journal to be made there."""
    drop_rights(unprivileged)
    with pytest.raises(StorageError, match="ermission") as failure:
        SqliteJournal(unprivileged / "journal.db")
    assert not isinstance(failure.value, JournalError)
    assert list(unprivileged.iterdir()) == []


def test_a_journal_in_a_read_only_folder_can_be_read(unprivileged):
    """A copy on a read-only medium is as good as the original."""
    found = written(unprivileged / "journal.db")
    (unprivileged / "journal.db").chmod(0o444)
    drop_rights(unprivileged)
    assert read(unprivileged / "journal.db") == found
    with pytest.raises(StorageError, match=r"ermission|readonly"):
        SqliteJournal(unprivileged / "journal.db")


def test_a_folder_that_is_a_file_is_a_storage_error(tmp_path):
    """The path is said, and no traceback of the system's."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"file/journal\.db"):
        SqliteJournal(tmp_path / "file" / "journal.db")
